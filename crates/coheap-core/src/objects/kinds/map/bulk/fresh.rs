//! Positions for new entries, behind all others.
//!
//! What always holds: a segment is looked up once for all its entries.

use super::super::table::Table;
use crate::error::Corrupt;
use crate::memory::layout::{MapEntry, SEGMENT_ENTRIES};

/// The positions after all entries, one after the other.
pub(super) struct Fresh<'a> {
    table: Table<'a>,
    position: u64,
    rest: &'a [MapEntry],
}

impl<'a> Fresh<'a> {
    pub(super) fn new(table: Table<'a>) -> Self {
        Self { table, position: table.used(), rest: &[] }
    }

    /// The position of the next entry.
    #[inline]
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Returns the entry at the next position.
    #[inline]
    pub(super) fn next(&mut self) -> Result<&'a MapEntry, Corrupt> {
        if self.rest.is_empty() {
            let end = self
                .table
                .capacity()
                .min(self.position - self.position % SEGMENT_ENTRIES + SEGMENT_ENTRIES);
            let at = self.table.region.offset_of(self.table.entry(self.position)?);
            self.rest = self.table.region.rows(at, (end - self.position) as usize)?;
        }
        let past_end = Corrupt { what: "position in a map", at: self.position };
        let (entry, rest) = self.rest.split_first().ok_or(past_end)?;
        self.rest = rest;
        self.position += 1;
        Ok(entry)
    }
}
