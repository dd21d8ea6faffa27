//! A map as a transaction sees it, in order: from both ends, and part by part.
//!
//! What always holds: the map is locked, so its entries stay where they are. Both ends are found in time
//! that does not depend on how many entries were removed before: `front` and `back` only move over
//! entries that are not to be seen, until one of them is to be seen again.

use super::super::pairs::Pairs;
use super::super::read::Batch;
use super::super::table::Table;
use super::super::{Key, Map};
use super::notes::{Note, Now, Seen};
use super::writes::Writes;
use crate::error::{Corrupt, Result};
use crate::journal::Context;
use crate::objects::cell::{self, Cell};

/// Where the keys that the transaction adds begin: before it, a place in the order is a position of the
/// map.
const OWN: u64 = 1 << 63;

/// One of the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    First,
    Last,
}

/// The entry at an end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Edge {
    /// The map has it at this position, and nothing is noted of its key.
    Unknown(u64),
    /// This note is of its key.
    Noted(usize),
}

impl Writes {
    /// Replaces `key` and `value` by the entry at an end, and returns what it is.
    pub(super) fn edge(
        &mut self,
        context: &Context,
        end: End,
        key: &mut Vec<u8>,
        value: &mut Vec<u8>,
    ) -> Result<Option<Edge>> {
        let own = |writes: &mut Self| match end {
            End::First => writes.content.order.first(),
            End::Last => writes.content.order.last(),
        };
        if end == End::First {
            if let Some(edge) = self.edge_of_map(context, end, key, value)? {
                return Ok(Some(edge));
            }
        }
        if let Some(number) = own(self) {
            let note = self.content.notes.get(number);
            key.clear();
            key.extend_from_slice(note.key().bytes);
            copy_value(note, value);
            return Ok(Some(Edge::Noted(number)));
        }
        match end {
            End::First => Ok(None),
            End::Last => self.edge_of_map(context, end, key, value),
        }
    }

    /// As [`edge`](Self::edge), of the entries that the map has.
    fn edge_of_map(
        &mut self,
        context: &Context,
        end: End,
        key: &mut Vec<u8>,
        value: &mut Vec<u8>,
    ) -> Result<Option<Edge>> {
        let Some((edge, cell)) = self.go_to_edge(context, end, key)? else { return Ok(None) };
        match edge {
            Edge::Noted(number) if self.content.notes.get(number).is_written() => {
                copy_value(self.content.notes.get(number), value);
            }
            _ => self.map.value_of(context, key, cell, value)?,
        }
        Ok(Some(edge))
    }

    /// Moves `front` or `back` to the entry of the map that is to be seen first from there, and replaces
    /// `key` by its key. Returns what it is, and the cell of the value that the map has.
    fn go_to_edge(
        &mut self,
        context: &Context,
        end: End,
        key: &mut Vec<u8>,
    ) -> Result<Option<(Edge, Cell)>> {
        let content = &mut self.content;
        loop {
            let (front, back) = (content.front, content.back);
            let found = self.map.key_at(context, key, |table| match end {
                End::First => table.next_living(front),
                End::Last => table.previous_living(back),
            })?;
            let Some((position, cell)) = found else {
                match end {
                    End::First => content.front = u64::MAX,
                    End::Last => content.back = 0,
                }
                return Ok(None);
            };
            let number = content.notes.find(&Key::seeded(key, self.seed));
            let is_hidden = number.is_some_and(|number| content.notes.get(number).hides());
            match end {
                End::First => content.front = position + u64::from(is_hidden),
                End::Last => content.back = position + u64::from(!is_hidden),
            }
            if !is_hidden {
                return Ok(Some((number.map_or(Edge::Unknown(position), Edge::Noted), cell)));
            }
        }
    }

    /// Removes the entry at an end, whose key is `key`.
    pub(super) fn remove_edge(&mut self, context: &Context, edge: Edge, key: &[u8]) -> Result<()> {
        match edge {
            Edge::Unknown(position) => {
                self.remove_found(context, &Key::seeded(key, self.seed), position)
            }
            Edge::Noted(number) => self.remove(context, number),
        }
    }

