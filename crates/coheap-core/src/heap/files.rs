//! The names of a heap's files, and the options that choose them.
//!
//! What always holds: the life and birth file of a heap are found from the path of its data file and
//! its uuid, and lie in the same folder. A file is used only if nobody but the calling user may
//! read or write it.

use std::path::{Path, PathBuf};

use super::Files;
use crate::error::{Error, Result};
use crate::memory::Region;
use crate::os::{self, FileId, HeapFile, Ownership};

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
    /// What a face notes in a new heap. The engine does not interpret it.
    pub note: u8,
}

impl Options {
    /// Returns the default options for a heap with this name.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { name, folder: None, max_bytes: None, create: true, temporary: false, note: 0 }
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
        let path = data_path(&self.folder(), name);
        // Absolute, because pickled handles are opened in processes with another current folder.
        Ok(std::path::absolute(&path).unwrap_or(path))
    }
}

/// Returns the path of the data file of a heap in a folder.
pub(super) fn data_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("coheap.{name}"))
}

/// The life and birth file of a heap. Their names say to which heap they belong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Beside {
    name: String,
    uuid: [u64; 2],
}

impl Beside {
    /// Returns those of the heap whose data file has this path.
    pub(super) fn of(path: &Path, region: &Region) -> Self {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let name = file.strip_prefix("coheap.").unwrap_or(&file).to_owned();
        Self { name, uuid: uuid_of(region) }
    }

    /// Takes the name of a file apart. `None`: it is neither a life nor a birth file.
    pub(super) fn parse(file: &str) -> Option<Self> {
        let whole = file.strip_prefix(".coheap.")?;
        let (stem, _) =
            whole.rsplit_once('.').filter(|(_, what)| matches!(*what, "life" | "birth"))?;
        let (name, uuid) = stem.rsplit_once('.')?;
        let (first, second) = uuid.split_at_checked(16)?;
        let half = |text: &str| u64::from_str_radix(text, 16).ok();
        let parsed = Self { name: name.to_owned(), uuid: [half(first)?, half(second)?] };
        // Only what coheap would write itself: no other digits, and no sign.
        (parsed.stem() == format!(".coheap.{stem}")).then_some(parsed)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn uuid(&self) -> [u64; 2] {
        self.uuid
    }

    pub(super) fn life(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.life", self.stem()))
    }

    pub(super) fn birth(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.birth", self.stem()))
    }

    fn stem(&self) -> String {
        let [first, second] = self.uuid;
        format!(".coheap.{}.{first:016x}{second:016x}", self.name)
    }
}

pub(super) fn uuid_of(region: &Region) -> [u64; 2] {
    let [first, second] = &region.header().uuid;
    [first.get(), second.get()]
}

/// Removes the names of the files, unless other files have got them. Attached processes continue to
/// use the heap.
pub(super) fn unlink_files(path: &Path, files: &Files) -> Result<()> {
    // Without its data file a heap cannot be found. The life file goes last: it tells a sweep
    // whether somebody is at work with the others.
    unlink_own(path, Some(files.region.file().id()?))?;
    let folder = path.parent().unwrap_or(path);
    let beside = Beside::of(path, &files.region);
    unlink_own(&beside.birth(folder), files.birth.id().ok())?;
    unlink_own(&beside.life(folder), files.life.id().ok())
}

fn unlink_own(path: &Path, own: Option<FileId>) -> Result<()> {
    match HeapFile::identify(path) {
        Ok((found, _)) if own.is_none_or(|own| own == found) => HeapFile::unlink(path),
        Ok(_) | Err(Error::Os { code: 2, .. }) => Ok(()),
        Err(other) => Err(other),
    }
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
