//! Which rows of the tables are real, and how more become so.
//!
//! What always holds: pages are allocated before the number of real rows rises, and that rises before
//! anybody uses them. Nobody reads beyond, because a hole on a full file system cannot be touched.
//!
//! Not here: who has a row (`sync`), and where the tables lie (`memory::layout`).

use super::Region;
use crate::error::{Error, Result};
use crate::memory::Word;
use crate::memory::layout::{
    self, CHUNK_BYTES, CONTEXT_COUNT, ContextRow, JOURNAL_BYTES, SPAN_BYTES, Slot, Span, Turn,
};

impl Region {
    /// Number of real slots.
    #[inline]
    pub fn real_slots(&self) -> u32 {
        self.header().slots.acquire().min(u64::from(layout::SLOT_COUNT)) as u32
    }

    /// Number of real contexts.
    #[inline]
    pub fn real_rows(&self) -> u32 {
        self.header().rows.acquire().min(u64::from(CONTEXT_COUNT)) as u32
    }

    /// Turns that are real while there are `slots` real slots, in order.
    pub fn real_turns(slots: u32) -> impl Iterator<Item = u32> {
        (0..layout::SLOT_TURNS + slots).chain(layout::ARENA_TURNS..layout::TURN_COUNT)
    }

    /// Makes one more slot real, with its turn, than the `known` ones. Returns `false` if the table
    /// has no more.
    pub fn grow_slots(&self, known: u32) -> Result<bool> {
        if known >= layout::SLOT_COUNT {
            return Ok(false);
        }
        let (slot, turn) = (size_of::<Slot>() as u64, size_of::<Turn>() as u64);
        self.commit_row(layout::SLOT_TURNS_START + u64::from(known) * turn, turn)?;
        self.commit_row(layout::SLOTS + u64::from(known) * slot, slot)?;
        Self::count_up(&self.header().slots, known);
        Ok(true)
    }

    /// Makes one more context real, with its journal, than the `known` ones. Returns `false` if the
    /// table has no more.
    pub fn grow_rows(&self, known: u32) -> Result<bool> {
        if known >= CONTEXT_COUNT {
            return Ok(false);
        }
        let row = size_of::<ContextRow>() as u64;
        self.commit_row(layout::CONTEXTS + u64::from(known) * row, row)?;
        self.commit_row(layout::JOURNALS + u64::from(known) * JOURNAL_BYTES, JOURNAL_BYTES)?;
        Self::count_up(&self.header().rows, known);
        Ok(true)
    }

    /// Raises a number by one, unless another thread has done so.
    fn count_up(number: &Word, known: u32) {
        let _ = Self::compare_exchange(number, u64::from(known), u64::from(known) + 1);
    }

    /// Makes the pages of an overflow chunk real.
    pub fn commit_chunk(&self, chunk: u32) -> Result<()> {
        self.commit_row(layout::CHUNKS + u64::from(chunk) * CHUNK_BYTES, CHUNK_BYTES)
    }

    /// Makes the pages of a row real.
    fn commit_row(&self, at: u64, len: u64) -> Result<()> {
        let file = self.checked_file()?;
        file.commit(at, len).map_err(|refused| self.full_by(len, refused))
    }

    /// Makes the pages and table rows of spans `from..to` real; some of them may be afterwards if it
    /// fails.
    pub fn commit_spans(&self, from: u64, to: u64) -> Result<()> {
        let (rows, len) = Self::rows_of_spans(from, to);
        self.checked_file()?.commit(rows, len)?;
        self.commit_data(from, to - from)
    }

    /// Gives the pages of spans `from..to`, with their table rows, back to the system. Nobody uses
    /// them.
    pub fn withdraw_spans(&self, from: u64, to: u64) {
        let (rows, len) = Self::rows_of_spans(from, to);
        if let Ok(file) = self.checked_file() {
            file.decommit(rows, len);
            file.decommit(self.data_start + from * SPAN_BYTES, (to - from) * SPAN_BYTES);
        }
    }

    fn rows_of_spans(from: u64, to: u64) -> (u64, u64) {
        let row = size_of::<Span>() as u64;
        (layout::SPAN_TABLE + from * row, (to - from) * row)
    }

    /// Makes the pages of `spans` spans from `first` on real, whose rows are.
    pub fn commit_data(&self, first: u64, spans: u64) -> Result<()> {
        self.checked_file()?.commit(self.data_start + first * SPAN_BYTES, spans * SPAN_BYTES)
    }

    /// Gives the pages of `spans` spans from `first` on back to the system. Who looks at them sees
    /// zeros.
    pub fn decommit_data(&self, first: u64, spans: u64) -> Result<()> {
        let file = self.checked_file()?;
        file.decommit(self.data_start + first * SPAN_BYTES, spans * SPAN_BYTES);
        Ok(())
    }

    /// Returns whether the place of the pages has a limit of its own. A file in no folder has none.
    pub fn can_run_out(&self) -> bool {
        self.file.place().is_none_or(|(folder, _)| folder.is_some())
    }

    /// Spans in use.
    pub fn used_spans(&self) -> u64 {
        let map = &self.header().spans;
        map.frontier.get().saturating_sub(map.free.get())
    }

    /// Bytes of spans in use.
    pub fn used_bytes(&self) -> u64 {
        self.used_spans().saturating_mul(SPAN_BYTES)
    }

    /// The error of a call that was refused pages: a system without room counts as a heap without
    /// room. Any other refusal is returned as it is.
    #[cold]
    pub fn full_by(&self, wanted: u64, refused: Error) -> Error {
        match self.file.why_full(&refused) {
            Some(system) => Error::HeapFull {
                wanted,
                used: self.used_bytes(),
                max: self.span_limit() * SPAN_BYTES,
                system: Some(Box::new(system)),
            },
            None => refused,
        }
    }
}
