//! Life bytes: one byte of a private file for each process, locked while the process lives.
//!
//! A POSIX record lock belongs to a process. The kernel drops it only when no thread of the process
//! can run any more, in whichever pid namespace. But it also drops it when the process closes *any*
//! descriptor of the same inode, so a free byte alone does not prove a death.
//!
//! What always holds: `is_held` also sees the locks of this process (it queries as an open file
//! description, which conflicts with record locks of every process).

use super::file::HeapFile;
use super::last_error;
use crate::error::{Error, Result};

fn byte_range(kind: i32, byte: u64) -> libc::flock {
    // SAFETY: `flock` is plain numbers; all zero is a valid value.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = kind as i16;
    range.l_whence = libc::SEEK_SET as i16;
    range.l_start = byte as libc::off_t;
    range.l_len = 1;
    range
}

/// Returns whether any process holds the byte, this one included.
pub fn is_held(file: &HeapFile, byte: u64) -> Result<bool> {
    is_conflicting(file, &mut byte_range(libc::F_WRLCK, byte))
}

fn is_conflicting(file: &HeapFile, range: &mut libc::flock) -> Result<bool> {
    // SAFETY: the range is a valid `flock` that outlives the call.
    match unsafe { libc::fcntl(file.number(), libc::F_OFD_GETLK, &raw mut *range) } {
        -1 => Err(last_error("fcntl")),
        _ => Ok(i32::from(range.l_type) != libc::F_UNLCK),
    }
}

/// Returns whether any process holds any byte, this one included.
pub fn is_any_held(file: &HeapFile) -> Result<bool> {
    let mut range = byte_range(libc::F_WRLCK, 0);
    // To the end of all files.
    range.l_len = 0;
    is_conflicting(file, &mut range)
}

/// Takes the byte for this process. `false`: another process has it.
pub fn claim(file: &HeapFile, byte: u64) -> Result<bool> {
    set_lock(file, libc::F_SETLK, byte)
}

/// Gives the byte back.
pub fn release(file: &HeapFile, byte: u64) -> Result<()> {
    let range = byte_range(libc::F_UNLCK, byte);
    // SAFETY: the range is a valid `flock` that outlives the call.
    match unsafe { libc::fcntl(file.number(), libc::F_SETLK, &raw const range) } {
        -1 => Err(last_error("fcntl")),
        _ => Ok(()),
    }
}

/// Takes the byte for the open file description of `file`: every process that inherits it holds
/// the byte, until the last of them closes it.
pub fn claim_shared(file: &HeapFile, byte: u64) -> Result<bool> {
    set_lock(file, libc::F_OFD_SETLK, byte)
}

/// Gives back a byte that `claim_shared` took.
pub fn release_shared(file: &HeapFile, byte: u64) -> Result<()> {
    let range = byte_range(libc::F_UNLCK, byte);
    // SAFETY: the range is a valid `flock` that outlives the call.
    match unsafe { libc::fcntl(file.number(), libc::F_OFD_SETLK, &raw const range) } {
        -1 => Err(last_error("fcntl")),
        _ => Ok(()),
    }
}

fn set_lock(file: &HeapFile, command: i32, byte: u64) -> Result<bool> {
    let range = byte_range(libc::F_WRLCK, byte);
    loop {
        // SAFETY: the range is a valid `flock` that outlives the call.
        if unsafe { libc::fcntl(file.number(), command, &raw const range) } != -1 {
            return Ok(true);
        }
        match last_error("fcntl") {
            Error::Os { code: libc::EACCES | libc::EAGAIN, .. } => return Ok(false),
            Error::Os { code: libc::EINTR, .. } => {}
            other => return Err(other),
        }
    }
}
