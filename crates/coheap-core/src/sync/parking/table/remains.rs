//! What recovery and the estate do about the waits and the makers of a dead process.
//!
//! ```text
//! phase 1   waiting -> free, counted -> left; ring the next one for each, since a ring may be lost
//! phase 2   under the turn of each object that is owed a notification: `threshold::count`
//!           blocks without a cell in use are given back; then the row may be taken again
//! at last   ring everybody who waits
//! ```
//!
//! What always holds: each step is idempotent and may be run by several at once. No cell of a row is
//! in use when the row is given to another thread.

use super::{blocks_of, cells_in, cells_of, free_block, watch};
use crate::defect::{Mistake, defect};
use crate::memory::layout::ROW_CELLS;
use crate::memory::{Ordering, Region, fence};
use crate::os;
use crate::sync::parking::{Key, Lot, Reason, Seen, State, Who, bell, cell, ring};

/// Takes a dead row out of its cells. Returns how many cells stay, because they owe a notification
/// that a change has to pass on.
pub fn settle(region: &Region, who: Who) -> u32 {
    let own = who.row * ROW_CELLS;
    let mut owing = settle_cells(region, who, own..own + ROW_CELLS);
    for block in blocks_of(region, who) {
        let stays = settle_cells(region, who, cells_in(block));
        if stays == 0 {
            free_block(region, block, who);
        }
        owing += stays;
    }
    owing
}

fn settle_cells(region: &Region, who: Who, cells: std::ops::Range<u32>) -> u32 {
    let mut owing = 0;
    for number in cells {
        let Some(cell) = region.parking_cell(number) else { continue };
        let Some(seen) = cell::look(number, cell).filter(|seen| seen.who == who) else { continue };
        let next = match seen.state.state() {
            State::Waiting => State::Free,
            State::Counted => State::Left,
            State::Left | State::Passing => {
                owing += 1;
                continue;
            }
            State::Free => continue,
        };
        let _ = Region::compare_exchange(&cell.state, seen.state.0, seen.state.with(next).0);
        if next == State::Left {
            owing += 1;
        } else if seen.reason != Reason::Notification {
            ring::ring(region, seen.key, seen.reason, 1);
        }
    }
    owing
}

/// Returns the objects that a dead row owes a notification to: the estate takes the turn of each and
/// counts none, which passes on what is owed. A cell of an object that is gone owes nothing.
pub fn owed_by(region: &Region, who: Who) -> Vec<Key> {
    let mut keys = Vec::new();
    for number in cells_of(region, who) {
        let Some(cell) = region.parking_cell(number) else { continue };
        let Some(seen) = cell::look(number, cell).filter(|seen| seen.who == who) else { continue };
        if !matches!(seen.state.state(), State::Left | State::Passing) {
            continue;
        }
        if region.generation(seen.key.at) != Some(seen.key.generation) {
            free(region, &seen);
        } else if !keys.contains(&seen.key) {
            keys.push(seen.key);
        }
    }
    keys
}

fn free(region: &Region, seen: &Seen) {
    let Some(cell) = region.parking_cell(seen.cell) else { return };
    let _ = Region::compare_exchange(&cell.state, seen.state.0, seen.state.with(State::Free).0);
}

/// Rings everybody who waits: any of them may wait for what a dead process had, or for what it made
/// and did not ring for any more. Also who does not sleep yet: the look was perhaps too early.
pub fn ring_everybody(region: &Region) {
    fence(Ordering::SeqCst);
    let now = os::now();
    let mut waits = vec![false; region.real_rows() as usize];
    for seen in watch::everybody(region).filter(|_| !defect(Mistake::RingOnlySleepers)) {
        if let Some(row) = waits.get_mut(seen.who.row as usize) {
            *row = true;
        }
    }
    for (row, waits) in (0..).zip(waits) {
        // Where the table was full, a thread sleeps without a cell.
        if waits || region.context(row).sleeps_on.acquire() != 0 {
            bell::ring_row(region, row, now);
        }
    }
}
