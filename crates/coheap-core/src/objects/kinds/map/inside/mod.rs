//! The operations of users on a map inside a transaction.
//!
//! What always holds: a map that was read is locked, so the positions in the overlay stay valid
//! until the commit.
//!
//! Not here: the overlay itself (`writes`, with its `content`: `notes` and an `order`), how it goes back
//! to a savepoint (`undo`), how the map looks through it (`view`), and how it is applied (`commit`; after
//! a clear, `fresh`).

mod commit;
mod content;
mod fresh;
mod notes;
mod order;
mod undo;
mod view;
mod writes;

use writes::Additions;
pub(crate) use writes::Writes;

use super::read::Batch;
use super::{Key, Map};
use crate::error::{Error, Result};
use crate::journal::Context;
use crate::objects::cell::{Cell, decode_integer};
use crate::objects::overlay::{Inside, Locking, Overlay, Transactional};
use crate::wire::int_bytes;
use notes::Seen;
use view::{Edge, End};

impl<'t> Inside<'t, Map> {
    /// Locks the map without reading it.
    ///
    /// # Errors
    ///
    /// [`Error::Deadlock`], [`Error::ObjectGone`].
    pub fn lock(&mut self) -> Result<()> {
        self.seen().map(|_| ())
    }

    /// As [`Map::get`], including the transaction's own writes.
    ///
    /// # Errors
    ///
    /// As [`Map::get`]; [`Error::Deadlock`].
    pub fn get(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let (writes, context) = self.seen()?;
        match writes.get(&Key::new(context.region(), key)?) {
            Seen::Value(value) => {
                out.clear();
                out.extend_from_slice(value);
                Ok(true)
            }
            Seen::Nothing => Ok(false),
            Seen::InMap | Seen::Never => writes.map.get(context, key, out),
        }
    }

    /// As [`Map::set`], when the transaction commits.
    ///
    /// # Errors
    ///
    /// [`Error::Deadlock`], [`Error::ObjectGone`].
    pub fn set(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if key.is_empty() || value.is_empty() {
            return Err(Error::BadArgument("keys and values need at least one byte"));
        }
        let (writes, context) = self.seen()?;
        let key = Key::new(context.region(), key)?;
        match writes.number(&key) {
            Some(number) => writes.set(context, &key, number, value),
            None => {
                let found = writes.find(context, &key)?;
                writes.set_found(context, &key, found, value)
            }
        }
    }

    /// As [`Map::remove`], when the transaction commits.
    ///
    /// # Errors
    ///
    /// [`Error::Deadlock`], [`Error::ObjectGone`].
    pub fn remove(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let (writes, context) = self.seen()?;
        let key = Key::new(context.region(), key)?;
        let Some(number) = writes.number(&key) else {
            let Some((position, cell)) = writes.find(context, &key)? else { return Ok(false) };
            writes.map.value_of(context, key.bytes, cell, out)?;
            writes.remove_found(context, &key, position)?;
            return Ok(true);
        };
        match writes.get(&key) {
            Seen::Value(value) => {
                out.clear();
                out.extend_from_slice(value);
            }
            Seen::InMap => drop(writes.map.get(context, key.bytes, out)?),
            Seen::Nothing | Seen::Never => return Ok(false),
        }
        writes.remove(context, number)?;
        Ok(true)
    }

    /// Replaces `out` by a key with the form that was given first. Returns `false` if the key is missing.
    ///
    /// # Errors
    ///
    /// As [`Map::get`]; [`Error::Deadlock`].
    pub fn first_form(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let (writes, context) = self.seen()?;
        writes.first_form(context, &Key::new(context.region(), key)?, out)
    }

