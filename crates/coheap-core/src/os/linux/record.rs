//! Record locks: ranges of bytes of a file that a process holds, or an open file description.
//!
//! A lock of a process ends with it, is not inherited by a child, and survives `exec` as long as the
//! descriptor does; it also ends when the process closes *any* descriptor of the same inode. A lock
//! of a description belongs to everybody who has the description.
//!
//! What always holds: a query as one kind of owner sees all locks of the other kind, those of this
//! process included.

use super::file::HeapFile;
use super::last_error;
use crate::error::{Error, Result};

/// Whom a lock belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// This process.
    Process,
    /// The open file description.
    Description,
}

/// Whom a lock keeps out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strength {
    /// Those who want the range for themselves.
    Shared,
    /// Everybody else.
    Exclusive,
}

/// A lock that is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Conflict {
    /// Process id of its owner: 0 if it is not visible from this pid namespace, -1 if the owner is an
    /// open file description.
    pub(super) pid: i32,
    /// Its first byte.
    pub(super) start: u64,
}

/// Bytes of a file: `len` of them from `start` on. A `len` of 0 reaches to the end of all files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) start: u64,
    pub(super) len: u64,
}

impl Range {
    /// Returns the range of one byte.
    pub(super) fn byte(start: u64) -> Self {
        Self { start, len: 1 }
    }

    fn as_flock(self, kind: i32) -> libc::flock {
        // SAFETY: `flock` is plain numbers; all zero is a valid value.
        let mut flock: libc::flock = unsafe { std::mem::zeroed() };
        flock.l_type = kind as i16;
        flock.l_whence = libc::SEEK_SET as i16;
        flock.l_start = self.start as libc::off_t;
        flock.l_len = self.len as libc::off_t;
        flock
    }
}

/// Takes a range. `false`: it is taken.
pub(super) fn take(
    file: &HeapFile,
    owner: Owner,
    strength: Strength,
    range: Range,
) -> Result<bool> {
    let kind = match strength {
        Strength::Shared => libc::F_RDLCK,
        Strength::Exclusive => libc::F_WRLCK,
    };
    let flock = range.as_flock(kind);
    loop {
        // SAFETY: `flock` is a valid `flock` that outlives the call.
        if unsafe { libc::fcntl(file.number(), set_by(owner), &raw const flock) } != -1 {
            return Ok(true);
        }
        match last_error("fcntl") {
            Error::Os { code: libc::EACCES | libc::EAGAIN, .. } => return Ok(false),
            Error::Os { code: libc::EINTR, .. } => {}
            other => return Err(other),
        }
    }
}

/// Gives a range back.
pub(super) fn give_back(file: &HeapFile, owner: Owner, range: Range) -> Result<()> {
    let flock = range.as_flock(libc::F_UNLCK);
    // SAFETY: `flock` is a valid `flock` that outlives the call.
    match unsafe { libc::fcntl(file.number(), set_by(owner), &raw const flock) } {
        -1 => Err(last_error("fcntl")),
        _ => Ok(()),
    }
}

/// Returns a lock that would keep `owner` from taking the range for itself, if there is one.
pub(super) fn conflict(file: &HeapFile, owner: Owner, range: Range) -> Result<Option<Conflict>> {
    let query = match owner {
        Owner::Process => libc::F_GETLK,
        Owner::Description => libc::F_OFD_GETLK,
    };
    let mut flock = range.as_flock(libc::F_WRLCK);
    // SAFETY: `flock` is a valid `flock` that outlives the call.
    if unsafe { libc::fcntl(file.number(), query, &raw mut flock) } == -1 {
        return Err(last_error("fcntl"));
    }
    let found = Conflict { pid: flock.l_pid, start: flock.l_start as u64 };
    Ok((i32::from(flock.l_type) != libc::F_UNLCK).then_some(found))
}

fn set_by(owner: Owner) -> i32 {
    match owner {
        Owner::Process => libc::F_SETLK,
        Owner::Description => libc::F_OFD_SETLK,
    }
}
