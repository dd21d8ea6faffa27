//! Building a buffer: a pending run is filled before any turn of an object is taken.
//!
//! What always holds: a run that is being built, or was built and is not part of an object yet, is
//! pending, and this thread takes it for nothing else. After a death it is a pending run as any other.

use super::tidy::drain_runs;
use super::{allocate_run, each_piece, find_spare, run_at};
use crate::allocator::links::{self, PUSH_WORDS};
use crate::allocator::span::{self, CLAIM_WORDS, Use};
use crate::error::{Corrupt, Result};
use crate::journal::{Change, Context};
use crate::memory::layout::{SPAN_BYTES, SPAN_TURN};

/// Builds a buffer with these bytes in one piece, and returns its offset. No turn is held.
///
/// # Errors
///
/// [`Error::HeapFull`], also for more bytes than the heap can ever have; nothing was built.
pub fn build(context: &Context, bytes: &[u8]) -> Result<u64> {
    let spans = check_length(context, bytes)? as u32;
    let built = &context.kept.built;
    // An operation may build very many, so it does not look at all of them for each.
    let spare = match built.is_used_up(u64::from(spans)) {
        true => None,
        false => find_spare(context, spans)?,
    };
    let index = match spare {
        Some((index, _)) => index,
        None => {
            built.set_used_up(u64::from(spans));
            allocate_run(context, spans)?
        }
    };
    fill(context, index, bytes)
}

/// As [`build`], in as many pieces as it takes. The first one holds at least `head` bytes.
///
/// # Errors
///
/// As [`build`]; nothing is left of it.
#[cold]
pub fn gather(context: &Context, bytes: &[u8], head: usize) -> Result<u64> {
    let region = context.region();
    let spans = check_length(context, bytes)?;
    let mut pieces = Pieces { context, first: None, last: 0, spans: 0 };
    while pieces.spans < spans {
        let found = pieces.add(spans - pieces.spans).or_else(|error| {
            drain_runs(context, context.index())?;
            Err(error)
        })?;
        if pieces.spans == found && found * SPAN_BYTES < head as u64 {
            drain_runs(context, context.index())?;
            return Err(span::full(region, spans));
        }
    }
    fill(context, pieces.first.unwrap_or(pieces.last), bytes)
}

/// The pieces of a buffer that are there, as one pending run.
struct Pieces<'a> {
    context: &'a Context,
    first: Option<u64>,
    last: u64,
    spans: u64,
}

impl Pieces<'_> {
    /// Adds a piece of at most `wanted` spans, and returns how many it has.
    fn add(&mut self, wanted: u64) -> Result<u64> {
        let region = self.context.region();
        let (held, index, spans) = loop {
            // All of it at once: what is refused leaves the file as long as it was.
            span::make_real_together(self.context, wanted)?;
            let held = self.context.hold(SPAN_TURN)?;
            if let Some((index, spans)) = span::find_most(&held, wanted)? {
                break (held, index, spans);
            }
        };
        self.context.kept.pending.set_untidy(true);
        let mut change = Change::begin(&held, CLAIM_WORDS + PUSH_WORDS + 1)?;
        span::claim(&mut change, index, Use::Run(spans))?;
        let span = region.span(index)?;
        change.set(&span.counts, 1);
        match self.first {
            Some(_) => change.set(&region.span(self.last)?.counts, 1 | (index + 1) << 32),
            None => links::push(&mut change, &self.context.control().runs, index)?,
        }
        change.commit();
        self.first = self.first.or(Some(index));
        self.last = index;
        self.spans += spans;
        Ok(spans)
    }
}

/// Returns how many spans a buffer with these bytes needs.
fn check_length(context: &Context, bytes: &[u8]) -> Result<u64> {
    let spans = (bytes.len() as u64).div_ceil(SPAN_BYTES);
    let limit = context.region().span_limit();
    if spans > limit { Err(span::full(context.region(), spans)) } else { Ok(spans) }
}

/// Fills a pending run with these bytes, and returns its offset.
fn fill(context: &Context, index: u64, bytes: &[u8]) -> Result<u64> {
    let region = context.region();
    let at = span::start_of(region, index);
    let (mut rest, len) = (bytes, bytes.len() as u64);
    context.apart(len, || {
        each_piece(region, at, len, |at, len| {
            let (part, more) = rest.split_at(len as usize);
            region.fill(at, part)?;
            rest = more;
            Ok::<_, Corrupt>(true)
        })
    })?;
    Ok(at)
}

/// Takes a buffer that was built off the pending runs: it becomes part of an object.
pub fn take_built(change: &mut Change<'_>, at: u64) -> Result<()> {
    let region = change.region();
    let (span, _) = run_at(region, span::index_of(region, at)?)?;
    Ok(links::take_off(change, &change.context().control().runs, span)?)
}
