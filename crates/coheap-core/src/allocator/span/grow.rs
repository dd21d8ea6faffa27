//! Pages for more spans: beyond what is committed, or for holes. None of it under the span map's turn,
//! for the system may take its time.
//!
//! Anybody may ask for pages beyond `committed`, several at once, for that is the same as asking once.
//! Then `committed` rises, under the turn. Who was refused gives back what it got beyond `committed`,
//! which may be another's: it does so under the turn, after it has raised `withdrawn`. Who finds
//! `withdrawn` changed asks again before it raises `committed`.
//!
//! A hole is claimed first: it is *unreal*, and named by the context, until it has its pages or is a
//! hole again. After a death it becomes a hole. Pages beyond `committed` that a dead process got stay
//! there for the next one that asks, or until somebody trims the heap.

use super::{CLAIM_WORDS, RELEASE_WORDS, Use, bins, claim, find, free, free_with_pages};
use crate::defect::{Mistake, defect};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context, Held};
use crate::memory::layout::{SPAN_BYTES, SPAN_TURN};
use crate::memory::{Region, Word};
use crate::os;

#[cfg(test)]
mod tests;

/// Fewest and most spans that get pages ahead. The turn of an object may be held meanwhile.
const LEAST: u64 = 16;
const MOST: u64 = 128;

/// What gets pages next.
enum Step {
    /// There are enough in a row.
    Nothing,
    /// The context's unreal run, of that length.
    Unreal(u64),
    /// Spans beyond the committed ones, while `withdrawn` has this value.
    Beyond { committed: u64, needed: u64, withdrawn: u64 },
}

/// Gives pages to spans until `wanted` of them are free in a row, if the heap can have them. Others
/// may take them first. The turn of the span map may not be held.
///
/// # Errors
///
/// [`Error::HeapFull`].
#[cold]
pub fn make_real(context: &Context, wanted: u64) -> Result<()> {
    give_pages(context, wanted, in_a_row)
}

/// As [`make_real`], wherever they lie.
///
/// # Errors
///
/// [`Error::HeapFull`].
#[cold]
pub fn make_real_together(context: &Context, wanted: u64) -> Result<()> {
    give_pages(context, wanted, together)
}

