//! Files that hold a heap: records in memory, found by number or by name.
//!
//! What always holds: a file's bytes are allocated once, by its first mapping, and stay until the
//! last handle and mapping are gone. Committing makes bytes zero that were not committed, and
//! no others. A named file appears under its name whole, or not at all.
//!
//! Not here: who holds which byte of a life file (`life`), and permissions.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::bytes::Bytes;
use super::{BAD_DESCRIPTOR, NO_ENTRY, machine, refused};
use crate::error::{Error, Result, SystemFull};

/// Which file it is, however it was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u64);

impl FileId {
    /// Returns the file's number among all files.
    pub fn inode(self) -> u64 {
        self.0
    }
}

/// Whose file it is and how many names it has.
#[derive(Debug, Clone, Copy)]
pub struct Ownership {
    /// The user that owns it.
    pub user: u32,
    /// Number of names.
    pub links: u64,
    /// Length in bytes.
    pub len: u64,
    /// Whether it is an ordinary file.
    pub is_file: bool,
    /// Who may do what with it, as `chmod` takes it.
    pub mode: u32,
}

/// Who holds a byte.
#[derive(Debug)]
pub(super) enum Holder {
    Process(u32),
    Description(Weak<()>),
}

impl Holder {
    pub(super) fn is_there(&self) -> bool {
        match self {
            Self::Process(_) => true,
            Self::Description(handle) => handle.strong_count() > 0,
        }
    }
}

/// A file.
#[derive(Debug)]
pub(super) struct Record {
    number: u64,
    bytes: Mutex<Bytes>,
    locks: Mutex<HashMap<u64, Holder>>,
    links: Mutex<u64>,
    is_in_folder: AtomicBool,
}

impl Record {
    fn bytes(&self) -> MutexGuard<'_, Bytes> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn links(&self) -> MutexGuard<'_, u64> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns where the first `len` bytes are.
    pub(super) fn mapped(&self, len: usize) -> Result<NonNull<u8>> {
        self.bytes().mapped(len)
    }
}

/// All files there are, and those that have a name.
#[derive(Debug)]
struct Disk {
    all: Vec<Weak<Record>>,
    names: BTreeMap<PathBuf, Arc<Record>>,
}

static DISK: Mutex<Disk> = Mutex::new(Disk { all: Vec::new(), names: BTreeMap::new() });

fn disk() -> MutexGuard<'static, Disk> {
    DISK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A peer died: its locks are dropped, on every file.
pub(super) fn drop_locks(pid: u32) {
    let all: Vec<_> = disk().all.iter().filter_map(Weak::upgrade).collect();
    for record in all {
        drop_locks_on(&record, pid);
    }
}

fn drop_locks_on(record: &Record, pid: u32) {
    let mut locks = record.locks.lock().unwrap_or_else(PoisonError::into_inner);
    locks.retain(|_, holder| !matches!(holder, Holder::Process(holder) if *holder == pid));
}

/// What a descriptor of a real machine would be.
#[derive(Debug, Clone)]
pub struct Descriptor(Arc<Record>);

pub(super) fn adopt(number: i32) -> Result<Descriptor> {
    let disk = disk();
    let index = usize::try_from(number).unwrap_or(usize::MAX);
    let record = disk.all.get(index).and_then(Weak::upgrade);
    record.map(Descriptor).ok_or_else(|| refused("fcntl", BAD_DESCRIPTOR))
}

/// An open file of a heap.
#[derive(Debug)]
pub struct HeapFile {
    record: Arc<Record>,
    description: Arc<()>,
}

impl HeapFile {
    fn of(record: Arc<Record>) -> Self {
        Self { record, description: Arc::new(()) }
    }

    /// Returns a file in memory without a name: it vanishes with its last user.
    pub fn anonymous(_name: &str) -> Result<Self> {
        let mut disk = disk();
        let record = Arc::new(Record {
            number: disk.all.len() as u64,
            bytes: Mutex::new(Bytes::default()),
            locks: Mutex::new(HashMap::new()),
            links: Mutex::new(0),
            is_in_folder: AtomicBool::new(false),
        });
        disk.all.push(Arc::downgrade(&record));
        Ok(Self::of(record))
    }

    /// Returns a file in `folder` that has no name yet.
    pub fn unnamed_in(_folder: &Path) -> Result<Self> {
        Self::anonymous("")
    }

    /// Opens a file by name for reading and writing.
    pub fn open(path: &Path) -> Result<Self> {
        let found = disk().names.get(path).cloned();
        found.map(Self::of).ok_or_else(|| refused("open", NO_ENTRY))
    }

    /// Returns the same file with a description of its own: locks on it are apart from those on
    /// `self`.
    pub fn reopened(&self) -> Result<Self> {
        Ok(Self::of(self.record()))
    }

    /// Opens a descriptor of another process of the same user.
    pub fn open_of_process(_pid: u32, number: u32) -> Result<Self> {
        Ok(Self::from_descriptor(adopt(i32::try_from(number).unwrap_or(-1))?))
    }

    /// Returns the inode of a descriptor of another process, without opening it.
    pub fn inode_of_process(_pid: u32, number: u32) -> Result<u64> {
        Ok(Self::open_of_process(0, number)?.id()?.0)
    }

