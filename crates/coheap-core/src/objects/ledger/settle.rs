//! Returning the records of a process that has ended to their objects.
//!
//! What always holds: each record is settled by one change, under the turns of its object and of
//! the slot. The settling process may die anywhere, and another may settle the same slot at the
//! same time.
//!
//! Not here: references, which are released as by a living process (`ledger`).

use crate::defect::{Mistake, defect};
use crate::error::{Error, Result};
use crate::journal::{Change, Context, turn_of_change};
use crate::kind::Kind;
use crate::memory::Region;
use crate::memory::layout::{Object, Record, SLOT_TURNS};
use crate::objects::header::Handle;
use crate::objects::kinds;
use crate::objects::wait::ring_everybody;
use crate::sync::{Due, Incarnation};

use super::record::{
    MOVE_WORDS, ReturnReason, check_membership, free, is_signed, is_still_to_settle, unlink,
};

/// Settles a lease or a promise that was on the list of a process that is dead or leaving, unless
/// another thread has done it since. `found` is its object as it was then.
pub(super) fn settle_listed(
    context: &Context,
    owner: Incarnation,
    at: u64,
    serial: u64,
    found: Result<(Handle, Kind)>,
    reason: ReturnReason,
) -> Result<()> {
    let found = living(found)?;
    let is_listed = |record: &Record| {
        Ok(is_still_to_settle(context, owner)
            && record.serial.get() == serial
            && is_signed(record, owner.slot))
    };
    let is_settled = settle(context, owner.slot, at, found, is_listed, Some(reason))?;
    if is_settled && found.is_some() && reason == ReturnReason::Died {
        Region::add(&context.region().header().tally.returned, 1);
    }
    Ok(())
}

/// Gives a lease or a promise of this process back, unless that is done. Without a reason, the
/// attempt at the item does not count.
pub(super) fn settle_own(context: &Context, due: &Due, reason: Option<ReturnReason>) -> Result<()> {
    let region = context.region();
    let own = context.member().slot();
    let record: &Record = region.at(due.record)?;
    let is_own = |record: &Record| {
        Ok(check_membership(context).is_ok()
            && record.serial.get() == due.serial
            && is_signed(record, own))
    };
    // Without a turn: a record that serves another purpose by now says no object.
    if !is_own(record)? {
        return Ok(());
    }
    let found = living(Handle::any(region, record.object.get(), record.generation.get()))?;
    settle(context, own, due.record, found, is_own, reason).map(|_| ())
}

/// Returns a record on the list of a slot to its object, if it passes the test under the turns.
/// Returns whether it did.
fn settle(
    context: &Context,
    owner: u32,
    at: u64,
    found: Option<(Handle, Kind)>,
    is_it: impl Fn(&Record) -> Result<bool>,
    reason: Option<ReturnReason>,
) -> Result<bool> {
    let region = context.region();
    let slot = region.slot(owner);
    let turns = found.map_or(vec![SLOT_TURNS + owner], |(handle, _)| {
        vec![handle.turn, handle.second_turn, SLOT_TURNS + owner]
    });
    let held = context.hold_all(&turns)?;
    let record: &Record = region.at(at)?;
    if !is_it(record)? {
        return Ok(false);
    }
    let object = match found {
        Some((handle, kind)) => {
            living(handle.object(region))?.map(|object| (object, kinds::shape(kind)))
        }
        None => {
            check_is_gone(region, record, owner)?;
            None
        }
    };
    let mut change = Change::begin(&held, 2 * MOVE_WORDS)?;
    unlink(&mut change, slot, record)?;
    match object {
        Some((object, shape)) => shape.take_back(&mut change, object, record, reason)?,
        None => free(&mut change, record)?,
    }
    change.commit();
    drop(held);
    if let Some((handle, _)) = found {
        ring_everybody(region, handle.at);
    }
    Ok(true)
}

/// Refuses to go on where the object of a record only seems to be gone: the change that removes it is
/// open and may be undone, or was undone just now. Its header says no turn then, under which to look.
fn check_is_gone(region: &Region, record: &Record, owner: u32) -> Result<()> {
    if defect(Mistake::BelieveOpenRemoval) {
        return Ok(());
    }
    let at = record.object.get();
    if let Some(turn) = turn_of_change(region, at) {
        return Err(Error::Busy { turn });
    }
    let object: &Object = region.at(at)?;
    if object.generation.acquire() == record.generation.get() {
        return Err(Error::Busy { turn: SLOT_TURNS + owner });
    }
    Ok(())
}

/// Returns the found object, or `None` if it is gone.
fn living<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Error::ObjectGone) => Ok(None),
        Err(other) => Err(other),
    }
}
