//! Building a buffer: a pending run is filled before any turn of an object is taken.
//!
//! What always holds: a run that is being built, or was built and is not part of an object yet, is
//! pending, and this thread takes it for nothing else. After a death it is a pending run as any other.

use super::{allocate_run, each_piece, find_spare, run_at, unlist};
use crate::allocator::span;
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context};
use crate::memory::layout::SPAN_BYTES;

/// Builds a buffer with these bytes in one piece, and returns its offset. No turn is held.
///
/// # Errors
///
/// [`Error::HeapFull`], also for more bytes than the heap can ever have; nothing was built.
pub fn build(context: &Context, bytes: &[u8]) -> Result<u64> {
    let region = context.region();
    let spans = (bytes.len() as u64).div_ceil(SPAN_BYTES);
    if spans > region.span_limit() {
        return Err(Error::HeapFull {
            wanted: spans * SPAN_BYTES,
            used: span::used_bytes(region),
            max: region.span_limit() * SPAN_BYTES,
        });
    }
    let spans = spans as u32;
    let index = match find_spare(context, spans)? {
        Some((index, _)) => index,
        None => allocate_run(context, spans)?,
    };
    let at = span::start_of(region, index);
    let mut rest = bytes;
    each_piece(region, at, bytes.len() as u64, |at, len| {
        let (part, more) = rest.split_at(len as usize);
        region.fill(at, part)?;
        rest = more;
        Ok::<_, Corrupt>(true)
    })?;
    Ok(at)
}

/// Takes a buffer that was built off the pending runs: it becomes part of an object.
pub fn take_built(change: &mut Change<'_>, at: u64) -> Result<()> {
    let region = change.region();
    let (span, _) = run_at(region, span::index_of(region, at)?)?;
    unlist(change, change.context().index(), span)
}

/// Returns whether a pending run is one that this thread has built something in.
pub(super) fn is_built(context: &Context, index: u64) -> bool {
    context.kept.built.contains(span::start_of(context.region(), index))
}
