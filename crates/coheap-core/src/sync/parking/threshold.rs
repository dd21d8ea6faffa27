//! Notifications: `notify(n)` as a threshold over tickets, in one change, exact under deaths.
//!
//! Under the turn, in an open change, the first n who wait are *counted*: their cells are marked with
//! the sequence of that change, and a threshold is raised past the last of them. Who waits is
//! notified when it is counted, the sequence is even, and its ticket is below the threshold. If the
//! maker dies, the threshold is undone, the marks count for nothing, and the next maker counts anew.
//!
//! ```text
//! waiting --maker--> counted --itself, notified or not--> free
//!    |                  |
//!    +--itself--> free  +--itself, cannot tell or cannot return--> left --maker--> passing -> free
//! ```
//!
//! What always holds: a notification that was counted reaches its thread, or is passed on by the next
//! change that counts. A second threshold, `pulsed`, notifies all with one store.
//!
//! Not here: the change itself, and whose turn it is.

use smallvec::SmallVec;

use super::cell::{Parked, Seen, State, StateWord};
use super::tag::{Key, Reason};
use super::{Lot, ring};
use crate::memory::{Ordering, Region, Word, fence};

/// How often who leaves looks again for an even sequence.
const LOOKS: u32 = if cfg!(loom) { 1 } else { 100 };

/// What notifications of an object are judged by.
#[derive(Debug, Clone, Copy)]
pub struct Thresholds<'a> {
    /// Sequence of the object's turn.
    pub sequence: &'a Word,
    /// Counted tickets below are notified.
    pub notified: &'a Word,
    /// All tickets below are notified.
    pub pulsed: &'a Word,
}

impl Thresholds<'_> {
    /// Returns whether a wait is notified. `None`: a change is open, so nobody can tell.
    pub fn is_notified<L: Lot>(&self, lot: &L, parked: &Parked) -> Option<bool> {
        let before = self.sequence.acquire();
        if before & 1 == 1 {
            return None;
        }
        let is_counted = parked.state(lot).state() == State::Counted;
        let (notified, pulsed) = (self.notified.get(), self.pulsed.get());
        fence(Ordering::Acquire);
        let is_told = parked.ticket < pulsed || is_counted && parked.ticket < notified;
        (self.sequence.get() == before).then_some(is_told)
    }

    /// Returns whether a thread that has just registered came too late for its ticket: it registers
    /// once more. `None`: a change is open.
    pub fn is_passed<L: Lot>(&self, lot: &L, parked: &Parked) -> Option<bool> {
        // The tag, then the sequence; who counts: the sequence, then the tags.
        fence(Ordering::SeqCst);
        let before = self.sequence.acquire();
        let is_counted = parked.state(lot).state() == State::Counted;
        let threshold = self.notified.get().max(self.pulsed.get());
        fence(Ordering::Acquire);
        let is_even = before & 1 == 0 && self.sequence.get() == before;
        is_even.then_some(!is_counted && parked.ticket < threshold)
    }
}

/// How a wait for a notification ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It was not notified, and the cell is free.
    Unnotified,
    /// It was notified, and the cell is free.
    Notified,
    /// Nobody can tell yet, or nobody may keep the notification: the cell stays until a change has
    /// passed on what it owes.
    Owing,
}

/// Ends a wait. `returns`: the caller will say that it was notified, if it was.
pub fn leave<L: Lot>(lot: &L, of: Thresholds<'_>, parked: &Parked, returns: bool) -> Left {
    let mut looks = 0;
    if !parked.is_own() {
        return Left::Unnotified;
    }
    loop {
        let state = parked.state(lot);
        let told = of.is_notified(lot, parked);
        let (next, left) = match (state.state(), told) {
            (State::Waiting, Some(true)) => (State::Free, Left::Notified),
            (State::Waiting, _) => (State::Free, Left::Unnotified),
            (State::Counted, Some(false)) => (State::Free, Left::Unnotified),
            (State::Counted, Some(true)) if returns => (State::Free, Left::Notified),
            (State::Counted, None) if looks < LOOKS => {
                looks += 1;
                std::hint::spin_loop();
                continue;
            }
            (State::Counted, _) => (State::Left, Left::Owing),
            (State::Free | State::Left | State::Passing, _) => return Left::Owing,
        };
        if parked.change(lot, state, state.with(next)) {
            if next == State::Free {
                parked.withdraw(lot);
            }
            return left;
        }
    }
}

/// Counts the first `n` who wait, and as many more as notifications were left by those who could not
/// take them. Returns the threshold to store in the same change.
///
/// The caller has the turn and an open change; `round` is the odd sequence, `threshold` the word
/// `notified`. After the commit it calls [`ring_notified`].
pub fn count<L: Lot>(lot: &L, key: Key, threshold: u64, round: u64, n: u32) -> u64 {
    fence(Ordering::SeqCst);
    let mut wanted = n;
    let mut new = threshold;
    let mut owing: SmallVec<[Seen; 8]> = SmallVec::new();
    ring::in_order(lot, key, Reason::Notification, |seen| {
        let is_below = seen.ticket < threshold;
        match seen.state.state() {
            State::Waiting | State::Counted if is_below => {}
            State::Waiting | State::Counted => {
                if wanted > 0 && swap(lot, &seen, seen.state.counted(round)) {
                    wanted -= 1;
                    new = new.max(seen.ticket.wrapping_add(1));
                }
            }
            State::Left if is_below => {
                wanted = wanted.saturating_add(1);
                owing.push(seen);
            }
            State::Passing if passed(lot, &seen) > threshold => {
                wanted = wanted.saturating_add(1);
                owing.push(seen);
            }
            // The change that counted it was undone, or what it owed is with the next one.
            State::Left | State::Passing => {
                swap(lot, &seen, seen.state.with(State::Free));
            }
            State::Free => {}
        }
        true
    });
    for seen in owing {
        // With nobody to pass to, the notification ends here, as if it had met nobody.
        let next = if new > threshold { State::Passing } else { State::Free };
        if let Some(cell) = lot.cell(seen.cell) {
            Region::store(&cell.passed, new);
        }
        swap(lot, &seen, seen.state.with(next));
    }
    new
}

fn passed<L: Lot>(lot: &L, seen: &Seen) -> u64 {
    lot.cell(seen.cell).map_or(0, |cell| cell.passed.get())
}

fn swap<L: Lot>(lot: &L, seen: &Seen, new: StateWord) -> bool {
    let Some(cell) = lot.cell(seen.cell) else { return false };
    Region::compare_exchange(&cell.state, seen.state.0, new.0).is_ok()
}

/// Rings those who are counted below the threshold, after the commit.
pub fn ring_notified<L: Lot>(lot: &L, key: Key, threshold: u64) {
    ring::in_order(lot, key, Reason::Notification, |seen| {
        if seen.state.state() == State::Counted && seen.ticket < threshold {
            ring::ring_cell(lot, &seen);
        }
        seen.ticket < threshold
    });
}
