//! Items outside the chain: leased, come back, or failed.
//!
//! What always holds: a record is in one list, and moves from list to list in one change under
//! the turns of both: the queue's head and the slot's.

use crate::allocator::{self, Room};
use crate::defect::{Mistake, defect};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context, Held};
use crate::kind::Kind;
use crate::memory::Region;
use crate::memory::layout::{QueueBody, Record, SLOT_TURNS, Slot};
use crate::objects::cell::{self, Cell};
use crate::objects::header::Handle;
use crate::sync::life::{State, StateWord};
use crate::sync::{Incarnation, wait};

use super::{Queue, read_item};

/// The room of a record.
pub(crate) const RECORD: Room = Room::of(size_of::<Record>());
/// Words that moving a record saves at most.
pub(crate) const MOVE_WORDS: usize = 12;
/// Bit of a record's state: a place promised to a transaction.
pub(crate) const RESERVED: u64 = 1 << 40;
/// Bit of a record's state: a reference to an object.
pub(crate) const REFERENCE: u64 = 1 << 41;

/// First bit of the slot that has a record on its list, plus one.
pub(crate) const SIGNED: u32 = 48;

/// Why an item came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ReturnReason {
    /// It was given back on purpose.
    Nacked = 1,
    /// The process that had it died.
    Died = 2,
    /// The lease was dropped without a word.
    Dropped = 3,
}

impl ReturnReason {
    pub(super) fn of(state: u64) -> Self {
        match state >> 32 & 0xff {
            2 => Self::Died,
            3 => Self::Dropped,
            _ => Self::Nacked,
        }
    }
}

/// Takes a record off a slot's list. The slot's turn is held.
pub(crate) fn unlink(change: &mut Change<'_>, slot: &Slot, record: &Record) -> Result<()> {
    let region = change.region();
    let (next, previous) = (record.next.get(), record.previous.get());
    match previous {
        0 => change.set(&slot.leases, next),
        _ => change.set(&region.at::<Record>(previous)?.next, next),
    }
    if next != 0 {
        change.set(&region.at::<Record>(next)?.previous, previous);
    }
    change.set(&slot.lease_count, slot.lease_count.get().saturating_sub(1));
    Ok(())
}

/// Puts a record on the list of slot `own`, and signs it. `is_fresh`: nobody else knows it yet.
pub(crate) fn link(
    change: &mut Change<'_>,
    own: u32,
    record: &Record,
    is_fresh: bool,
) -> Result<()> {
    let slot = change.region().slot(own);
    let at = change.region().offset_of(record);
    let next = slot.leases.get();
    if !is_fresh {
        change.save(&record.next);
        change.save(&record.previous);
        change.save(&record.state);
    }
    change.put(&record.next, next);
    change.put(&record.previous, 0);
    change.put(&record.state, record.state.get() | u64::from(own + 1) << SIGNED);
    if next != 0 {
        change.set(&change.region().at::<Record>(next)?.previous, at);
    }
    change.set(&slot.leases, at);
    change.set(&slot.lease_count, slot.lease_count.get().wrapping_add(1));
    Ok(())
}

/// Takes the first of the items that came back.
pub(super) fn take_returned(held: &Held<'_>, body: &QueueBody, out: &mut Vec<u8>) -> Result<()> {
    let region = held.context().region();
    let at = body.returned.get();
    let record: &Record = region.at(at)?;
    let cell = Cell::load(&record.cell);
    read_item(region, cell, out)?;
    let mut change = Change::begin(held, MOVE_WORDS)?;
    pop_returned(&mut change, body, record);
    cell::free(&mut change, cell)?;
    allocator::give(&mut change, RECORD, at)?;
    change.commit();
    Ok(())
}

/// Takes the first record off the returned list.
pub(super) fn pop_returned(change: &mut Change<'_>, body: &QueueBody, record: &Record) {
    let next = record.next.get();
    change.set(&body.returned, next);
    if next == 0 {
        change.set(&body.returned_last, 0);
    }
    change.set(&body.returned_count, body.returned_count.get().saturating_sub(1));
}

