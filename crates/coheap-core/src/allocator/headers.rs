//! All blocks for headers, whether an object lives there or not.
//!
//! What always holds: their spans serve nothing else for ever, so what was found once stays right.

use crate::allocator::arena::Counts;
use crate::allocator::size_class::{HEADER_CLASS, blocks_per_span, size_of_class};
use crate::allocator::span::{Use, start_of};
use crate::error::Result;
use crate::journal::Context;
use crate::memory::layout::SPAN_TURN;
use crate::memory::reserve_private;

/// After how many heads the span map's turn is let go, at the next span of headers.
const STEP: u64 = 4096;

/// Returns the offsets of all headers that were ever handed out. No turn may be held.
pub(crate) fn headers(context: &Context) -> Result<Vec<u64>> {
    let region = context.region();
    let (mut index, mut found) = (0, Vec::new());
    loop {
        let held = context.hold(SPAN_TURN)?;
        let frontier = region.header().spans.frontier.get();
        let mut heads = 0;
        while index < frontier {
            let span = region.span(index)?;
            let usage = Use::of(span, index)?;
            let (at, is_headers) = (
                start_of(region, index),
                matches!(usage, Use::Blocks { class, .. } if class == HEADER_CLASS),
            );
            index += usage.spans();
            heads += 1;
            if is_headers {
                let cut = Counts::of(span).cut.min(blocks_per_span(HEADER_CLASS));
                reserve_private(&mut found, cut as usize)?;
                found.extend((0..cut).map(|number| at + number * size_of_class(HEADER_CLASS)));
                // Only here is it known that a head follows, whatever others do meanwhile.
                if heads > STEP {
                    break;
                }
            }
        }
        drop(held);
        if index >= frontier {
            return Ok(found);
        }
    }
}
