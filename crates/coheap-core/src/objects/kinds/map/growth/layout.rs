//! The segments, directories and leaves of a table that is built beside an old one, for entries whose number
//! is known.
//!
//! What always holds: nobody reaches what is taken here before the change commits.

use super::super::index::Plan;
use super::super::table::{directory_room, entries_room};
use crate::allocator::{self, Room};
use crate::error::Result;
use crate::journal::Change;
use crate::memory::Word;
use crate::memory::layout::SEGMENT_ENTRIES;

/// Fewest positions of a map that is not empty.
pub(super) const LEAST: u64 = 8;

/// Where the entries of a new table go, and how it finds them.
pub(in super::super) struct Layout {
    pub(in super::super) positions: u64,
    /// Offsets in the directory of segments; 0: there is one segment and no directory.
    pub(in super::super) directory_len: u64,
    pub(in super::super) index: Plan,
}

impl Layout {
    /// Of a table for so many entries, and positions for more.
    pub(in super::super) fn new(live: u64, more: u64, index: Plan) -> Self {
        let wanted = (live + more).max(LEAST);
        if wanted <= SEGMENT_ENTRIES {
            return Self { positions: wanted.next_power_of_two(), directory_len: 0, index };
        }
        let segments = wanted.div_ceil(SEGMENT_ENTRIES);
        Self {
            positions: segments * SEGMENT_ENTRIES,
            directory_len: segments.next_power_of_two().max(8),
            index,
        }
    }

    fn segments(&self) -> u64 {
        if self.directory_len == 0 { 1 } else { self.positions / SEGMENT_ENTRIES }
    }

    /// Returns the room of all its blocks.
    pub(in super::super) fn rooms(&self) -> Vec<Room> {
        let segment = entries_room(self.positions.min(SEGMENT_ENTRIES));
        let mut rooms = vec![segment; self.segments() as usize];
        if self.directory_len > 0 {
            rooms.push(directory_room(self.directory_len));
        }
        rooms.extend(vec![self.index.leaf_room(); self.index.leaves() as usize]);
        rooms.extend(self.index.directory_room());
        rooms
    }

    /// Takes the blocks of the entries. Returns what leads to them, and the segments.
    pub(in super::super) fn take_entries(
        &self,
        change: &mut Change<'_>,
    ) -> Result<(u64, Vec<u64>)> {
        let room = entries_room(self.positions.min(SEGMENT_ENTRIES));
        let segments = (0..self.segments())
            .map(|_| allocator::take(change, room))
            .collect::<Result<Vec<u64>>>()?;
        if self.directory_len == 0 {
            return Ok((segments[0], segments));
        }
        let directory = allocator::take(change, directory_room(self.directory_len))?;
        let offsets = change.region().words(directory, self.directory_len as usize)?;
        fill_directory(change, offsets, segments.iter().copied());
        Ok((directory, segments))
    }
}

/// Fills a directory that no reader can reach yet: these offsets, and none behind them.
pub(super) fn fill_directory(
    change: &Change<'_>,
    words: &[Word],
    offsets: impl Iterator<Item = u64>,
) {
    for (word, offset) in words.iter().zip(offsets.chain(std::iter::repeat(0))) {
        change.put(word, offset);
    }
}
