//! Finding the three files of a named heap.
//!
//! What always holds: the files are regular files of the calling user, who alone may read or write
//! them, and the life file is opened at most once in this process.
//!
//! Not here: whether the heap still has its name once this process is a member (`temporary`).

use std::path::Path;
use std::sync::Arc;

use super::files::{Beside, check_private};
use super::{Files, create, registry};
use crate::error::{Error, Result};
use crate::os::HeapFile;

/// Opens the files of the heap with a name. Returns `None` if its data file lost the name.
pub(super) fn files(path: &Path) -> Result<Option<Files>> {
    let data = match HeapFile::open(path) {
        Ok(data) => data,
        Err(Error::Os { code: 2, .. }) => return Ok(None),
        Err(other) => return Err(other),
    };
    let id = data.id()?;
    let region = create::map_checked(data)?;
    let (folder, beside) = (path.parent().unwrap_or(path), Beside::of(path, &region));
    let life = match registry::life_file(id, &beside.life(folder)) {
        Ok(life) => life,
        // The data file is removed before the life file.
        Err(Error::Os { code: 2, .. }) if region.file().ownership()?.links == 0 => return Ok(None),
        Err(Error::Os { code: 2, .. }) => return Err(Error::NotAHeap("its life file is missing")),
        Err(other) => return Err(other),
    };
    // One that this process has open already may have got another mode since.
    check_private(&life.ownership()?)?;
    let birth = match registry::open_own(&beside.birth(folder)) {
        Ok(birth) => Arc::new(birth),
        Err(Error::Os { code: 2, .. }) if region.file().ownership()?.links == 0 => return Ok(None),
        Err(Error::Os { code: 2, .. }) => return Err(Error::NotAHeap("its birth file is missing")),
        Err(other) => return Err(other),
    };
    Ok(Some(Files { region: Arc::new(region), life, birth }))
}
