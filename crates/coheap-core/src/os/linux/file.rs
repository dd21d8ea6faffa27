//! Files that hold a heap: in memory without a name, or in a folder under a name.
//!
//! What always holds:
//!
//! - A file grows by `commit`, which allocates the pages: a committed page can be touched without
//!   SIGBUS. A file without a name never becomes shorter; the owner of a named one can cut it off.
//! - A named file appears under its name complete, by one `link`, or not at all.
//! - A descriptor is closed only while it names the file that was opened.

use std::ffi::CString;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, MemfdFlags, Mode, OFlags, SealFlags};

use super::{last_error, refused};
use crate::error::{Error, Result, SystemFull};

/// Lowest number that heap descriptors are moved to, out of the way of user code.
const HIGH_DESCRIPTOR: i32 = 600;

/// Which file it is, however it was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(super) fn new(device: u64, inode: u64) -> Self {
        Self { device, inode }
    }

    /// Returns which file a path names, without following a link. `None`: none.
    pub(super) fn at(path: &str) -> Result<Option<Self>> {
        match fs::lstat(path) {
            Ok(stat) => Ok(Some(Self::new(stat.st_dev, stat.st_ino))),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(refused("stat")(errno)),
        }
    }

    pub(super) fn device(self) -> u64 {
        self.device
    }

    /// Returns the inode number, as `/proc/PID/maps` shows it.
    pub fn inode(self) -> u64 {
        self.inode
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

impl Ownership {
    #[allow(clippy::unnecessary_cast, reason = "the kernel has other types on other processors")]
    fn of(stat: &fs::Stat) -> Self {
        Self {
            user: stat.st_uid,
            links: stat.st_nlink as u64,
            len: stat.st_size as u64,
            is_file: fs::FileType::from_raw_mode(stat.st_mode).is_file(),
            mode: stat.st_mode & 0o7777,
        }
    }
}

/// An open file of a heap.
#[derive(Debug)]
pub struct HeapFile {
    descriptor: ManuallyDrop<OwnedFd>,
    /// Which file it was when it was opened.
    opened: Option<FileId>,
}

/// Other code of the process may have closed the descriptor and opened another file, which is not
/// ours to close.
impl Drop for HeapFile {
    fn drop(&mut self) {
        if self.id().ok() == self.opened {
            // SAFETY: `self` is not used any more.
            drop(unsafe { ManuallyDrop::take(&mut self.descriptor) });
        }
    }
}

impl HeapFile {
    fn of(descriptor: OwnedFd) -> Self {
        let opened = id_of(&descriptor).ok();
        Self { descriptor: ManuallyDrop::new(descriptor), opened }
    }

    /// Returns a file in memory without a name: it vanishes with its last user. It can grow, and
    /// nobody can make it shorter.
    pub fn anonymous(name: &str) -> Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let made = fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL)
            .or_else(|_| fs::memfd_create(name, flags))
            .map_err(refused("memfd_create"))?;
        // As every file of a heap; the kernel lets everybody in.
        fs::fchmod(&made, Mode::RUSR | Mode::WUSR).map_err(refused("fchmod"))?;
        // A mapped page beyond the end is SIGBUS. A later seal could forbid growth or mapping.
        let seals = SealFlags::SHRINK | SealFlags::SEAL;
        fs::fcntl_add_seals(&made, seals).map_err(refused("fcntl"))?;
        Self::moved_high(made)
    }

    /// Returns a file in `folder` that has no name yet; only its owner may open it.
    pub fn unnamed_in(folder: &Path) -> Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let made = fs::open(folder, flags, Mode::RUSR | Mode::WUSR).map_err(refused("open"))?;
        Self::moved_high(made)
    }

    /// Opens a file by name for reading and writing. A last component that is a link is refused.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let opened = fs::open(path, flags, Mode::empty()).map_err(refused("open"))?;
        Self::moved_high(opened)
    }

    /// Returns the same file with a description of its own: locks on it are apart from those on
    /// `self`.
    pub fn reopened(&self) -> Result<Self> {
        Self::open_of_process(std::process::id(), self.number().unsigned_abs())
    }

    /// Opens a descriptor of another process of the same user.
    pub fn open_of_process(pid: u32, number: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/fd/{number}");
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let opened = fs::open(&path, flags, Mode::empty()).map_err(refused("open"))?;
        Self::moved_high(opened)
    }

    /// Returns the inode of a descriptor of another process of the same user, without opening it.
    pub fn inode_of_process(pid: u32, number: u32) -> Result<u64> {
        let path = format!("/proc/{pid}/fd/{number}");
        let stat = fs::stat(&path).map_err(refused("stat"))?;
        Ok(stat.st_ino)
    }

    /// Returns which file a path names, without opening it (opening and closing would drop record
    /// locks).
    pub fn identify(path: &Path) -> Result<(FileId, Ownership)> {
        let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let handle = fs::open(path, flags, Mode::empty()).map_err(refused("open"))?;
        let file = Self::of(handle);
        Ok((file.id()?, file.ownership()?))
    }

    /// Returns the names in a folder, at most so many. Names that are not UTF-8 are left out.
    pub fn names_in(folder: &Path, most: usize) -> Result<Vec<String>> {
        let failed = |error: std::io::Error| Error::Os {
            call: "getdents64",
            code: error.raw_os_error().unwrap_or(0),
        };
        let entries = std::fs::read_dir(folder).map_err(failed)?.take(most);
        let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().into_string()));
        Ok(names.filter_map(Result::ok).collect())
    }

    /// Returns which files the descriptors of this process are of. `None`: it cannot be told.
    pub fn all_open() -> Option<Vec<FileId>> {
        let entries = std::fs::read_dir("/proc/self/fd").ok()?;
        // A descriptor that another thread closes meanwhile is not open.
        let stats = entries.filter_map(|entry| fs::stat(entry.ok()?.path()).ok());
        Some(stats.map(|stat| FileId { device: stat.st_dev, inode: stat.st_ino }).collect())
    }

    /// Takes over a descriptor.
    pub fn from_descriptor(descriptor: OwnedFd) -> Self {
        Self::of(descriptor)
    }

    /// Returns the same file under a number that programs do not use.
    pub(super) fn moved_up(self) -> Result<Self> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used any more, nor dropped.
        Self::moved_high(unsafe { ManuallyDrop::take(&mut this.descriptor) })
    }

    fn moved_high(low: OwnedFd) -> Result<Self> {
        // SAFETY: `fcntl` with F_DUPFD_CLOEXEC takes no pointer.
        let high = unsafe { libc::fcntl(low.as_raw_fd(), libc::F_DUPFD_CLOEXEC, HIGH_DESCRIPTOR) };
        if high == -1 {
            // A low limit on descriptors is no reason to fail: stay where we are.
            return Ok(Self::of(low));
        }
        // SAFETY: the number was just made for us.
        Ok(Self::of(unsafe { OwnedFd::from_raw_fd(high) }))
    }

    /// Returns which file this is.
    pub fn id(&self) -> Result<FileId> {
        id_of(&self.descriptor)
    }

    /// Returns which file it was when it was opened.
    pub(super) fn opened(&self) -> Option<FileId> {
        self.opened
    }

    /// Returns the inode number, as `/proc/PID/maps` shows it.
    pub fn inode(&self) -> Result<u64> {
        Ok(self.id()?.inode)
    }

    /// Whose file this is.
    pub fn ownership(&self) -> Result<Ownership> {
        let stat = fs::fstat(&*self.descriptor).map_err(refused("fstat"))?;
        Ok(Ownership::of(&stat))
    }

    /// Takes over a descriptor, and returns whose file it is.
    pub(super) fn with_ownership(descriptor: OwnedFd) -> Result<(Self, Ownership)> {
        let stat = fs::fstat(&descriptor).map_err(refused("fstat"))?;
        let opened = Some(FileId { device: stat.st_dev, inode: stat.st_ino });
        Ok((Self { descriptor: ManuallyDrop::new(descriptor), opened }, Ownership::of(&stat)))
    }

    /// Closes the descriptor, after `last` had it. Neither happens if it names another file by now.
    pub(super) fn close_after(self, last: impl FnOnce(BorrowedFd<'_>)) {
        let mut this = ManuallyDrop::new(self);
        if this.is_open() {
            // SAFETY: `this` is neither used any more nor dropped.
            let descriptor = unsafe { ManuallyDrop::take(&mut this.descriptor) };
            last(descriptor.as_fd());
        }
    }

    /// Bytes of memory or disk behind the file.
    pub fn allocated_bytes(&self) -> Result<u64> {
        let stat = fs::fstat(&*self.descriptor).map_err(refused("fstat"))?;
        Ok(stat.st_blocks as u64 * 512)
    }

    /// Reads bytes from `offset` on; fewer than asked for at the end of the file.
    pub fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        while done < bytes.len() {
            match rustix::io::pread(&*self.descriptor, &mut bytes[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(refused("pread")(errno)),
            }
        }
        Ok(done)
    }

    /// Whether the descriptor still names the file that was opened.
    pub(super) fn is_open(&self) -> bool {
        self.opened.is_some() && self.id().ok() == self.opened
    }

    /// Lets a program that replaces this one by `exec` have the descriptor.
    pub(super) fn keep_over_exec(&self) -> Result<()> {
        let none = rustix::io::FdFlags::empty();
        rustix::io::fcntl_setfd(&*self.descriptor, none).map_err(refused("fcntl"))
    }

    /// Writes bytes at `offset`.
    pub(super) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        within_file_limit(offset + bytes.len() as u64)?;
        let written = rustix::io::pwrite(&*self.descriptor, bytes, offset);
        match written.map_err(refused("pwrite"))? {
            count if count == bytes.len() => Ok(()),
            _ => Err(Error::Os { call: "pwrite", code: libc::ENOSPC }),
        }
    }

    /// Sets the length without making pages real.
    pub fn set_len(&self, len: u64) -> Result<()> {
        within_file_limit(len)?;
        fs::ftruncate(&*self.descriptor, len).map_err(refused("ftruncate"))
    }

    /// Makes `len` bytes from `offset` real, in pieces that a signal cannot hold up for ever.
    pub fn commit(&self, offset: u64, len: u64) -> Result<()> {
        const PIECE: u64 = 4 << 20;
        within_file_limit(offset + len)?;
        let end = offset + len;
        let mut at = offset;
        while at < end {
            let piece = PIECE.min(end - at);
            match fs::fallocate(&*self.descriptor, fs::FallocateFlags::empty(), at, piece) {
                Ok(()) => at += piece,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(refused("fallocate")(errno)),
            }
        }
        Ok(())
    }

    /// Returns the folder that the file lies in, unless it is in none, and how many bytes are free
    /// there. `None`: the system does not tell.
    pub fn place(&self) -> Option<(Option<String>, u64)> {
        let about = fs::fstatvfs(&*self.descriptor).ok()?;
        let link = format!("/proc/self/fd/{}", self.descriptor.as_raw_fd());
        let path = std::fs::read_link(link).ok()?;
        let is_in_folder = !path.to_string_lossy().starts_with("/memfd:");
        let folder = path.parent().filter(|_| is_in_folder);
        let folder = folder.map(|folder| folder.display().to_string());
        Some((folder, about.f_bavail.saturating_mul(about.f_frsize)))
    }

    /// Returns what is known of the place if pages were refused because it has no room for them.
    pub fn why_full(&self, refused: &Error) -> Option<SystemFull> {
        let &Error::Os { call: "fallocate", code } = refused else { return None };
        if ![libc::ENOSPC, libc::EDQUOT, libc::EFBIG, libc::ENOMEM].contains(&code) {
            return None;
        }
        let (folder, free) = self.place().unwrap_or_default();
        let file_limit = if code == libc::EFBIG { file_limit() } else { None };
        Some(SystemFull { folder, free, file_limit })
    }

    /// Gives back the pages of bytes that nobody uses. Where the file system does not know how, they
    /// stay real.
    pub fn decommit(&self, offset: u64, len: u64) {
        let flags = fs::FallocateFlags::PUNCH_HOLE | fs::FallocateFlags::KEEP_SIZE;
        let _ = fs::fallocate(&*self.descriptor, flags, offset, len);
    }

    /// Gives the unnamed file its name. `Ok(false)`: the name is taken.
    pub fn publish(&self, path: &Path) -> Result<bool> {
        let own = CString::new(format!("/proc/self/fd/{}", self.descriptor.as_raw_fd()))
            .map_err(|_| Error::BadArgument("the path contains a NUL byte"))?;
        match fs::linkat(fs::CWD, own.as_c_str(), fs::CWD, path, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::EXIST) => Ok(false),
            Err(errno) => Err(refused("linkat")(errno)),
        }
    }

    /// Removes a name. A name that is not there is no error.
    pub fn unlink(path: &Path) -> Result<()> {
        match fs::unlink(path) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(errno) => Err(refused("unlink")(errno)),
        }
    }

    /// Returns the descriptor, for those who hand it on.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Returns the descriptor's number.
    pub fn number(&self) -> i32 {
        self.descriptor.as_raw_fd()
    }
}

fn id_of(descriptor: &OwnedFd) -> Result<FileId> {
    let stat = fs::fstat(descriptor).map_err(refused("fstat"))?;
    Ok(FileId { device: stat.st_dev, inode: stat.st_ino })
}

fn file_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current
}

/// Refuses a length beyond the file size limit: the kernel would send SIGXFSZ, which kills.
fn within_file_limit(len: u64) -> Result<()> {
    match file_limit() {
        Some(most) if len > most => Err(Error::Os { call: "fallocate", code: libc::EFBIG }),
        _ => Ok(()),
    }
}

/// Returns the effective user.
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Returns the user that the kernel shows in place of each user whom the user namespace of this
/// process does not know.
pub fn overflow_user() -> u32 {
    let text = std::fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap_or_default();
    text.trim().parse().unwrap_or(65_534)
}

/// Returns a number that nobody can guess, from the kernel.
pub(super) fn random_u64() -> Result<u64> {
    let mut bytes = [0u8; 8];
    // SAFETY: the buffer has the stated length.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if got == bytes.len() as isize {
        Ok(u64::from_le_bytes(bytes))
    } else {
        Err(last_error("getrandom"))
    }
}
