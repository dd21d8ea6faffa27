//! A cell: one wait of one thread, from the moment it is filled until the thread has left.
//!
//! | bits of the state word | meaning |
//! |---|---|
//! | 0..4 | state: free, waiting, counted, left, passing |
//! | 4..32 | round: the low bits of the turn's sequence in the change that counted it |
//! | 32..64 | serial: goes up each time the cell is filled |
//!
//! What always holds:
//!
//! - Only its own thread fills a cell, and only while it is free.
//! - A state changes by an exact swap, and serial and round tell two waits and two
//!   changes apart: who is late changes nothing.
//! - A tag is published after its cell is filled, and withdrawn before the cell is
//!   filled again, or found to be stale by its ticket.

use super::tag::{Key, Reason, Tag};
use super::{Lot, Who, bell, lines};
use crate::defect::{Mistake, defect};
use crate::memory::layout::ParkingCell;
use crate::memory::{Ordering, Region, Word, fence};
use crate::os;

const ROUND: u32 = 4;
const SERIAL: u32 = 32;
const ROUND_MASK: u64 = (1 << (SERIAL - ROUND)) - 1;
/// Bits of the word `info`, above the reason.
const LOOKER: u64 = 1 << 8;
const UNTIMED: u64 = 1 << 9;
const ONE_OF_MANY: u64 = 1 << 10;

/// The state of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody waits.
    Free,
    /// Its thread waits.
    Waiting,
    /// A change that notifies has counted it: see `threshold`.
    Counted,
    /// Its thread has left, and a change may have notified it.
    Left,
    /// A change passes its notification on.
    Passing,
}

/// A cell's state word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateWord(pub u64);

impl StateWord {
    fn new(serial: u64, round: u64, state: State) -> Self {
        Self(serial << SERIAL | (round & ROUND_MASK) << ROUND | state as u64)
    }

    /// Returns the state. An unknown number counts as free, because nobody waits there.
    pub fn state(self) -> State {
        match self.0 & 0xf {
            1 => State::Waiting,
            2 => State::Counted,
            3 => State::Left,
            4 => State::Passing,
            _ => State::Free,
        }
    }

    /// Returns the same wait in another state.
    pub fn with(self, state: State) -> Self {
        Self(self.0 & !0xf | state as u64)
    }

    /// Returns the same wait as counted by a change that made a turn's sequence `round`.
    pub fn counted(self, round: u64) -> Self {
        Self::new(self.0 >> SERIAL, round, State::Counted)
    }

    /// Returns whether the thread still waits.
    pub fn is_waiting(self) -> bool {
        matches!(self.state(), State::Waiting | State::Counted)
    }

    fn next(self) -> Self {
        Self::new((self.0 >> SERIAL).wrapping_add(1) & u64::from(u32::MAX), 0, State::Waiting)
    }
}

/// How a thread waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manner {
    /// It only looks: it is rung besides takers, never instead of one.
    pub is_looker: bool,
    /// It has no deadline.
    pub is_untimed: bool,
    /// It waits for any of several things.
    pub is_one_of_many: bool,
    /// The ticket of the same wait of this thread, which left for a moment: its place in the line.
    pub ticket: Option<u64>,
}

impl Manner {
    fn bits(self, reason: Reason) -> u64 {
        let flag = |is: bool, bit: u64| if is { bit } else { 0 };
        reason as u64
            | flag(self.is_looker, LOOKER)
            | flag(self.is_untimed, UNTIMED)
            | flag(self.is_one_of_many, ONE_OF_MANY)
    }

    fn of(info: u64) -> Self {
        Self {
            is_looker: info & LOOKER != 0,
            is_untimed: info & UNTIMED != 0,
            is_one_of_many: info & ONE_OF_MANY != 0,
            ticket: None,
        }
    }
}

/// How many tickets a wait has, one after the other, that stand for the same place in line.
const TIMES: u64 = 4;

/// Returns the next ticket of a wait that was away for a moment. A tag of the last one that somebody
/// has read is not mistaken for the new one.
fn again(before: u64) -> u64 {
    before & !(TIMES - 1) | (before + 1) & (TIMES - 1)
}

/// What a cell says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Number of the cell.
    pub cell: u32,
    /// Its state.
    pub state: StateWord,
    /// Who waits.
    pub who: Who,
    /// For what.
    pub key: Key,
    /// Why.
    pub reason: Reason,
    /// How.
    pub manner: Manner,
    /// Its ticket.
    pub ticket: u64,
}

/// One wait of the calling thread, whose tag is published.
#[derive(Debug, Clone, Copy)]
pub struct Parked {
    /// Number of the cell.
    pub cell: u32,
    /// Who waits.
    pub who: Who,
    /// For what.
    pub key: Key,
    /// Why.
    pub reason: Reason,
    /// Its ticket.
    pub ticket: u64,
    /// The state word of this wait.
    pub state: StateWord,
    tag: Tag,
    place: u64,
    /// Fork generation of the process.
    generation: u64,
}

