//! Husks: structures that were cut loose from their object and are taken apart in small steps.
//!
//! To clear, pack or drop a large structure, one change moves everything that hangs from its root
//! into a husk. The husk hangs on the chain of a context. The owner of that context takes it apart by
//! bounded changes: all of it if the operation asked for that, as `clear` does; else a small portion,
//! and then it moves the rest to the chain of an arena, from which everybody goes on (`remains`).
//!
//! What always holds: a husk stores its kind, and only the folder of that kind knows its other
//! words. A husk that was taken apart has kind 0, in case a damaged chain leads back to it. Each step
//! is done under the turn of an arena: that of the chain, or the thread's own for a husk that no other
//! thread can reach, because `check` holds every turn to stop all changes.

pub(crate) mod portion;
pub(crate) mod remains;

pub(crate) use portion::Portion;

use crate::allocator::{self, Room};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context, Held};
use crate::kind::Kind;
use crate::memory::layout::{ARENA_COUNT, ARENA_TURNS, Husk};
use crate::memory::plain::Plain;
use crate::memory::{Chain, Region, Word};
use crate::objects::kinds::{self, Shape};
use crate::objects::parcel;
use crate::objects::walk::Walk;
use portion::HUSK;

/// The room of a husk.
pub(crate) const ROOM: Room = Room::of(size_of::<Husk>());
/// Words that `hang` saves at most.
pub(crate) const HANG_WORDS: usize = allocator::TAKE_WORDS + 1;
const _: () = assert!(HANG_WORDS <= kinds::DETACH_WORDS, "an object that ends leaves a husk");
/// The number of things that a kind frees in one step at most.
pub(crate) const STEP: u64 = 32;
/// The number of runs of spans among them, at most: their pages go back to the system.
pub(crate) const RUNS: u64 = 8;
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

/// Takes a pending block of this room, or else the reserve block.
pub(crate) fn take_or_reserve(change: &mut Change<'_>, reserve: &Word) -> Result<u64> {
    let kept = reserve.get();
    if kept == 0 || allocator::is_pending(change.context(), ROOM) {
        return allocator::take(change, ROOM);
    }
    change.set(reserve, 0);
    Ok(kept)
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

/// Takes the caller's husks apart, and the parcels that it has freed, without waiting for a turn: for
/// a caller that asked for that.
#[inline]
pub(crate) fn dismantle(context: &Context) -> Result<()> {
    dismantle_within(context, &mut Portion::whole())?;
    parcel::let_go(context)
}

/// Takes the husks of an operation apart, without waiting for a turn. Who asked for something small
/// does a small portion of it. Parcels that the operation itself has freed stay.
#[inline(always)]
pub(crate) fn dismantle_only(context: &Context) -> Result<()> {
    if context.control().husks.get() == 0 { Ok(()) } else { dismantle_asked(context) }
}

#[cold]
fn dismantle_asked(context: &Context) -> Result<()> {
    let is_asked = context.kept.husks.take_asked();
    let mut portion = if is_asked { Portion::whole() } else { Portion::small() };
    dismantle_within(context, &mut portion)
}

/// Does a portion of the caller's husks, without waiting for a turn, and leaves the rest to everybody.
#[cold]
pub(in crate::objects) fn dismantle_within(context: &Context, portion: &mut Portion) -> Result<()> {
    context.kept.husks.take_asked();
    let before = context.control().freed.get();
    context.in_passing(|| {
        take_apart(context, before, portion)?;
        hand_over(context, before)
    })?;
    if context.control().husks.get() != 0 {
        context.member().due().note_work();
    }
    Ok(())
}

/// Does a portion of what the caller has: the parcels that it freed after `before`, and its husks, with
/// the parcels in them. Returns whether that was all.
pub(in crate::objects) fn take_apart(
    context: &Context,
    before: u64,
    portion: &mut Portion,
) -> Result<bool> {
    let control = context.control();
    let turn = own_turn(context);
    while portion.allows() {
        if control.freed.get() != before && parcel::step(context)? {
            portion.spend(1);
        } else if step(context, &control.husks, turn)? {
            portion.spend(HUSK);
        } else {
            allocator::tidy(context)?;
            return Ok(true);
        }
        allocator::tidy(context)?;
    }
    Ok(false)
}

/// Moves the caller's husks, and the parcels that it freed after `before`, to its arena, for everybody
/// to take apart. Its process goes on with its next operations.
pub(in crate::objects) fn hand_over(context: &Context, before: u64) -> Result<()> {
    let (region, index) = (context.region(), context.index());
    let control = region.control(index);
    if control.husks.get() == 0 && control.freed.get() == before {
        return Ok(());
    }
    context.member().due().note_work();
    let arena = region.arena(index % ARENA_COUNT);
    move_chain(context, &control.husks, 0, &arena.husks, next_husk)?;
    move_chain(context, &control.freed, before, &arena.freed, parcel::next_word)
}

/// Moves the chains of a row to the arena of the caller, who owns the row.
pub(in crate::objects) fn hand_over_row(context: &Context, index: u32) -> Result<()> {
    let region = context.region();
    let (control, arena) = (region.control(index), region.arena(context.index() % ARENA_COUNT));
    move_chain(context, &control.husks, 0, &arena.husks, next_husk)?;
    move_chain(context, &control.built, 0, &arena.freed, parcel::next_word)?;
    move_chain(context, &control.freed, 0, &arena.freed, parcel::next_word)
}

/// Moves a chain of the caller's, from its head up to `end`, before the chain of an arena, in one
/// change.
fn move_chain(
    context: &Context,
    from: &Word,
    end: u64,
    to: &Word,
    next: fn(&Region, u64) -> Result<&Word>,
) -> Result<()> {
    let (region, first) = (context.region(), from.get());
    if first == end {
        return Ok(());
    }
    let mut chain = Chain::new("chain that is handed over");
    let mut last = next(region, first)?;
    while last.get() != end {
        chain.step(last.get())?;
        last = next(region, last.get())?;
    }
    let held = context.hold(own_turn(context))?;
    let mut change = Change::begin(&held, 3)?;
    change.set(last, to.get());
    change.set(to, first);
    change.set(from, end);
    change.commit();
    Ok(())
}

fn next_husk(region: &Region, at: u64) -> Result<&Word> {
    find(region, at)?;
    Ok(&region.at::<Husk>(at)?.next)
}

fn own_turn(context: &Context) -> u32 {
    ARENA_TURNS + context.index() % ARENA_COUNT
}

/// Does one step, which is one bounded change under a turn of an arena, with the first husk of a chain.
/// Returns whether there was one.
pub(in crate::objects) fn step(context: &Context, head: &Word, turn: u32) -> Result<bool> {
    if head.acquire() == 0 {
        return Ok(false);
    }
    let region = context.region();
    let held = context.hold(turn)?;
    let at = head.get();
    if at == 0 {
        return Ok(false);
    }
    let (husk, shape) = find(region, at)?;
    let mut change = Change::begin(&held, STEP_WORDS)?;
    if !shape.dismantle(&mut change, husk)? {
        change.set(head, husk.next.get());
        change.set(&husk.info, 0);
        allocator::give(&mut change, ROOM, at)?;
    }
    change.commit();
    Ok(true)
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
