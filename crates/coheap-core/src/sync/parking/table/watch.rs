//! Looks at the table as a whole: the slow tick, the search for deadlocks, and figures.
//!
//! What always holds: nothing here changes a wait. What is read may be over a moment later.

use super::{FIRST_IN_BLOCKS, cells_of};
use crate::memory::Region;
use crate::memory::layout::{BLOCK_CELLS, BLOCK_COUNT, BUCKET_COUNT, LINE_COUNT, ROW_CELLS};
use crate::sync::parking::{Reason, Seen, Who, cell};

/// Cells that one slow tick looks at.
pub const TICK_CELLS: u32 = 512;

/// Returns the number of cells that are real: those of rows, then those of blocks.
fn cell_count(region: &Region) -> u32 {
    let blocks = region.parking().blocks_real.acquire().min(u64::from(BLOCK_COUNT)) as u32;
    region.real_rows() * ROW_CELLS + blocks * BLOCK_CELLS
}

/// Returns the `index`th cell that is real, if somebody waits there.
fn nth(region: &Region, index: u32) -> Option<Seen> {
    let of_rows = region.real_rows() * ROW_CELLS;
    seen(region, index.checked_sub(of_rows).map_or(index, |index| FIRST_IN_BLOCKS + index))
}

/// Returns who waits in the next 512 cells, in rotation over all ticks of the heap. The caller rings
/// those whose thing is there, or whose offer has lapsed: a maker may have died before it rang, and
/// who was rung may be stopped.
pub fn tick(region: &Region) -> Vec<Seen> {
    let count = cell_count(region);
    let first = Region::add(&region.parking().rotation, u64::from(TICK_CELLS));
    let first = first.checked_rem(u64::from(count)).unwrap_or(0) as u32;
    let numbers = (0..TICK_CELLS.min(count)).map(|step| (first + step) % count);
    numbers.filter_map(|index| nth(region, index)).collect()
}

/// Returns everybody who waits. For recovery, which is rare, and for people.
pub fn everybody(region: &Region) -> impl Iterator<Item = Seen> {
    (0..cell_count(region)).filter_map(move |index| nth(region, index))
}

fn seen(region: &Region, number: u32) -> Option<Seen> {
    let cell = region.parking_cell(number)?;
    cell::look(number, cell).filter(|seen| seen.state.is_waiting())
}

/// Returns what keeps a thread from going on: the innermost of its waits, if that is for a lock and
/// has no deadline. Waits for any of several things are no edge, and offers hold nothing.
pub fn edge(region: &Region, who: Who) -> Option<Seen> {
    let waits = cells_of(region, who).filter_map(|number| seen(region, number));
    let innermost = waits.filter(|seen| seen.who == who).max_by_key(|seen| seen.ticket)?;
    let is_lock = matches!(innermost.reason, Reason::Lock | Reason::Transaction);
    let is_stuck = innermost.manner.is_untimed && !innermost.manner.is_one_of_many;
    (is_lock && is_stuck).then_some(innermost)
}

/// How much of the table is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Lines behind the buckets that are linked, and how many there can be.
    pub lines: [u64; 2],
    /// Blocks that a row has, and how many there can be.
    pub blocks: [u64; 2],
}

/// Returns how much of the table is in use.
pub fn fill(region: &Region) -> Fill {
    let head = region.parking();
    let real = head.blocks_real.acquire().min(u64::from(BLOCK_COUNT)) as u32;
    let is_taken =
        |block: &u32| region.block_owner(*block).is_some_and(|owner| owner.acquire() != 0);
    Fill {
        lines: [head.lines_used.acquire(), u64::from(LINE_COUNT - BUCKET_COUNT)],
        blocks: [(0..real).filter(is_taken).count() as u64, u64::from(BLOCK_COUNT)],
    }
}