impl Parked {
    /// Returns whether the calling process is the one that registered. A forked child that returns
    /// into its parent's wait has a copy that changes nothing, and registers anew.
    pub fn is_own(&self) -> bool {
        self.generation == os::generation() || defect(Mistake::ChildIsWaiter)
    }

    /// Fills a free cell of the calling thread and publishes its tag. `None`: no line has room.
    pub fn publish<L: Lot>(
        lot: &L,
        number: u32,
        who: Who,
        key: Key,
        reason: Reason,
        manner: Manner,
    ) -> Option<Self> {
        let cell = lot.cell(number)?;
        let ticket = match manner.ticket {
            Some(before) => again(before),
            None => Region::add(lot.tickets(), TIMES),
        };
        let state = StateWord(cell.state.get()).next();
        // What a late reader still sees of the last wait, it sees before the words of this one.
        fence(Ordering::Release);
        Region::build(&cell.owner, who.bits());
        Region::build(&cell.object, key.at);
        Region::build(&cell.generation, key.generation);
        Region::build(&cell.ticket, ticket);
        Region::build(&cell.info, manner.bits(reason));
        Region::build(&cell.passed, 0);
        Region::store_after_all(&cell.state, state.0);
        let tag = Tag::new(number, key, reason, manner.is_looker, ticket);
        match lines::publish(lot, key, tag, &cell.tag_at) {
            Some(place) => {
                let generation = os::generation();
                Some(Self { cell: number, who, key, reason, ticket, state, tag, place, generation })
            }
            None => {
                Region::swap(&cell.state, state.with(State::Free).0);
                None
            }
        }
    }

    /// Returns whether a maker may still find this wait, and the state it has now.
    pub fn state<L: Lot>(&self, lot: &L) -> StateWord {
        lot.cell(self.cell).map_or(StateWord(0), |cell| StateWord(cell.state.acquire()))
    }

    /// Makes an exact swap of the state. Returns `false` if another thread was faster.
    pub(super) fn change<L: Lot>(&self, lot: &L, from: StateWord, to: StateWord) -> bool {
        let Some(cell) = lot.cell(self.cell).filter(|_| self.is_own()) else { return false };
        paranoid!(cell.owner.get() == self.who.bits(), "cell {} is not ours", self.cell);
        Region::compare_exchange(&cell.state, from.0, to.0).is_ok()
    }

    /// Frees the cell and withdraws the tag. Returns whether the bell is up: then a ring may have
    /// been for this wait, and the next one is to be rung in its place.
    ///
    /// Nothing can be owed to this wait: it is not for a notification, or was not counted. An offer
    /// may be under way: the word that is waited for is read *after* this, by
    /// [`Word::after_change`].
    pub(super) fn leave<L: Lot>(&self, lot: &L) -> bool {
        if !self.is_own() {
            return false;
        }
        self.change(lot, self.state, self.state.with(State::Free));
        self.withdraw(lot);
        lot.bell(self.who.row).is_some_and(bell::is_up)
    }

    /// Withdraws the tag of a cell that is free or left.
    pub(super) fn withdraw<L: Lot>(&self, lot: &L) {
        if self.is_own() {
            lines::withdraw(lot, self.place, self.tag);
        }
    }
}

/// Reads the cell behind a tag that was found in `word`. `None`: that wait is over, or is about
/// another object.
pub fn read<L: Lot>(lot: &L, tag: Tag, word: &Word, key: Key) -> Option<Seen> {
    let cell = lot.cell(tag.cell())?;
    let seen = look(tag.cell(), cell);
    fence(Ordering::Acquire);
    if word.get() != tag.bits() {
        return None;
    }
    let is_over =
        !tag.has_ticket(cell.ticket.get()) || StateWord(cell.state.get()).state() == State::Free;
    if is_over {
        // Its thread was about to, or has died.
        let _ = Region::compare_exchange(word, tag.bits(), 0);
        return None;
    }
    seen.filter(|seen| seen.key.at == key.at)
}

/// Reads a cell. `None` if nobody waits there.
pub fn look(number: u32, cell: &ParkingCell) -> Option<Seen> {
    let state = StateWord(cell.state.acquire());
    if state.state() == State::Free {
        return None;
    }
    let info = cell.info.get();
    let seen = Seen {
        cell: number,
        state,
        who: Who::of(cell.owner.get())?,
        key: Key { at: cell.object.get(), generation: cell.generation.get() },
        reason: Reason::of(info & 0xff)?,
        manner: Manner::of(info),
        ticket: cell.ticket.get(),
    };
    fence(Ordering::Acquire);
    (cell.state.get() == state.0).then_some(seen)
}
