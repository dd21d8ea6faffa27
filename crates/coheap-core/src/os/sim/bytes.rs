//! The bytes of a pretend file.
//!
//! What always holds:
//!
//! - **Bytes.1** The allocation, once made, is `room` bytes from `base`, a multiple of eight, and
//!   lives as long as the value.
//! - **Bytes.2** `parts` are the committed ranges, apart and in order; bytes outside of them are zero,
//!   or, under Miri, were never given a value.
//! - **Bytes.3** No more than `limit` bytes are committed. Who is refused may have got some of them.

use std::alloc::{self, Layout};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::refused;
use crate::error::Result;

/// More than a word needs; with still more, allocators write the zeros one by one.
const ALIGNMENT: usize = 16;
/// What a machine without memory says, and one without room for a file.
const NO_MEMORY: i32 = 12;
const NO_SPACE: i32 = 28;

/// A file's content.
#[derive(Debug)]
pub(super) struct Bytes {
    base: Option<NonNull<u8>>,
    room: usize,
    len: u64,
    parts: Vec<(u64, u64)>,
    limit: u64,
    /// Whether bytes were taken back: peers may look at them.
    were_taken: bool,
}

impl Default for Bytes {
    fn default() -> Self {
        Self { base: None, room: 0, len: 0, parts: Vec::new(), limit: u64::MAX, were_taken: false }
    }
}

// SAFETY: the allocation is owned by the value (Bytes.1) and reached through atomics.
unsafe impl Send for Bytes {}

impl Bytes {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.len = len;
    }

    pub(super) fn committed(&self) -> u64 {
        self.parts.iter().map(|(from, to)| to - from).sum()
    }

    /// Refuses to commit more than so many bytes from now on.
    pub(super) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Returns how many more bytes may be committed.
    pub(super) fn left(&self) -> u64 {
        self.limit.saturating_sub(self.committed())
    }

    /// Returns whether all these bytes are committed.
    pub(super) fn are_real(&self, offset: u64, len: u64) -> bool {
        let end = offset + len;
        let reach = |at: u64, (from, to): &(u64, u64)| if *from <= at { at.max(*to) } else { at };
        self.parts.iter().fold(offset, reach) >= end
    }

    /// Returns where the first `len` bytes are: allocated by the first who asks, for all.
    pub(super) fn mapped(&mut self, len: usize) -> Result<NonNull<u8>> {
        if let Some(base) = self.base {
            assert!(len <= self.room, "a mapping is as large as the first one");
            return Ok(base);
        }
        let room = len.next_multiple_of(ALIGNMENT);
        let layout = layout(room);
        // SAFETY: the size is above zero, for heaps are.
        let made =
            unsafe { if cfg!(miri) { alloc::alloc(layout) } else { alloc::alloc_zeroed(layout) } };
        let base = NonNull::new(made).ok_or_else(|| refused("mmap", NO_MEMORY))?;
        self.room = room;
        self.base = Some(base);
        for (from, to) in self.parts.clone() {
            self.wipe(from, to);
        }
        Ok(base)
    }

    /// Makes bytes real: those that were not before become zero. Beyond the limit only the first ones.
    pub(super) fn commit(&mut self, offset: u64, len: u64) -> Result<()> {
        let end = offset + len;
        self.len = self.len.max(end);
        let mut at = offset;
        let mut holes = Vec::new();
        for (from, to) in self.parts.iter().copied().filter(|(_, to)| *to > offset) {
            if at < from.min(end) {
                holes.push((at, from.min(end)));
            }
            at = at.max(to);
        }
        if at < end {
            holes.push((at, end));
        }
        let mut left = self.left();
        let mut is_refused = false;
        for (from, to) in holes {
            let fits = (to - from).min(left) / 8 * 8;
            is_refused |= fits < to - from;
            left -= fits;
            if fits > 0 {
                self.wipe(from, from + fits);
                self.parts.push((from, from + fits));
            }
        }
        self.parts.sort_unstable();
        if is_refused { Err(refused("fallocate", NO_SPACE)) } else { Ok(()) }
    }

    /// Takes bytes back: whoever looks at them sees zeros.
    pub(super) fn decommit(&mut self, offset: u64, len: u64) {
        let end = offset + len;
        self.were_taken = true;
        let parts = std::mem::take(&mut self.parts);
        for (from, to) in parts {
            let rest = [(from, to.min(offset)), (from.max(end), to)];
            self.parts.extend(rest.into_iter().filter(|(from, to)| from < to));
            if self.base.is_some() {
                self.clear(from.max(offset), to.min(end));
            }
        }
    }

    /// Gives bytes that are not committed the value zero, where they do not have it.
    fn wipe(&self, from: u64, to: u64) {
        let Some(base) = self.base.filter(|_| cfg!(miri)) else { return };
        if self.were_taken {
            return self.clear(from, to);
        }
        assert!(from <= to && to <= self.room as u64);
        // SAFETY: inside of the allocation (checked above, Bytes.1).
        let start = unsafe { base.add(from as usize) };
        // SAFETY: inside as well; no peer touches what nobody has committed yet.
        unsafe { start.write_bytes(0, (to - from) as usize) };
    }

    /// Makes bytes zero that peers may be looking at.
    fn clear(&self, from: u64, to: u64) {
        (from..to).step_by(8).for_each(|at| self.word(at).store(0, Ordering::Relaxed));
    }

    fn word(&self, at: u64) -> &AtomicU64 {
        let base = self.base.expect("only mapped bytes are touched");
        assert!(at.is_multiple_of(8) && at + 8 <= self.room as u64);
        // SAFETY: aligned and inside of the allocation (checked above, Bytes.1).
        unsafe { AtomicU64::from_ptr(base.as_ptr().add(at as usize).cast()) }
    }

    /// Copies committed bytes out; what was never committed reads as zero.
    pub(super) fn read(&self, offset: u64, bytes: &mut [u8]) -> usize {
        let count = self.len.saturating_sub(offset).min(bytes.len() as u64) as usize;
        for (index, byte) in bytes[..count].iter_mut().enumerate() {
            let at = offset + index as u64;
            let is_real = self.parts.iter().any(|(from, to)| (*from..*to).contains(&at));
            *byte = match self.base {
                Some(_) if is_real => {
                    let word = self.word(at / 8 * 8).load(Ordering::Acquire);
                    word.to_le_bytes()[(at % 8) as usize]
                }
                _ => 0,
            };
        }
        count
    }
}

fn layout(room: usize) -> Layout {
    Layout::from_size_align(room, ALIGNMENT).expect("a heap fits the address space")
}

impl Drop for Bytes {
    fn drop(&mut self) {
        if let Some(base) = self.base {
            // SAFETY: allocated by `mapped` with this very layout (Bytes.1).
            unsafe { alloc::dealloc(base.as_ptr(), layout(self.room)) };
        }
    }
}
