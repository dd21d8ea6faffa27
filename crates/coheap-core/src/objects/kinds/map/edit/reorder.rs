//! Moving an entry behind all others.
//!
//! What always holds: the entry keeps its cells; they lie at one position, before and after.

use super::super::buckets::Bucket;
use super::super::growth::reserve_positions;
use super::super::table::{Table, put_entry, trail};
use super::super::{Key, Map};
use super::{Numbers, holes};
use crate::error::{Corrupt, Result};
use crate::journal::{Change, Context, Held};
use crate::memory::layout::Object;
use crate::objects::cell::Cell;
use crate::objects::estate;

/// Words that a move saves at most: its bucket, the number of used positions, and the hole.
const MOVE_WORDS: usize = 2 + holes::OPEN_WORDS + Numbers::WORDS;

impl Map {
    /// Moves a key behind all others, as if it had been inserted last. Returns `false` if it is missing.
    ///
    /// # Errors
    ///
    /// [`HeapFull`](crate::Error::HeapFull), [`ObjectGone`](crate::Error::ObjectGone); nothing was
    /// changed.
    pub fn move_to_end(&self, context: &Context, key: &[u8]) -> Result<bool> {
        let key = Key::new(context.region(), key)?;
        let is_there = estate::or_after_sweep(context, || {
            let (held, object) = self.handle.hold(context)?;
            move_to_end(&held, object, &key)
        });
        self.tidy(context).and(is_there)
    }
}

fn move_to_end(held: &Held<'_>, object: &Object, key: &Key<'_>) -> Result<bool> {
    let table = Table::new(held.context().region(), object);
    let Some(found) = table.find(key)? else { return Ok(false) };
    if table.previous_living(u64::MAX)? == Some(found.position) {
        return Ok(true);
    }
    reserve_positions(held, object, 1)?;
    // Positions may have been given out anew.
    let lost = Corrupt { what: "entry of a map that was packed", at: found.position };
    let found = table.find(key)?.ok_or(lost)?;
    let (from, to) = (found.position, table.used());
    for position in [from, to] {
        trail::note(table.region, object, position)?;
    }
    let mut change = Change::begin(held, MOVE_WORDS)?;
    let [key, value] = [&found.entry.key, &found.entry.value].map(Cell::load);
    put_entry(&change, table.entry(to)?, key, value);
    change.set(found.bucket, Bucket::new(to, Bucket(found.bucket.get()).hash()).0);
    change.set(&table.root.used, to + 1);
    holes::open(&mut change, object, from, Numbers::Each)?;
    change.commit();
    Ok(true)
}
