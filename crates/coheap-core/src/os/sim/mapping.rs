//! Shared mappings of a whole heap: all peers see the same allocation.
//!
//! What always holds: from `new` to `drop` the `len` bytes at `base` are there, at one address.
//! Under Miri a byte that was never committed counts as not initialised: to read it is an error,
//! as touching it would be SIGBUS on a real machine.

use std::ptr::NonNull;
use std::sync::Arc;

use super::file::{HeapFile, Record};
use crate::error::Result;

/// A range of memory that shows a file.
#[derive(Debug)]
pub struct Mapping {
    /// Keeps the bytes there.
    _record: Arc<Record>,
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the value is an address range; `memory::region` reaches the bytes through atomics only.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of `file` from its start.
    pub fn new(file: &HeapFile, len: usize) -> Result<Self> {
        let record = file.record();
        let base = record.mapped(len)?;
        Ok(Self { _record: record, base, len })
    }

    /// First byte.
    #[inline(always)]
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Number of bytes.
    #[expect(clippy::len_without_is_empty, reason = "a heap is never empty")]
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Would forbid to write to the mapping; this machine has no page tables.
    #[cfg(feature = "failpoints")]
    pub fn protect(&self, _writable: bool) {}
}
