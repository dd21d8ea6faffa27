//! What others have left to be taken apart: the rest of large structures, and what hangs from the rows of
//! threads that have ended.
//!
//! ```text
//! row of a thread that ended --one change--> arena --small steps, by anybody--> nothing
//! ```
//!
//! What always holds: the chains of an arena change under its turn only, so many threads may go on with
//! the same husk, and one that dies between two steps, or in one, leaves it as good as it was. A parcel
//! passes to the thread that goes on with it, and back if it has more references than a portion.
//!
//! Who goes on: the process that left it, a small portion with each of its next operations; whoever looks
//! for the dead, a small portion; a ticker, some milliseconds at a time while its bell is down; and who
//! would hear [`HeapFull`](crate::Error::HeapFull), to the end (`estate`).

use super::portion::HUSK;
use super::{Portion, dismantle, hand_over, hand_over_row, step, take_apart};
use crate::error::{Error, Result};
use crate::journal::Context;
use crate::memory::Region;
use crate::memory::layout::{ARENA_COUNT, ARENA_TURNS};
use crate::objects::parcel;
use crate::sync::row;

/// Does a portion of all that is left to be taken apart, the caller's own first, and returns whether
/// that was not all of it. Parcels that the caller has freed stay. What needs a turn for which the
/// caller may not wait is left. Call it with no turn held.
pub(crate) fn go_on(context: &Context, portion: &mut Portion) -> Result<bool> {
    // A damaged chain stays on the row, which its next thread found; who looks for room hears of it.
    unless_busy(parcel::clear_built_by_the_dead(context))?;
    let before = context.control().freed.get();
    unless_busy(take_apart(context, before, portion).map(|_| ()))?;
    hand_over_rows(context)?;
    for number in 0..ARENA_COUNT {
        let arena = (context.index() + number) % ARENA_COUNT;
        unless_busy(go_on_in(context, arena, before, portion))?;
    }
    unless_busy(hand_over(context, before))?;
    Ok(is_any(context.region()))
}

/// Does a portion of what hangs from an arena.
fn go_on_in(context: &Context, arena: u32, before: u64, portion: &mut Portion) -> Result<()> {
    let turn = ARENA_TURNS + arena;
    let chains = context.region().arena(arena);
    while portion.allows() {
        if parcel::adopt(context, &chains.freed, turn)? {
            portion.spend(1);
        } else if step(context, &chains.husks, turn)? {
            portion.spend(HUSK);
        } else {
            return Ok(());
        }
        take_apart(context, before, portion)?;
    }
    Ok(())
}

/// Returns whether anything hangs from an arena.
fn is_any(region: &Region) -> bool {
    (0..ARENA_COUNT).any(|arena| {
        let chains = region.arena(arena);
        chains.husks.acquire() != 0 || chains.freed.acquire() != 0
    })
}

/// Hands over what hangs from the rows that no thread has.
fn hand_over_rows(context: &Context) -> Result<()> {
    let region = context.region();
    for index in 0..region.real_rows() {
        if !row::is_left(region, index) || !has_chains(region, index) {
            continue;
        }
        if row::tend(region, index, context.member().slot()) {
            let done = hand_over_row(context, index);
            row::leave_tended(region, index);
            unless_busy(done)?;
        }
    }
    Ok(())
}

/// Takes apart all that the caller and others have left. No turn may be held.
pub(crate) fn finish(context: &Context) -> Result<()> {
    dismantle(context)?;
    go_on(context, &mut Portion::whole()).map(|_| ())
}

/// Hands over what the thread that had the caller's row before has left there, at the beginning: the
/// caller may be idle for long.
pub(crate) fn inherit(context: &Context) -> Result<()> {
    if has_chains(context.region(), context.index()) {
        context.in_passing(|| hand_over_row(context, context.index()))?;
    }
    Ok(())
}

fn has_chains(region: &Region, index: u32) -> bool {
    let control = region.control(index);
    [&control.husks, &control.built, &control.freed].iter().any(|chain| chain.get() != 0)
}

/// Passes over what needs a turn that is not free.
fn unless_busy(done: Result<()>) -> Result<()> {
    match done {
        Err(Error::Busy { .. }) => Ok(()),
        other => other,
    }
}
