//! Free runs by length: in bins, each a list linked both ways.
//!
//! Lengths up to seven spans have a bin each; of the longer ones, those with the same first three
//! binary digits share one. A run of a higher bin is longer than all runs of a lower one, so a search
//! looks at the runs of one bin, and otherwise takes the first of the next bin that has any.
//!
//! What always holds, under the span map's turn:
//!
//! - **Bins.1** Every free run is in the bin of its length, once, and every hole likewise.
//! - **Bins.2** The bit of a bin is set if and only if the bin has a run.

use super::Use;
use crate::allocator::links;
use crate::error::{Corrupt, Result};
use crate::journal::Change;
use crate::memory::Region;
use crate::memory::layout::{BIN_COUNT, Bins};

/// Words that `link` or `unlink` saves at most.
pub(super) const LINK_WORDS: usize = links::PUSH_WORDS + 1;
/// How many runs of one bin a search looks at while there are others.
const LOOKS: u64 = 8;

/// Returns the bin of a length in spans.
fn bin_of(spans: u64) -> usize {
    if spans < 8 {
        return spans as usize;
    }
    let digits = spans.ilog2();
    let bin = 4 * (digits as usize - 1) + (spans >> (digits - 2) & 3) as usize;
    bin.min(BIN_COUNT - 1)
}

/// Puts a free run in its bin.
pub(super) fn link(change: &mut Change<'_>, bins: &Bins, first: u64, spans: u64) -> Result<()> {
    let bin = bin_of(spans);
    let head = &bins.first[bin];
    if head.get() == 0 {
        mark(change, bins, bin, true);
    }
    Ok(links::push(change, head, first)?)
}

/// Takes a free run out of its bin.
pub(super) fn unlink(change: &mut Change<'_>, bins: &Bins, first: u64, spans: u64) -> Result<()> {
    let bin = bin_of(spans);
    let (head, span) = (&bins.first[bin], change.region().span(first)?);
    let is_first = links::neighbours(span).0 == 0;
    if is_first && head.get() != first + 1 {
        return Err(Corrupt { what: "bin of a free run", at: first }.into());
    }
    links::take_off(change, head, span)?;
    if head.get() == 0 {
        mark(change, bins, bin, false);
    }
    Ok(())
}

fn mark(change: &mut Change<'_>, bins: &Bins, bin: usize, has_runs: bool) {
    let word = &bins.filled[bin / 64];
    let bit = 1 << (bin % 64);
    change.set(word, if has_runs { word.get() | bit } else { word.get() & !bit });
}

/// Returns a free run of at least `wanted` spans: its first span and its length.
pub(super) fn find(region: &Region, bins: &Bins, wanted: u64) -> Result<Option<(u64, u64)>> {
    let own = bin_of(wanted);
    if let Some(found) = look_into(region, bins, own, wanted, LOOKS)? {
        return Ok(Some(found));
    }
    if let Some(bin) = filled_above(bins, own) {
        return look_into(region, bins, bin, wanted, 1);
    }
    look_into(region, bins, own, wanted, u64::MAX)
}

/// Returns a run of the longest ones: of the last bin that has any.
pub(super) fn longest(region: &Region, bins: &Bins) -> Result<Option<(u64, u64)>> {
    longest_before(region, bins, u64::MAX)
}

/// As [`longest`], among those of which no part was freed after `before`. It looks at some hundreds.
pub(super) fn longest_before(
    region: &Region,
    bins: &Bins,
    before: u64,
) -> Result<Option<(u64, u64)>> {
    let mut looks = 512;
    for bin in (0..BIN_COUNT).rev().filter(|bin| is_filled(bins, *bin)) {
        let mut next = bins.first[bin].get();
        while let Some(first) = next.checked_sub(1) {
            let span = region.span(first)?;
            if span.counts.get() <= before {
                return Ok(Some((first, Use::of(span, first)?.spans())));
            }
            looks -= 1;
            if looks == 0 {
                return Ok(None);
            }
            next = links::neighbours(span).1;
        }
    }
    Ok(None)
}

/// Returns all runs that the bins list, in any order: for the integrity walk, which checks links, too.
pub(super) fn listed(region: &Region, bins: &Bins) -> Result<Vec<(u64, Use)>> {
    let mut all = Vec::new();
    for (bin, head) in bins.first.iter().enumerate() {
        let (mut next, mut before) = (head.get(), 0);
        if (next != 0) != is_filled(bins, bin) {
            return Err(Corrupt { what: "mark of a bin", at: bin as u64 }.into());
        }
        while let Some(first) = next.checked_sub(1) {
            let span = region.span(first)?;
            let usage = Use::of(span, first)?;
            let (previous, after) = links::neighbours(span);
            let is_in_place = previous == before && bin_of(usage.spans()) == bin;
            if !is_in_place || all.len() as u64 > region.committed_spans() {
                return Err(Corrupt { what: "bin of free runs", at: first }.into());
            }
            all.push((first, usage));
            before = next;
            next = after;
        }
    }
    Ok(all)
}

fn is_filled(bins: &Bins, bin: usize) -> bool {
    bins.filled[bin / 64].get() >> (bin % 64) & 1 == 1
}

/// Returns the lowest bin above `bin` that has a run.
fn filled_above(bins: &Bins, bin: usize) -> Option<usize> {
    let from = bin + 1;
    (from / 64..bins.filled.len()).find_map(|number| {
        let below = if number == from / 64 { (1 << (from % 64)) - 1 } else { 0 };
        let filled = bins.filled[number].get() & !below;
        (filled != 0).then(|| number * 64 + filled.trailing_zeros() as usize)
    })
}

/// Looks at the first runs of a bin, at most `looks` of them.
fn look_into(
    region: &Region,
    bins: &Bins,
    bin: usize,
    wanted: u64,
    looks: u64,
) -> Result<Option<(u64, u64)>> {
    let mut next = bins.first[bin].get();
    // More than there can be: a list that leads back to itself is not walked for ever.
    for _ in 0..looks.min(region.committed_spans()) {
        let Some(first) = next.checked_sub(1) else { break };
        let span = region.span(first)?;
        let (Use::Free(spans) | Use::Hole(spans)) = Use::of(span, first)? else {
            return Err(Corrupt { what: "bin of free runs", at: first }.into());
        };
        if spans >= wanted {
            return Ok(Some((first, spans)));
        }
        next = links::neighbours(span).1;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_run_is_in_no_lower_bin() {
        for spans in 1..100_000 {
            assert!(bin_of(spans) <= bin_of(spans + 1), "{spans}");
            assert!(bin_of(spans + 1) - bin_of(spans) <= 1, "{spans}");
        }
        assert_eq!([1, 7, 8, 9, 10, 15, 16].map(bin_of), [1, 7, 8, 8, 9, 11, 12]);
        assert_eq!(bin_of(u64::from(u32::MAX)), 123);
        assert!(bin_of(u64::MAX) < BIN_COUNT);
    }
}