/// Moves a leased item, already off its slot's list, to the returned or the failed list.
///
/// `why` says whether the attempt counts; `None`: a transaction gave it back, it does not.
pub(super) fn give_back(
    change: &mut Change<'_>,
    body: &QueueBody,
    record: &Record,
    why: Option<ReturnReason>,
) -> Result<()> {
    let region = change.region();
    let at = region.offset_of(record);
    let state = record.state.get();
    let attempts = state & 0xffff_ffff;
    let counted = attempts + u64::from(why.is_some() && !defect(Mistake::CountNoAttempts));
    let reason = why.map_or(state >> 32 & 0xff, |why| why as u64);
    let max = body.max_attempts.get();
    let failed = why.is_some() && max != 0 && counted >= max;
    let (first, last) = if failed {
        (&body.failed, &body.failed_last)
    } else {
        change.set(&body.returned_count, body.returned_count.get().wrapping_add(1));
        (&body.returned, &body.returned_last)
    };
    change.set(&record.state, counted | reason << 32);
    change.set(&record.next, 0);
    match last.get() {
        0 => change.set(first, at),
        before => change.set(&region.at::<Record>(before)?.next, at),
    }
    change.set(last, at);
    change.set(&body.leased, body.leased.get().saturating_sub(1));
    Ok(())
}

/// Settles the lease or promise that is first on the list of a process that is gone, or going.
/// `false`: the list is empty.
pub(crate) fn settle_first(
    context: &Context,
    owner: Incarnation,
    why: ReturnReason,
) -> Result<bool> {
    let region = context.region();
    let dead = owner.slot;
    let slot = region.slot(dead);
    let (at, handle) = {
        let _held = context.hold(SLOT_TURNS + dead)?;
        let at = slot.leases.get();
        if at == 0 || !is_still_to_settle(context, owner) {
            return Ok(false);
        }
        let record: &Record = region.at(at)?;
        if record.state.get() & REFERENCE != 0 {
            return Ok(true);
        }
        (at, Handle::find(region, record.object.get(), record.generation.get(), Kind::Queue))
    };
    let handle = match handle {
        Ok(handle) => Some(handle),
        Err(Error::ObjectGone | Error::WrongKind { .. }) => None,
        Err(other) => return Err(other),
    };
    let turns = handle.map_or(vec![SLOT_TURNS + dead], |handle| {
        vec![handle.turn, handle.second_turn, SLOT_TURNS + dead]
    });
    let held = context.hold_all(&turns)?;
    if slot.leases.get() != at || !is_still_to_settle(context, owner) {
        // Somebody else settled it between our two looks.
        return Ok(true);
    }
    let record: &Record = region.at(at)?;
    if record.state.get() >> SIGNED != u64::from(dead + 1) {
        // Not on this list: the list of a damaged heap may come back to what was settled.
        return Err(broken(at));
    }
    let queue = handle.map(|handle| Queue { handle });
    let body = match queue.map(|queue| queue.body(region)) {
        Some(Ok(body)) => Some(body),
        Some(Err(Error::ObjectGone)) | None => None,
        Some(Err(other)) => return Err(other),
    };
    let mut change = Change::begin(&held, 2 * MOVE_WORDS)?;
    unlink(&mut change, slot, record)?;
    settle_record(&mut change, body, record, why)?;
    change.commit();
    drop(held);
    if let Some(body) = body {
        if why == ReturnReason::Died {
            Region::add(&region.header().tally.returned, 1);
        }
        wait::wake(&body.not_empty, u32::MAX);
        wait::wake(&body.not_full, u32::MAX);
        wait::wake(&body.all_done, u32::MAX);
    }
    Ok(true)
}

/// Whether what is on the slot's list is still the owner's: settled by another, the slot may serve
/// a living process by now. The slot's turn is held, without which no slot becomes free.
pub(crate) fn is_still_to_settle(context: &Context, owner: Incarnation) -> bool {
    let word = StateWord(context.region().slot(owner.slot).state.acquire());
    let is_estate = word.state() == State::Estate && word.epoch() == owner.epoch;
    is_estate || owner == context.member().incarnation()
}

fn settle_record(
    change: &mut Change<'_>,
    body: Option<&QueueBody>,
    record: &Record,
    why: ReturnReason,
) -> Result<()> {
    let at = change.region().offset_of(record);
    let is_promise = record.state.get() & RESERVED != 0;
    match body {
        Some(body) if is_promise => {
            if defect(Mistake::KeepPromiseOfDead) {
                return allocator::give(change, RECORD, at);
            }
            change.set(&body.reserved, body.reserved.get().saturating_sub(1));
            change.set(&record.state, 0);
            allocator::give(change, RECORD, at)
        }
        Some(body) => give_back(change, body, record, Some(why)),
        None => {
            change.set(&record.state, 0);
            cell::free(change, Cell::load(&record.cell))?;
            allocator::give(change, RECORD, at)
        }
    }
}

/// The corrupt-list error of this file.
pub(super) fn broken(at: u64) -> Error {
    Corrupt { what: "list of a queue", at }.into()
}
