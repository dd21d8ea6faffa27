//! A file as it is seen by those who do not append to it.
//!
//! What always holds: nothing is changed or created. What is seen is whole: a call that is being
//! written is waited for, and one that is unfinished is left out.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use coheap_core::system::appending::{self, FileLock};

use crate::error::{Error, Result};
use crate::place::{MAX_REPLACEMENTS, id_of, lock, refuse_strange, sidecar_of};
use crate::record::{Outcome, Record};

/// What a file holds, seen without changing it.
#[derive(Debug)]
pub struct Look {
    /// The file, open for reading; `None`: there is none.
    pub file: Option<File>,
    /// Which file it is: inode and device.
    pub id: (u64, u64),
    /// Bytes that no call is unfinished in.
    pub len: u64,
    /// The encoding in the record of the last call, if nobody has written since.
    pub label: Option<String>,
}

/// Looks at a file without changing it.
///
/// # Errors
///
/// [`Error::Busy`] while another process keeps the lock, and what the system refuses.
pub fn look(path: &Path) -> Result<Look> {
    for _ in 0..MAX_REPLACEMENTS {
        refuse_strange(path)?;
        let file = match appending::open_for_reading(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Look { file: None, id: (0, 0), len: 0, label: None });
            }
            other => other.map_err(Error::os("open", path))?,
        };
        let state = appending::state_of_file(&file).map_err(Error::os("look at", path))?;
        if !state.is_file {
            return Err(Error::NotAFile(path.to_owned()));
        }
        lock(&file, FileLock::Shared, path)?;
        let found = look_locked(path, &file, id_of(state));
        appending::unlock_file(&file);
        if let Some((len, label)) = found? {
            return Ok(Look { file: Some(file), id: id_of(state), len, label });
        }
    }
    let error = io::Error::from(ErrorKind::NotFound);
    Err(Error::Os { call: "keep hold of", path: path.to_owned(), error })
}

/// How many bytes of a locked file are whole, and the label in its record. `None`: the path leads
/// to another file by now.
fn look_locked(path: &Path, file: &File, id: (u64, u64)) -> Result<Option<(u64, Option<String>)>> {
    let state = appending::state_of_path(path).map_err(Error::os("look at", path))?;
    let Some(state) = state.filter(|state| id_of(*state) == id) else { return Ok(None) };
    let beside = sidecar_of(path);
    let record = match appending::open_for_reading(&beside) {
        Ok(sidecar) => Record::read(&sidecar).map_err(Error::os("read", &beside))?,
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(Error::os("open", &beside)(error)),
    };
    let Some(record) = record.filter(|record| record.inode == id.0) else {
        return Ok(Some((state.len, None)));
    };
    let outcome = record.outcome(file, state.len).map_err(Error::os("read", path))?;
    let len = if outcome == Outcome::Unfinished { record.base } else { state.len };
    let is_known = len == record.base || len == record.end();
    Ok(Some((len, is_known.then_some(record.label).filter(|label| !label.is_empty()))))
}
