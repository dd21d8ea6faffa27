//! Records: what a process owns, on the list of its slot.
//!
//! A record is a reference to an object, an item that the process has on lease, or a place that is
//! promised to its transaction. It names its object, whose kind knows how to take it back.
//!
//! What always holds: a record is on one list, and moves from list to list in one change under
//! the turns of both: that of the slot, and that of the object's side it belongs to.

use crate::allocator::{self, Room};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context};
use crate::memory::Region;
use crate::memory::layout::{Record, SLOT_TURNS, Slot};
use crate::objects::cell::{self, Cell};
use crate::objects::header::Handle;
use crate::objects::kinds;
use crate::sync::life::{State, StateWord};
use crate::sync::{Incarnation, wait};

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
    pub(crate) fn of(state: u64) -> Self {
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

/// Frees a record that is off every list, with its value.
pub(crate) fn free(change: &mut Change<'_>, record: &Record) -> Result<()> {
    let at = change.region().offset_of(record);
    change.set(&record.state, 0);
    cell::free(change, Cell::load(&record.cell))?;
    allocator::give(change, RECORD, at)
}

/// Settles the lease or promise that is first on the list of a process that is gone, or going.
/// `false`: the list is empty.
pub(super) fn settle_first(
    context: &Context,
    owner: Incarnation,
    reason: ReturnReason,
) -> Result<bool> {
    let region = context.region();
    let dead = owner.slot;
    let slot = region.slot(dead);
    let (at, found) = {
        let _held = context.hold(SLOT_TURNS + dead)?;
        let at = slot.leases.get();
        if at == 0 || !is_still_to_settle(context, owner) {
            return Ok(false);
        }
        let record: &Record = region.at(at)?;
        if record.state.get() & REFERENCE != 0 {
            return Ok(true);
        }
        (at, Handle::any(region, record.object.get(), record.generation.get()))
    };
    let found = living(found)?;
    let turns = found.map_or(vec![SLOT_TURNS + dead], |(handle, _)| {
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
        return Err(Corrupt { what: "list of a slot", at }.into());
    }
    let object = match found {
        Some((handle, kind)) => {
            living(handle.object(region))?.map(|object| (object, kinds::shape(kind)))
        }
        None => None,
    };
    let mut change = Change::begin(&held, 2 * MOVE_WORDS)?;
    unlink(&mut change, slot, record)?;
    match object {
        Some((object, shape)) => shape.take_back(&mut change, object, record, reason)?,
        None => free(&mut change, record)?,
    }
    change.commit();
    let signals = object.map(|(object, shape)| shape.signals(region, object)).transpose()?;
    drop(held);
    if let Some(signals) = signals {
        if reason == ReturnReason::Died {
            Region::add(&region.header().tally.returned, 1);
        }
        signals.into_iter().for_each(|signal| wait::wake(signal, u32::MAX));
    }
    Ok(true)
}

/// What was found, unless it is gone.
fn living<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Error::ObjectGone) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Whether what is on the slot's list is still the owner's: settled by another, the slot may serve
/// a living process by now. The slot's turn is held, without which no slot becomes free.
pub(crate) fn is_still_to_settle(context: &Context, owner: Incarnation) -> bool {
    let word = StateWord(context.region().slot(owner.slot).state.acquire());
    let is_estate = word.state() == State::Estate && word.epoch() == owner.epoch;
    is_estate || owner == context.member().incarnation()
}
