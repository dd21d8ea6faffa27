//! Husks: structures that were cut loose from their object and are taken apart in small steps.
//!
//! To clear, pack or drop a large structure, one change moves everything that hangs from its root
//! into a husk. The husk hangs on the chain of a context. The owner of that context, or the next
//! owner of its row, takes the husk apart by bounded changes. No other thread can reach the husk;
//! those changes hold the arena's turn only for `check`, which holds every turn to stop all
//! changes.
//!
//! What always holds: a husk stores its kind, and only the folder of that kind knows its other
//! words. A husk that was taken apart has kind 0, in case a damaged chain leads back to it.

use crate::allocator::{self, Room};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context, Held};
use crate::kind::Kind;
use crate::memory::layout::{ARENA_COUNT, ARENA_TURNS, Husk};
use crate::memory::plain::Plain;
use crate::memory::{Region, Word};
use crate::objects::kinds::{self, Shape};
use crate::objects::parcel;
use crate::objects::walk::Walk;
use crate::sync::row;

/// The room of a husk.
pub(crate) const ROOM: Room = Room::of(size_of::<Husk>());
/// Words that `hang` saves at most.
pub(crate) const HANG_WORDS: usize = allocator::TAKE_WORDS + 1;
const _: () = assert!(HANG_WORDS <= kinds::DETACH_WORDS, "an object that ends leaves a husk");
/// The number of things that a kind frees in one step at most.
pub(crate) const STEP: u64 = 32;
/// Words that a step saves at most.
const STEP_WORDS: usize = 2 * STEP as usize * allocator::GIVE_WORDS + 8;
/// First bit of the kind in the info word.
const KIND: u32 = 16;
/// First bit of the stage in the info word.
const STAGE: u32 = 8;

/// Returns the info word of a husk: its kind, the stage of taking it apart, and flags.
pub(crate) fn info(kind: Kind, stage: u8, flags: u8) -> u64 {
    (kind as u64) << KIND | u64::from(stage) << STAGE | u64::from(flags)
}

/// Returns the stage and the flags in an info word.
pub(crate) fn stage_and_flags(info: u64) -> (u8, u8) {
    ((info >> STAGE) as u8, info as u8)
}

/// Makes the block that `hang` needs pending.
pub(crate) fn ensure(context: &Context) -> Result<()> {
    allocator::ensure(context, ROOM, 1)
}

/// Makes a block for `hang` pending, or leaves the reserve block to it if the heap has no other.
pub(crate) fn ensure_or_reserve(context: &Context, reserve: &Word) -> Result<()> {
    match ensure(context) {
        Err(Error::HeapFull { .. }) if reserve.get() != 0 => Ok(()),
        other => other,
    }
}

/// Hangs a husk on the context's chain. `fill` stores its words from the third on.
pub(crate) fn hang<H: Plain>(
    change: &mut Change<'_>,
    info: u64,
    reserve: &Word,
    fill: impl FnOnce(&Change<'_>, &H),
) -> Result<()> {
    let at = take_or_reserve(change, reserve)?;
    hang_in(change, at, info, fill)
}

/// As [`hang`], of a husk in this block.
pub(crate) fn hang_in<H: Plain>(
    change: &mut Change<'_>,
    at: u64,
    info: u64,
    fill: impl FnOnce(&Change<'_>, &H),
) -> Result<()> {
    let head = &change.context().control().husks;
    let husk: &Husk = change.region().at(at)?;
    change.put(&husk.next, head.get());
    change.put(&husk.info, info);
    fill(change, husk.view_as());
    change.set(head, at);
    Ok(())
}

/// Walks the reserve block, if there is one.
pub(crate) fn walk_reserve(walk: &mut dyn Walk, reserve: &Word) -> Result<()> {
    match reserve.get() {
        0 => Ok(()),
        at => walk.claim(at, ROOM),
    }
}

/// Fills a reserve word again with a block, if it has none and the heap has one. The turn of its object is
/// held.
pub(crate) fn keep_reserve(held: &Held<'_>, reserve: &Word) -> Result<()> {
    if reserve.get() != 0 || ensure(held.context()).is_err() {
        return Ok(());
    }
    let mut change = Change::begin(held, allocator::TAKE_WORDS + 1)?;
    let block = allocator::take(&mut change, ROOM)?;
    change.set(reserve, block);
    change.commit();
    Ok(())
}

/// Takes a pending block of this room, or else the reserve block.
pub(crate) fn take_or_reserve(change: &mut Change<'_>, reserve: &Word) -> Result<u64> {
    let kept = reserve.get();
    if kept == 0 || allocator::is_pending(change.context(), ROOM) {
        return allocator::take(change, ROOM);
    }
    change.set(reserve, 0);
    Ok(kept)
}

/// Takes the caller's husks apart, and the parcels in them, without waiting for a turn: what is left
/// is for the next operation. Call it with no turn held.
#[inline]
pub(crate) fn dismantle(context: &Context) -> Result<()> {
    dismantle_only(context)?;
    parcel::let_go(context)
}

/// As [`dismantle`], without the parcels.
#[inline(always)]
pub(super) fn dismantle_only(context: &Context) -> Result<()> {
    let head = &context.control().husks;
    if head.get() == 0 { Ok(()) } else { dismantle_all(context, head) }
}

#[cold]
fn dismantle_all(context: &Context, head: &Word) -> Result<()> {
    context.in_passing(|| {
        while head.get() != 0 {
            step(context, head)?;
        }
        Ok(())
    })
}

/// Takes apart the husks of threads that no longer have a row.
pub(crate) fn dismantle_abandoned(context: &Context) -> Result<()> {
    let region = context.region();
    for index in 0..region.real_rows() {
        if !row::is_left(region, index) {
            continue;
        }
        let control = region.control(index);
        let has_chains = [&control.husks, &control.built, &control.freed];
        if has_chains.iter().all(|chain| chain.get() == 0) {
            continue;
        }
        if row::tend(region, index, context.member().slot()) {
            let head = &region.control(index).husks;
            let mut done = Ok(());
            while head.get() != 0 && done.is_ok() {
                done = step(context, head);
            }
            let done = done.and_then(|()| parcel::let_go_of_row(context, index));
            row::leave_tended(region, index);
            done?;
        }
    }
    Ok(())
}

/// Does one step, which is one bounded change.
fn step(context: &Context, head: &Word) -> Result<()> {
    let region = context.region();
    let at = head.get();
    let (husk, shape) = find(region, at)?;
    let held = context.hold(ARENA_TURNS + context.index() % ARENA_COUNT)?;
    let mut change = Change::begin(&held, STEP_WORDS)?;
    if !shape.dismantle(&mut change, husk)? {
        change.set(head, husk.next.get());
        change.set(&husk.info, 0);
        allocator::give(&mut change, ROOM, at)?;
    }
    change.commit();
    drop(held);
    allocator::tidy(context)
}

/// Returns the husk at an offset, after checking that its numbers are possible in a heap of this
/// size: a countdown from a wrong number could take for ever.
pub(crate) fn find(region: &Region, at: u64) -> Result<(&Husk, &'static dyn Shape), Corrupt> {
    let husk: &Husk = region.at(at)?;
    let shape = Kind::of((husk.info.get() >> KIND) as u8).map(kinds::shape);
    match shape {
        Some(shape) if shape.is_possible(region, husk) => Ok((husk, shape)),
        _ => Err(Corrupt { what: "husk", at }),
    }
}
