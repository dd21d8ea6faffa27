//! Returning the records of a process that has ended to their objects.
//!
//! What always holds: each record is settled by one change, under the turns of its object and of
//! the slot. The settling process may die anywhere, and another may settle the same slot at the
//! same time.
//!
//! Not here: references, which are released as by a living process (`ledger`).

use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context};
use crate::memory::Region;
use crate::memory::layout::{Record, SLOT_TURNS};
use crate::objects::header::Handle;
use crate::objects::kinds;
use crate::sync::{Incarnation, wait};

use super::record::{MOVE_WORDS, ReturnReason, free, is_still_to_settle, unlink};

/// Settles the first lease or promise on the list of a process that is dead or leaving. Returns
/// `false` if the list is empty.
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
        if record.state.get() & Record::REFERENCE != 0 {
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
        // Another process has settled it since the first read.
        return Ok(true);
    }
    let record: &Record = region.at(at)?;
    if record.state.get() >> Record::SIGNED != u64::from(dead + 1) {
        // Not on this list: in a damaged heap, the list may lead back to a settled record.
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

/// Returns the found object, or `None` if it is gone.
fn living<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Error::ObjectGone) => Ok(None),
        Err(other) => Err(other),
    }
}
