//! The commit of a transaction's writes to a map.
//!
//! Entries of the map are taken out or replaced first; then the new keys are added in their order.
//!
//! What always holds: `prepare` finds every error that depends on the content of the map.

use super::super::edit::holes;
use super::super::shrink::reset_if_empty;
use super::super::table::trail;
use super::super::{
    DELETE_WORDS, Found, INSERT_WORDS, Key, Numbers, Table, delete, insert, map_root, reserve,
};
use super::content::{Content, GIVE_BACK_WORDS};
use super::fresh;
use super::notes::{ADD_WORDS, Note, Now, Seen};
use super::undo::Undo;
use super::writes::Writes;
use crate::defect::{Mistake, defect};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context, Held, MAX_WORDS};
use crate::memory::Region;
use crate::memory::layout::{MapEntry, Object};
use crate::objects::cell::{self, Cell, Overwrite};
use crate::objects::husk;
use crate::objects::overlay::{Needs, Overlaid, Turns, Wakes, locked, recount};
use crate::wire::int_bytes;

/// What `Error::TransactionTooLarge` and the documents say.
const LEAST_CHANGES: usize = 32_000;
const _: () = assert!(LEAST_CHANGES * DELETE_WORDS <= MAX_WORDS, "so many entries can be removed");
const _: () = assert!(LEAST_CHANGES * INSERT_WORDS <= MAX_WORDS, "so many entries can be added");

impl Overlaid for Writes {
    fn holds_nothing(&self) -> bool {
        false
    }

    fn needs_lock(&self) -> bool {
        !self.is_empty()
    }

    fn mark(&mut self) -> usize {
        self.undo.mark()
    }

    fn roll_back(&mut self, context: &Context, mark: Option<usize>) -> Result<()> {
        let words = self.content.words();
        match mark {
            Some(mark) => self.undo.back_to(&mut self.content, mark),
            None => (self.content, self.undo) = (Content::default(), Undo::default()),
        }
        recount(context, self.content.words(), words);
        Ok(())
    }

    fn turns(&self, _: &Context, turns: &mut Turns) {
        if !self.is_empty() {
            turns.push(self.map.handle.turn);
        }
    }

