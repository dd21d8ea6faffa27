//! Lists of spans, linked both ways by the word `links` of their rows: low half the previous span, high
//! half the next one, as numbers plus one. Arenas, pending runs and bins have such lists.
//!
//! What always holds: the first span of a list has no previous one, and the list's head leads to it.
//!
//! Not here: which turn guards a list, and the lists of dropped runs, which lead one way only.

use crate::error::{Corrupt, Result};
use crate::journal::Change;
use crate::memory::Word;
use crate::memory::layout::Span;

/// Words that [`push`] saves at most.
pub(super) const PUSH_WORDS: usize = 3;
/// Words that [`take_off`] saves at most.
pub(super) const TAKE_OFF_WORDS: usize = 2;
const HALF: u64 = u32::MAX as u64;

/// Returns the previous span and the next one, as numbers plus one.
pub(crate) fn neighbours(span: &Span) -> (u64, u64) {
    let links = span.links.get();
    (links & HALF, links >> 32)
}

/// Puts a span at the front of a list.
pub(super) fn push(change: &mut Change<'_>, head: &Word, index: u64) -> Result<(), Corrupt> {
    let region = change.region();
    let next = head.get();
    if let Some(after) = next.checked_sub(1) {
        let after = &region.span(after)?.links;
        change.set(after, (after.get() & !HALF) | (index + 1));
    }
    change.set(&region.span(index)?.links, next << 32);
    change.set(head, index + 1);
    Ok(())
}

/// Takes a span off a list. Its own links stay as they are.
pub(super) fn take_off(change: &mut Change<'_>, head: &Word, span: &Span) -> Result<(), Corrupt> {
    let (previous, next) = neighbours(span);
    lead(change, head, span, previous, next)
}

/// Puts the span `new` in the place of another one. Saves one word more than [`take_off`].
pub(super) fn replace(
    change: &mut Change<'_>,
    head: &Word,
    old: &Span,
    new: u64,
) -> Result<(), Corrupt> {
    change.set(&change.region().span(new)?.links, old.links.get());
    lead(change, head, old, new + 1, new + 1)
}

/// Lets the two neighbours of a span lead elsewhere: the next one back to `previous`, and the previous
/// one, or the head, on to `next`.
fn lead(
    change: &mut Change<'_>,
    head: &Word,
    of: &Span,
    previous: u64,
    next: u64,
) -> Result<(), Corrupt> {
    let region = change.region();
    let (before, after) = neighbours(of);
    if let Some(after) = after.checked_sub(1) {
        let after = &region.span(after)?.links;
        change.set(after, (after.get() & !HALF) | previous);
    }
    match before.checked_sub(1) {
        Some(before) => {
            let before = &region.span(before)?.links;
            change.set(before, (before.get() & HALF) | next << 32);
        }
        None => change.set(head, next),
    }
    Ok(())
}
