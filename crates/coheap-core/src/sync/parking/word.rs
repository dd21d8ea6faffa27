//! The word of a lock: who holds it, to whom it is offered, and for which object.
//!
//! | bits | held | offered | free |
//! |---|---|---|---|
//! | 0..32 | epoch of the row | generation of the header, low half | the same |
//! | 32..47 | row plus one | row plus one | 0 |
//! | 47..59 | depth less one | milliseconds, low bits | 0 |
//! | 59..64 | strict, mark, shared, offered, waiters | the same | the same |
//!
//! What always holds: a free or offered word carries the generation, so the swap of a stale handle
//! fails by itself. An offer is not holding: nobody owns the lock, and it may be taken meanwhile.

use super::Who;
use super::tag::Key;
use crate::defect::{Mistake, defect};

/// After a death nobody gets the lock until it is recovered.
pub const STRICT: u64 = 1 << 59;
/// A holder died, and nobody was told yet.
pub const MARK: u64 = 1 << 60;
/// The lock was once let go by another than its holder: the search for deadlocks ignores it.
pub const SHARED: u64 = 1 << 61;
/// The row is offered the lock, and holds nothing.
pub const OFFERED: u64 = 1 << 62;
/// A thread may be parked: letting go rings.
pub const WAITERS: u64 = 1 << 63;

const WHO_MASK: u64 = (1 << DEPTH) - 1;
const DEPTH: u32 = 47;
const DEPTH_MASK: u64 = 0xfff;
const ROW: u32 = 32;
const KEPT: u64 = STRICT | MARK | SHARED | WAITERS;
/// How long an offer stands before anybody may withdraw it, in milliseconds.
const LAPSE: u64 = 4;

/// Whose the lock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Nobody's.
    Nobody,
    /// Nobody's, and a row may accept it.
    Offered(u32),
    /// A thread's.
    Thread(Who),
}

/// The value of a lock's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockWord(pub u64);

impl LockWord {
    /// Returns a lock that nobody holds.
    pub fn free(key: Key) -> Self {
        Self(u64::from(key.generation as u32))
    }

    /// Returns the lock as held, with the flags it has now.
    pub fn held_by(self, who: Who) -> Self {
        Self(who.bits() | self.0 & KEPT)
    }

    /// Returns the lock as let go, with the flags it has now.
    pub fn let_go(self, key: Key) -> Self {
        Self(Self::free(key).0 | self.0 & KEPT)
    }

    /// Returns the lock as offered to a row, with the flags it has now.
    pub fn offered_to(self, row: u32, key: Key, milliseconds: u64) -> Self {
        let to = u64::from(row + 1) << ROW | (milliseconds & DEPTH_MASK) << DEPTH;
        Self(self.let_go(key).0 | to | OFFERED)
    }

    /// Returns whether nobody holds the lock and nobody is offered it.
    #[inline(always)]
    pub fn is_nobodys(self) -> bool {
        self.0 >> ROW & 0x7fff == 0
    }

    /// Returns the thread that holds the lock.
    pub fn thread(self) -> Option<Who> {
        match self.holder() {
            Holder::Thread(who) => Some(who),
            Holder::Nobody | Holder::Offered(_) => None,
        }
    }

    /// Returns whether a thread holds the lock.
    #[inline(always)]
    pub fn is_held_by(self, who: Who) -> bool {
        self.0 & (WHO_MASK | OFFERED) == who.bits()
    }

    /// Returns how often the holder has the lock.
    pub fn depth(self) -> u64 {
        (self.0 >> DEPTH & DEPTH_MASK) + 1
    }

    /// Returns the lock as held once more. `None`: it is held as often as can be counted.
    pub fn deeper(self) -> Option<Self> {
        (self.0 >> DEPTH & DEPTH_MASK < DEPTH_MASK).then(|| Self(self.0 + (1 << DEPTH)))
    }

    /// Returns the lock as held once less. `None`: it is held once.
    pub fn less_deep(self) -> Option<Self> {
        (self.0 >> DEPTH & DEPTH_MASK > 0).then(|| Self(self.0 - (1 << DEPTH)))
    }

    /// Returns the same word without some flags.
    pub fn without(self, flags: u64) -> Self {
        Self(self.0 & !flags)
    }

    /// Returns whether one of the flags is set.
    pub fn has(self, flags: u64) -> bool {
        self.0 & flags != 0
    }

    /// Returns whose it is. A row that there is not counts as nobody's.
    pub fn holder(self) -> Holder {
        if self.has(OFFERED) {
            let row = ((self.0 & WHO_MASK) >> ROW) as u32;
            return row.checked_sub(1).map_or(Holder::Nobody, Holder::Offered);
        }
        Who::of(self.0 & WHO_MASK).map_or(Holder::Nobody, Holder::Thread)
    }

    /// Returns whether a lock that nobody holds is one of this object.
    pub fn is_of(self, key: Key) -> bool {
        self.0 as u32 == key.generation as u32
    }

    /// Returns whether an offer has stood so long that anybody may withdraw it.
    pub fn has_lapsed(self, milliseconds: u64) -> bool {
        !defect(Mistake::OfferForEver)
            && (milliseconds.wrapping_sub(self.0 >> DEPTH) & DEPTH_MASK) >= LAPSE
    }
}
