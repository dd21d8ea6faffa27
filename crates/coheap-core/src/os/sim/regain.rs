//! Getting a closed file back: here no code closes the descriptors of another.
//!
//! What always holds: a file is open as long as its value lives, so there is nothing to get back.

use super::file::{FileId, HeapFile};

/// Returns whether the file is open.
pub fn regain(file: &HeapFile, id: FileId, _members: impl IntoIterator<Item = u32>) -> bool {
    file.id() == Ok(id)
}
