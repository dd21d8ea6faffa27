//! The parking table in the mapped bytes: its rows, lines and cells, and the doors to its bells.
//!
//! What always holds: what is not real is not handed out, because a hole on a full file system
//! cannot be touched. A number from shared memory that leads there is answered by `None`.
//!
//! Not here: what the words mean (`sync::parking`).

use super::Region;
use crate::error::Result;
use crate::memory::Ordering;
use crate::memory::layout::{
    self, BLOCK_BYTES, BLOCK_CELLS, BLOCK_COUNT, BUCKET_COUNT, Bell, CONTEXT_COUNT, LINE_COUNT,
    ParkingCell, ParkingHead, ROW_CELLS, TagLine,
};
use crate::memory::{Signal, Word};
use crate::os::failpoint;

impl Region {
    /// Returns the head of the parking table.
    #[inline(always)]
    pub fn parking(&self) -> &ParkingHead {
        // SAFETY: the head is one of the tables (Region.2).
        unsafe { self.resolve(layout::PARKING) }
    }

    /// Returns whether there is such a row.
    pub fn is_row_real(&self, row: u32) -> bool {
        row < self.real_rows()
    }

    /// Returns the bell of a row. `row` must be real.
    pub fn bell(&self, row: u32) -> &Bell {
        &self.context(row).bell
    }

    /// Returns a cell of the parking table: the cells of rows come first, then those of blocks.
    /// `None` if there is no such cell, or if it is not real.
    pub fn parking_cell(&self, number: u32) -> Option<&ParkingCell> {
        let Some(index) = number.checked_sub(CONTEXT_COUNT * ROW_CELLS) else {
            let row = number / ROW_CELLS;
            let cells = self.is_row_real(row).then(|| &self.context(row).cells);
            return cells.map(|cells| &cells[(number % ROW_CELLS) as usize]);
        };
        let block = u64::from(index / BLOCK_CELLS);
        if block >= self.parking().blocks_real.acquire().min(u64::from(BLOCK_COUNT)) {
            return None;
        }
        let at = layout::BLOCKS + u64::from(index) * size_of::<ParkingCell>() as u64;
        // SAFETY: a cell of a block (the block was checked above, Region.2).
        Some(unsafe { self.resolve(at) })
    }

    /// Returns a line of tags: the buckets come first. `None` if it is not real.
    pub fn tag_line(&self, number: u32) -> Option<&TagLine> {
        let size = size_of::<TagLine>() as u64;
        let at = match number.checked_sub(BUCKET_COUNT) {
            None => layout::BUCKETS + u64::from(number) * size,
            Some(index) => {
                let real = self.parking().lines_real.acquire();
                if number >= LINE_COUNT || u64::from(index) >= real {
                    return None;
                }
                layout::LINES + u64::from(index) * size
            }
        };
        // SAFETY: a line of the buckets or of the others (both were checked above, Region.2).
        Some(unsafe { self.resolve(at) })
    }

    /// Returns who uses a block of cells. `None` if the block is not real.
    pub fn block_owner(&self, block: u32) -> Option<&Word> {
        if u64::from(block) >= self.parking().blocks_real.acquire().min(u64::from(BLOCK_COUNT)) {
            return None;
        }
        // SAFETY: a word of the owners (`block` was checked above, Region.2).
        Some(unsafe { self.resolve(layout::BLOCK_OWNERS + u64::from(block) * 8) })
    }

    /// Makes lines of tags `from..to` real, the buckets not counted.
    pub fn commit_lines(&self, from: u32, to: u32) -> Result<()> {
        let size = size_of::<TagLine>() as u64;
        self.checked_file()?
            .commit(layout::LINES + u64::from(from) * size, u64::from(to - from) * size)
    }

    /// Makes blocks of cells `from..to` real, with the words of their owners.
    pub fn commit_blocks(&self, from: u32, to: u32) -> Result<()> {
        let (start, count) = (u64::from(from), u64::from(to - from));
        let file = self.checked_file()?;
        file.commit(layout::BLOCK_OWNERS + start * 8, count * 8)?;
        file.commit(layout::BLOCKS + start * BLOCK_BYTES, count * BLOCK_BYTES)
    }

    /// Door two: sets bits, and returns what was there.
    pub fn raise(word: &Word, bits: u64) -> u64 {
        failpoint::hit();
        word.0.fetch_or(bits, Ordering::SeqCst)
    }

    /// Door two: clears bits, and returns what was there.
    pub fn lower(word: &Word, bits: u64) -> u64 {
        failpoint::hit();
        word.0.fetch_and(!bits, Ordering::SeqCst)
    }

    /// Door two: makes a word at least `least`.
    pub fn lift(word: &Word, least: u64) {
        failpoint::hit();
        word.0.fetch_max(least, Ordering::AcqRel);
    }

    /// Door two: sets bits of a bell, and returns what was there.
    pub fn ring(bell: &Signal, bits: u32) -> u32 {
        failpoint::hit();
        bell.word.fetch_or(bits, Ordering::SeqCst)
    }

    /// Door two: takes a bell down, and returns what was there.
    pub fn hush(bell: &Signal) -> u32 {
        failpoint::hit();
        bell.word.swap(0, Ordering::SeqCst)
    }

    /// Door two: says when a bell was rung.
    pub fn stamp(bell: &Signal, now: u32) {
        failpoint::hit();
        bell.watcher.store(now, Ordering::Relaxed);
    }
}
