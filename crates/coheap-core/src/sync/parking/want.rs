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

/// As [`made`] for one thing that each thread may take. It rings nobody while the one that was rung
/// last, which `last` names, is about to look: whoever ends a wait and sees that more is left rings the
/// next one, as a maker does.
#[inline(always)]
pub fn made_one<L: Lot>(lot: &L, wants: &Word, last: &Word, key: Key, reason: Reason) {
    if is_wanted(wants, reason) {
        ring_one(lot, wants, last, key, reason);
    }
}

#[cold]
fn ring_one<L: Lot>(lot: &L, wants: &Word, last: &Word, key: Key, reason: Reason) {
    let rung = (last.get() as u32).checked_sub(1);
    let is_about_to_look = wants.get() & reason.looker_bit() == 0
        && rung.is_some_and(|cell| ring::is_about_to_look(lot, cell, key, reason));
    if !is_about_to_look {
        if let Some(rung) = ring_or_lower(lot, wants, key, reason, 1) {
            Region::store(last, u64::from(rung) + 1);
        }
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
        ring::ring(lot, key, reason, u32::MAX);
    }
    None
}
