//! Want-bits: one header word that says for which reasons anybody may wait.
//!
//! Makers read it after the swap that gives their turn back: one load of a line that they have. Who
//! waits sets a bit by a read-modify-write, also where it is up already, and looks once more after.
//!
//! What always holds: while a cell waits for a reason, the bit is up, or whoever took it down is
//! about to find the cell, to raise the bit again and to ring.

use super::tag::{Key, Reason};
use super::{Lot, Parked, ring};
use crate::defect::{Mistake, defect};
use crate::memory::{Ordering, Region, Word, fence};

/// How long a guard sleeps at most, in nanoseconds.
pub const LONGEST_NAP: u64 = 500_000;
/// A bit of the guard's word: it sleeps for long.
const LONG: u64 = 1;
/// A bit of the guard's word: it has left, then.
const LEFT: u64 = 2;
const FLAGS: u64 = LONG | LEFT;
/// How long ago a guard was there lately, in nanoseconds.
const LATELY: u64 = 1_000_000;

/// Raises the bit of a reason. The tag is published; read the word that makers change next, by
/// [`Word::after_change`], then look.
pub fn raise(wants: &Word, reason: Reason) {
    Region::raise(wants, reason.want_bit());
}

/// As [`raise`], for a thread that only looks.
pub fn raise_for_looker(wants: &Word, reason: Reason) {
    Region::raise(wants, reason.want_bit() | reason.looker_bit());
}

/// Returns whether anybody may wait. To be read after the turn was given back.
#[inline(always)]
pub fn is_wanted(wants: &Word, reason: Reason) -> bool {
    wants.after_change() & reason.want_bit() != 0
}

/// Rings for `things` things that were made, where anybody waits. The turn was given back.
#[inline(always)]
pub fn made<L: Lot>(lot: &L, wants: &Word, key: Key, reason: Reason, things: u32) {
    if is_wanted(wants, reason) {
        let _ = ring_or_lower(lot, wants, key, reason, things);
    }
}

/// The header words of one reason for which threads wait for one thing after the other.
///
/// A ring costs as much as twenty things. Where threads that do not sleep take what is made, a sleeper
/// that was rung finds nothing; it becomes the *guard*: it sleeps for a moment, after which it looks by
/// itself. Until then nobody is rung, for the guard finds what is left.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// The want-bits.
    pub wants: &'a Word,
    /// The cell that was rung last, plus one.
    pub last: &'a Word,
    /// When the guard looks, in nanoseconds; or when it left, with bit 1. Bit 0: it slept for long. It
    /// is a hint.
    pub guard: &'a Word,
    /// The object.
    pub key: Key,
    /// The reason.
    pub reason: Reason,
}

impl Line<'_> {
    /// As [`made`] for one thing that each thread may take. It rings nobody while the one that was
    /// rung last is about to look, or while there is a guard: whoever ends a wait and sees that more
    /// is left rings the next one, as a maker does.
    #[inline(always)]
    pub fn made_one<L: Lot>(&self, lot: &L) {
        if is_wanted(self.wants, self.reason) {
            self.ring_one(lot);
        }
    }

    #[cold]
    fn ring_one<L: Lot>(&self, lot: &L) {
        let has_lookers = self.wants.get() & self.reason.looker_bit() != 0;
        let now = lot.now();
        if !has_lookers && (self.is_guarded(now) || self.is_rung(lot, now)) {
            return;
        }
        if let Some(rung) = ring_or_lower(lot, self.wants, self.key, self.reason, 1) {
            Region::store(self.last, u64::from(rung) + 1);
        }
    }

    /// Returns whether the one that was rung last is about to look.
    fn is_rung<L: Lot>(&self, lot: &L, now: u64) -> bool {
        let rung = (self.last.get() as u32).checked_sub(1);
        rung.is_some_and(|cell| ring::is_about_to_look(lot, cell, self.key, self.reason, now))
    }

    fn is_guarded(&self, now: u64) -> bool {
        let guard = self.guard.after_change();
        let left = (guard & !FLAGS).checked_sub(now);
        guard & LEFT == 0 && left.is_some_and(|left| (1..=LONGEST_NAP).contains(&left))
    }

    /// Makes the calling thread, which waits, the guard for `nap` nanoseconds; then call
    /// [`leave_guard`](Self::leave_guard) with the word that this returns, and look. `None`: there is a
    /// guard.
    pub fn stand_guard(&self, now: u64, nap: u64) -> Option<u64> {
        if self.is_guarded(now) {
            return None;
        }
        let is_long = u64::from(nap == LONGEST_NAP);
        let word = (now + nap.min(LONGEST_NAP)) & !FLAGS | is_long;
        Region::store(self.guard, word);
        Some(word)
    }

    /// Ends being the guard, before a look. The word of another guard stays, and so does what another
    /// object has there meanwhile.
    pub fn leave_guard(&self, word: u64, now: u64) {
        let left = now & !FLAGS | LEFT | word & LONG;
        let _ = Region::compare_exchange(self.guard, word, left);
        fence(Ordering::SeqCst);
    }

    /// Returns whether a guard has just slept for long.
    pub fn was_long_guarded(&self, now: u64) -> bool {
        let guard = self.guard.get();
        guard & LONG != 0 && now.saturating_sub(guard & !FLAGS) < LATELY
    }
}

/// Ends a wait for something under a turn, whether it was taken or not. A ring that this thread did
/// not follow goes to the next one.
pub fn leave<L: Lot>(lot: &L, wants: &Word, parked: &Parked) {
    if parked.leave(lot) && !defect(Mistake::KeepRing) {
        made(lot, wants, parked.key, parked.reason, 1);
    }
}

/// Rings, and returns the cell that was rung last. Takes the bits down if nobody waits.
#[cold]
fn ring_or_lower<L: Lot>(
    lot: &L,
    wants: &Word,
    key: Key,
    reason: Reason,
    things: u32,
) -> Option<u32> {
    let rung = ring::ring(lot, key, reason, things);
    if rung.is_anybody {
        return rung.last;
    }
    let bits = reason.want_bit() | reason.looker_bit();
    Region::lower(wants, bits);
    if !defect(Mistake::LowerWithoutLook) && ring::is_anybody_at(lot, key, reason) {
        // Makers that came between saw no bit: those who wait look once the bit is up again. The object
        // may have been removed meanwhile: then the bit is its successor's.
        Region::raise(wants, bits);
        ring::ring_everybody(lot, key.at);
    }
    None
}
