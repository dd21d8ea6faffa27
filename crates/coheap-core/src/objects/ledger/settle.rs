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
use crate::memory::layout::{Object, Record, SLOT_TURNS};
use crate::memory::{Chain, Region};
use crate::objects::header::Handle;
use crate::objects::husk::Portion;
use crate::objects::kinds;
use crate::objects::wait::ring_everybody;
use crate::sync::{Due, Incarnation};

use super::record::{
    LIST, MOVE_WORDS, ReturnReason, broken, check_membership, free, is_signed, is_still_to_settle,
    unlink,
};
use super::{Expected, Whose, drop_reference, living as referred, share};

/// Settles the first record on the list of a process that is dead or leaving that needs none of the
/// turns `stuck`. Returns `false` if there is none. When it returns `true`, the list is shorter, or
/// another thread has changed it.
pub(crate) fn settle_next(
    context: &Context,
    owner: Incarnation,
    reason: ReturnReason,
    stuck: &[u32],
    portion: &mut Portion,
) -> Result<bool> {
    let region = context.region();
    let (at, serial, found) = {
        let _held = context.hold(SLOT_TURNS + owner.slot)?;
        let Some(at) = first_not_stuck(region, owner.slot, stuck)? else { return Ok(false) };
        if !is_still_to_settle(context, owner) {
            return Ok(false);
        }
        let record: &Record = region.at(at)?;
        if !is_signed(record, owner.slot) {
            return Err(broken(at));
        }
        let is_reference = record.state.get() & Record::REFERENCE != 0;
        let found = Handle::any(region, record.object.get(), record.generation.get());
        (at, record.serial.get(), (found, is_reference))
    };
    match found {
        (found, false) => settle_listed(context, owner, at, serial, found, reason)?,
        // The record was read under the turn of its list, so only another thread can have changed
        // it by the time `drop_reference` reads it again.
        (found, true) => {
            let expected = Expected { slot: owner.slot, whose: Whose::Left(owner) };
            drop_reference(context, at, &referred(found, at)?.0, &expected, portion)?;
        }
    }
    portion.spend(1);
    Ok(true)
}

/// Most records that are passed over because a turn of theirs is not free.
const MOST_STUCK: u64 = 1024;

/// Returns the first record on the list of a slot that needs none of these turns. The slot's turn is
/// held.
fn first_not_stuck(region: &Region, slot: u32, stuck: &[u32]) -> Result<Option<u64>> {
    let mut at = region.slot(slot).leases.get();
    let mut chain = Chain::new(LIST);
    for _ in 0..MOST_STUCK {
        if at == 0 {
            break;
        }
        let record: &Record = region.at(at)?;
        if stuck.is_empty() || !needs_any(region, record, stuck) {
            return Ok(Some(at));
        }
        chain.step(at)?;
        at = record.next.get();
    }
    Ok(None)
}

fn needs_any(region: &Region, record: &Record, turns: &[u32]) -> bool {
    let found = Handle::any(region, record.object.get(), record.generation.get());
    let object = match found {
        Ok((handle, _)) => [Some(handle.turn), Some(handle.second_turn)],
        Err(_) => [turn_of_change(region, record.object.get()), None],
    };
    let is_reference = record.state.get() & Record::REFERENCE != 0;
    let share = if is_reference { share::of(region, record).ok().flatten() } else { None };
    turns
        .iter()
        .any(|turn| object.contains(&Some(*turn)) || share.is_some_and(|it| it.turn == *turn))
}

/// Settles a lease or a promise that was on the list of a process that is dead or leaving, unless
/// another thread has done it since. `found` is its object as it was then.
fn settle_listed(
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
