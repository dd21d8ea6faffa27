//! Several keys of a map, looked up at one moment.
//!
//! What always holds: all the answers are those of one moment between the call and its return.

use super::super::pairs::{LongEntry, Pairs, Take};
use super::super::table::Table;
use super::super::{Key, Map};
use crate::error::Result;
use crate::journal::Context;
use crate::memory::private_list;
use crate::objects::cell::Cell;
use crate::sync::turn;

/// Most keys that are looked up under the turn.
const PART: usize = 512;

/// The entries of those keys that are there.
#[derive(Debug, Default)]
pub struct FoundMany {
    /// The numbers of these keys among all, counted from 0, in order.
    pub numbers: Vec<usize>,
    /// Their values, each with an empty key.
    pub values: Pairs,
}

impl Map {
    /// Looks for the keys of these entries, at one moment.
    ///
    /// Writers wait, as for a transaction that has locked the map, where there are more than 512 keys and
    /// somebody writes meanwhile.
    ///
    /// # Errors
    ///
    /// [`ObjectGone`](crate::Error::ObjectGone) after the map was removed; those of a wait for the transaction
    /// that has locked it.
    pub fn get_many(&self, context: &Context, keys: &Pairs) -> Result<FoundMany> {
        let region = context.region();
        let mut hashed = private_list(keys.len() as u64)?;
        for (key, _) in keys.iter() {
            hashed.push(Key::new(region, key)?);
        }
        let turn = region.turn(self.handle.turn);
        let before = turn::begin_read(turn);
        let unchanged = || before.is_some_and(|before| turn::is_unchanged(turn, before));
        if let Some(found) = self.find_parts(context, &hashed, unchanged)? {
            return Ok(found);
        }
        let _locked = self.handle.lock_alone(context)?;
        Ok(self.find_parts(context, &hashed, || true)?.unwrap_or_default())
    }

    /// Looks for keys, part by part. `None`: after one of several parts, `is_whole` said no.
    fn find_parts(
        &self,
        context: &Context,
        keys: &[Key<'_>],
        is_whole: impl Fn() -> bool,
    ) -> Result<Option<FoundMany>> {
        let (mut found, mut long) = (FoundMany::default(), Vec::new());
        for (number, part) in keys.chunks(PART).enumerate() {
            let (count, long_count) = (found.numbers.len(), long.len());
            self.read(context, |table| {
                found.truncate(count);
                long.truncate(long_count);
                found.add(context, table, (number * PART, part), &mut long)
            })?;
            if keys.len() > PART && !is_whole() {
                return Ok(None);
            }
        }
        found.values.fill_in(&long)?;
        Ok(Some(found))
    }
}

impl FoundMany {
    fn truncate(&mut self, count: usize) {
        self.numbers.truncate(count);
        self.values.truncate(count);
    }

    /// Adds those of these keys that are there. `from`: the number of the first.
    fn add<'a>(
        &mut self,
        context: &'a Context,
        table: &Table<'_>,
        (from, keys): (usize, &[Key<'_>]),
        long: &mut Vec<LongEntry<'a>>,
    ) -> Result<()> {
        table.warm(keys.iter().map(|key| key.hash))?;
        for (number, key) in (from..).zip(keys) {
            let Some(found) = table.find(key)? else { continue };
            let cells = [&found.entry.key, &found.entry.value].map(Cell::load);
            self.values.load(context, Take::Values, cells, long)?;
            self.numbers.push(number);
        }
        Ok(())
    }
}
