//! The span map: which spans are free, and how far the heap has grown.
//!
//! The table is walked by *heads*: the row of the first span of a free run, a run in use, or a
//! span of blocks says how many spans to step over. The row of the last span of anything longer than
//! one span is its *foot*, which says how many spans to step back. Rows between head and foot say
//! nothing.
//!
//! # The word `info`
//!
//! | bits of `info` | meaning                                                          |
//! |----------------|------------------------------------------------------------------|
//! | 0..8           | kind: free, blocks, run, hole (free, without pages), foot, unreal |
//! | 8..16          | size class, for blocks                                            |
//! | 16..32         | arena, for blocks                                                 |
//! | 32..64         | number of spans                                                   |
//!
//! What always holds, under the span map's turn:
//!
//! - **Span.1** Heads from 0 to `frontier` tile it without gap, each with its foot; what is above was
//!   never used, or is as if it never was.
//! - **Span.2** `free` is the number of spans in free runs and holes, `holes` that of holes. All of
//!   them are in the bins. No two free runs are neighbours, no two holes are, and no free run ends at
//!   the frontier.
//! - **Span.3** `committed` spans have rows, and pages but for holes and what is unreal; it grows and
//!   never shrinks.
//!
//! Not here: how spans get pages (`grow`) and lose them (`trim`), both without this turn.

mod bins;
mod grow;
mod trim;

pub use grow::{full, make_real, make_real_together, settle_unreal};
pub(crate) use trim::trim_for;
pub use trim::{GOES_WITHIN, is_much_free, trim, trim_if_due};

use crate::error::{Corrupt, Result};
use crate::journal::{Change, Context, Held};
use crate::memory::Region;
use crate::memory::layout::{Bins, SPAN_BYTES, SPAN_TURN, Span, SpanMap};
use crate::os;
use bins::LINK_WORDS;

/// What a span is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Free, with the spans after it.
    Free(u64),
    /// Cut into blocks of a class, for an arena.
    Blocks {
        /// Size class.
        class: u8,
        /// Arena.
        arena: u16,
    },
    /// One thing, this many spans long.
    Run(u64),
    /// Free, but without pages.
    Hole(u64),
    /// On the way from a hole to a free run, or back: a context's, without pages.
    Unreal(u64),
}

/// The kind of a foot.
const FOOT: u64 = 4;

impl Use {
    /// Returns the word to store.
    pub fn word(self) -> u64 {
        match self {
            Self::Free(spans) => spans << 32,
            Self::Blocks { class, arena } => {
                1 | u64::from(class) << 8 | u64::from(arena) << 16 | 1 << 32
            }
            Self::Run(spans) => 2 | spans << 32,
            Self::Hole(spans) => 3 | spans << 32,
            Self::Unreal(spans) => 5 | spans << 32,
        }
    }

    /// What a head says.
    pub fn of(span: &Span, index: u64) -> Result<Self, Corrupt> {
        let info = span.info.get();
        let spans = info >> 32;
        match info & 0xff {
            0 if spans > 0 => Ok(Self::Free(spans)),
            1 if spans == 1 => {
                Ok(Self::Blocks { class: (info >> 8) as u8, arena: (info >> 16) as u16 })
            }
            2 if spans > 0 => Ok(Self::Run(spans)),
            3 if spans > 0 => Ok(Self::Hole(spans)),
            5 if spans > 0 => Ok(Self::Unreal(spans)),
            _ => Err(Corrupt { what: "row of a span", at: index }),
        }
    }

    /// Returns the same use of so many spans, for what is free.
    fn resized(self, spans: u64) -> Self {
        if is_hole(self) { Self::Hole(spans) } else { Self::Free(spans) }
    }

    /// Returns whether two neighbours are free in the same way, so that they are one.
    pub fn joins(self, other: Self) -> bool {
        matches!((self, other), (Self::Free(_), Self::Free(_)) | (Self::Hole(_), Self::Hole(_)))
    }

    /// Returns how many spans it covers.
    pub fn spans(self) -> u64 {
        match self {
            Self::Free(spans) | Self::Run(spans) | Self::Hole(spans) | Self::Unreal(spans) => spans,
            Self::Blocks { .. } => 1,
        }
    }
}

