//! Phase one of recovery: a dead process's half-done changes are undone, and its turns are
//! released.
//!
//! It takes no lock, no journal and no memory. It may be killed anywhere, and any process may run
//! it again.
//!
//! ```text
//! byte of the victim taken (one process) -> slot RECOVERING by swap (one thread)
//!   -> every journal undone, its count stored as 0
//!   -> every turn of the victim: sequence moved to a later even number, owner word free
//!   -> chunks and rows of the victim free
//! -> slot ESTATE -> byte free -> all sleepers are woken
//! ```
//!
//! # What always holds
//!
//! - **Recovery.1** All journals of the victim are undone before the first of its turns is
//!   released.
//! - **Recovery.2** A turn or chunk is touched only if its word names a row of the victim, which is
//!   freed after all of them; a row only if its word names the victim's slot.
//! - **Recovery.3** A recovery is taken over only if the recoverer is dead by the full test.

use crate::defect::{Mistake, defect};
use crate::error::Result;
use crate::journal::saved;
use crate::memory::layout::CHUNK_COUNT;
use crate::memory::{Ordering, Region, fence};
use crate::os;
use crate::sync::life::{LOW_EPOCH, Standing, State, StateWord};
use crate::sync::parking::table::remains;
use crate::sync::parking::{Who, bell};
use crate::sync::row::{self, RowWord};
use crate::sync::{Census, Incarnation, Owner, hazard, tickers, turn};

/// How long others wait for a recovery that is under way, in nanoseconds.
const LONGEST_RECOVERY: u64 = 1_000_000_000;

/// The result of an attempt to recover a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// Its turns and journals are in order.
    Done,
    /// Another process is recovering it; wait a moment.
    Busy,
    /// The process lives.
    Alive,
}

/// Recovers a dead process. `by` is the recoverer, or `None` for a process without a slot.
pub fn recover(census: &Census, by: Option<Incarnation>, victim: Incarnation) -> Result<Recovered> {
    let _elected = census.byte_calls();
    let region = census.region();
    let slot = region.slot(victim.slot);
    let seen = StateWord(slot.state.acquire());
    if seen.epoch() != victim.epoch {
        return Ok(Recovered::Done);
    }
    match seen.state() {
        State::Free | State::Estate => return Ok(Recovered::Done),
        State::Live | State::Leaving | State::Unborn
            if census.standing(victim)? != Standing::Dead =>
        {
            return Ok(Recovered::Alive);
        }
        State::Recovering if recoverer_lives(census, seen, by)? => return Ok(Recovered::Busy),
        State::Live | State::Leaving | State::Unborn | State::Recovering => {}
    }
    if !census.claim_byte(victim.slot)? {
        return Ok(Recovered::Busy);
    }
    let ours = StateWord::new(victim.epoch, State::Recovering, by);
    if Region::compare_exchange(&slot.state, seen.0, ours.0).is_err() {
        // Another process finished the recovery before this one got the byte.
        census.release_unless_siblings(victim.slot)?;
        return Ok(Recovered::Busy);
    }
    if let Err(error) = put_in_order(region, victim) {
        // The journal is damaged. The next process must find the victim dead, and not in recovery
        // for ever.
        let _ = Region::compare_exchange(&slot.state, ours.0, seen.0);
        census.release_byte(victim.slot)?;
        return Err(error);
    }
    let settled = StateWord::new(victim.epoch, State::Estate, None);
    let done = Region::compare_exchange(&slot.state, ours.0, settled.0).is_ok();
    if done {
        Region::add(&region.header().tally.recovered, 1);
    }
    census.release_byte(victim.slot)?;
    remains::ring_everybody(region);
    Ok(Recovered::Done)
}

fn recoverer_lives(census: &Census, seen: StateWord, by: Option<Incarnation>) -> Result<bool> {
    let Some((slot, low_epoch)) = seen.recoverer() else { return Ok(false) };
    if by.is_some_and(|by| by.slot == slot) || slot >= census.region().real_slots() {
        return Ok(false);
    }
    let epoch = StateWord(census.region().slot(slot).state.acquire()).epoch();
    if epoch & LOW_EPOCH != low_epoch {
        return Ok(false);
    }
    let standing = census.standing(Incarnation { slot, epoch })?;
    Ok(matches!(standing, Standing::Alive | Standing::Left))
}

