//! Pins: who needs a buffer besides the cell that it was built for.
//!
//! A pin is made while a name keeps the buffer. The row of the first span has the count, under a turn
//! that belongs to the buffer: [`turn_of`]. Who takes it to zero gives up the buffer.
//!
//! What always holds:
//!
//! - **Pins.1** The count of a run in use is one for its cell, or for the list of dropped runs that it
//!   went to, and one for each pin.
//! - **Pins.2** Without [`WAS_PINNED`] a buffer that nobody names has no pin, and gets none: it is given
//!   up without its turn.
//!
//! Not here: who has a pin (`objects::ledger::pin`).

use super::{give_run, run_at};
use crate::allocator::span;
use crate::error::{Corrupt, Result};
use crate::journal::Change;
use crate::memory::Region;
use crate::memory::layout::{OBJECT_TURNS, SPAN_BYTES, Span};

/// Bit of `counts`: the buffer was pinned since it was built.
const WAS_PINNED: u64 = 1 << 31;
/// The bits of the count.
const COUNT: u64 = WAS_PINNED - 1;

/// Returns the turn under which the pins of a buffer are counted.
pub fn turn_of(at: u64) -> u32 {
    (at / SPAN_BYTES % u64::from(OBJECT_TURNS)) as u32
}

/// Returns whether the buffer was pinned since it was built.
pub(super) fn was_pinned(span: &Span) -> bool {
    span.counts.get() & WAS_PINNED != 0
}

/// Returns the count of a run.
pub fn count_of(span: &Span) -> u64 {
    span.counts.get() & COUNT
}

/// Adds a pin. A name in this thread's row keeps the buffer, and its turn is held.
pub fn pin(change: &mut Change<'_>, at: u64) -> Result<()> {
    let region = change.region();
    let counts = &first_span(region, at)?.counts;
    if counts.get() & COUNT == COUNT {
        return Err(Corrupt { what: "pins of a buffer", at }.into());
    }
    change.set(counts, (counts.get() | WAS_PINNED) + 1);
    Ok(())
}

/// Gives up a pin when the change commits, and the buffer with the last one. Its turn is held.
pub fn unpin(change: &mut Change<'_>, at: u64) -> Result<()> {
    let region = change.region();
    let span = first_span(region, at)?;
    match count_of(span) {
        0 => Err(Corrupt { what: "pins of a buffer", at }.into()),
        1 => give_run(change, at),
        _ => {
            change.set(&span.counts, span.counts.get() - 1);
            Ok(())
        }
    }
}

fn first_span(region: &Region, at: u64) -> Result<&Span, Corrupt> {
    run_at(region, span::index_of(region, at)?).map(|(span, _)| span)
}
