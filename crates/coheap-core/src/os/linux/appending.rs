//! What appending to a file that several processes share asks of the system.
//!
//! What always holds: files are opened for the program that runs now, not for those that it
//! becomes; a lock on a file belongs to its description and goes with it, however its process ends.
//! A last component that is a link is followed for a data file and refused for a sidecar.
//!
//! Not here: what is written and when (the crate `coheap-append`).

use std::fs::{File, Permissions};
use std::io::{ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, StatxFlags};
use rustix::io::Errno;

/// What is known of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState {
    /// Number of the file in its file system.
    pub inode: u64,
    /// Number of its file system.
    pub device: u64,
    /// Length in bytes.
    pub len: u64,
    /// Whether a path leads to it.
    pub has_name: bool,
    /// Whether it is an ordinary file.
    pub is_file: bool,
    /// Whether it is a folder.
    pub is_folder: bool,
}

impl FileState {
    /// Looks at a file by its path, or by its descriptor and an empty path.
    ///
    /// The times are not asked for: a file system notes exactly when a file was written whose times
    /// somebody has seen, and the next write would take longer.
    fn of(folder: BorrowedFd<'_>, path: &Path, flags: AtFlags) -> rustix::io::Result<Self> {
        let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::SIZE | StatxFlags::NLINK;
        let state = match rustix::fs::statx(folder, path, flags, wanted) {
            Err(Errno::NOSYS) => return Self::of_old(folder, path, flags),
            other => other?,
        };
        let kind = FileType::from_raw_mode(u32::from(state.stx_mode));
        Ok(Self {
            inode: state.stx_ino,
            device: rustix::fs::makedev(state.stx_dev_major, state.stx_dev_minor),
            len: state.stx_size,
            has_name: state.stx_nlink > 0,
            is_file: kind.is_file(),
            is_folder: kind.is_dir(),
        })
    }

    /// The same on a system before Linux 4.11.
    #[cold]
    fn of_old(folder: BorrowedFd<'_>, path: &Path, flags: AtFlags) -> rustix::io::Result<Self> {
        let stat = rustix::fs::statat(folder, path, flags)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        Ok(Self {
            inode: stat.st_ino,
            device: stat.st_dev,
            len: stat.st_size.unsigned_abs(),
            has_name: stat.st_nlink > 0,
            is_file: kind.is_file(),
            is_folder: kind.is_dir(),
        })
    }
}

/// Who else may have the lock of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileLock {
    /// Nobody.
    Alone,
    /// Others who only read.
    Shared,
}

/// Opens a file for reading and appending, and creates it if it is missing. Returns whether it was
/// created here for certain, and not through a link.
///
/// # Errors
///
/// What `open` answers.
pub fn open_for_appending(path: &Path) -> Result<(File, bool)> {
    let mut options = File::options();
    // A pipe, which is refused once it is open, must not keep us waiting for its other end.
    options.read(true).append(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    match options.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        other => return other.map(|file| (file, false)),
    }
    match options.clone().create_new(true).open(path) {
        // Somebody was faster, or it is a link that leads nowhere yet.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            options.create(true).open(path).map(|file| (file, false))
        }
        other => other.map(|file| (file, true)),
    }
}

/// Opens a file beside a data file, which may be used by whoever may use that one; creates it if it
/// is missing. Returns whether it was created here.
///
/// # Errors
///
/// What `open` answers.
pub fn open_sidecar(path: &Path, data: &File) -> Result<(File, bool)> {
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    match options.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        other => return other.map(|file| (file, false)),
    }
    let mode = data.metadata()?.permissions().mode() & 0o666;
    match options.clone().create_new(true).mode(mode).open(path) {
        Ok(made) => {
            // The mask of this process may be stricter than that of whoever made the data file.
            let _ = made.set_permissions(Permissions::from_mode(mode));
            Ok((made, true))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            options.open(path).map(|file| (file, false))
        }
        Err(error) => Err(error),
    }
}

/// Opens a file for reading.
///
/// # Errors
///
/// What `open` answers.
pub fn open_for_reading(path: &Path) -> Result<File> {
    File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// Takes the lock of a file, if nobody has it who does not share it. Nobody waits here: a wait in
/// the kernel for a lock has no end, and some libraries have signals restart it.
///
/// # Errors
///
/// What `flock` answers.
pub fn try_lock_file(file: &File, lock: FileLock) -> Result<bool> {
    let operation = match lock {
        FileLock::Alone => FlockOperation::NonBlockingLockExclusive,
        FileLock::Shared => FlockOperation::NonBlockingLockShared,
    };
    match rustix::fs::flock(file, operation) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Gives the lock of a file back.
pub fn unlock_file(file: &File) {
    let _ = rustix::fs::flock(file, FlockOperation::Unlock);
}

/// Returns what is known of an open file.
///
/// # Errors
///
/// What `statx` answers.
pub fn state_of_file(file: &File) -> Result<FileState> {
    Ok(FileState::of(file.as_fd(), Path::new(""), AtFlags::EMPTY_PATH)?)
}

/// Returns what is known of the file that a path leads to, if there is one.
///
/// # Errors
///
/// What `statx` answers, but for a file that is not there.
pub fn state_of_path(path: &Path) -> Result<Option<FileState>> {
    match FileState::of(CWD, path, AtFlags::empty()) {
        Ok(state) => Ok(Some(state)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Returns when a file was last written to, in seconds since 1970.
///
/// # Errors
///
/// What `fstat` answers.
pub fn modified(file: &File) -> Result<i64> {
    Ok(rustix::fs::fstat(file)?.st_mtime)
}

/// Reads from `offset` until the buffer is full or the file ends, and returns how many bytes.
///
/// # Errors
///
/// What `pread` answers.
pub fn read_file_at(file: &File, offset: u64, buffer: &mut [u8]) -> Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes all bytes at `offset`.
///
/// # Errors
///
/// What `pwrite` answers; some of the bytes may be written then.
pub fn write_file_at(file: &File, offset: u64, bytes: &[u8]) -> Result<()> {
    file.write_all_at(bytes, offset)
}

/// Returns the longest file that this process may write. Beyond it the system would write a part of
/// a call, and then kill.
pub fn file_limit() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current.unwrap_or(u64::MAX)
}

/// Returns the name of the network file system that a file is on; `None`: it is on this machine.
///
/// # Errors
///
/// What `fstatfs` answers.
pub fn network_of(file: &File) -> Result<Option<&'static str>> {
    // The word is signed on some machines; the numbers have 32 bits.
    Ok(network_with(rustix::fs::fstatfs(file)?.f_type as u32))
}

/// The network file systems by the numbers that `statfs` has for them.
fn network_with(number: u32) -> Option<&'static str> {
    match number {
        0x6969 => Some("NFS"),
        0xff53_4d42 | 0x517b | 0xfe53_4d42 => Some("SMB"),
        0x5346_414f | 0x6b41_4653 => Some("AFS"),
        0x7375_7245 => Some("Coda"),
        0x0102_1997 => Some("9P"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        assert_eq!(network_with(0x6969), Some("NFS"));
        assert_eq!(network_with(0xff53_4d42), Some("SMB"));
        // ext4, tmpfs, btrfs, xfs, overlayfs.
        for local in [0xef53, 0x0102_1994, 0x9123_683e, 0x5846_5342, 0x794c_7630] {
            assert_eq!(network_with(local), None);
        }
    }
}
