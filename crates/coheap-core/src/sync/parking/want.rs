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
use crate::memory::{Region, Word};

/// Raises the bit of a reason. The tag is published; read the word that makers change next, by
/// [`Word::after_change`], then look.
pub fn raise(wants: &Word, reason: Reason) {
    Region::raise(wants, reason.want_bit());
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
        ring_or_lower(lot, wants, key, reason, things);
    }
}

/// Ends a wait for something under a turn, whether it was taken or not. A ring that this thread did
/// not follow goes to the next one.
pub fn leave<L: Lot>(lot: &L, wants: &Word, parked: &Parked) {
    if parked.leave(lot) && !defect(Mistake::KeepRing) {
        made(lot, wants, parked.key, parked.reason, 1);
    }
}

#[cold]
fn ring_or_lower<L: Lot>(lot: &L, wants: &Word, key: Key, reason: Reason, things: u32) {
    if ring::ring(lot, key, reason, things).is_anybody {
        return;
    }
    Region::lower(wants, reason.want_bit());
    if !defect(Mistake::LowerWithoutLook) && ring::is_anybody(lot, key, reason) {
        // Makers that came between saw no bit: those who wait look once the bit is up again.
        Region::raise(wants, reason.want_bit());
        ring::ring(lot, key, reason, u32::MAX);
    }
}