    fn build_long(&self, build: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        for note in self.content.notes.iter() {
            let (key, value) = match &note.now {
                Now::Inserted { value, .. } => (note.key().bytes, &value[..]),
                Now::Replaced(_, value) => (&[][..], &value[..]),
                Now::Added(_) => (note.key().bytes, &[][..]),
                Now::Removed | Now::Untouched => continue,
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
        if self.content.is_cleared {
            table.check_numbers()?;
            fresh::prepare(object, &self.content, needs);
            return Ok(());
        }
        if self.has_unseen() {
            table.warm(self.content.notes.iter().map(|note| note.key().hash))?;
        }
        needs.words += GIVE_BACK_WORDS;
        self.overwrite = needs.overwrite;
        let mut new = Vec::new();
        for note in self.content.notes.iter_mut() {
            prepare(&table, note, needs, &mut new)?;
        }
        if new.is_empty() {
            return Ok(());
        }
        let numbering = table.root.numbering.get();
        let reserved = reserve(held, object, &new);
        if table.root.numbering.get() != numbering {
            self.content.find_again(&table)?;
        }
        reserved
    }

    fn apply(&self, change: &mut Change<'_>) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let object = self.map.handle.object(change.region())?;
        if self.content.is_cleared {
            return fresh::apply(change, object, &self.content);
        }
        let used = map_root(object).used.get();
        let mut numbers = None;
        for note in self.content.notes.iter() {
            match (&note.now, note.at) {
                (Now::Replaced(_, value), Some(at)) => {
                    replace(change, object, at, value, self.overwrite)?;
                }
                (Now::Removed | Now::Inserted { .. }, Some(_)) => {
                    let found = find(&Table::new(change.region(), object), &note.key())?;
                    let shrink = defect(Mistake::ReusePositionsWithinChange);
                    let numbers = *numbers.get_or_insert_with(|| Numbers::saved(change, object));
                    delete(change, object, &found, shrink, numbers)?;
                }
                (Now::Added(more), Some(at)) => add(change, object, at, *more)?,
                _ => {}
            }
        }
        for number in self.content.order.iter() {
            let note = self.content.notes.get(number);
            if let Seen::Value(value) = note.seen() {
                insert(change, object, &note.key(), value)?;
            }
        }
        if self.has_unseen() {
            // They are the last notes.
            for note in self.content.notes.iter() {
                if let (Now::Added(more), None) = (&note.now, note.at) {
                    insert(change, object, &note.key(), &int_bytes(*more))?;
                }
            }
        }
        match numbers {
            Some(numbers) => give_back(change, object, used, numbers),
            None => Ok(()),
        }
    }

    fn wakes(&self, _: &Region, _: &mut Wakes) {}

    fn tidy(&self, context: &Context) -> Result<()> {
        let Content { is_cleared, growth, .. } = self.content;
        if !is_cleared && growth >= 0 {
            return Ok(());
        }
        context.in_passing(|| match self.map.handle.hold(context) {
            Err(Error::ObjectGone | Error::WouldBlock) => Ok(()),
            Err(error) => Err(error),
            Ok((held, object)) if is_cleared => {
                husk::keep_reserve(&held, &map_root(object).reserve)
            }
            Ok((held, object)) => reset_if_empty(&held, object),
        })
    }
}

impl Content {
    /// Looks all keys up again, after entries were moved.
    #[cold]
    fn find_again(&mut self, table: &Table<'_>) -> Result<()> {
        (self.front, self.back) = (0, u64::MAX);
        for note in self.notes.iter_mut().filter(|note| note.at.is_some()) {
            note.at = Some(find(table, &note.key())?.position);
        }
        Ok(())
    }
}

/// Gives back the positions behind the last entry, of a map in which this change has stored nothing
/// behind those that were used before.
fn give_back(change: &mut Change<'_>, object: &Object, used: u64, numbers: Numbers) -> Result<()> {
    let table = Table::new(change.region(), object);
    let is_last_removed = used > 0 && table.previous_living(used)? != Some(used - 1);
    if table.used() == used && is_last_removed {
        holes::close_end(change, object, used, numbers)?;
    }
    Ok(())
}

/// What one note needs. `new`: hashes of keys that are to be inserted.
#[inline]
fn prepare(
    table: &Table<'_>,
    note: &mut Note,
    needs: &mut Needs,
    new: &mut Vec<u32>,
) -> Result<()> {
    if let Now::Added(more) = note.now {
        let found = table.find(&note.key())?;
        note.at = found.map(|found| found.position);
        if let Some(found) = found {
            sum(found.entry, more)?;
            needs.words += ADD_WORDS;
            return Ok(());
        }
    }
    let mut insert = |needs: &mut Needs| {
        let key = note.key();
        new.push(key.hash);
        needs.value(key.bytes);
        needs.words += INSERT_WORDS;
    };
    match (&note.now, note.at) {
        (Now::Inserted { value, .. }, at) => {
            insert(needs);
            needs.value(value);
            needs.words += if at.is_some() { DELETE_WORDS } else { 0 };
        }
        (Now::Replaced(_, value), Some(at)) => {
            let old = Cell::load(&table.entry(at)?.value);
            needs.replacement(table.region, old, value, needs.overwrite)?;
        }
        (Now::Removed, _) => needs.words += DELETE_WORDS,
        (Now::Added(_), _) => insert(needs),
        (Now::Replaced(..), None) | (Now::Untouched, _) => {}
    }
    Ok(())
}

fn replace(
    change: &mut Change<'_>,
    object: &Object,
    at: u64,
    value: &[u8],
    overwrite: Overwrite,
) -> Result<()> {
    trail::note(change.region(), object, at)?;
    let entry = Table::new(change.region(), object).entry(at)?;
    if Cell::load(&entry.key).is_removed() {
        return Err(Corrupt { what: "entry under a lock", at }.into());
    }
    let old = Cell::load(&entry.value);
    match Cell::inline(value) {
        Some(new) if old.block().is_none() => cell::update(change, &entry.value, new),
        None if !cell::is_overwritten(change.region(), old, value, overwrite)? => {
            let new = cell::make(change, value)?;
            cell::free(change, old)?;
            cell::store(change, &entry.value, new);
        }
        _ => cell::replace(change, &entry.value, value)?,
    }
    Ok(())
}

/// Adds to the integer at a position.
#[inline]
fn add(change: &mut Change<'_>, object: &Object, at: u64, more: i64) -> Result<()> {
    trail::note(change.region(), object, at)?;
    let entry = Table::new(change.region(), object).entry(at)?;
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
