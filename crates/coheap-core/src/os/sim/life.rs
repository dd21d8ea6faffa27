//! Life bytes: a table beside each file says which peer holds which byte.
//!
//! What always holds: a byte that a peer claimed is its own until it releases it, drops a handle
//! of the file, or dies. `is_held` sees the locks of the calling peer too.

use super::file::{HeapFile, Holder};
use super::machine;
use crate::error::Result;

/// Returns whether any process holds the byte, this one included.
pub fn is_held(file: &HeapFile, byte: u64) -> Result<bool> {
    Ok(file.locks().get(&byte).is_some_and(Holder::is_there))
}

/// Returns whether any process holds any byte, this one included.
pub fn is_any_held(file: &HeapFile) -> Result<bool> {
    Ok(file.locks().values().any(Holder::is_there))
}

/// Takes the byte for this process. `false`: another process has it.
pub fn claim(file: &HeapFile, byte: u64) -> Result<bool> {
    let me = machine::current();
    let mut locks = file.locks();
    match locks.get(&byte) {
        Some(Holder::Process(pid)) if *pid == me => Ok(true),
        Some(holder) if holder.is_there() => Ok(false),
        _ => {
            locks.insert(byte, Holder::Process(me));
            Ok(true)
        }
    }
}

/// Gives the byte back.
pub fn release(file: &HeapFile, byte: u64) -> Result<()> {
    let me = machine::current();
    let mut locks = file.locks();
    if matches!(locks.get(&byte), Some(Holder::Process(pid)) if *pid == me) {
        locks.remove(&byte);
    }
    Ok(())
}

/// Takes the byte for the handle `file`, until the last copy of the handle is dropped.
pub fn claim_shared(file: &HeapFile, byte: u64) -> Result<bool> {
    let mut locks = file.locks();
    if locks.get(&byte).is_some_and(Holder::is_there) {
        return Ok(false);
    }
    locks.insert(byte, Holder::Description(file.description()));
    Ok(true)
}

/// Gives back a byte that `claim_shared` took.
pub fn release_shared(file: &HeapFile, byte: u64) -> Result<()> {
    let own = file.description();
    let mut locks = file.locks();
    if matches!(locks.get(&byte), Some(Holder::Description(held)) if held.ptr_eq(&own)) {
        locks.remove(&byte);
    }
    Ok(())
}
