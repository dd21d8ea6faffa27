//! What recovery and the estate do about the waits and the makers of a dead process.
//!
//! ```text
//! phase 1   ring for the object that the row was making something of, and for the turns it held
//!           waiting -> free, counted -> left; ring the next one for each, since a ring may be lost
//! phase 2   under the turn of each object that is owed a notification: `threshold::count`
//!           blocks without a cell in use are given back; then the row may be taken again
//! ```
//!
//! What always holds: each step is idempotent and may be run by several at once. No cell of a row is
//! in use when the row is given to another thread.

use super::{blocks_of, cells_in, cells_of, free_block, watch};
use crate::defect::{Mistake, defect};
use crate::memory::Region;
use crate::memory::layout::ROW_CELLS;
use crate::sync::parking::{Key, Lot, Reason, Seen, State, Who, cell, ring};

/// Says that the thread makes something available of an object, before the change: if it dies
/// between the change and the ring, recovery rings for it. 0 ends it.
pub fn note_making(region: &Region, row: u32, at: u64) {
    Region::store(region.making(row), at);
}

/// Rings for what a dead row was making, and takes it out of its cells. Returns how many cells stay,
/// because they owe a notification that a change has to pass on.
pub fn settle(region: &Region, who: Who) -> u32 {
    let at = region.making(who.row).acquire();
    if at != 0 && !defect(Mistake::ForgetDeadMaker) {
        ring::ring_everybody(region, at);
        let _ = Region::compare_exchange(region.making(who.row), at, 0);
    }
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

/// Rings those who may wait for what a dead process left behind: whose object's turn it held, or of
/// whose word `names_victim` says that it names the dead.
pub fn ring_for_the_dead(
    region: &Region,
    is_freed: impl Fn(u16) -> bool,
    names_victim: impl Fn(&Seen) -> bool,
) {
    for seen in watch::everybody(region) {
        if seen.manner.turns.iter().flatten().any(|turn| is_freed(*turn)) || names_victim(&seen) {
            ring::ring_cell(region, &seen);
        }
    }
}
