//! The unit of shared memory: eight bytes that other processes may change at any moment.
//!
//! What always holds: a word is read and written as a whole. Any code may read it; only the two
//! doors of [`Region`](super::Region) write it.

use super::atomic::{AtomicU32, AtomicU64, Ordering, model_fence};

/// Eight bytes of a heap.
#[derive(Debug)]
#[repr(transparent)]
pub struct Word(pub(super) AtomicU64);

impl Word {
    /// Returns the value, in no order with other words.
    #[inline(always)]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns the value; what its writer stored before is seen after.
    #[inline(always)]
    pub fn acquire(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Returns the value as it is after the read-modify-write that this thread made before: of two
    /// threads that each change a word and then read the other's, one sees what the other did.
    #[inline(always)]
    pub fn after_change(&self) -> u64 {
        model_fence();
        self.0.load(Ordering::SeqCst)
    }
}

/// A word to sleep on, and the time of its last watcher beside it.
///
/// `word` counts wakes. `watcher` is a time in milliseconds: who holds it keeps short slices and
/// looks whether the owner still lives, for all who sleep here.
#[derive(Debug)]
#[repr(C)]
pub struct Signal {
    pub(super) word: AtomicU32,
    pub(super) watcher: AtomicU32,
}

impl Signal {
    /// Returns how often it was woken: to be read *before* the last look at what is waited for.
    #[inline(always)]
    pub fn seen(&self) -> u32 {
        self.word.load(Ordering::Acquire)
    }

    /// Returns the word, for the kernel.
    pub fn futex(&self) -> &AtomicU32 {
        &self.word
    }

    /// As [`Word::after_change`].
    pub fn after_change(&self) -> u32 {
        model_fence();
        self.word.load(Ordering::SeqCst)
    }

    /// Returns the time of the last watcher.
    pub fn watched(&self) -> u32 {
        self.watcher.load(Ordering::Relaxed)
    }
}

/// Up to eight bytes as a word, zeros behind them. Put together from overlapping halves: a copy
/// of unknown length to memory, read back as a word, would wait for the copy to arrive.
#[inline(always)]
pub fn word_of(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    if let Some(whole) = bytes.first_chunk() {
        return u64::from_le_bytes(*whole);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << ((len - 4) * 8);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u16::from_le_bytes(*first), u16::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << ((len - 2) * 8);
    }
    bytes.first().copied().map_or(0, u64::from)
}

#[cfg(loom)]
impl Word {
    /// Returns a word outside of every heap.
    pub fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }
}

#[cfg(loom)]
impl Signal {
    /// Returns a signal outside of every heap.
    pub fn never_woken() -> Self {
        Self { word: AtomicU32::new(0), watcher: AtomicU32::new(0) }
    }
}
