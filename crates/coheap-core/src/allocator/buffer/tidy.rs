//! Giving up runs that are not needed: dropped ones, and pending ones.
//!
//! What always holds: what it does is done in small changes; a death between two of them leaves every
//! run on its list. A dropped run that somebody may still read stays where it is.

use super::pins::{count_of, turn_of, was_pinned};
use super::{is_built, next_piece, run_at};
use crate::allocator::links::{self, PUSH_WORDS, TAKE_OFF_WORDS};
use crate::allocator::span::{self, RELEASE_WORDS};
use crate::defect::{Mistake, defect};
use crate::error::Result;
use crate::journal::{Change, Context};
use crate::memory::layout::{ARENA_COUNT, ARENA_TURNS, SPAN_TURN, Span};
use crate::memory::{Chain, Region, Word};
use crate::sync::hazard;

/// The longest run that is kept for reuse.
const KEPT_RUN: u64 = 16;
/// The spans that a context keeps at most, and which part of the heap these may be.
const KEPT_SPANS: u64 = 32;
const KEPT_PART: u64 = 256;

/// Gives up the caller's dropped runs, and pending runs of which it has too many. Returns how many spans
/// of dropped ones are free now.
pub fn tidy(context: &Context) -> Result<u64> {
    let region = context.region();
    let owner = context.index();
    let most = KEPT_SPANS.min(region.span_limit() / KEPT_PART);
    let (mut kept, mut freed) = (release_pending(context, owner, most)?, 0);
    each_dropped(region, owner, |link, index, span, spans| {
        let is_plain = next_piece(span).is_none() && !was_pinned(span);
        if spans <= KEPT_RUN && kept + spans <= most && is_plain {
            keep(context, link, index, span)?;
            kept += spans;
            return Ok(());
        }
        freed += spans;
        release_dropped(context, link, index, span)
    })?;
    Ok(freed)
}

/// Returns the runs of row `owner` to the span map.
pub fn drain_runs(context: &Context, owner: u32) -> Result<()> {
    release_pending(context, owner, 0)?;
    each_dropped(context.region(), owner, |link, index, span, _| {
        release_dropped(context, link, index, span)
    })
}

/// Calls `give_up` with each dropped run that nobody reads and with the word that leads to it, which
/// leads to the next one afterwards, or to the next piece.
fn each_dropped<'a>(
    region: &'a Region,
    owner: u32,
    mut give_up: impl FnMut(&'a Word, u64, &'a Span, u64) -> Result<()>,
) -> Result<()> {
    let mut link = &region.control(owner).dropped;
    if link.get() == 0 {
        return Ok(());
    }
    let named = hazard::Named::of_all(region);
    if named.has_every() {
        // However many there are, none can be given up.
        return Ok(());
    }
    let mut chain = Chain::new("dropped runs");
    while let Some(index) = link.get().checked_sub(1) {
        chain.step(link.get())?;
        let (span, spans) = run_at(region, index)?;
        if named.contains(span::start_of(region, index)) {
            link = &span.free;
        } else {
            give_up(link, index, span, spans)?;
        }
    }
    Ok(())
}

/// Makes a dropped run pending.
fn keep(context: &Context, link: &Word, index: u64, span: &Span) -> Result<()> {
    let held = context.hold(ARENA_TURNS + context.index() % ARENA_COUNT)?;
    let mut change = Change::begin(&held, PUSH_WORDS + 1)?;
    change.set(link, span.free.get());
    links::push(&mut change, &context.control().runs, index)?;
    change.commit();
    Ok(())
}

/// Returns a piece of a dropped run to the span map. The next piece takes its place on the list. A run
/// with pins is taken off the list, and left to them.
fn release_dropped(context: &Context, link: &Word, index: u64, span: &Span) -> Result<()> {
    let region = context.region();
    let (_, spans) = run_at(region, index)?;
    let was_pinned = was_pinned(span);
    let held = match was_pinned {
        true => context.hold_all(&[turn_of(span::start_of(region, index)), SPAN_TURN])?,
        false => context.hold(SPAN_TURN)?,
    };
    let mut change = Change::begin(&held, RELEASE_WORDS + 2)?;
    if was_pinned && count_of(span) > 1 && !defect(Mistake::ForgetPins) {
        change.set(link, span.free.get());
        change.set(&span.counts, span.counts.get() - 1);
        change.commit();
        return Ok(());
    }
    match next_piece(span) {
        Some(next) => {
            change.set(&region.span(next)?.free, span.free.get());
            change.set(link, next + 1);
        }
        None => change.set(link, span.free.get()),
    }
    span::release(&mut change, index, spans)?;
    change.commit();
    Ok(())
}

/// Returns pending runs of row `owner` to the span map, but those that are kept for reuse: `most`
/// spans in short runs. Returns how many spans are kept.
fn release_pending(context: &Context, owner: u32, most: u64) -> Result<u64> {
    let region = context.region();
    let mut kept = 0;
    let head = &region.control(owner).runs;
    let mut next = head.get();
    let mut chain = Chain::new("pending runs");
    while let Some(index) = next.checked_sub(1) {
        chain.step(next)?;
        let (span, spans) = run_at(region, index)?;
        next = links::neighbours(span).1;
        if owner == context.index() && is_built(context, index) {
            continue;
        }
        if spans <= KEPT_RUN && kept + spans <= most && next_piece(span).is_none() {
            kept += spans;
            continue;
        }
        let held = context.hold(SPAN_TURN)?;
        let mut change = Change::begin(&held, RELEASE_WORDS + TAKE_OFF_WORDS + 1)?;
        match next_piece(span) {
            Some(piece) => {
                links::replace(&mut change, head, span, piece)?;
                next = piece + 1;
            }
            None => links::take_off(&mut change, head, span)?,
        }
        span::release(&mut change, index, spans)?;
        change.commit();
    }
    Ok(kept)
}
