//! Life bytes: one byte of a private file for each process, locked while the process lives.
//!
//! A POSIX record lock belongs to a process. The kernel drops it only when no thread of the process
//! can run any more, in whichever pid namespace. But it also drops it when the process closes *any*
//! descriptor of the same inode, so a free byte alone does not prove a death.
//!
//! What always holds: `is_held` also sees the locks of this process (it queries as an open file
//! description, which conflicts with record locks of every process).

use super::file::HeapFile;
use super::record::{self, Owner, Range, Strength};
use crate::error::Result;

/// Returns whether any process holds the byte, this one included.
pub fn is_held(file: &HeapFile, byte: u64) -> Result<bool> {
    Ok(record::conflict(file, Owner::Description, Range::byte(byte))?.is_some())
}

/// Returns whether any process holds any byte, this one included.
pub fn is_any_held(file: &HeapFile) -> Result<bool> {
    let all = Range { start: 0, len: 0 };
    Ok(record::conflict(file, Owner::Description, all)?.is_some())
}

/// Takes the byte for this process. `false`: another process has it.
pub fn claim(file: &HeapFile, byte: u64) -> Result<bool> {
    record::take(file, Owner::Process, Strength::Exclusive, Range::byte(byte))
}

/// Gives the byte back.
pub fn release(file: &HeapFile, byte: u64) -> Result<()> {
    record::give_back(file, Owner::Process, Range::byte(byte))
}

/// Takes the byte for the open file description of `file`: every process that inherits it holds
/// the byte, until the last of them closes it.
pub fn claim_shared(file: &HeapFile, byte: u64) -> Result<bool> {
    record::take(file, Owner::Description, Strength::Exclusive, Range::byte(byte))
}

/// Gives back a byte that `claim_shared` took.
pub fn release_shared(file: &HeapFile, byte: u64) -> Result<()> {
    record::give_back(file, Owner::Description, Range::byte(byte))
}
