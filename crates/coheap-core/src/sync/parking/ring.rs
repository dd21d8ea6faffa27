//! Ringing: finding who waits for an object, in the order they came, and ringing so many rows.
//!
//! What always holds: n things ring n rows. A bell that is up stands for an earlier thing, and where
//! nobody woke the thread may be stopped: then the next row is rung as well. Lookers are rung
//! besides. At most eight system calls wake nobody.

use smallvec::SmallVec;

use super::cell::{self, Seen};
use super::tag::{Key, Reason, Tag};
use super::{Lot, bell, lines};
use crate::defect::{Mistake, defect};
use crate::memory::Word;

/// How many rows are found in one walk.
const BATCH: usize = 16;
/// System calls that may wake nobody.
const FUTILE: u32 = 8;

/// The result of ringing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Result {
    /// Takers that were woken.
    pub woken: u32,
    /// Whether anybody waits for this reason, takers or lookers.
    pub is_anybody: bool,
    /// The cell that was rung last.
    pub last: Option<u32>,
}

struct Candidate<'a> {
    age: u64,
    tag: Tag,
    word: &'a Word,
}

/// The takers that came first of those younger than `age`, first come first.
struct Batch<'a> {
    first: SmallVec<[Candidate<'a>; BATCH]>,
    has_lookers: bool,
    is_last: bool,
}

fn batch<'a, L: Lot>(lot: &'a L, key: Key, reason: Reason, younger_than: u64) -> Batch<'a> {
    let newest = lot.tickets().get();
    let mut batch = Batch { first: SmallVec::new(), has_lookers: false, is_last: true };
    lines::walk(lot, key, |tag, word| {
        let age = tag.age(newest);
        if !tag.is_for(reason) {
            return;
        }
        if tag.is_looker() {
            batch.has_lookers = true;
            return;
        }
        if age >= younger_than {
            return;
        }
        let at = batch.first.iter().position(|other| other.age < age);
        let at = at.unwrap_or(batch.first.len());
        if batch.first.len() == BATCH {
            batch.is_last = false;
            if at == BATCH {
                return;
            }
            batch.first.pop();
        }
        batch.first.insert(at, Candidate { age, tag, word });
    });
    batch
}

/// Calls `see` with those who wait to take, first come first, until it returns `false`. Returns
/// whether there are lookers.
pub(super) fn in_order<L: Lot>(
    lot: &L,
    key: Key,
    reason: Reason,
    mut see: impl FnMut(Seen) -> bool,
) -> bool {
    let mut younger_than = u64::MAX;
    loop {
        let batch = batch(lot, key, reason, younger_than);
        for Candidate { age, tag, word } in &batch.first {
            younger_than = *age;
            let seen = cell::read(lot, *tag, word, key);
            if seen.is_some_and(|seen| !see(seen)) {
                return batch.has_lookers;
            }
        }
        if batch.is_last {
            return batch.has_lookers;
        }
    }
}

/// Rings for `things` things of an object.
pub fn ring<L: Lot>(lot: &L, key: Key, reason: Reason, things: u32) -> Result {
    let mut result = Result::default();
    let mut futile = 0;
    let has_lookers = in_order(lot, key, reason, |seen| {
        if seen.key.generation != key.generation || !seen.state.is_waiting() {
            return true;
        }
        result.is_anybody = true;
        if result.woken == things || futile == FUTILE {
            return false;
        }
        match ring_cell(lot, &seen) {
            Some(bell::Rung::Woken) => result.woken += 1,
            Some(bell::Rung::Nobody) if defect(Mistake::CountFutileRing) => result.woken += 1,
            Some(bell::Rung::Nobody) => futile += 1,
            Some(bell::Rung::WasUp | bell::Rung::Left) | None => {}
        }
        result.last = Some(seen.cell);
        result.woken < things && futile < FUTILE
    });
    if has_lookers {
        result.is_anybody |= ring_all(lot, key, |tag| tag.is_looker() && tag.is_for(reason));
    }
    result
}

/// Returns whether anybody waits for an object and a reason.
pub fn is_anybody<L: Lot>(lot: &L, key: Key, reason: Reason) -> bool {
    is_any(lot, key, reason, |generation| generation == key.generation)
}

/// As [`is_anybody`], for the object of any generation that has the same header.
pub fn is_anybody_at<L: Lot>(lot: &L, key: Key, reason: Reason) -> bool {
    is_any(lot, key, reason, |_| true)
}

fn is_any<L: Lot>(lot: &L, key: Key, reason: Reason, is_meant: impl Fn(u64) -> bool) -> bool {
    let mut found = false;
    lines::walk(lot, key, |tag, word| {
        found = found
            || tag.is_for(reason)
                && cell::read(lot, tag, word, key)
                    .is_some_and(|seen| is_meant(seen.key.generation) && seen.state.is_waiting());
    });
    found
}

/// Returns whether the thread of a cell still waits for a reason of an object, was rung, and will look
/// soon: it is not stopped.
pub(super) fn is_about_to_look<L: Lot>(
    lot: &L,
    number: u32,
    key: Key,
    reason: Reason,
    now: u64,
) -> bool {
    let look = || lot.cell(number).and_then(|cell| cell::look(number, cell));
    look().is_some_and(|seen| {
        seen.state.is_waiting()
            && !seen.manner.is_looker
            && (seen.key, seen.reason) == (key, reason)
            && lot.bell(seen.who.row).is_some_and(|bell| bell::is_freshly_up(bell, now))
            // The bell was of this wait: who leaves with its bell up rings the next one.
            && look().is_some_and(|again| again.state == seen.state)
    })
}

/// Rings everybody who waits for the object with the header at `at`, of any generation and for any
/// reason: it was removed, or something happened that all must see.
pub fn ring_everybody<L: Lot>(lot: &L, at: u64) {
    ring_all(lot, Key { at, generation: 0 }, |_| true);
}

fn ring_all<L: Lot>(lot: &L, key: Key, chosen: impl Fn(Tag) -> bool) -> bool {
    let mut found = false;
    lines::walk(lot, key, |tag, word| {
        if chosen(tag) {
            if let Some(seen) = cell::read(lot, tag, word, key) {
                found = true;
                ring_cell(lot, &seen);
            }
        }
    });
    found
}

/// Rings the row of one cell. `None` if there is no such row.
pub fn ring_cell<L: Lot>(lot: &L, seen: &Seen) -> Option<bell::Rung> {
    let rung = bell::ring(lot.bell(seen.who.row)?, seen.cell, lot.now());
    // Who leaves changes the state and then looks at the bell; one of the two sees the other.
    let has_left = lot.cell(seen.cell)?.state.after_change() != seen.state.0;
    Some(if has_left { bell::Rung::Left } else { rung })
}
