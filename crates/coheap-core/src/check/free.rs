//! Every free run and hole, and whether the span map's lists and numbers have them all.
//!
//! What always holds: the walk meets them in the order of their spans, so neighbours come one after
//! the other.

use super::broken;
use crate::allocator::span::{self, Use};
use crate::error::Result;
use crate::memory::Region;

/// The free runs and holes of a walk, in the order of their spans.
#[derive(Debug, Default)]
pub(super) struct Free {
    runs: Vec<(u64, Use)>,
}

impl Free {
    /// Notes a free run or a hole.
    pub(super) fn survey(&mut self, index: u64, usage: Use) -> Result<()> {
        if let Some((before, was)) = self.runs.last() {
            if was.joins(usage) && before + was.spans() == index {
                return Err(broken("free runs that are not joined", index));
            }
        }
        self.runs.push((index, usage));
        Ok(())
    }

    /// Compares what was noted with the numbers and lists of the span map.
    pub(super) fn finish(mut self, region: &Region) -> Result<()> {
        let map = &region.header().spans;
        let frontier = map.frontier.get();
        let last = self.runs.last();
        if last.is_some_and(|(first, usage)| *usage == Use::Free(frontier - first)) {
            return Err(broken("free run at the frontier", frontier));
        }
        let sum = |wanted: fn(&Use) -> bool| -> u64 {
            self.runs
                .iter()
                .filter(|(_, usage)| wanted(usage))
                .map(|(_, usage)| usage.spans())
                .sum()
        };
        let holes = sum(|usage| matches!(usage, Use::Hole(_)));
        if sum(|_| true) != map.free.get() || holes != map.holes.get() {
            return Err(broken("numbers of the span map", map.free.get()));
        }
        let mut listed = span::listed(region)?;
        listed.sort_unstable_by_key(|(first, _)| *first);
        self.runs.sort_unstable_by_key(|(first, _)| *first);
        if listed != self.runs {
            return Err(broken("bins of free runs", listed.len() as u64));
        }
        Ok(())
    }
}
