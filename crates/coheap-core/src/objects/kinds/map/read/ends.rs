//! Both ends of a map: the entry that was inserted first, and the one that was inserted last, read or
//! taken out.
//!
//! What always holds: what is removed is what was read, under one turn.

use super::super::table::Table;
use super::super::{Key, Map, is_as_expected, take_out};
use crate::error::{Corrupt, Result};
use crate::journal::Context;
use crate::objects::cell::{self, Cell, Expected, Step};

impl Map {
    /// Replaces `key` and `value` by the entry that was inserted first. Returns `false` if there is
    /// none.
    ///
    /// # Errors
    ///
    /// [`ObjectGone`](crate::Error::ObjectGone) after the map was removed.
    pub fn first(&self, context: &Context, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<bool> {
        self.entry_at(context, key, value, |table| table.next_living(0))
    }

    /// Replaces `key` and `value` by the entry that was inserted last. Returns `false` if there is
    /// none.
    ///
    /// # Errors
    ///
    /// [`ObjectGone`](crate::Error::ObjectGone) after the map was removed.
    pub fn last(&self, context: &Context, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<bool> {
        self.entry_at(context, key, value, |table| table.previous_living(u64::MAX))
    }

    fn entry_at(
        &self,
        context: &Context,
        key: &mut Vec<u8>,
        value: &mut Vec<u8>,
        find: impl Fn(&Table<'_>) -> Result<Option<u64>, Corrupt>,
    ) -> Result<bool> {
        let found = self.read(context, |table| {
            let Some(position) = find(table)? else { return Ok(None) };
            let entry = table.entry(position)?;
            let late_key = Cell::load(&entry.key).begin(context, key)?;
            Ok(Some((late_key, Cell::load(&entry.value).begin(context, value)?)))
        })?;
        let Some((late_key, late_value)) = found else { return Ok(false) };
        cell::finish(late_key, key)?;
        cell::finish(late_value, value)?;
        Ok(true)
    }

    /// Removes the entry that was inserted first, and replaces `key` and `value` by it. Returns
    /// `false` if the map is empty.
    ///
    /// # Errors
    ///
    /// [`ObjectGone`](crate::Error::ObjectGone); nothing was changed.
    pub fn pop_first(
        &self,
        context: &Context,
        key: &mut Vec<u8>,
        value: &mut Vec<u8>,
    ) -> Result<bool> {
        self.pop(context, key, value, |table| table.next_living(0))
    }

    /// Removes the entry that was inserted last, and replaces `key` and `value` by it. Returns
    /// `false` if the map is empty.
    ///
    /// # Errors
    ///
    /// [`ObjectGone`](crate::Error::ObjectGone); nothing was changed.
    pub fn pop_last(
        &self,
        context: &Context,
        key: &mut Vec<u8>,
        value: &mut Vec<u8>,
    ) -> Result<bool> {
        self.pop(context, key, value, |table| table.previous_living(u64::MAX))
    }

    fn pop(
        &self,
        context: &Context,
        key: &mut Vec<u8>,
        value: &mut Vec<u8>,
        find: impl Fn(&Table<'_>) -> Result<Option<u64>, Corrupt>,
    ) -> Result<bool> {
        let region = context.region();
        loop {
            let (held, object) = self.handle.hold(context)?;
            let table = Table::new(region, object);
            let Some(position) = find(&table)? else { return Ok(false) };
            let entry = table.entry(position)?;
            let cell = Cell::load(&entry.value);
            if !cell::has_room(cell, value) {
                drop(held);
                cell::make_room(context, cell, value)?;
                continue;
            }
            Cell::load(&entry.key).read(region, key)?;
            let no_bucket = Corrupt { what: "entry without a bucket", at: position };
            let found = table.find(&Key::new(region, key)?)?.ok_or(no_bucket)?;
            let late = cell.begin(context, value)?;
            take_out(&held, object, &found)?;
            drop(held);
            cell::finish(late, value)?;
            return self.tidy(context).map(|()| true);
        }
    }

    /// Removes an entry if it is exactly the one that was inserted first, and returns whether it was.
    ///
    /// # Errors
    ///
    /// [`ObjectGone`](crate::Error::ObjectGone); nothing was changed.
    pub fn remove_first(&self, context: &Context, key: &[u8], value: &[u8]) -> Result<bool> {
        self.remove_end(context, key, value, |table| table.next_living(0))
    }

    /// Removes an entry if it is exactly the one that was inserted last, and returns whether it
    /// was.
    ///
    /// # Errors
    ///
    /// [`ObjectGone`](crate::Error::ObjectGone); nothing was changed.
    pub fn remove_last(&self, context: &Context, key: &[u8], value: &[u8]) -> Result<bool> {
        self.remove_end(context, key, value, |table| table.previous_living(u64::MAX))
    }

    fn remove_end(
        &self,
        context: &Context,
        key: &[u8],
        value: &[u8],
        end: impl Fn(&Table<'_>) -> Result<Option<u64>, Corrupt>,
    ) -> Result<bool> {
        let region = context.region();
        let key = Key::new(region, key)?;
        let mut expected = Expected::new(value);
        loop {
            let (held, object) = self.handle.hold(context)?;
            let table = Table::new(region, object);
            let Some(found) = table.find(&key)? else { return Ok(false) };
            let is_there = end(&table)? == Some(found.position);
            match is_as_expected(context, Some(&found), Some(&expected))? {
                Step::Compare(cell, late) => {
                    drop(held);
                    expected.compare(cell, late)?;
                }
                Step::Done(true) if is_there => {
                    take_out(&held, object, &found)?;
                    drop(held);
                    drop(expected);
                    return self.tidy(context).map(|()| true);
                }
                _ => return Ok(false),
            }
        }
    }
}
