//! Where a file and its sidecar are, and the wait for the lock of a file.
//!
//! What always holds: a wait ends after a tenth of a second, so that its caller can hear signals.
//!
//! Not here: what is done with the file (`file`, `look`).

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use coheap_core::system::appending::{self, FileLock, FileState};

use crate::error::{Error, Result};

/// How often a wait looks whether the lock is free, before the caller may hear signals: for a tenth
/// of a second.
const LOOKS: u32 = 160;

/// Most names that have been found to be other files before the caller is told.
pub(crate) const MAX_REPLACEMENTS: usize = 1000;

/// Takes the lock of a file, looking again and again for a while.
pub(crate) fn lock(file: &File, lock: FileLock, path: &Path) -> Result<()> {
    for look in 0..LOOKS {
        if appending::try_lock_file(file, lock).map_err(Error::os("lock", path))? {
            return Ok(());
        }
        // A call holds the lock for microseconds; whoever is stopped with it, for long.
        match look {
            0..8 => std::thread::yield_now(),
            8..64 => std::thread::sleep(Duration::from_micros(20)),
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    Err(Error::Busy)
}

/// Refuses what would be opened in vain, or with effects: folders, pipes, devices.
pub(crate) fn refuse_strange(path: &Path) -> Result<()> {
    match appending::state_of_path(path).map_err(Error::os("look at", path))? {
        Some(state) if state.is_folder => {
            let error = io::Error::from(ErrorKind::IsADirectory);
            Err(Error::Os { call: "append to", path: path.to_owned(), error })
        }
        Some(state) if !state.is_file => Err(Error::NotAFile(path.to_owned())),
        _ => Ok(()),
    }
}

/// Where the sidecar of a file is: `.NAME.coheap` beside the file itself, also where the path leads
/// through links.
pub(crate) fn sidecar_of(path: &Path) -> PathBuf {
    let target = if path.is_symlink() { path.canonicalize().ok() } else { None };
    let target = target.unwrap_or_else(|| path.to_owned());
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".coheap");
    target.with_file_name(name)
}

pub(crate) fn folder_of(path: &Path) -> PathBuf {
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    target.parent().map(Path::to_owned).unwrap_or_default()
}

pub(crate) fn id_of(state: FileState) -> (u64, u64) {
    (state.inode, state.device)
}

/// Which files were made for a call, and go with it if it fails.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) data: bool,
    pub(crate) sidecar: bool,
}

impl Made {
    /// Removes what was made, while the caller has the lock of the file, unless somebody has written
    /// to it. Those who wait for the lock find another file at the path, or none, and begin again.
    pub(crate) fn withdraw(&self, data: &File, path: &Path) {
        let Ok(state) = appending::state_of_file(data) else { return };
        let is_there = |found: Option<FileState>| found.is_some_and(|it| id_of(it) == id_of(state));
        if self.data && state.len == 0 && appending::state_of_path(path).is_ok_and(is_there) {
            // The sidecar first: whoever comes after the file finds none, or a new one.
            if self.sidecar {
                let _ = std::fs::remove_file(sidecar_of(path));
            }
            let _ = std::fs::remove_file(path);
        }
    }
}