    /// As [`Map::first`], including the transaction's own writes.
    ///
    /// # Errors
    ///
    /// As [`Map::first`]; [`Error::Deadlock`].
    pub fn first(&mut self, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<bool> {
        Ok(self.edge(End::First, key, value)?.is_some())
    }

    /// As [`Map::last`], including the transaction's own writes.
    ///
    /// # Errors
    ///
    /// As [`Map::last`]; [`Error::Deadlock`].
    pub fn last(&mut self, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<bool> {
        Ok(self.edge(End::Last, key, value)?.is_some())
    }

    /// As [`Map::pop_first`], when the transaction commits.
    ///
    /// # Errors
    ///
    /// As [`Map::pop_first`]; [`Error::Deadlock`].
    pub fn pop_first(&mut self, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<bool> {
        self.pop(End::First, key, value)
    }

    /// As [`Map::pop_last`], when the transaction commits.
    ///
    /// # Errors
    ///
    /// As [`Map::pop_last`]; [`Error::Deadlock`].
    pub fn pop_last(&mut self, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<bool> {
        self.pop(End::Last, key, value)
    }

    fn pop(&mut self, end: End, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<bool> {
        let Some(edge) = self.edge(end, key, value)? else { return Ok(false) };
        let (writes, context) = self.seen()?;
        writes.remove_edge(context, edge, key)?;
        Ok(true)
    }

    fn edge(&mut self, end: End, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<Option<Edge>> {
        let (writes, context) = self.seen()?;
        writes.edge(context, end, key, value)
    }

    /// As [`Map::clear`], when the transaction commits.
    ///
    /// # Errors
    ///
    /// [`Error::Deadlock`], [`Error::ObjectGone`].
    pub fn clear(&mut self) -> Result<()> {
        // The additions that nobody looked at are gone, too.
        let (overlay, context) = self.intent.overlay(&self.object.lockable(), Locking::Now)?;
        writes_of(overlay)?.clear(context)
    }

    /// As [`Map::add`], when the transaction commits.
    ///
    /// # Errors
    ///
    /// As [`Map::add`]; [`Error::Deadlock`].
    pub fn add(&mut self, key: &[u8], more: i64) -> Result<i64> {
        let (writes, context) = self.seen()?;
        add(writes, context, key, more)
    }

    /// Adds to the integers of many keys at once. The commit reads the current values: it fails if
    /// one is not an integer, or if a sum does not fit.
    ///
    /// # Errors
    ///
    /// [`Error::Deadlock`], [`Error::ObjectGone`].
    pub fn add_many<K: AsRef<[u8]>>(
        &mut self,
        additions: impl IntoIterator<Item = (K, i64)>,
    ) -> Result<()> {
        let mut seen = Vec::new();
        let (writes, context) = self.unseen()?;
        let mut unseen = Additions { writes, context };
        for (key, more) in additions {
            // New keys keep the order in which they come: after the first key whose value must be
            // read, all values are read.
            if !seen.is_empty() || !unseen.add(key.as_ref(), more)? {
                seen.push((key, more));
            }
        }
        for (key, more) in seen {
            self.add(key.as_ref(), more)?;
        }
        Ok(())
    }

    /// Takes additions to integers one by one; the commit reads the current values.
    ///
    /// # Errors
    ///
    /// [`Error::Deadlock`], [`Error::ObjectGone`].
    pub fn additions(self) -> Result<Additions<'t>> {
        let (overlay, context) = self.intent.overlay(&self.object.lockable(), Locking::Later)?;
        Ok(Additions { writes: writes_of(overlay)?, context })
    }

    /// As [`Map::len`], including the transaction's own writes.
    ///
    /// # Errors
    ///
    /// As [`Map::len`]; [`Error::Deadlock`].
    pub fn len(&mut self) -> Result<u64> {
        let (writes, context) = self.seen()?;
        let before = if writes.content.is_cleared { 0 } else { writes.map.len(context)? };
        Ok(before.wrapping_add_signed(writes.content.growth))
    }

    /// Returns whether the map has no entry, including the transaction's own writes.
    ///
    /// # Errors
    ///
    /// As [`Map::len`]; [`Error::Deadlock`].
    pub fn is_empty(&mut self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// As [`Map::snapshot`], including the transaction's own writes.
    ///
    /// # Errors
    ///
    /// As [`Map::snapshot`]; [`Error::Deadlock`].
    pub fn snapshot(&mut self) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        Ok(self.scan(0, u64::MAX)?.entries.to_vec())
    }

    /// Reads up to `most` entries, from the first one on or from where such a call said that the next
    /// ones are, including the transaction's own writes.
    ///
    /// # Errors
    ///
    /// As [`Map::scan`]; [`Error::Deadlock`].
    pub fn scan(&mut self, from: u64, most: u64) -> Result<Batch> {
        let (writes, context) = self.seen()?;
        writes.scan(context, from, most)
    }

    /// As [`scan`](Self::scan), from the last entry back: begin with `u64::MAX`.
    ///
    /// # Errors
    ///
    /// As [`Map::scan`]; [`Error::Deadlock`].
    pub fn scan_back(&mut self, before: u64, most: u64) -> Result<Batch> {
        let (writes, context) = self.seen()?;
        writes.scan_back(context, before, most)
    }

    /// Locks the map, reads the current value of every addition, and returns the writes to the map.
    #[inline]
    fn seen(&mut self) -> Result<(&mut Writes, &Context)> {
        let (overlay, context) = self.intent.overlay(&self.object.lockable(), Locking::Now)?;
        let writes = writes_of(overlay)?;
        if writes.has_unseen() {
            look(writes, context)?;
        }
        Ok((writes, context))
    }

    /// Returns the writes to the map, which may not be locked.
    fn unseen(&mut self) -> Result<(&mut Writes, &Context)> {
        let (overlay, context) = self.intent.overlay(&self.object.lockable(), Locking::Later)?;
        Ok((writes_of(overlay)?, context))
    }
}

#[inline]
fn writes_of(overlay: &mut Overlay) -> Result<&mut Writes> {
    match overlay {
        Overlay::Map(writes) => Ok(writes),
        // The header serves another object by now: one of the two handles is stale.
        _ => Err(Error::ObjectGone),
    }
}

/// Reads the values to which the transaction has only added. After an error, the remaining additions
/// are left to the commit, which will return the same error.
#[cold]
fn look(writes: &mut Writes, context: &Context) -> Result<()> {
    while let Some((number, more)) = writes.next_unseen() {
        let found = writes.find(context, &writes.content.notes.get(number).key())?;
        let sum = plus(found.map_or(Ok(0), |(_, cell)| integer_in(cell))?, more)?;
        writes.settle(context, number, found, &int_bytes(sum))?;
    }
    Ok(())
}

/// Adds to the integer of a key, in a locked map.
fn add(writes: &mut Writes, context: &Context, key: &[u8], more: i64) -> Result<i64> {
    let key = Key::new(context.region(), key)?;
    let Some(number) = writes.number(&key) else {
        let found = writes.find(context, &key)?;
        let sum = plus(found.map_or(Ok(0), |(_, cell)| integer_in(cell))?, more)?;
        writes.set_found(context, &key, found, &int_bytes(sum))?;
        return Ok(sum);
    };
    let before = match writes.get(&key) {
        Seen::Value(value) => decode_integer(value)?,
        Seen::Nothing => 0,
        Seen::InMap | Seen::Never => {
            let found = writes.find(context, &key)?;
            found.map_or(Ok(0), |(_, cell)| integer_in(cell))?
        }
    };
    let sum = plus(before, more)?;
    writes.set(context, &key, number, &int_bytes(sum))?;
    Ok(sum)
}

fn plus(before: i64, more: i64) -> Result<i64> {
    before.checked_add(more).ok_or(Error::Overflow)
}

fn integer_in(cell: Cell) -> Result<i64> {
    cell.as_integer().ok_or(Error::NotAnInteger)
}
