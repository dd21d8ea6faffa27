//! The span map: which spans are free, and how far the heap has grown.
//!
//! The table is walked by *heads*: the row of the first span of a free run, a run in use, or a
//! span of blocks says how many spans to step over. Rows between heads say nothing.
//!
//! # The word `info`
//!
//! | bits of `info` | meaning                          |
//! |----------------|----------------------------------|
//! | 0..8           | kind: free, blocks, run           |
//! | 8..16          | size class, for blocks            |
//! | 16..32         | arena, for blocks                 |
//! | 32..64         | number of spans                   |
//!
//! What always holds, under the span map's turn:
//!
//! - **Span.1** Heads from 0 to `frontier` tile it without gap; what is above was never used.
//! - **Span.2** `free` is the number of spans in free runs; no free run begins below `hint`, which
//!   is a head or the frontier.
//! - **Span.3** `committed` spans are real; it grows and never shrinks.

use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Held};
use crate::memory::Region;
use crate::memory::layout::{SPAN_BYTES, SPAN_TURN, Span};

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
}

impl Use {
    /// Returns the word to store.
    pub fn word(self) -> u64 {
        match self {
            Self::Free(spans) => spans << 32,
            Self::Blocks { class, arena } => {
                1 | u64::from(class) << 8 | u64::from(arena) << 16 | 1 << 32
            }
            Self::Run(spans) => 2 | spans << 32,
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
            _ => Err(Corrupt { what: "row of a span", at: index }),
        }
    }

    /// Returns how many spans it covers.
    pub fn spans(self) -> u64 {
        match self {
            Self::Free(spans) | Self::Run(spans) => spans,
            Self::Blocks { .. } => 1,
        }
    }
}

/// Words that `claim` saves at most.
pub const CLAIM_WORDS: usize = 6;
/// Words that `release` saves.
pub const RELEASE_WORDS: usize = 3;

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

/// Finds `wanted` spans in a row, grows the heap if there are none, and returns the first one. They
/// stay free until `claim`, so the turn must be held until then.
pub fn find(held: &Held<'_>, wanted: u64) -> Result<u64> {
    assert!(held.contains(SPAN_TURN));
    let region = held.context().region();
    if let Some(found) = find_below_frontier(region, wanted)? {
        return Ok(found);
    }
    let map = &region.header().spans;
    let frontier = map.frontier.get();
    let needed = frontier.saturating_add(wanted);
    if needed > region.committed_spans() {
        grow(held, needed)?;
    }
    Ok(frontier)
}

fn find_below_frontier(region: &Region, wanted: u64) -> Result<Option<u64>> {
    let map = &region.header().spans;
    if map.free.get() < wanted {
        return Ok(None);
    }
    let mut index = map.hint.get();
    while index < map.frontier.get() {
        let spans = free_from(region, index)?;
        if spans >= wanted {
            return Ok(Some(index));
        }
        index += spans.max(Use::of(region.span(index)?, index)?.spans());
    }
    Ok(None)
}

/// Returns how many spans in a row are free from the head `index`, over neighbouring free runs.
fn free_from(region: &Region, index: u64) -> Result<u64> {
    let mut end = index;
    while end < region.header().spans.frontier.get() {
        match Use::of(region.span(end)?, end)? {
            Use::Free(spans) => end += spans,
            _ => break,
        }
    }
    Ok(end - index)
}

/// Takes spans that `find` returned, for `purpose`.
pub fn claim(change: &mut Change<'_>, first: u64, purpose: Use) -> Result<()> {
    let region = change.region();
    let map = &region.header().spans;
    let wanted = purpose.spans();
    let next = first + wanted;
    if first == map.frontier.get() {
        change.set(&map.frontier, next);
    } else {
        let free = free_from(region, first)?;
        if free > wanted {
            change.set(&region.span(next)?.info, Use::Free(free - wanted).word());
        }
        change.set(&map.free, map.free.get() - wanted);
    }
    if first == map.hint.get() {
        change.set(&map.hint, next);
    }
    change.set(&region.span(first)?.info, purpose.word());
    Ok(())
}

/// Returns spans to the span map.
pub fn release(change: &mut Change<'_>, first: u64, spans: u64) -> Result<()> {
    let region = change.region();
    let map = &region.header().spans;
    change.set(&region.span(first)?.info, Use::Free(spans).word());
    change.set(&map.free, map.free.get().wrapping_add(spans));
    if first < map.hint.get() {
        change.set(&map.hint, first);
    }
    Ok(())
}

/// Commits at least `needed` spans, and some more while that is cheap.
#[cold]
fn grow(held: &Held<'_>, needed: u64) -> Result<()> {
    const LEAST: u64 = 16;
    const MOST: u64 = 1024;
    let region = held.context().region();
    let limit = region.span_limit();
    let committed = region.committed_spans();
    let full = || Error::HeapFull {
        wanted: needed.saturating_sub(committed).saturating_mul(SPAN_BYTES),
        used: used_bytes(region),
        max: limit * SPAN_BYTES,
    };
    if needed > limit {
        return Err(full());
    }
    let generous = needed.max(committed + (committed / 8).clamp(LEAST, MOST)).min(limit);
    let reached = match region.commit_spans(committed, generous) {
        Ok(()) => generous,
        Err(Error::Os { call: "fallocate", .. }) => {
            region.commit_spans(committed, needed).map_err(|error| match error {
                Error::Os { call: "fallocate", .. } => full(),
                other => other,
            })?;
            needed
        }
        Err(other) => return Err(other),
    };
    let mut change = Change::begin(held, 1)?;
    change.set(&region.header().spans.committed, reached);
    change.commit();
    Ok(())
}

/// Bytes of spans in use.
pub fn used_bytes(region: &Region) -> u64 {
    let map = &region.header().spans;
    map.frontier.get().saturating_sub(map.free.get()).saturating_mul(SPAN_BYTES)
}