/// Does the recovery. Each step may be the last one before the recoverer dies.
fn put_in_order(region: &Region, victim: Incarnation) -> Result<()> {
    if defect(Mistake::FreeTurnsBeforeUndo) {
        free_turns(region, victim);
    }
    let mut was_open = false;
    for index in 0..region.real_rows() {
        let row = region.context(index);
        if !RowWord(row.state.acquire()).is_of(victim.slot) {
            continue;
        }
        was_open |= row.saved.get() > 0 || row.age.get() != 0;
        if row.saved.get() > 0 {
            saved::undo(region, index, row, true)?;
            Region::add(&region.header().tally.undone, 1);
        }
    }
    free_turns(region, victim);
    for index in 0..CHUNK_COUNT {
        let owner = region.chunk_owner(index);
        let seen = owner.acquire();
        if is_victims(region, seen, victim) {
            let _ = Region::compare_exchange(owner, seen, 0);
        }
    }
    for index in 0..region.real_rows() {
        let row = region.context(index);
        let word = RowWord(row.state.acquire());
        if word.is_of(victim.slot) {
            remains::settle(region, Who { row: index, epoch: word.epoch() });
            if row.age.get() != 0 {
                Region::add(&region.header().tally.abandoned, 1);
            }
            hazard::clear_all(region, index);
            Region::store(&row.chunks, 0);
            Region::store(&row.sleeps_on, 0);
            Region::store(&row.waits_for, 0);
            tickers::vacate(region, index);
            Region::store(&row.age, 0);
            row::free_of(region, index, victim.slot);
        }
    }
    if was_open {
        Region::add(&region.header().tally.interrupted, 1);
    }
    Ok(())
}

fn free_turns(region: &Region, victim: Incarnation) {
    for index in Region::real_turns(region.real_slots()) {
        let turn = region.turn(index);
        let word = turn.owner.acquire();
        if !is_victims(region, word, victim) {
            continue;
        }
        let stays = match turn.sequence.get() & 1 == 1 {
            true => defect(Mistake::LeaveSequenceOdd),
            false => defect(Mistake::LeaveSequenceEven),
        };
        if defect(Mistake::TurnSequenceBack) {
            Region::store(&turn.sequence, turn.sequence.get() & !1);
        } else if !stays {
            // Also an even one: the victim may have died between the one store of a change and the
            // store that moves the sequence.
            turn::close(turn);
        }
        turn::free_of_dead(turn, Owner::of(word));
    }
}

/// Returns whether an owner word names a thread of the victim.
fn is_victims(region: &Region, word: u64, victim: Incarnation) -> bool {
    let owner = Owner::of(word);
    owner.row().filter(|index| *index < region.real_rows()).is_some_and(|index| {
        let row = RowWord(region.context(index).state.acquire());
        row.is_of(victim.slot) && row.is_named_by(owner)
    })
}

/// Wakes the sleeping threads of the process in `slot`, which has closed the heap.
pub fn wake_threads_of(region: &Region, slot: u32) {
    fence(Ordering::SeqCst);
    let now = os::now();
    for index in 0..region.real_rows() {
        let row = region.context(index);
        if row.sleeps_on.acquire() != 0 && RowWord(row.state.acquire()).is_of(slot) {
            bell::ring_row(region, index, now);
        }
    }
}

/// Waits until no dead process is being recovered, for a caller that needs what they had.
pub fn wait_for_others(census: &Census) {
    let region = census.region();
    let is_recovering =
        |slot: u32| StateWord(region.slot(slot).state.acquire()).state() == State::Recovering;
    // A recoverer that is stopped, or dies, keeps nobody for ever.
    let until = os::now() + LONGEST_RECOVERY;
    while (0..region.real_slots()).any(is_recovering) && os::now() < until {
        std::thread::yield_now();
    }
}

/// Checks one of `parts` parts of all slots, and those of the tickers, recovers the dead processes
/// in them, and returns how many. A dead ticker would leave its share of the checks to nobody.
pub fn sweep(census: &Census, by: Option<Incarnation>, part: u32, parts: u32) -> Result<u32> {
    let mut recovered = 0;
    let tickers = tickers::slots(census.region());
    for index in 0..census.region().real_slots() {
        if index % parts != part && !tickers.contains(&Some(index)) {
            continue;
        }
        let word = StateWord(census.region().slot(index).state.acquire());
        let who = Incarnation { slot: index, epoch: word.epoch() };
        let is_candidate = !matches!(word.state(), State::Free | State::Estate);
        if !is_candidate || by == Some(who) {
            continue;
        }
        if census.standing(who)? == Standing::Dead && recover(census, by, who)? == Recovered::Done {
            recovered += 1;
        }
    }
    Ok(recovered)
}
