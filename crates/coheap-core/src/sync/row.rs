//! The rows of threads: who has one, and what becomes of it when the thread or its process ends.
//!
//! Row word, read by one load:
//!
//! | bits   | name  | meaning                                                                |
//! |--------|-------|------------------------------------------------------------------------|
//! | 0..32  | epoch | goes up by one when a thread takes the row                             |
//! | 32..45 | slot  | of the process, plus one; 0 = none                                     |
//! | 45..48 | state | 0 FREE, 1 HELD, 2 ORPHAN, 3 RETIRED, 4 TENDED                          |
//! | 48..64 | count | HELD: locks that others released for the thread; ORPHAN: locks left    |
//!
//! # What always holds
//!
//! - **Row.1** While a turn, a lock or a chunk names a row in an epoch, the row is HELD or ORPHAN in
//!   that epoch, or the process of the thread is dead or has left the heap.
//! - **Row.2** A slot becomes free, or an estate, only when no row names it.
//! - **Row.3** An epoch of a row is given to one thread only; a row whose epoch would begin anew is
//!   RETIRED.
//! - **Row.4** TENDED is a row whose pending blocks somebody else returns. No owner word names it.
//!
//! Not here: whether the process of a row lives (`holder`), and the journal of a row (`journal`).

use super::Owner;
use crate::error::Result;
use crate::memory::layout::{CONTEXT_COUNT, SLOT_COUNT};
use crate::memory::{Region, Word};

/// First bit of the slot plus one.
const SLOT: u32 = 32;
/// The bits of a slot plus one.
const SLOT_MASK: u64 = (1 << 13) - 1;
/// First bit of the state.
const STATE: u32 = 45;
/// First bit of the count.
const COUNT: u32 = 48;

const _: () = assert!(SLOT_COUNT as u64 <= SLOT_MASK);

/// What a row is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No thread has it.
    Free,
    /// A thread has it.
    Held,
    /// Its thread ended and left locks held.
    Orphan,
    /// It is never taken again.
    Retired,
    /// A thread with another row returns what lies pending in it.
    Tended,
}

/// A row word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowWord(pub u64);

impl RowWord {
    /// Builds a word from its parts. `slot` is `None` if the row belongs to no process.
    pub fn new(epoch: u32, slot: Option<u32>, state: State, count: u16) -> Self {
        let state = match state {
            State::Free => 0u64,
            State::Held => 1,
            State::Orphan => 2,
            State::Retired => 3,
            State::Tended => 4,
        };
        let slot = slot.map_or(0, |slot| u64::from(slot + 1));
        Self(u64::from(epoch) | slot << SLOT | state << STATE | u64::from(count) << COUNT)
    }

    /// Returns the epoch.
    pub fn epoch(self) -> u32 {
        self.0 as u32
    }

    /// Returns the slot of the process. `None` if there is none, or no such slot (a damaged word).
    pub fn slot(self) -> Option<u32> {
        let slot = (self.0 >> SLOT & SLOT_MASK).checked_sub(1)? as u32;
        (slot < SLOT_COUNT).then_some(slot)
    }

    /// Returns the state. An unknown number counts as retired, because nobody takes such a row.
    pub fn state(self) -> State {
        match self.0 >> STATE & 7 {
            0 => State::Free,
            1 => State::Held,
            2 => State::Orphan,
            4 => State::Tended,
            _ => State::Retired,
        }
    }

    /// Returns the count.
    pub fn count(self) -> u16 {
        (self.0 >> COUNT) as u16
    }

    /// Returns whether the row belongs to a thread of the process in `slot`, or is tended by one.
    pub fn is_of(self, slot: u32) -> bool {
        let is_taken = matches!(self.state(), State::Held | State::Orphan | State::Tended);
        is_taken && self.slot() == Some(slot)
    }

    /// Returns whether the row belongs to the thread that an owner word names in it.
    pub fn is_named_by(self, owner: Owner) -> bool {
        matches!(self.state(), State::Held | State::Orphan) && self.epoch() == owner.epoch()
    }

    fn has_no_owner(self) -> bool {
        matches!(self.state(), State::Free | State::Retired)
    }

    fn with_count(self, count: u16) -> Self {
        Self(self.0 & !(u64::from(u16::MAX) << COUNT) | u64::from(count) << COUNT)
    }

    /// Returns the word of the same row without an owner.
    fn freed(self) -> Self {
        let state = if self.epoch() == u32::MAX { State::Retired } else { State::Free };
        Self::new(self.epoch(), None, state, 0)
    }
}

/// Takes a free row for a thread of the process in `slot`, and makes one more real if none is free.
/// Returns `None` if the table is full.
pub fn claim(region: &Region, slot: u32) -> Result<Option<Owner>> {
    let hint = &region.header().free_row;
    // Each turn of this loop makes a row real, or sees that somebody else did.
    for _ in 0..=CONTEXT_COUNT {
        let real = region.real_rows();
        let rows = |index| &region.context(index).state;
        if let Some(owner) = claim_among(hint, rows, real, slot) {
            return Ok(Some(owner));
        }
        if !region.grow_rows(real)? {
            break;
        }
    }
    Ok(None)
}

/// The low half of the word `free_row`: no row below this one is free, unless the process that freed
/// it is dead. The high half counts how often a row was freed.
const HINT_MASK: u64 = u32::MAX as u64;