/// Words that `claim` saves at most.
pub const CLAIM_WORDS: usize = 2 * LINK_WORDS + 7;
/// Words that `release` saves at most.
pub const RELEASE_WORDS: usize = 3 * LINK_WORDS + 6;

/// Returns the span that an offset lies in.
pub fn index_of(region: &Region, at: u64) -> Result<u64, Corrupt> {
    match at.checked_sub(region.data_start()) {
        Some(inside) => region.span(inside / SPAN_BYTES).map(|_| inside / SPAN_BYTES),
        None => Err(Corrupt { what: "offset", at }),
    }
}

/// Returns the offset of a span's first byte.
pub fn start_of(region: &Region, index: u64) -> u64 {
    region.data_start() + index * SPAN_BYTES
}

/// Finds `wanted` spans in a row that have pages, and returns the first one: `None` if `make_real` has
/// to give some pages first. They stay free until `claim`, so the turn must be held until then.
pub fn find(held: &Held<'_>, wanted: u64) -> Result<Option<u64>> {
    assert!(held.contains(SPAN_TURN));
    let region = held.context().region();
    let header = region.header();
    if let Some((first, _)) = bins::find(region, &header.free_runs, wanted)? {
        return Ok(Some(first));
    }
    let frontier = header.spans.frontier.get();
    let end = frontier.checked_add(wanted);
    Ok(end.filter(|end| *end <= region.committed_spans()).map(|_| frontier))
}

/// As [`find`], or else the longest spans in a row that there are: the first one, and how many.
pub fn find_most(held: &Held<'_>, wanted: u64) -> Result<Option<(u64, u64)>> {
    if let Some(first) = find(held, wanted)? {
        return Ok(Some((first, wanted)));
    }
    let region = held.context().region();
    let frontier = region.header().spans.frontier.get();
    let beyond = region.committed_spans().saturating_sub(frontier);
    match bins::longest(region, &region.header().free_runs)? {
        Some((first, spans)) if spans > beyond => Ok(Some((first, spans.min(wanted)))),
        _ => Ok((beyond > 0).then_some((frontier, beyond))),
    }
}

/// Takes turns, the span map's among them, with `wanted` spans in a row that [`find`] finds.
pub fn hold_and_find<'a>(
    context: &'a Context,
    turns: &[u32],
    wanted: u64,
) -> Result<(Held<'a>, u64)> {
    loop {
        let held = context.hold_all(turns)?;
        if let Some(first) = find(&held, wanted)? {
            return Ok((held, first));
        }
        drop(held);
        make_real(context, wanted)?;
    }
}

/// Takes spans that `find` returned, for `purpose`: from the front of a free run or of a hole, or from
/// the frontier on.
pub fn claim(change: &mut Change<'_>, first: u64, purpose: Use) -> Result<()> {
    let region = change.region();
    let map = &region.header().spans;
    let wanted = purpose.spans();
    let next = first + wanted;
    if first == map.frontier.get() {
        change.set(&map.frontier, next);
    } else {
        let row = region.span(first)?;
        let (was, freed) = (Use::of(row, first)?, row.counts.get());
        let left = was.spans().checked_sub(wanted);
        let left = left.ok_or(Corrupt { what: "length of a free run", at: first })?;
        take_out(change, first, was)?;
        if left > 0 {
            put_in(change, next, was.resized(left), freed)?;
        }
    }
    trim::note(region);
    set_ends(change, first, purpose)
}

/// Returns spans to the span map, joined with what is free around them.
pub fn release(change: &mut Change<'_>, first: u64, spans: u64) -> Result<()> {
    free(change, first, Use::Free(spans))
}

/// Makes spans free: a free run or a hole.
fn free(change: &mut Change<'_>, first: u64, usage: Use) -> Result<()> {
    let region = change.region();
    let map = &region.header().spans;
    let (mut from, mut to) = (first, first + usage.spans());
    let now = os::now_roughly();
    if to > map.frontier.get() {
        return Err(Corrupt { what: "spans beyond the frontier", at: first }.into());
    }
    if let Some(before) = before(region, first)? {
        let was = Use::of(region.span(before)?, before)?;
        if was.joins(usage) {
            take_out(change, before, was)?;
            from = before;
        }
    }
    if to < map.frontier.get() {
        let was = Use::of(region.span(to)?, to)?;
        if was.joins(usage) {
            take_out(change, to, was)?;
            to += was.spans();
        }
    }
    if to == map.frontier.get() && !is_hole(usage) {
        change.set(&map.frontier, from);
        change.set(&map.lowered, now);
        return Ok(());
    }
    put_in(change, from, usage.resized(to - from), now)
}

