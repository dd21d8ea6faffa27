//! The parking table of a heap: which lines and blocks are real, and the words behind the protocol.
//!
//! What always holds: a line or a block is made real before its number is handed out, because a hole
//! on a full file system cannot be touched. Anybody may make the next ones real: it is idempotent,
//! and how far it went is published as a maximum.
//!
//! A death between the claim of a line and its link loses that line: one of 64,512, which are claimed
//! once each.

pub mod remains;
pub mod waiter;
pub mod watch;

use super::{Lot, Who};
use crate::memory::layout::{
    BLOCK_CELLS, BLOCK_COUNT, BLOCK_STEP, BUCKET_COUNT, Bell, CONTEXT_COUNT, LINE_COUNT, LINE_STEP,
    ParkingCell, ROW_CELLS, TagLine,
};
use crate::memory::{Region, Word};

/// First cell of the first block.
const FIRST_IN_BLOCKS: u32 = CONTEXT_COUNT * ROW_CELLS;

impl Lot for Region {
    fn bell(&self, row: u32) -> Option<&Bell> {
        self.is_row_real(row).then(|| Region::bell(self, row))
    }

    fn cell(&self, number: u32) -> Option<&ParkingCell> {
        self.parking_cell(number)
    }

    fn line(&self, number: u32) -> Option<&TagLine> {
        self.tag_line(number)
    }

    fn new_line(&self) -> Option<u32> {
        let head = self.parking();
        let most = u64::from(LINE_COUNT - BUCKET_COUNT);
        loop {
            let used = head.lines_used.acquire();
            if used >= most {
                return None;
            }
            let real = head.lines_real.acquire().min(most);
            if used >= real {
                let to = (real + u64::from(LINE_STEP)).min(most);
                self.commit_lines(real as u32, to as u32).ok()?;
                Region::lift(&head.lines_real, to);
                continue;
            }
            if Region::compare_exchange(&head.lines_used, used, used + 1).is_ok() {
                return Some(BUCKET_COUNT + used as u32);
            }
        }
    }

    fn tickets(&self) -> &Word {
        &self.parking().tickets
    }

    fn generation(&self, at: u64) -> Option<u64> {
        // The generation is the first word of a header, also of the one that lies in the tables.
        self.journaled_word(at).ok().map(Word::acquire)
    }
}

/// Takes a block of cells for a row, and makes more real if all are taken. `None`: there is none.
fn take_block(region: &Region, who: Who) -> Option<u32> {
    let head = region.parking();
    let mut from = 0;
    loop {
        let real = head.blocks_real.acquire().min(u64::from(BLOCK_COUNT)) as u32;
        for block in from..real {
            let owner = region.block_owner(block)?;
            if owner.get() == 0 && Region::compare_exchange(owner, 0, who.bits()).is_ok() {
                return Some(block);
            }
        }
        if real == BLOCK_COUNT {
            return None;
        }
        let to = (real + BLOCK_STEP).min(BLOCK_COUNT);
        region.commit_blocks(real, to).ok()?;
        Region::lift(&head.blocks_real, u64::from(to));
        from = real;
    }
}

/// Gives a block back that belongs to a row.
fn free_block(region: &Region, block: u32, who: Who) {
    if let Some(owner) = region.block_owner(block) {
        let _ = Region::compare_exchange(owner, who.bits(), 0);
    }
}

/// Returns the blocks that belong to a row.
fn blocks_of(region: &Region, who: Who) -> impl Iterator<Item = u32> {
    let real = region.parking().blocks_real.acquire().min(u64::from(BLOCK_COUNT)) as u32;
    let is_of = move |block: &u32| {
        region.block_owner(*block).is_some_and(|owner| owner.acquire() == who.bits())
    };
    (0..real).filter(is_of)
}

/// Returns the numbers of all cells that a row has: its own, and those of its blocks.
fn cells_of(region: &Region, who: Who) -> impl Iterator<Item = u32> {
    let own = who.row * ROW_CELLS;
    let in_blocks = blocks_of(region, who).flat_map(cells_in);
    (own..own + ROW_CELLS).chain(in_blocks)
}

/// Returns the numbers of the cells of a block.
fn cells_in(block: u32) -> std::ops::Range<u32> {
    let first = FIRST_IN_BLOCKS + block * BLOCK_CELLS;
    first..first + BLOCK_CELLS
}