/// Takes a free one of the rows below `real`, whose words `rows` returns.
pub fn claim_among<'a>(
    hint: &Word,
    rows: impl Fn(u32) -> &'a Word,
    real: u32,
    slot: u32,
) -> Option<Owner> {
    let seen = hint.acquire();
    for index in seen as u32..real {
        let row = rows(index);
        let word = RowWord(row.acquire());
        if word.state() != State::Free || word.epoch() == u32::MAX {
            continue;
        }
        let held = RowWord::new(word.epoch() + 1, Some(slot), State::Held, 0);
        if Region::compare_exchange(row, word.0, held.0).is_ok() {
            // Whoever frees a row changes the word, so a row that became free meanwhile is found.
            let _ = Region::compare_exchange(hint, seen, seen & !HINT_MASK | u64::from(index + 1));
            return Some(Owner::new(index, held.epoch()));
        }
    }
    None
}

/// Lets the search for a free row begin at `index` at the latest.
pub fn search_from(hint: &Word, index: u32) {
    let mut seen = hint.acquire();
    loop {
        let lowest = (seen as u32).min(index);
        let next = (seen >> 32).wrapping_add(1) << 32 | u64::from(lowest);
        match Region::compare_exchange(hint, seen, next) {
            Ok(_) => return,
            Err(now) => seen = now,
        }
    }
}

/// Changes a row word if `next` has another one for it, and returns whether the row is free then.
fn step(row: &Word, next: impl Fn(RowWord) -> Option<RowWord>) -> bool {
    let mut seen = row.acquire();
    while let Some(next) = next(RowWord(seen)) {
        match Region::compare_exchange(row, seen, next.0) {
            Ok(_) => return next.state() == State::Free,
            Err(now) => seen = now,
        }
    }
    false
}

/// As [`step`], for a row of the table: who needs one finds it.
fn step_in(region: &Region, index: u32, next: impl Fn(RowWord) -> Option<RowWord>) {
    if step(&region.context(index).state, next) {
        search_from(&region.header().free_row, index);
    }
}

/// Gives the row of a thread back that ends. `locks` is how many locks it took, less those that it
/// released itself. If some of them are still held, the row stays an orphan.
pub fn end(region: &Region, me: Owner, locks: u16) {
    let Some(index) = me.row().filter(|index| *index < region.real_rows()) else { return };
    if end_in(&region.context(index).state, me, locks) {
        search_from(&region.header().free_row, index);
    }
}

/// As [`end`], in the row word. Returns whether the row is free then.
pub fn end_in(row: &Word, me: Owner, locks: u16) -> bool {
    step(row, |word| {
        let is_mine = word.state() == State::Held && word.epoch() == me.epoch();
        // Both numbers begin anew after their last value; what is left is less than that.
        let left = locks.wrapping_sub(word.count());
        let orphan = RowWord::new(word.epoch(), word.slot(), State::Orphan, left);
        is_mine.then_some(if left == 0 { word.freed() } else { orphan })
    })
}

/// Counts a lock that its holder will not release any more, because another thread has released it
/// or has removed its object. An orphan is free with the last one.
pub fn released_for(region: &Region, holder: Owner) {
    let Some(index) = holder.row().filter(|index| *index < region.real_rows()) else { return };
    if released_in(&region.context(index).state, holder) {
        search_from(&region.header().free_row, index);
    }
}

/// As [`released_for`], in the row word. Returns whether the row is free then.
pub fn released_in(row: &Word, holder: Owner) -> bool {
    step(row, |word| match word.state() {
        _ if word.epoch() != holder.epoch() => None,
        State::Held => Some(word.with_count(word.count().wrapping_add(1))),
        State::Orphan if word.count() <= 1 => Some(word.freed()),
        State::Orphan => Some(word.with_count(word.count() - 1)),
        State::Free | State::Retired | State::Tended => None,
    })
}

/// Frees a row that belongs to the process in `slot`, which is dead or leaves.
pub fn free_of(region: &Region, index: u32, slot: u32) {
    step_in(region, index, |word| word.is_of(slot).then(|| word.freed()));
}

/// Returns whether no thread has the row.
pub fn is_left(region: &Region, index: u32) -> bool {
    RowWord(region.context(index).state.acquire()).has_no_owner()
}

/// Takes a row without an owner, so that what lies pending in it can be returned. The epoch stays.
/// Returns `false` if the row has an owner, or another thread was faster.
pub fn tend(region: &Region, index: u32, slot: u32) -> bool {
    let row = region.context(index);
    let word = RowWord(row.state.acquire());
    let tended = RowWord::new(word.epoch(), Some(slot), State::Tended, 0);
    word.has_no_owner() && Region::compare_exchange(&row.state, word.0, tended.0).is_ok()
}

/// Ends [`tend`].
pub fn leave_tended(region: &Region, index: u32) {
    step_in(region, index, |word| (word.state() == State::Tended).then(|| word.freed()));
}

/// Returns the ids that the thread of a row had, for people. `None` if the row had another thread
/// since.
pub fn signature_of(region: &Region, owner: Owner) -> Option<u64> {
    let row = region.context(owner.row().filter(|index| *index < region.real_rows())?);
    let signature = row.signature.acquire();
    (RowWord(row.state.acquire()).epoch() == owner.epoch()).then_some(signature)
}
