//! Copies of many bytes, into the heap and out of it.
//!
//! What always holds: bytes that other threads may change meanwhile are read word by word. Only those
//! that nobody changes are copied as a whole.

use super::Region;
use crate::error::{Corrupt, Result};
use crate::memory::atomic::Ordering;
use crate::memory::copies::reserve_private;
use crate::memory::word::word_of;
use crate::os::failpoint;

impl Region {
    /// Adds `len` bytes from `at` to `out`, copied word by word.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`]; [`Error::NoMemory`] when `out` cannot grow; nothing was copied.
    #[inline]
    pub fn append_to(&self, at: u64, len: usize, out: &mut Vec<u8>) -> Result<()> {
        // The range is checked before memory is asked for: a torn length costs nothing.
        let words = self.words(at, len.div_ceil(8))?;
        reserve_private(out, size_of_val(words))?;
        let start = out.len();
        let first = out.spare_capacity_mut().as_mut_ptr().cast::<u8>();
        for (number, word) in words.iter().enumerate() {
            // SAFETY: room for all of `words` was reserved.
            let target = unsafe { first.add(number * 8) };
            // SAFETY: eight bytes of the reserved room, which nobody else refers to.
            unsafe { target.cast::<[u8; 8]>().write(word.get().to_le_bytes()) };
        }
        // SAFETY: the words that were written behind `start` hold at least `len` bytes.
        unsafe { out.set_len(start + len) };
        Ok(())
    }

    /// Adds `len` bytes from `at` to `out`, which has room for them. Nobody changes the bytes
    /// meanwhile: they are named in a row, see `sync::hazard`.
    pub fn append_still(&self, at: u64, len: usize, out: &mut Vec<u8>) -> Result<(), Corrupt> {
        self.bounded(at, len as u64)?;
        assert!(out.capacity() - out.len() >= len, "the caller has reserved room");
        let start = out.len();
        let room = out.spare_capacity_mut().as_mut_ptr().cast::<u8>();
        // SAFETY: `at` lies inside (checked above, Region.1).
        let from = unsafe { self.mapping.base().add(at as usize) }.cast::<u8>();
        // SAFETY: `len` bytes from `from` lie inside (checked above) and, of all threads of this process,
        // none writes to them; `out` has room for them (checked above) and is no part of the mapping.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), room, len) };
        // SAFETY: `len` bytes behind `start` were just written.
        unsafe { out.set_len(start + len) };
        Ok(())
    }

    /// Copies bytes to `at`, where nobody else can look yet; the last word is filled with zeros.
    pub fn copy_in(&self, at: u64, bytes: &[u8]) -> Result<(), Corrupt> {
        let words = self.words(at, bytes.len().div_ceil(8))?;
        for (chunk, word) in bytes.chunks(8).zip(words) {
            Self::build(word, word_of(chunk));
        }
        Ok(())
    }

    /// As [`copy_in`](Self::copy_in), for many bytes, and as fast as memory is. A death in it leaves
    /// some of them.
    pub fn fill(&self, at: u64, bytes: &[u8]) -> Result<(), Corrupt> {
        let words = self.words(at, bytes.len().div_ceil(8))?;
        let whole = bytes.len() / 8;
        if let Some(last) = words.get(whole) {
            Self::build(last, word_of(&bytes[whole * 8..]));
        }
        failpoint::hit_in_bulk(whole);
        if cfg!(feature = "failpoints") {
            // One by one, so that each can be counted.
            for (chunk, word) in bytes.chunks_exact(8).zip(words) {
                word.0.store(word_of(chunk), Ordering::Relaxed);
            }
            return Ok(());
        }
        // SAFETY: `at` lies inside (`words` has checked it, Region.1).
        let to = unsafe { self.mapping.base().add(at as usize) }.cast::<u8>();
        // SAFETY: `whole` words from `to` lie inside and are no part of `bytes`, which is private. No
        // thread of this process uses them before this one has stored where they are; one that follows
        // a stale offset reads whole words, and discards them.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_ptr(), whole * 8) };
        Ok(())
    }

    /// Returns whether `at..at + bytes.len()` holds exactly `bytes` followed by zeros to a full
    /// word.
    #[inline]
    pub fn equals(&self, at: u64, bytes: &[u8]) -> Result<bool, Corrupt> {
        let words = self.words(at, bytes.len().div_ceil(8))?;
        Ok(bytes.chunks(8).zip(words).all(|(chunk, word)| word_of(chunk) == word.get()))
    }
}
