//! What removed entries say of their hole, and the word of a map about its holes.
//!
//! A *hole* is all the removed entries between two living ones of a segment, or to its ends. The key cell
//! of its first one says how many there are, and so does that of its last one, each in bits of its own:
//!
//! | bits of word 0 | meaning                         |
//! |----------------|---------------------------------|
//! | 0..8           | `fe`: removed                   |
//! | 8..32          | how many from this one on       |
//! | 32..56         | how many up to this one         |
//!
//! What always holds: whoever comes from a living entry passes a hole in one jump. Bits 8..32 of the
//! entries inside count removed ones only, so whoever begins there passes no living entry either.

use crate::objects::cell::REMOVED;

const ONWARD: u32 = 8;
const BACK: u32 = 32;
/// Bits of a number.
const NUMBER: u64 = 0xff_ffff;

/// Returns how many entries are removed from this one on, as its key cell says: at least itself.
#[inline]
pub(in super::super) fn onward(word: u64) -> u64 {
    (word >> ONWARD & NUMBER).max(1)
}

/// Returns how many entries are removed up to this one, as its key cell says: at least itself.
#[inline]
pub(in super::super) fn back(word: u64) -> u64 {
    (word >> BACK & NUMBER).max(1)
}

/// The word of a map that says how its holes are dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gaps(pub(crate) u64);

impl Gaps {
    /// Returns the position to which a pass has come; 0: none is under way. A hole that is there begins
    /// there.
    pub(in super::super) fn packed(self) -> u64 {
        self.0 & 0xffff_ffff
    }

    /// Returns how many segments below `used` were given back.
    pub(crate) fn given(self) -> u64 {
        self.0 >> 32
    }

    pub(in super::super) fn with_packed(self, packed: u64) -> Self {
        Self(self.0 & !0xffff_ffff | packed & 0xffff_ffff)
    }

    pub(in super::super) fn less_given(self, less: u64) -> Self {
        Self(self.0.wrapping_sub(less << 32))
    }
}

/// Returns whether this is the first word of a removed entry.
#[inline]
pub(in super::super) fn is_removed(word: u64) -> bool {
    word & 0xff == REMOVED
}

/// Returns the word of a removed entry that says so many from it on.
pub(in super::super) fn with_onward(word: u64, count: u64) -> u64 {
    word & !(NUMBER << ONWARD) | count << ONWARD
}

/// Returns the word of a removed entry that says so many up to it.
pub(in super::super) fn with_back(word: u64, count: u64) -> u64 {
    word & !(NUMBER << BACK) | count << BACK
}
