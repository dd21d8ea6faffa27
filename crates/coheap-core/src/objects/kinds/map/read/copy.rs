//! A copy of the entries of a map, and what replaces parts of it.
//!
//! What always holds: an entry that was put later stands for what was copied at its position before.

use std::collections::BTreeMap;

use super::super::pairs::{LongEntry, Pair, Pairs, Take};
use super::super::table::Table;
use crate::error::Result;
use crate::journal::Context;
use crate::objects::cell::Cell;

/// The entries, in the order of their positions.
#[derive(Debug, Default)]
pub(super) struct Copy {
    pub(super) all: Pairs,
    pub(super) places: Places,
    /// What is at these positions instead; `None`: nothing.
    others: BTreeMap<u64, Option<Pair>>,
}

/// The positions of entries: runs of neighbours.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// The first position of each run, and the number of its entry.
    runs: Vec<(u64, usize)>,
    count: usize,
}

/// The entries that were found at some positions.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) entries: Pairs,
    /// Their positions.
    found: Vec<u64>,
}

impl Places {
    /// Adds the position of the next entry.
    #[inline]
    pub(super) fn push(&mut self, position: u64) {
        if self.next() != Some(position) {
            self.runs.push((position, self.count));
        }
        self.count += 1;
    }

    /// Returns the position behind the last one.
    #[inline]
    fn next(&self) -> Option<u64> {
        self.runs.last().map(|(first, number)| first + (self.count - number) as u64)
    }

    /// Returns the number of the entry at a position.
    fn number_of(&self, position: u64) -> Option<usize> {
        let after = self.runs.partition_point(|(first, _)| *first <= position);
        let (first, number) = self.runs[after.checked_sub(1)?];
        let end = self.runs.get(after).map_or(self.count, |(_, number)| *number);
        let wanted = number + (position - first) as usize;
        (wanted < end).then_some(wanted)
    }

    /// Returns all positions, in order.
    fn iter(&self) -> impl Iterator<Item = u64> {
        let ends = self.runs.iter().skip(1).map(|(_, number)| *number).chain([self.count]);
        let runs = self.runs.iter().zip(ends);
        runs.flat_map(|((first, number), end)| *first..*first + (end - number) as u64)
    }
}

impl Seen {
    /// Reads the entries at these positions. The long ones are named, and to be filled in.
    pub(super) fn read<'a>(
        &mut self,
        context: &'a Context,
        table: &Table<'_>,
        take: Take,
        positions: &[u64],
        long: &mut Vec<LongEntry<'a>>,
    ) -> Result<()> {
        for position in positions {
            if let Some(entry) = table.living(*position)? {
                let cells = [&entry.key, &entry.value].map(Cell::load);
                self.entries.load(context, take, cells, long)?;
                self.found.push(*position);
            }
        }
        Ok(())
    }
}

impl Copy {
    /// Puts what was found at these positions in the place of what was there.
    pub(super) fn put(&mut self, positions: &[u64], seen: &Seen) {
        let mut found = seen.found.iter().zip(seen.entries.iter()).peekable();
        for position in positions {
            let entry = found.next_if(|(at, _)| *at == position).map(|(_, entry)| entry);
            self.put_one(*position, entry);
        }
    }

    fn put_one(&mut self, position: u64, entry: Option<(&[u8], &[u8])>) {
        let owned = |(key, value): (&[u8], &[u8])| (key.to_vec(), value.to_vec());
        if let Some(other) = self.others.get_mut(&position) {
            *other = entry.map(owned);
            return;
        }
        let number = self.places.number_of(position);
        let is_put = match (number, entry) {
            (Some(number), Some((key, value))) => self.all.put(number, key, value),
            (None, None) => true,
            _ => false,
        };
        if !is_put {
            self.others.insert(position, entry.map(owned));
        }
    }

    /// Returns the entries before a position.
    pub(super) fn finish(self, end: u64) -> Result<Pairs> {
        if self.others.is_empty() && self.places.next().is_none_or(|next| next <= end) {
            return Ok(self.all);
        }
        let mut all = self.all.for_entries_of(self.others.len())?;
        let mut others = self.others.iter().peekable();
        let mut add_before = |limit: u64, all: &mut Pairs| {
            let mut is_replaced = false;
            while let Some((at, other)) = others.next_if(|(at, _)| **at <= limit) {
                is_replaced = *at == limit;
                if let Some((key, value)) = other.as_ref().filter(|_| *at < end) {
                    all.push(key, value);
                }
            }
            is_replaced
        };
        for (position, (key, value)) in self.places.iter().zip(self.all.iter()) {
            if !add_before(position, &mut all) && position < end {
                all.push(key, value);
            }
        }
        add_before(u64::MAX, &mut all);
        Ok(all)
    }
}

#[cfg(all(test, not(any(loom, miri, sim))))]
mod tests {
    use super::*;

    /// Goal: what was put later stands for what was copied. Method: a copy with gaps between its
    /// positions; entries of the same length and of another one, removed and new ones, at all places.
    #[test]
    fn a_copy_has_what_was_put_last() {
        let mut copy = Copy::default();
        for position in [2, 3, 7, 8, 9, 12] {
            copy.places.push(position);
            copy.all.push(&[position as u8], b"old");
        }
        let put = |copy: &mut Copy, position: u64, value: Option<&[u8]>| {
            let mut seen = Seen::default();
            if let Some(value) = value {
                seen.entries.push(&[position as u8], value);
                seen.found.push(position);
            }
            copy.put(&[position], &seen);
        };
        put(&mut copy, 3, Some(b"new"));
        put(&mut copy, 7, Some(b"longer"));
        put(&mut copy, 7, Some(b"other"));
        put(&mut copy, 8, None);
        put(&mut copy, 9, None);
        put(&mut copy, 9, Some(b"back"));
        put(&mut copy, 0, Some(b"first"));
        put(&mut copy, 11, None);
        put(&mut copy, 13, Some(b"last"));
        put(&mut copy, 14, Some(b"behind the end"));
        let all = copy.finish(14).expect("memory");
        let expected: [(&[u8], &[u8]); 7] = [
            (&[0], b"first"),
            (&[2], b"old"),
            (&[3], b"new"),
            (&[7], b"other"),
            (&[9], b"back"),
            (&[12], b"old"),
            (&[13], b"last"),
        ];
        assert!(all.iter().eq(expected), "{:?}", all.to_vec());
    }
}
