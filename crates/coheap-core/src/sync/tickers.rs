//! The two tickers of a heap: the threads that look for dead processes while all others sleep.
//!
//! A waiter becomes a ticker by an election by time. A ticker whose wait ends wakes another sleeper,
//! which takes the role; that of a dead one is vacated by the recovery, which wakes everybody.
//!
//! # What always holds
//!
//! - **Tickers.1** A waiter that sleeps for long has seen two tickers that were alive, or one of its
//!   own process, after it had published what it sleeps on. A ticker that leaves looks for sleepers
//!   after it has vacated its word. So one of both sees the other.
//! - **Tickers.2** Both tickers are of one process only for a moment: its death leaves the other one.
//!
//! The word of a ticker: the time of its last tick in bits 15..64, the row plus one in bits 0..15.
//! Vacant: 0 after a sleeper was called for it, `NOBODY` when there was none to call.
//!
//! Not here: what a ticker does (`wait`, and the floors above it).

use std::cell::Cell;
use std::sync::Arc;

use super::life::Member;
use super::parking::bell;
use super::row::RowWord;
use crate::memory::{Ordering, Region, Word, fence};
use crate::os;

/// A ticker's slice, in nanoseconds.
pub const TICK: u64 = 80_000_000;
/// A ticker that was not seen for this time is replaced.
const LOST: u64 = 2 * TICK;
/// The bits of a row plus one; the others are a time in nanoseconds.
pub const ROW: u64 = (1 << 15) - 1;
/// A bit of a row's `sleeps_on`: its thread sleeps so long that it can be called as a ticker.
pub const FOR_LONG: u64 = 1;
/// A vacant word for which no sleeper could be called.
const NOBODY: u64 = ROW + 1;

/// One of the heap's tickers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elected {
    /// Which of the two.
    pub which: u32,
    /// Whether it has just replaced one that was lost.
    pub is_new: bool,
}

/// Makes the thread with row `context` a ticker, or keeps it one. Returns `None` if there are two
/// others that were seen recently.
pub fn elect_ticker(tickers: &[Word; 2], context: u32, now: u64) -> Option<Elected> {
    let own = u64::from(context + 1);
    let stamp = (now & !ROW) | own;
    // A ticker keeps its row: if it moved to the row of a lost ticker, its old row would look alive
    // for long.
    for keeps in [true, false] {
        for (which, ticker) in (0..).zip(tickers) {
            let last = ticker.get();
            let is_wanted = if keeps { last & ROW == own } else { is_lost(last, now) };
            if is_wanted && Region::compare_exchange(ticker, last, stamp).is_ok() {
                return Some(Elected { which, is_new: !keeps });
            }
        }
    }
    None
}

/// Returns the slots of the processes of the tickers.
pub fn slots(region: &Region) -> [Option<u32>; 2] {
    region.header().tickers.each_ref().map(|ticker| {
        let row = ((ticker.get() & ROW) as u32).checked_sub(1)?;
        (row < region.real_rows()).then(|| RowWord(region.context(row).state.acquire()).slot())?
    })
}

/// A time from before a reboot of a file on disk may lie in the future.
fn is_lost(word: u64, now: u64) -> bool {
    now.abs_diff(word & !ROW) > LOST
}

/// Vacates the word of a ticker with this row, and returns whether there was one. Its process is
/// dead, and everybody is woken soon; or the caller calls a sleeper.
pub fn vacate(region: &Region, row: u32) -> bool {
    let mut is_vacated = false;
    for ticker in &region.header().tickers {
        let seen = ticker.get();
        if seen & ROW == u64::from(row + 1) {
            is_vacated |= Region::compare_exchange(ticker, seen, 0).is_ok();
        }
    }
    is_vacated
}

/// A waiting thread as one that can be a ticker. Dropping it hands the role over.
#[derive(Debug)]
pub struct Candidate {
    region: Arc<Region>,
    slot: u32,
    generation: u64,
    row: u32,
    /// Whether it sleeps for long, so that a call for a ticker may be for it.
    may_be_called: Cell<bool>,
}

