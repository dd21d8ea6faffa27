//! The life and birth files: open as long as the process is attached, whatever its other code does.
//!
//! Programs close descriptors that they do not know, as daemons do when they start. The file is then
//! got back from another member of the heap, before anything is judged or locked by it.
//!
//! What always holds: `checked` returns the file that the heap was attached with, and never another
//! one that was opened under its number.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::memory::Region;
use crate::os::{FileId, HeapFile, PrivateMutex, Tally, regain};

/// What could not be done.
const LOST: &str =
    "use of a life descriptor that was closed: no other member has it open, or its number is taken";
/// The number of the error for a descriptor that is not open.
const BAD_DESCRIPTOR: i32 = 9;
/// Counts how often a file was got back: its bytes are not held any more.
pub(super) static REGAINED: Tally = Tally::new();

/// A file of a heap, and which one it is.
#[derive(Debug, Clone)]
pub struct LastingFile {
    file: Arc<HeapFile>,
    id: FileId,
}

impl LastingFile {
    /// Returns a file that was just opened.
    pub fn new(file: Arc<HeapFile>) -> Result<Self> {
        let id = file.id()?;
        Ok(Self { file, id })
    }

    /// Returns the file, which other code may have closed.
    pub fn file(&self) -> &Arc<HeapFile> {
        &self.file
    }

    /// Returns the file. If it was closed, it is first got back from one of the processes
    /// `members`, and so is the data file.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] when no other member of the heap has it open, or other code has opened another
    /// file under its number.
    pub fn checked(&self, region: &Region, members: &dyn Fn() -> Vec<u32>) -> Result<&HeapFile> {
        match self.file.id() {
            Ok(id) if id == self.id => Ok(&self.file),
            _ => self.regained(region, members()),
        }
    }

    #[cold]
    fn regained(&self, region: &Region, members: Vec<u32>) -> Result<&HeapFile> {
        /// The copy that is opened for a moment must not drop what another thread has just locked.
        static ONE_BY_ONE: PrivateMutex<()> = PrivateMutex::new(());
        let _one = ONE_BY_ONE.lock();
        // Who lost one of the files by closing a range has lost the others.
        region.regain_file(members.iter().copied());
        let is_back = self.file.id() == Ok(self.id) || regain(&self.file, self.id, members);
        REGAINED.count();
        if is_back {
            return Ok(&self.file);
        }
        Err(Error::Os { call: LOST, code: BAD_DESCRIPTOR })
    }
}
