//! Records: the property of a process, on the list of its slot.
//!
//! A record is a reference to an object, an item that the process holds on lease, or a place that
//! is promised to its transaction. It names its object.
//!
//! What always holds: a record is on one list. It moves from list to list in one change, under the
//! turns of both lists: the slot's, and that of the object's end to which the record belongs.
//!
//! Not here: how leased and promised items are returned (`settle`).

use crate::allocator::{self, Room};
use crate::defect::{Mistake, defect};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context};
use crate::memory::layout::{Record, Slot};
use crate::objects::cell::{self, Cell};
use crate::sync::Incarnation;
use crate::sync::life::{State, StateWord};

/// The room of a record.
pub(crate) const RECORD: Room = Room::of(size_of::<Record>());
/// What a damaged list is called in an error.
pub(super) const LIST: &str = "list of a slot";
/// Words that moving a record saves at most.
pub(crate) const MOVE_WORDS: usize = 12;

/// Why an item was returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ReturnReason {
    /// The holder returned it with `nack`.
    Nacked = 1,
    /// The process that held it died.
    Died = 2,
    /// The lease was dropped without `ack` or `nack`.
    Dropped = 3,
}

impl ReturnReason {
    pub(crate) fn of(state: u64) -> Self {
        Self::of_number(Record::reason(state) as u8)
    }

    pub(crate) fn of_number(number: u8) -> Self {
        match number {
            2 => Self::Died,
            3 => Self::Dropped,
            _ => Self::Nacked,
        }
    }
}

/// Takes a record off a slot's list. The slot's turn is held.
///
/// # Errors
///
/// [`Corrupt`] when the list does not lead to the record: it would still begin with it afterwards.
pub(crate) fn unlink(change: &mut Change<'_>, slot: &Slot, record: &Record) -> Result<()> {
    let region = change.region();
    let at = region.offset_of(record);
    let (next, previous) = (record.next.get(), record.previous.get());
    let link = match previous {
        0 => &slot.leases,
        _ => &region.at::<Record>(previous)?.next,
    };
    if link.get() != at || next == at {
        return Err(broken(at));
    }
    change.set(link, next);
    if next != 0 {
        change.set(&region.at::<Record>(next)?.previous, previous);
    }
    change.set(&slot.lease_count, slot.lease_count.get().saturating_sub(1));
    Ok(())
}

/// Refuses to go on if this process has left the heap. The slot's turn is held: whatever was listed
/// before is settled by now or will be, and nothing is added.
pub(crate) fn check_membership(context: &Context) -> Result<()> {
    let has_left = context.member().is_closed() && !defect(Mistake::RecordAfterLeaving);
    if has_left { Err(Error::Closed) } else { Ok(()) }
}

/// Puts a record on the list of slot `own`, and signs it. `is_fresh` means that no other process
/// can reach it yet.
pub(crate) fn link(
    change: &mut Change<'_>,
    own: u32,
    record: &Record,
    is_fresh: bool,
) -> Result<()> {
    if own == change.context().member().slot() {
        check_membership(change.context())?;
    }
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
    change.put(&record.state, record.state.get() | u64::from(own + 1) << Record::SIGNED);
    if next != 0 {
        change.set(&change.region().at::<Record>(next)?.previous, at);
    }
    change.set(&slot.leases, at);
    change.set(&slot.lease_count, slot.lease_count.get().wrapping_add(1));
    Ok(())
}

/// Returns whether a record says that it is on the list of a slot.
pub(super) fn is_signed(record: &Record, slot: u32) -> bool {
    record.state.get() >> Record::SIGNED == u64::from(slot + 1)
}

/// Returns the error for a list of a slot whose words do not fit each other.
pub(super) fn broken(at: u64) -> Error {
    Corrupt { what: LIST, at }.into()
}

/// Frees a record that is off every list, with its value.
pub(crate) fn free(change: &mut Change<'_>, record: &Record) -> Result<()> {
    let at = change.region().offset_of(record);
    change.set(&record.state, 0);
    cell::free(change, Cell::load(&record.cell))?;
    allocator::give(change, RECORD, at)
}

/// Returns whether the list of a slot still belongs to this owner. If another process has settled
/// the slot, it may belong to a living process by now. The slot's turn is held, without which no
/// slot becomes free.
pub(crate) fn is_still_to_settle(context: &Context, owner: Incarnation) -> bool {
    let word = StateWord(context.region().slot(owner.slot).state.acquire());
    let is_left = matches!(word.state(), State::Estate | State::Leaving);
    is_left && word.epoch() == owner.epoch || owner == context.member().incarnation()
}
