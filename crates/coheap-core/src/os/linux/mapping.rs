//! Shared mappings of a whole heap.
//!
//! What always holds: from `new` to `drop`, the `len` bytes at `base` are mapped readable and
//! writable, at one address. Bytes beyond the end of the file must not be touched; the floor above
//! ensures that.

use std::os::fd::AsFd;
use std::ptr::NonNull;

use rustix::mm::{self, Advice, MapFlags, ProtFlags};

use super::file::HeapFile;
use super::refused;
use crate::error::{Error, Result};

/// A range of memory that shows a file.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the value is an address range; the bytes behind it are shared with other processes
// anyway, and `memory::region` reaches them through atomics only.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of `file` from its start, without reserving memory for them.
    pub fn new(file: &HeapFile, len: usize) -> Result<Self> {
        let flags = MapFlags::SHARED | MapFlags::NORESERVE;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: no address is asked for, so no other mapping is replaced.
        let base = unsafe {
            mm::mmap(std::ptr::null_mut(), len, protection, flags, file.descriptor().as_fd(), 0)
        }
        .map_err(refused("mmap"))?;
        let base = NonNull::new(base.cast::<u8>())
            .ok_or(Error::Os { call: "mmap", code: libc::ENOMEM })?;
        let mapping = Self { base, len };
        // A core dump of a heap would hold its locks for seconds. Old kernels may say no.
        // SAFETY: the range is ours and the advice changes no byte of it.
        let _ = unsafe { mm::madvise(base.as_ptr().cast(), len, Advice::LinuxDontDump) };
        Ok(mapping)
    }

    /// First byte.
    #[inline(always)]
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Number of bytes.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Forbids this process to write to the mapping: tests count what faults.
    #[cfg(feature = "failpoints")]
    pub fn protect(&self, writable: bool) {
        let wanted = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        // SAFETY: the range is ours; readers and writers above know of the test.
        unsafe { libc::mprotect(self.base.as_ptr().cast(), self.len, wanted) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is ours, and nobody borrows from it any more.
        let _ = unsafe { mm::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
