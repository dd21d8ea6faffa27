//! The longest free run, for a buffer that fits nowhere in one piece.
//!
//! What always holds: the turn of the span map is held, so what was found stays free until it is
//! claimed.

use crate::allocator::span::{self, Use};
use crate::error::{Error, Result};
use crate::journal::Held;
use crate::memory::Region;

/// Finds the longest free run of at most `wanted` spans, and grows the heap if it can. Returns its
/// first span and its length.
///
/// # Errors
///
/// [`Error::HeapFull`] when no span is free.
pub(super) fn find_most(held: &Held<'_>, wanted: u64) -> Result<(u64, u64)> {
    let full = match span::find(held, wanted) {
        Err(full @ Error::HeapFull { .. }) => full,
        other => return other.map(|first| (first, wanted)),
    };
    let region = held.context().region();
    let longest = longest_below_frontier(region)?;
    let frontier = region.header().spans.frontier.get();
    let mut more = region.span_limit().saturating_sub(frontier).min(wanted);
    while more > longest.1 {
        match span::find(held, more) {
            Err(Error::HeapFull { .. }) => more /= 2,
            other => return other.map(|first| (first, more)),
        }
    }
    if longest.1 == 0 { Err(full) } else { Ok(longest) }
}

fn longest_below_frontier(region: &Region) -> Result<(u64, u64)> {
    let (mut longest, mut here) = ((0, 0), (0, 0));
    let mut index = 0;
    while index < region.header().spans.frontier.get() {
        let usage = Use::of(region.span(index)?, index)?;
        here = match usage {
            Use::Free(spans) if here.1 > 0 => (here.0, here.1 + spans),
            Use::Free(spans) => (index, spans),
            _ => (0, 0),
        };
        if here.1 > longest.1 {
            longest = here;
        }
        index += usage.spans();
    }
    Ok(longest)
}