fn is_hole(usage: Use) -> bool {
    matches!(usage, Use::Hole(_))
}

/// Returns the head of what ends before the head `first`.
fn before(region: &Region, first: u64) -> Result<Option<u64>, Corrupt> {
    let Some(last) = first.checked_sub(1) else { return Ok(None) };
    let info = region.span(last)?.info.get();
    if info & 0xff != FOOT {
        return Ok(Some(last));
    }
    let head = first.checked_sub(info >> 32).filter(|head| *head < last);
    head.map(Some).ok_or(Corrupt { what: "foot of a run", at: last })
}

/// Takes a free run or a hole off the lists and counts.
fn take_out(change: &mut Change<'_>, first: u64, usage: Use) -> Result<()> {
    let header = change.region().header();
    let map = &header.spans;
    bins::unlink(change, bins_for(change.region(), usage, first)?, first, usage.spans())?;
    change.set(&map.free, map.free.get().wrapping_sub(usage.spans()));
    if is_hole(usage) {
        change.set(&map.holes, map.holes.get().wrapping_sub(usage.spans()));
    }
    Ok(())
}

/// Puts a free run or a hole on the lists and counts, with its head and foot, and notes when the last part
/// of it was freed.
fn put_in(change: &mut Change<'_>, first: u64, usage: Use, freed: u64) -> Result<()> {
    let map = &change.region().header().spans;
    bins::link(change, bins_for(change.region(), usage, first)?, first, usage.spans())?;
    change.set(&map.free, map.free.get().wrapping_add(usage.spans()));
    if is_hole(usage) {
        change.set(&map.holes, map.holes.get().wrapping_add(usage.spans()));
    }
    change.set(&change.region().span(first)?.counts, freed);
    set_ends(change, first, usage)
}

fn bins_for(region: &Region, usage: Use, at: u64) -> Result<&Bins, Corrupt> {
    let header = region.header();
    match usage {
        Use::Free(_) => Ok(&header.free_runs),
        Use::Hole(_) => Ok(&header.holes),
        _ => Err(Corrupt { what: "row of a free run", at }),
    }
}

/// Stores head and foot.
fn set_ends(change: &mut Change<'_>, first: u64, usage: Use) -> Result<()> {
    let region = change.region();
    let spans = usage.spans();
    change.set(&region.span(first)?.info, usage.word());
    if spans > 1 {
        change.set(&region.span(first + spans - 1)?.info, FOOT | spans << 32);
    }
    Ok(())
}

/// Returns all free runs and holes that the bins list, in any order.
pub fn listed(region: &Region) -> Result<Vec<(u64, Use)>> {
    let header = region.header();
    let mut all = bins::listed(region, &header.free_runs)?;
    if all.iter().any(|(_, usage)| is_hole(*usage)) {
        return Err(Corrupt { what: "hole among free runs", at: all.len() as u64 }.into());
    }
    all.extend(bins::listed(region, &header.holes)?);
    Ok(all)
}

/// Returns whether the foot of a head is right.
pub fn has_foot(region: &Region, first: u64, spans: u64) -> Result<bool, Corrupt> {
    if spans < 2 {
        return Ok(true);
    }
    Ok(region.span(first + spans - 1)?.info.get() == FOOT | spans << 32)
}

/// Returns how many spans that nobody uses have pages.
fn free_with_pages(region: &Region) -> u64 {
    let SpanMap { frontier, free, holes, .. } = &region.header().spans;
    let beyond = region.committed_spans().saturating_sub(frontier.get());
    free.get().saturating_sub(holes.get()).saturating_add(beyond)
}

/// Bytes of spans that have pages.
pub fn committed_bytes(region: &Region) -> u64 {
    let holes = region.header().spans.holes.get();
    region.committed_spans().saturating_sub(holes).saturating_mul(SPAN_BYTES)
}
