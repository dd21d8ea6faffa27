//! The word that says which thread has a turn, a long lock or a chunk.
//!
//! | bits   | name    | meaning                                               |
//! |--------|---------|-------------------------------------------------------|
//! | 0..32  | epoch   | how often the row was taken: tells two threads apart  |
//! | 32..47 | row     | row of the thread, plus one; 0 = nobody               |
//! | 47..61 |         | of locks: how deep it is held, strict, mark; zero yet |
//! | 61     | shared  | a lock that was once released by another than its acquirer |
//! | 62     |         | of locks: offered; zero yet                           |
//! | 63     | waiters | someone may sleep here: wake one when letting go      |
//!
//! A word without epoch and row is free. The row says which process the thread belongs to
//! (`sync::row`), and whether that is still so (`sync::holder`).

/// A thread may sleep on the signal beside the word.
pub const WAITERS: u64 = 1 << 63;
/// First bit of the row plus one.
const ROW: u32 = 32;
/// The bits of epoch and row.
const NAMES: u64 = (1 << 47) - 1;

/// One process that has or had a slot, living, dead or unborn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incarnation {
    /// Its slot.
    pub slot: u32,
    /// Its epoch in that slot.
    pub epoch: u32,
}

/// The part of an owner word that names a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner(u64);

impl Owner {
    /// Returns the owner value of the thread that has a row in this epoch of the row.
    #[inline]
    pub fn new(row: u32, epoch: u32) -> Self {
        Self(u64::from(epoch) | u64::from(row + 1) << ROW)
    }

    /// Returns the owner that a word names.
    #[inline(always)]
    pub fn of(word: u64) -> Self {
        Self(word & NAMES)
    }

    /// Returns the bits to store.
    #[inline(always)]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Returns whether the word names no owner.
    #[cfg(feature = "floors")]
    pub fn is_nobody(self) -> bool {
        self.0 >> ROW == 0
    }

    /// Returns how often the thread's row was taken before.
    pub fn epoch(self) -> u32 {
        self.0 as u32
    }

    /// Returns the row of the thread. `None` if there is no owner, or no such row (a damaged word).
    pub fn row(self) -> Option<u32> {
        let row = ((self.0 >> ROW) as u32).checked_sub(1)?;
        (row < crate::memory::layout::CONTEXT_COUNT).then_some(row)
    }
}

// The row plus one fits its bits.
const _: () = assert!((crate::memory::layout::CONTEXT_COUNT as u64) << ROW <= NAMES);
