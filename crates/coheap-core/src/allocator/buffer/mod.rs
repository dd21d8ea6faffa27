//! Runs of whole spans, for what is longer than the largest block: where they are between the span
//! map and an object.
//!
//! ```text
//! span map --> pending --> object --> dropped --> pending, or span map
//! ```
//!
//! A context has two lists. *Pending* runs belong to nothing else: any of them can be taken. *Dropped*
//! runs were freed by a change of the context. They are given up later, with no turn held (`tidy`).
//!
//! What always holds:
//!
//! - **Buffer.1** A run is free in the span map, or on one list of one context, or part of one object,
//!   and each move is one change.
//! - **Buffer.2** A run that a change frees is not handed out again within that change.
//!
//! Not here: which spans are free (`span`).

mod build;
mod pins;
mod reading;
mod tidy;

pub use build::{build, gather, take_built};
pub use pins::{count_of, pin, turn_of, unpin};
pub use reading::Reading;
pub use tidy::{drain_runs, tidy};

use crate::allocator::links::{self, PUSH_WORDS};
use crate::allocator::span::{self, CLAIM_WORDS, Use};
use crate::error::{Corrupt, Result};
use crate::journal::{Change, Context};
use crate::memory::layout::{SPAN_BYTES, SPAN_TURN, Span};
use crate::memory::{Chain, Region};

/// Makes at least `count` runs of `spans` spans pending, in which nothing was built.
pub fn ensure_runs(context: &Context, spans: u32, count: u32) -> Result<()> {
    let mut there = 0;
    each_pending(context.region(), context.index(), |index, span, found| {
        there += u32::from(is_spare(context, index, span, found, spans));
        Ok(there < count)
    })?;
    (there..count).try_for_each(|_| ensure_run(context, spans))
}

/// Allocates a run and leaves it pending.
pub fn ensure_run(context: &Context, spans: u32) -> Result<()> {
    allocate_run(context, spans).map(|_| ())
}

/// As [`ensure_run`], and returns the number of its first span.
fn allocate_run(context: &Context, spans: u32) -> Result<u64> {
    let (held, first) = span::hold_and_find(context, &[SPAN_TURN], u64::from(spans))?;
    context.kept.pending.set_untidy(true);
    let mut change = Change::begin(&held, CLAIM_WORDS + PUSH_WORDS + 1)?;
    span::claim(&mut change, first, Use::Run(u64::from(spans)))?;
    let span = context.region().span(first)?;
    change.set(&span.counts, 1);
    links::push(&mut change, &context.control().runs, first)?;
    change.commit();
    Ok(first)
}

/// Returns whether a pending run has exactly `spans` spans, and nothing was built in it.
fn is_spare(context: &Context, index: u64, span: &Span, found: u64, spans: u32) -> bool {
    found == u64::from(spans) && next_piece(span).is_none() && !is_built(context, index)
}

/// Returns whether a pending run is one that this thread has built something in.
fn is_built(context: &Context, index: u64) -> bool {
    context.kept.built.contains(span::start_of(context.region(), index))
}

/// Returns a pending run of exactly `spans` spans in which nothing was built.
fn find_spare(context: &Context, spans: u32) -> Result<Option<(u64, &Span)>> {
    let mut spare = None;
    each_pending(context.region(), context.index(), |index, span, found| {
        if is_spare(context, index, span, found, spans) {
            spare = Some((index, span));
        }
        Ok(spare.is_none())
    })?;
    Ok(spare)
}

/// Takes a pending run of exactly `spans` spans off its list.
pub fn take_run(change: &mut Change<'_>, spans: u32) -> Result<u64> {
    let context = change.context();
    let Some((index, span)) = find_spare(context, spans)? else {
        return Err(Corrupt { what: "pending runs", at: u64::from(spans) }.into());
    };
    links::take_off(change, &context.control().runs, span)?;
    Ok(span::start_of(change.region(), index))
}

/// Frees a run: it is dropped when the change commits.
pub fn give_run(change: &mut Change<'_>, at: u64) -> Result<()> {
    let region = change.region();
    let index = span::index_of(region, at)?;
    let dropped = &change.context().control().dropped;
    change.context().kept.pending.set_untidy(true);
    change.set(&region.span(index)?.free, dropped.get());
    change.set(dropped, index + 1);
    Ok(())
}

/// Returns the next piece of a buffer.
pub fn next_piece(span: &Span) -> Option<u64> {
    (span.counts.get() >> 32).checked_sub(1)
}

/// Calls `visit` with the offset and the length of each part of the `len` bytes of a buffer, until it
/// returns `false`. Most buffers have one piece.
pub fn each_piece<E: From<Corrupt>>(
    region: &Region,
    at: u64,
    len: u64,
    mut visit: impl FnMut(u64, u64) -> Result<bool, E>,
) -> Result<(), E> {
    let (mut at, mut left) = (at, len);
    loop {
        let index = span::index_of(region, at)?;
        let (span, spans) = run_at(region, index)?;
        let part = left.min(spans * SPAN_BYTES);
        if at != span::start_of(region, index) {
            return Err(Corrupt { what: "offset of a buffer", at }.into());
        }
        left -= part;
        if !visit(at, part)? || left == 0 {
            return Ok(());
        }
        let next = next_piece(span).ok_or(Corrupt { what: "length of a buffer", at })?;
        at = span::start_of(region, next);
    }
}

/// Checks that a buffer has `len` bytes.
pub fn check_pieces(region: &Region, at: u64, len: u64) -> Result<(), Corrupt> {
    each_piece(region, at, len, |_, _| Ok(true))
}

/// Appends `len` bytes of a buffer to `out`, word by word: others may change it meanwhile.
pub fn append_to(region: &Region, at: u64, len: u64, out: &mut Vec<u8>) -> Result<()> {
    check_pieces(region, at, len)?;
    each_piece(region, at, len, |at, len| {
        region.append_to(at, len as usize, out)?;
        Ok(true)
    })
}

/// Returns whether a buffer begins with exactly these bytes, and zeros to a full word.
pub fn equals(region: &Region, at: u64, bytes: &[u8]) -> Result<bool, Corrupt> {
    let (mut rest, mut is_equal) = (bytes, true);
    each_piece(region, at, bytes.len() as u64, |at, len| {
        let (part, more) = rest.split_at(len as usize);
        rest = more;
        is_equal = region.equals(at, part)?;
        Ok::<_, Corrupt>(is_equal)
    })?;
    Ok(is_equal)
}

/// Calls `look` with the number, the row and the length of each pending run of row `owner`, until it
/// returns `false`.
pub fn each_pending<'a>(
    region: &'a Region,
    owner: u32,
    mut look: impl FnMut(u64, &'a Span, u64) -> Result<bool>,
) -> Result<()> {
    let mut next = region.control(owner).runs.get();
    let mut chain = Chain::new("pending runs");
    while let Some(index) = next.checked_sub(1) {
        chain.step(next)?;
        let (span, spans) = run_at(region, index)?;
        next = links::neighbours(span).1;
        if !look(index, span, spans)? {
            break;
        }
    }
    Ok(())
}

/// Returns the row of a run, and its length in spans.
fn run_at(region: &Region, index: u64) -> Result<(&Span, u64), Corrupt> {
    let span = region.span(index)?;
    match Use::of(span, index)? {
        Use::Run(spans) => Ok((span, spans)),
        _ => Err(Corrupt { what: "run of spans", at: index }),
    }
}
