//! The names of a heap's files, and the options that choose them.
//!
//! What always holds: the life and birth file of a heap are found from the path of its data file and
//! its uuid, and lie in the same folder. A file is used only if nobody but the calling user may
//! read or write it.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::memory::Region;
use crate::os::{self, HeapFile, Ownership};

/// Options for opening or creating a named heap.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name: no slash, no NUL, at most 200 bytes.
    pub name: String,
    /// The folder of the files; `None` for the system's folder for shared memory.
    pub folder: Option<PathBuf>,
    /// The limit of a new heap in bytes; `None` for half of the machine's memory.
    pub max_bytes: Option<u64>,
    /// Whether to create the heap if it does not exist.
    pub create: bool,
    /// Whether a new heap ends with its last member.
    pub temporary: bool,
}

impl Options {
    /// Returns the default options for a heap with this name.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { name, folder: None, max_bytes: None, create: true, temporary: false }
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(|| PathBuf::from("/dev/shm"))
    }

    /// Returns the path of the data file.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`].
    pub fn path(&self) -> Result<PathBuf> {
        let name = self.name.as_str();
        if name.is_empty() {
            return Err(Error::BadName("is empty"));
        }
        if name.len() > 200 {
            return Err(Error::BadName("is longer than 200 bytes"));
        }
        if name.contains(['/', '\0']) {
            return Err(Error::BadName("contains a slash or a NUL"));
        }
        let path = self.folder().join(format!("coheap.{name}"));
        // Absolute, because pickled handles are opened in processes with another current folder.
        Ok(std::path::absolute(&path).unwrap_or(path))
    }
}

pub(super) fn life_path(path: &Path, region: &Region) -> PathBuf {
    beside(path, region, "life")
}

pub(super) fn birth_path(path: &Path, region: &Region) -> PathBuf {
    beside(path, region, "birth")
}

fn beside(path: &Path, region: &Region, what: &str) -> PathBuf {
    let [first, second] = &region.header().uuid;
    path.with_file_name(format!(".coheap-{:016x}{:016x}.{what}", first.get(), second.get()))
}

/// Removes the names of the files. Attached processes continue to use the heap.
pub(super) fn unlink_files(path: &Path, region: &Region) -> Result<()> {
    let is_same = match HeapFile::identify(path) {
        Ok((id, _)) => id == region.file().id()?,
        Err(_) => false,
    };
    if is_same {
        HeapFile::unlink(path)?;
    }
    HeapFile::unlink(&life_path(path, region))?;
    HeapFile::unlink(&birth_path(path, region))
}

/// Checks that a file is private to the calling user.
pub(super) fn check_private(owner: &Ownership) -> Result<()> {
    check_owner(owner)?;
    if owner.mode & 0o077 != 0 {
        return Err(Error::NotPrivate { owner: owner.user, mode: owner.mode });
    }
    Ok(())
}

/// Checks that a file belongs to the calling user. A file that has a name may be anybody's if it
/// seems to belong to the overflow user; one without a name was passed on by a process of the user.
pub(super) fn check_owner(owner: &Ownership) -> Result<()> {
    if owner.user != os::user() {
        return Err(Error::NotYours { owner: owner.user, user: os::user() });
    }
    if owner.links > 0 && owner.user == os::overflow_user() {
        return Err(Error::NotPrivate { owner: owner.user, mode: owner.mode });
    }
    Ok(())
}
