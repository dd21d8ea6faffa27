//! Shares: references of several processes that their object counts as one.
//!
//! A forked child gets a reference to each object that its parent refers to. A fork does not wait for
//! the turn of an object, in which a process may be stopped: the child then shares its parent's count.
//! Whoever gives its reference up leaves the count to the others.
//!
//! What always holds: a share has as many holders as there are records that name it, all of the same
//! object. It changes under its turn, which is that of the slot whose process made it, and under the
//! turns of the slots whose records change.

use crate::allocator::{self, Room};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context};
use crate::memory::Region;
use crate::memory::layout::{Record, SLOT_COUNT, SLOT_TURNS, Share};
use crate::objects::header::Handle;
use crate::sync::Incarnation;

use super::record::{self, MOVE_WORDS, RECORD};
use super::{Expected, enter};

/// The room of a share.
pub(crate) const SHARE: Room = Room::of(size_of::<Share>());
/// Words that lending a reference saves at most.
const LEND_WORDS: usize = 2 * allocator::TAKE_WORDS + MOVE_WORDS + 2;

/// Where a share is, and its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    at: u64,
    pub(super) turn: u32,
}

/// Returns the share of a reference, if it has one.
pub(super) fn of(region: &Region, record: &Record) -> Result<Option<Place>> {
    let at = record.cell[0].get();
    if at == 0 {
        return Ok(None);
    }
    let turn = u32::try_from(region.at::<Share>(at)?.turn.get()).map_err(|_| broken(at))?;
    if !is_of_a_slot(turn) {
        return Err(broken(at));
    }
    Ok(Some(Place { at, turn }))
}

/// Returns whether a turn guards a slot, and no object.
pub(super) fn is_of_a_slot(turn: u32) -> bool {
    (SLOT_TURNS..SLOT_TURNS + SLOT_COUNT).contains(&turn)
}

/// Enters the reference of the record at `at` in the slot of a child that is about to be forked,
/// without the turns of the object.
pub(super) fn lend(context: &Context, child: Incarnation, serial: u64, at: u64) -> Result<()> {
    let region = context.region();
    let own = context.member().slot();
    let record: &Record = region.at(at)?;
    let found = Handle::any(region, record.object.get(), record.generation.get());
    let Ok((handle, _)) = found else { return Ok(()) };
    allocator::ensure_all(context, &mut [RECORD, SHARE])?;
    // Without a turn: a record that serves another purpose by now has no share that can be read. Only
    // a fork gives a record a share, and forks of a process come one after the other.
    let known = of(region, record).ok().flatten();
    let turn = known.map_or(SLOT_TURNS + own, |share| share.turn);
    let held = context.hold_all(&[SLOT_TURNS + own, SLOT_TURNS + child.slot, turn])?;
    if !Expected::own(context, serial).is_met_by(record, &handle) {
        return Ok(());
    }
    if of(region, record)? != known {
        return Err(Error::Busy { turn: SLOT_TURNS + own });
    }
    let mut change = Change::begin(&held, LEND_WORDS)?;
    let share = match known {
        Some(share) => {
            let holders = &region.at::<Share>(share.at)?.holders;
            change.set(holders, holders.get().wrapping_add(1));
            share.at
        }
        None => {
            let new = allocator::take(&mut change, SHARE)?;
            let share: &Share = region.at(new)?;
            change.put(&share.holders, 2);
            change.put(&share.turn, u64::from(turn));
            change.set(&record.cell[0], new);
            new
        }
    };
    let entered = enter(&mut change, child.slot, &handle, serial)?;
    change.put(&region.at::<Record>(entered)?.cell[0], share);
    change.commit();
    Ok(())
}

/// Gives up a reference that others share. Returns `false` if nobody shares it: then the object has
/// to count it.
pub(super) fn leave(
    context: &Context,
    at: u64,
    handle: &Handle,
    expected: &Expected,
) -> Result<bool> {
    let region = context.region();
    let record: &Record = region.at(at)?;
    // Without a turn: a record that serves another purpose by now has no share that can be read.
    let Ok(Some(share)) = of(region, record) else { return Ok(false) };
    let held = context.hold_all(&[SLOT_TURNS + expected.slot, share.turn])?;
    if !expected.is_current(context) {
        return Ok(true);
    }
    if !expected.is_met_by(record, handle) || of(region, record)? != Some(share) {
        return Ok(false);
    }
    let holders = &region.at::<Share>(share.at)?.holders;
    let left = holders.get().checked_sub(1).ok_or_else(|| broken(share.at))?;
    if left == 0 {
        return Ok(false);
    }
    let mut change = Change::begin(&held, MOVE_WORDS + allocator::GIVE_WORDS)?;
    change.set(holders, left);
    record::unlink(&mut change, region.slot(expected.slot), record)?;
    change.set(&record.state, 0);
    allocator::give(&mut change, RECORD, at)?;
    change.commit();
    Ok(true)
}

/// Ends the share of a reference that the object counts for this record alone. Its turn is held.
pub(super) fn end(change: &mut Change<'_>, share: Place) -> Result<()> {
    allocator::give(change, SHARE, share.at)
}

/// Returns whether a share has one holder left. Its turn is held.
pub(super) fn is_last(region: &Region, share: Place) -> Result<bool> {
    Ok(region.at::<Share>(share.at)?.holders.get() == 1)
}

/// Returns the offset of the share of a reference, or 0, and how many holders it has.
pub(crate) fn holders(region: &Region, record: &Record) -> Result<(u64, u64)> {
    match of(region, record)? {
        Some(share) => Ok((share.at, region.at::<Share>(share.at)?.holders.get())),
        None => Ok((0, 0)),
    }
}

fn broken(at: u64) -> Error {
    Corrupt { what: "share of a reference", at }.into()
}