impl Candidate {
    /// Returns the calling thread, which has this row.
    pub fn new(member: &Member, row: u32) -> Self {
        let (slot, generation) = (member.slot(), member.generation());
        let region = Arc::clone(member.census().region());
        Self { region, slot, generation, row, may_be_called: Cell::new(false) }
    }

    fn tickers(&self) -> &[Word; 2] {
        &self.region.header().tickers
    }

    /// Makes the thread a ticker, or keeps it one, if it is wanted.
    pub fn elect(&self, now: u64) -> Option<Elected> {
        let elected = self.elect_now(now);
        self.may_be_called.set(elected.is_none());
        elected
    }

    fn elect_now(&self, now: u64) -> Option<Elected> {
        let has_rival = self.has_rival(now);
        let elected = match self.which() {
            None if has_rival => return None,
            _ => elect_ticker(self.tickers(), self.row, now)?,
        };
        if self.has_rival(now) && elected.which == 1 {
            self.pass_on();
            return None;
        }
        Some(elected)
    }

    /// Returns whether a ticker is missing that this thread could be.
    pub fn is_wanted(&self, now: u64) -> bool {
        self.tickers().iter().any(|ticker| is_lost(ticker.get(), now)) && !self.has_rival(now)
    }

    /// Returns whether no other ticker was seen recently. If one was lost, a sleeper is called.
    pub fn is_alone(&self, now: u64) -> bool {
        let own = self.which();
        let other = self.tickers().iter().zip(0..).find(|(_, which)| Some(*which) != own);
        let Some((other, seen)) = other.map(|(other, _)| (other, other.get())) else {
            return false;
        };
        if !is_lost(seen, now) {
            return false;
        }
        if seen != NOBODY && (seen == 0 || Region::compare_exchange(other, seen, 0).is_ok()) {
            self.call_a_sleeper(now);
        }
        true
    }

    fn which(&self) -> Option<u32> {
        let own = u64::from(self.row + 1);
        let mut words = self.tickers().iter().zip(0..);
        words.find(|(ticker, _)| ticker.get() & ROW == own).map(|(_, which)| which)
    }

    /// Returns whether another thread of this process is a ticker.
    fn has_rival(&self, now: u64) -> bool {
        self.living(now).any(|row| row != self.row && self.state(row).is_of(self.slot))
    }

    /// Returns the rows of the tickers that were seen recently.
    fn living(&self, now: u64) -> impl Iterator<Item = u32> + '_ {
        let words = self.tickers().iter().map(Word::get).filter(move |word| !is_lost(*word, now));
        words
            .filter_map(|word| ((word & ROW) as u32).checked_sub(1))
            .filter(|row| *row < self.region.real_rows())
    }

    fn state(&self, row: u32) -> RowWord {
        RowWord(self.region.context(row).state.acquire())
    }

    /// If the thread is a ticker, it resigns and calls a sleeper. If it may have been called just now
    /// and goes, it calls the next one.
    pub fn pass_on(&self) {
        let was_called = || self.tickers().iter().any(|ticker| ticker.get() == 0);
        if vacate(&self.region, self.row) || self.may_be_called.get() && was_called() {
            self.call_a_sleeper(os::now());
        }
    }

    /// Wakes a sleeper that can be a ticker.
    fn call_a_sleeper(&self, now: u64) {
        fence(Ordering::SeqCst);
        let is_meant = |row: u32| {
            let state = self.state(row);
            row != self.row
                && self.living(now).all(|ticker| {
                    let other = self.state(ticker).slot();
                    ticker != row && !other.is_some_and(|other| state.is_of(other))
                })
        };
        for row in 0..self.region.real_rows() {
            let sleeps_on = self.region.context(row).sleeps_on.acquire();
            // One that does not hear it may be stopped, or is just about to look.
            let is_called = sleeps_on & FOR_LONG != 0 && is_meant(row);
            if is_called && bell::ring_row(&self.region, row, now) {
                return;
            }
        }
        for ticker in self.tickers() {
            let _ = Region::compare_exchange(ticker, 0, NOBODY);
        }
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        // A copy in a forked child has nothing to hand over.
        if self.generation == os::generation() {
            self.pass_on();
        }
    }
}