/// Says with the span map's turn what gives pages next, so that `wanted` spans are free; the last
/// argument is whether more may get some ahead.
type Next = fn(&Held<'_>, u64, bool) -> Result<Step>;

fn give_pages(context: &Context, wanted: u64, next: Next) -> Result<()> {
    settle_unreal(context, context.index())?;
    let mut is_generous = true;
    loop {
        let held = context.hold(SPAN_TURN)?;
        let step = next(&held, wanted, is_generous)?;
        drop(held);
        match step {
            Step::Nothing => return Ok(()),
            Step::Unreal(spans) => fill_unreal(context, spans)?,
            Step::Beyond { committed, needed, withdrawn } => {
                let region = context.region();
                note_growth(region);
                let ahead = (committed / 8).clamp(LEAST, MOST);
                let generous = needed.max(committed + ahead).min(region.span_limit());
                let end = if is_generous { generous } else { needed };
                let bytes = end.saturating_sub(committed) * SPAN_BYTES;
                match context.apart(bytes, || region.commit_spans(committed, end)) {
                    Ok(()) => publish(context, end, withdrawn)?,
                    Err(refused) => {
                        withdraw(context, end)?;
                        if !is_generous || end == needed {
                            return Err(full_by(region, wanted, refused));
                        }
                        is_generous = false;
                    }
                }
            }
        }
    }
}

fn in_a_row(held: &Held<'_>, wanted: u64, is_generous: bool) -> Result<Step> {
    if find(held, wanted)?.is_some() {
        return Ok(Step::Nothing);
    }
    let region = held.context().region();
    let header = region.header();
    if let Some((first, spans)) = bins::find(region, &header.holes, wanted)? {
        let ahead = if is_generous { (spans / 8).clamp(LEAST, MOST) } else { 0 };
        return claim_hole(held, first, wanted.max(ahead).min(spans));
    }
    let needed = header.spans.frontier.get().saturating_add(wanted);
    if needed <= region.span_limit() {
        return Ok(beyond(region, needed));
    }
    // Holes join with what is free around them, once they have pages.
    match bins::longest(region, &header.holes)? {
        Some((first, spans)) if could_hold(region, wanted) => claim_hole(held, first, spans),
        _ => Err(full(region, wanted)),
    }
}

fn together(held: &Held<'_>, wanted: u64, _: bool) -> Result<Step> {
    let region = held.context().region();
    let missing = wanted.saturating_sub(free_with_pages(region));
    if missing == 0 {
        return Ok(Step::Nothing);
    }
    if !could_hold(region, wanted) {
        return Err(full(region, wanted));
    }
    let committed = region.committed_spans();
    if committed < region.span_limit() {
        return Ok(beyond(region, (committed + missing).min(region.span_limit())));
    }
    match bins::longest(region, &region.header().holes)? {
        Some((first, spans)) => claim_hole(held, first, spans.min(missing)),
        None => Err(full(region, wanted)),
    }
}

fn beyond(region: &Region, needed: u64) -> Step {
    let withdrawn = region.header().spans.withdrawn.get();
    Step::Beyond { committed: region.committed_spans(), needed, withdrawn }
}

/// Returns whether so many spans are free, wherever they lie.
fn could_hold(region: &Region, wanted: u64) -> bool {
    let map = &region.header().spans;
    let beyond = region.span_limit().saturating_sub(map.frontier.get());
    map.free.get().saturating_add(beyond) >= wanted
}

fn claim_hole(held: &Held<'_>, first: u64, spans: u64) -> Result<Step> {
    let mut change = Change::begin(held, CLAIM_WORDS + 1)?;
    claim(&mut change, first, Use::Unreal(spans))?;
    change.set(&held.context().control().unreal, first + 1);
    change.commit();
    Ok(Step::Unreal(spans))
}

/// Notes that somebody wants pages: fewer are given back then (`trim`).
fn note_growth(region: &Region) {
    Region::swap(&region.header().spans.grown, os::now_roughly());
}

/// Gives the context's unreal run its pages: it is free then, or a hole again.
fn fill_unreal(context: &Context, spans: u64) -> Result<()> {
    let region = context.region();
    note_growth(region);
    let Some(first) = context.control().unreal.get().checked_sub(1) else { return Ok(()) };
    let filled = match defect(Mistake::HandOutHole) {
        true => Ok(()),
        false => context.apart(spans * SPAN_BYTES, || region.commit_data(first, spans)),
    };
    match filled {
        Ok(()) => end_unreal(context, context.index(), Use::Free),
        Err(refused) => {
            settle_unreal(context, context.index())?;
            Err(full_by(region, spans, refused))
        }
    }
}

/// Makes the unreal run of row `owner`, if it has one, a hole again. It loses the pages that it may have:
/// nobody would look for them in a hole.
pub fn settle_unreal(context: &Context, owner: u32) -> Result<()> {
    let region = context.region();
    let word = &region.control(owner).unreal;
    let is_left = defect(Mistake::KeepUnrealOfDead) && owner != context.index();
    if word.get() == 0 || is_left {
        return Ok(());
    }
    let held = context.hold(SPAN_TURN)?;
    let unreal = unreal_run(region, word)?;
    drop(held);
    let punched = unreal.map_or(Ok(()), |(first, spans)| region.decommit_data(first, spans));
    end_unreal(context, owner, Use::Hole)?;
    punched
}

/// Returns the first span and the length of the unreal run that a word names. With the turn of the span
/// map: it may have been that of one who died in a change of this word.
fn unreal_run(region: &Region, word: &Word) -> Result<Option<(u64, u64)>> {
    let Some(first) = word.get().checked_sub(1) else { return Ok(None) };
    match Use::of(region.span(first)?, first)? {
        Use::Unreal(spans) => Ok(Some((first, spans))),
        _ => Err(Corrupt { what: "unreal run", at: first }.into()),
    }
}

/// Makes the unreal run of row `owner` what `becomes` says.
pub(super) fn end_unreal(context: &Context, owner: u32, becomes: fn(u64) -> Use) -> Result<()> {
    let region = context.region();
    let word = &region.control(owner).unreal;
    if word.get() == 0 {
        return Ok(());
    }
    let held = context.hold(SPAN_TURN)?;
    let Some((first, spans)) = unreal_run(region, word)? else { return Ok(()) };
    let mut change = Change::begin(&held, RELEASE_WORDS + 1)?;
    change.set(word, 0);
    free(&mut change, first, becomes(spans))?;
    change.commit();
    Ok(())
}

/// Raises `committed`, unless pages were given back since `withdrawn` was read.
fn publish(context: &Context, end: u64, withdrawn: u64) -> Result<()> {
    let held = context.hold(SPAN_TURN)?;
    let map = &context.region().header().spans;
    let are_there = map.withdrawn.get() == withdrawn || defect(Mistake::PublishWithdrawn);
    if are_there && map.committed.get() < end {
        let mut change = Change::begin(&held, 1)?;
        change.set(&map.committed, end);
        change.commit();
    }
    Ok(())
}

/// Gives back the pages beyond `committed`, up to `end`: on a full file system, a newcomer needs one.
pub(super) fn withdraw(context: &Context, end: u64) -> Result<()> {
    let held = context.hold(SPAN_TURN)?;
    let region = context.region();
    let map = &region.header().spans;
    let mut change = Change::begin(&held, 1)?;
    change.set(&map.withdrawn, map.withdrawn.get().wrapping_add(1));
    change.commit();
    let published = if defect(Mistake::WithdrawPublished) { 16 } else { 0 };
    let committed = region.committed_spans().saturating_sub(published);
    if committed < end {
        region.withdraw_spans(committed, end);
    }
    Ok(())
}

/// Returns the error of a heap that has no room for so many spans below its limit.
pub fn full(region: &Region, wanted: u64) -> Error {
    Error::HeapFull {
        wanted: wanted.saturating_mul(SPAN_BYTES),
        used: region.used_bytes(),
        max: region.span_limit() * SPAN_BYTES,
        system: None,
    }
}

/// As [`full`], if the system has no pages; any other refusal as it is.
fn full_by(region: &Region, wanted: u64, refused: Error) -> Error {
    region.full_by(wanted.saturating_mul(SPAN_BYTES), refused)
}