    /// Replaces `out` by a key with the form that was given first.
    pub(super) fn first_form(
        &self,
        context: &Context,
        key: &Key<'_>,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        let position = match self.number(key).map(|number| self.content.notes.get(number)) {
            Some(note) if note.slot().is_some() => {
                out.clear();
                out.extend_from_slice(note.key().bytes);
                return Ok(true);
            }
            Some(note) if note.hides() => None,
            Some(note) => note.at,
            None => self.find(context, key)?.map(|(position, _)| position),
        };
        let Some(position) = position else { return Ok(false) };
        Ok(self.map.key_at(context, out, |_| Ok(Some(position)))?.is_some())
    }

    /// Reads up to `most` entries from a place in the order on, and one at least if there is one.
    pub(super) fn scan(&mut self, context: &Context, from: u64, most: u64) -> Result<Batch> {
        if from <= self.content.front {
            self.go_to_edge(context, End::First, &mut Vec::new())?;
        }
        let mut entries = Pairs::default();
        let mut place = from.max(self.content.front.min(OWN));
        while place < OWN && entries.is_empty() {
            let batch = self.map.scan(context, place, most)?;
            self.add_visible(batch.entries, &mut entries);
            place = batch.next.unwrap_or(OWN);
        }
        if place < OWN {
            return Ok(Batch { entries, next: Some(place), numbering: 0 });
        }
        let mut own = self.content.order.from(place - OWN).peekable();
        while let Some((_, number)) = own.next_if(|_| (entries.len() as u64) < most) {
            self.add_own(number, &mut entries);
        }
        let next = own.peek().map(|(slot, _)| OWN | slot);
        Ok(Batch { entries, next, numbering: 0 })
    }

    /// As [`scan`](Self::scan), from the last entry before a place in the order back.
    pub(super) fn scan_back(&mut self, context: &Context, before: u64, most: u64) -> Result<Batch> {
        if before >= self.content.back {
            self.go_to_edge(context, End::Last, &mut Vec::new())?;
        }
        let mut entries = Pairs::default();
        if before > OWN {
            let mut own = self.content.order.before(before - OWN).peekable();
            while let Some((_, number)) = own.next_if(|_| (entries.len() as u64) < most) {
                self.add_own(number, &mut entries);
            }
            if let Some((slot, _)) = own.peek() {
                return Ok(Batch { entries, next: Some((OWN | slot) + 1), numbering: 0 });
            }
        }
        let mut next = Some(before.min(self.content.back));
        while let (Some(before), true) = (next, entries.is_empty()) {
            let batch = self.map.scan_back(context, before, most)?;
            self.add_visible(batch.entries, &mut entries);
            next = batch.next;
        }
        Ok(Batch { entries, next, numbering: 0 })
    }

    /// Adds those of the map's entries that are still to be seen.
    fn add_visible(&self, of_map: Pairs, entries: &mut Pairs) {
        if self.content.notes.is_empty() && entries.is_empty() {
            *entries = of_map;
            return;
        }
        for (key, value) in of_map.iter() {
            let number = self.content.notes.find(&Key::seeded(key, self.seed));
            match number.map(|number| self.content.notes.get(number)) {
                Some(note) if note.hides() => {}
                Some(Note { now: Now::Replaced(_, value), .. }) => entries.push(key, value),
                _ => entries.push(key, value),
            }
        }
    }

    fn add_own(&self, number: usize, entries: &mut Pairs) {
        let note = self.content.notes.get(number);
        if let Seen::Value(value) = note.seen() {
            entries.push(note.key().bytes, value);
        }
    }
}

impl Map {
    /// Replaces `out` by the value of a key in a locked map, which is in this cell.
    pub(super) fn value_of(
        &self,
        context: &Context,
        key: &[u8],
        cell: Cell,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        if !cell.read_short(context.region(), out)? {
            self.get(context, key, out)?;
        }
        Ok(())
    }

    /// Replaces `key` by that of the entry at the position that `find` returns, and returns the
    /// position and the cell of the value, for a caller that has locked the map.
    fn key_at(
        &self,
        context: &Context,
        key: &mut Vec<u8>,
        find: impl Fn(&Table<'_>) -> Result<Option<u64>, Corrupt>,
    ) -> Result<Option<(u64, Cell)>> {
        let found = self.read(context, |table| {
            let Some(position) = find(table)? else { return Ok(None) };
            let entry = table.entry(position)?;
            let late = Cell::load(&entry.key).begin(context, key)?;
            Ok(Some((late, position, Cell::load(&entry.value))))
        })?;
        let Some((late, position, value)) = found else { return Ok(None) };
        cell::finish(late, key)?;
        Ok(Some((position, value)))
    }
}

fn copy_value(note: &Note, out: &mut Vec<u8>) {
    if let Seen::Value(value) = note.seen() {
        out.clear();
        out.extend_from_slice(value);
    }
}
