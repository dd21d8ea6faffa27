//! Getting a file back whose descriptor other code of this process has closed.
//!
//! What always holds: the file comes back under its number, and only if that is free: nothing of
//! other code is closed or replaced. No other file is opened: closing it could drop the record locks
//! that this process has on it.
//!
//! Not here: the record locks that the close has dropped (`life`).

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::file::{FileId, HeapFile};

/// Opens the file again that is open in one of the processes `members`, and puts it where `file` had
/// it. Returns whether `file` is open again. The caller's other threads do not open the file
/// meanwhile.
#[cold]
pub fn regain(file: &HeapFile, id: FileId, members: impl IntoIterator<Item = u32>) -> bool {
    // Another file may be in its place, which is not ours to close.
    if file.id().is_ok() {
        return false;
    }
    let opened = members.into_iter().find_map(|pid| open_of_member(pid, id));
    opened.is_some_and(|opened| has_moved(&opened, file.number())) && file.id() == Ok(id)
}

fn open_of_member(pid: u32, id: FileId) -> Option<OwnedFd> {
    let mut entries = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    entries.find_map(|entry| open_if_same(&entry.ok()?.path(), id))
}

fn open_if_same(path: &Path, id: FileId) -> Option<OwnedFd> {
    let found = std::fs::metadata(path).ok()?;
    if FileId::new(found.dev(), found.ino()) != id {
        return None;
    }
    rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// Makes a copy of a descriptor with exactly this number, which must be free. What is copied closes
/// afterwards, and so does a copy that got another number.
fn has_moved(opened: &OwnedFd, number: i32) -> bool {
    // SAFETY: `fcntl` with F_DUPFD_CLOEXEC takes no pointer.
    let copy = unsafe { libc::fcntl(opened.as_raw_fd(), libc::F_DUPFD_CLOEXEC, number) };
    if copy > number {
        // SAFETY: the number was just made, and nobody else knows it.
        drop(unsafe { OwnedFd::from_raw_fd(copy) });
    }
    copy == number
}
