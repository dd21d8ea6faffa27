//! The commit of a transaction's writes to a map.
//!
//! What always holds: `prepare` finds every error that depends on the content of the map.

use std::any::Any;

use super::super::{DELETE_WORDS, Found, INSERT_WORDS, Key, Table, delete, insert, reserve};
use super::writes::{Action, Positions, Write, Writes};
use crate::defect::{Mistake, defect};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context, Held};
use crate::memory::Region;
use crate::memory::layout::{MapEntry, Object};
use crate::objects::cell::{self, Cell};
use crate::objects::overlay::{Needs, Overlaid, Turns, Wakes, locked};
use crate::wire::int_bytes;

impl Overlaid for Writes {
    fn holds_nothing(&self) -> bool {
        false
    }

    fn needs_lock(&self) -> bool {
        !self.is_empty()
    }

    fn mark(&self) -> Box<dyn Any> {
        Box::new(self.clone())
    }

    fn roll_back(&mut self, _: &Context, mark: Option<Box<dyn Any>>) -> Result<()> {
        let before = mark.and_then(|mark| mark.downcast().ok());
        *self = before.map_or_else(|| self.emptied(), |before| *before);
        Ok(())
    }

    fn turns(&self, _: &Context, turns: &mut Turns) {
        if !self.is_empty() {
            turns.push(self.map.handle.turn);
        }
    }

    fn build_long(&self, build: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        for write in self.iter() {
            let (key, value) = match &write.action {
                Action::Insert(value) => (write.key().bytes, &value[..]),
                Action::Replace(_, value) => (&[][..], &value[..]),
                Action::Add(_) => (write.key().bytes, &[][..]),
                Action::Remove | Action::Known(_) | Action::Nothing => continue,
            };
            [key, value]
                .into_iter()
                .filter(|bytes| cell::is_long(bytes))
                .try_for_each(&mut *build)?;
        }
        Ok(())
    }

    fn prepare(&mut self, held: &Held<'_>, needs: &mut Needs) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let object = locked(held, &self.map.handle)?;
        let table = Table::new(held.context().region(), object);
        if self.has_unseen() {
            table.warm(self.iter().map(|write| write.key().hash))?;
        }
        // Prepared before, perhaps, and entries were moved: what the writes say is no longer true.
        let were_moved = matches!(self.positions, Positions::Forgotten);
        let (mut new, mut positions) = (Vec::new(), Vec::new());
        for write in self.iter() {
            prepare(&table, write, were_moved, needs, &mut new, &mut positions)?;
        }
        if !were_moved {
            self.positions = Positions::Known(positions);
        }
        if !new.is_empty() {
            let numbering = table.root.numbering.get();
            let reserved = reserve(held, object, &new);
            if table.root.numbering.get() != numbering {
                self.positions = Positions::Forgotten;
            }
            reserved?;
        }
        Ok(())
    }

    fn apply(&self, change: &mut Change<'_>) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let object = self.map.handle.object(change.region())?;
        let mut unseen = match &self.positions {
            Positions::Known(positions) => positions.iter(),
            Positions::Forgotten => [].iter(),
        };
        for write in self.iter() {
            match &write.action {
                Action::Insert(value) => insert(change, object, &write.key(), value)?,
                Action::Replace(position, value) => {
                    self.replace(change, object, write, *position, value)?;
                }
                Action::Add(more) => {
                    add(change, object, &write.key(), *more, unseen.next().copied())?;
                }
                Action::Remove => {
                    let found = find(&Table::new(change.region(), object), &write.key())?;
                    delete(change, object, &found, defect(Mistake::ReusePositionsWithinChange))?;
                }
                Action::Known(_) | Action::Nothing => {}
            }
        }
        Ok(())
    }

    fn wakes(&self, _: &Region, _: &mut Wakes) {}
}

impl Writes {
    fn replace(
        &self,
        change: &mut Change<'_>,
        object: &Object,
        write: &Write,
        position: u64,
        value: &[u8],
    ) -> Result<()> {
        let region = change.region();
        let entry = match self.positions {
            Positions::Known(_) => Table::new(region, object).entry(position)?,
            Positions::Forgotten => find(&Table::new(region, object), &write.key())?.entry,
        };
        if Cell::load(&entry.key).is_removed() {
            return Err(Corrupt { what: "entry under a lock", at: position }.into());
        }
        match Cell::inline(value) {
            Some(new) if Cell::load(&entry.value).block().is_none() => {
                cell::update(change, &entry.value, new);
                Ok(())
            }
            _ => cell::replace(change, &entry.value, value),
        }
    }
}

/// What one write needs. `were_moved`: whether the position of an entry has to be looked up. `new`:
/// hashes of keys that are to be inserted. `positions`: where the keys are that are added to unseen.
#[inline]
fn prepare(
    table: &Table<'_>,
    write: &Write,
    were_moved: bool,
    needs: &mut Needs,
    new: &mut Vec<u32>,
    positions: &mut Vec<Option<u64>>,
) -> Result<()> {
    let key = write.key();
    let mut insert = |needs: &mut Needs| {
        new.push(key.hash);
        needs.value(key.bytes);
        needs.words += INSERT_WORDS;
    };
    match &write.action {
        Action::Insert(value) => {
            insert(needs);
            needs.value(value);
        }
        Action::Replace(position, value) => {
            let entry = match were_moved {
                true => find(table, &key)?.entry,
                false => table.entry(*position)?,
            };
            let old = Cell::load(&entry.value);
            needs.replacement(table.region, old, value)?;
        }
        Action::Add(more) => {
            let found = table.find(&key)?;
            positions.push(found.map(|found| found.position));
            match found {
                Some(found) => {
                    sum(found.entry, *more)?;
                    needs.words += 2;
                }
                None => insert(needs),
            }
        }
        Action::Remove => needs.words += DELETE_WORDS,
        Action::Known(_) | Action::Nothing => {}
    }
    Ok(())
}

/// Adds to the integer under a key. `position`: where it is, or that it is new; `None`: not known.
#[inline]
fn add(
    change: &mut Change<'_>,
    object: &Object,
    key: &Key<'_>,
    more: i64,
    position: Option<Option<u64>>,
) -> Result<()> {
    let table = Table::new(change.region(), object);
    let position = match position {
        Some(position) => position,
        None => table.find(key)?.map(|found| found.position),
    };
    let Some(position) = position else {
        return insert(change, object, key, &int_bytes(more));
    };
    let entry = table.entry(position)?;
    cell::update(change, &entry.value, Cell::integer(sum(entry, more)?));
    Ok(())
}

/// What the integer of an entry is with `more`.
#[inline]
fn sum(entry: &MapEntry, more: i64) -> Result<i64> {
    let before = Cell::load(&entry.value).as_integer().ok_or(Error::NotAnInteger)?;
    before.checked_add(more).ok_or(Error::Overflow)
}

/// Returns the entry of a key that the transaction knows to be there, and nobody else may remove.
fn find<'a>(table: &Table<'a>, key: &Key<'_>) -> Result<Found<'a>> {
    let found = table.find(key)?;
    found.ok_or(Error::Corrupt(Corrupt { what: "entry under a lock", at: u64::from(key.hash) }))
}