    /// Returns which file a path names, without opening it.
    pub fn identify(path: &Path) -> Result<(FileId, Ownership)> {
        let found = disk().names.get(path).cloned();
        let record = found.ok_or_else(|| refused("open", NO_ENTRY))?;
        Ok((FileId(record.number), ownership(&record)))
    }

    /// Returns the names in a folder, at most so many.
    pub fn names_in(folder: &Path, most: usize) -> Result<Vec<String>> {
        let disk = disk();
        let inside = disk.names.keys().filter(|path| path.parent() == Some(folder));
        let names = inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
        Ok(names.take(most).collect())
    }

    /// Returns which files the calling peer has open: handles belong to no peer, so it cannot be
    /// told.
    pub fn all_open() -> Option<Vec<FileId>> {
        None
    }

    /// Takes over a descriptor.
    pub fn from_descriptor(descriptor: Descriptor) -> Self {
        Self::of(descriptor.0)
    }

    /// Returns which file this is.
    pub fn id(&self) -> Result<FileId> {
        Ok(FileId(self.record.number))
    }

    /// Returns the file's number among all files.
    pub fn inode(&self) -> Result<u64> {
        Ok(self.record.number)
    }

    /// Whose file this is.
    pub fn ownership(&self) -> Result<Ownership> {
        Ok(ownership(&self.record))
    }

    /// Bytes of memory behind the file.
    pub fn allocated_bytes(&self) -> Result<u64> {
        Ok(self.record.bytes().committed())
    }

    /// Reads bytes from `offset` on; fewer than asked for at the end of the file.
    pub fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize> {
        Ok(self.record.bytes().read(offset, bytes))
    }

    /// Sets the length without making bytes real.
    pub fn set_len(&self, len: u64) -> Result<()> {
        self.record.bytes().set_len(len);
        Ok(())
    }

    /// Makes `len` bytes from `offset` real.
    pub fn commit(&self, offset: u64, len: u64) -> Result<()> {
        self.record.bytes().commit(offset, len)
    }

    /// Returns in which folder the file lies, and how much is free there: in none, unless a test has put
    /// it into one.
    pub fn place(&self) -> Option<(Option<String>, u64)> {
        let is_in_folder = self.record.is_in_folder.load(Ordering::Relaxed);
        Some((is_in_folder.then(|| "/pretended".to_owned()), self.record.bytes().left()))
    }

    /// Returns what is known of the place if pages were refused.
    pub fn why_full(&self, refused: &Error) -> Option<SystemFull> {
        let (folder, free) = self.place().unwrap_or_default();
        let is_full = matches!(refused, Error::Os { call: "fallocate", .. });
        is_full.then_some(SystemFull { folder, free, file_limit: None })
    }

    /// Gives back the pages of bytes that nobody uses.
    pub fn decommit(&self, offset: u64, len: u64) {
        self.record.bytes().decommit(offset, len);
    }

    /// For tests: refuses to make more than so many bytes of the file real.
    pub fn set_limit(&self, limit: u64) {
        self.record.bytes().set_limit(limit);
    }

    /// For tests: the file lies in a folder from now on, where it would be a SIGBUS to look at what is not
    /// real.
    pub fn put_into_folder(&self) {
        self.record.is_in_folder.store(true, Ordering::Relaxed);
    }

    /// For tests: returns whether all these bytes are real.
    pub fn are_real(&self, offset: u64, len: u64) -> bool {
        self.record.bytes().are_real(offset, len)
    }

    /// Gives the unnamed file its name. `Ok(false)`: the name is taken.
    pub fn publish(&self, path: &Path) -> Result<bool> {
        let mut disk = disk();
        if disk.names.contains_key(path) {
            return Ok(false);
        }
        *self.record.links() += 1;
        disk.names.insert(path.to_owned(), Arc::clone(&self.record));
        Ok(true)
    }

    /// Removes a name. A name that is not there is no error.
    pub fn unlink(path: &Path) -> Result<()> {
        if let Some(record) = disk().names.remove(path) {
            *record.links() -= 1;
        }
        Ok(())
    }

    /// Returns the descriptor, for those who hand it on.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor(Arc::clone(&self.record))
    }

    /// Returns the descriptor's number.
    pub fn number(&self) -> i32 {
        i32::try_from(self.record.number).unwrap_or(-1)
    }

    pub(super) fn record(&self) -> Arc<Record> {
        Arc::clone(&self.record)
    }

    pub(super) fn description(&self) -> Weak<()> {
        Arc::downgrade(&self.description)
    }

    pub(super) fn locks(&self) -> MutexGuard<'_, HashMap<u64, Holder>> {
        self.record.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HeapFile {
    /// Closing any descriptor of a file drops the process's locks on it, as POSIX has it.
    fn drop(&mut self) {
        drop_locks_on(&self.record, machine::pid());
    }
}

fn ownership(record: &Record) -> Ownership {
    let links = *record.links();
    Ownership { user: user(), links, len: record.bytes().len(), is_file: true, mode: 0o600 }
}

/// Returns a user that no peer is.
pub fn overflow_user() -> u32 {
    65_534
}

/// Returns the user of every peer.
pub fn user() -> u32 {
    1000
}
