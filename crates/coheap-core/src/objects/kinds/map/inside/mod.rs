//! The operations of users on a map inside a transaction.
//!
//! What always holds: a map that was read is locked, so the positions in the overlay stay valid
//! until the commit.
//!
//! Not here: the overlay itself (`writes`), and how it is applied (`commit`).

mod commit;
mod writes;

use writes::Additions;
pub(crate) use writes::Writes;

use super::{Key, Map};
use crate::error::{Error, Result};
use crate::journal::Context;
use crate::objects::cell::decode_integer;
use crate::objects::overlay::{Inside, Locking, Overlay, Transactional};
use crate::wire::int_bytes;
use writes::Seen;

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
        if writes.get(&key) == Seen::Never {
            let found = writes.map.find(context, &key)?.map(|(position, _)| position);
            writes.set_found(&key, found, value);
        } else {
            writes.set(&key, value);
        }
        Ok(())
    }

    /// As [`Map::remove`], when the transaction commits.
    ///
    /// # Errors
    ///
    /// [`Error::Deadlock`], [`Error::ObjectGone`].
    pub fn remove(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        if !self.get(key, out)? {
            return Ok(false);
        }
        let (writes, context) = self.seen()?;
        let key = Key::new(context.region(), key)?;
        if writes.get(&key) == Seen::Never {
            let found = writes.map.find(context, &key)?;
            writes.learn(&key, found.map(|(position, _)| position));
        }
        writes.remove(&key);
        Ok(true)
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
        let mut unseen = Additions { writes: self.unseen()?.0 };
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
        let (overlay, _) = self.intent.overlay(&self.object.lockable(), Locking::Later)?;
        Ok(Additions { writes: writes_of(overlay)? })
    }

    /// As [`Map::len`], including the transaction's own writes.
    ///
    /// # Errors
    ///
    /// As [`Map::len`]; [`Error::Deadlock`].
    pub fn len(&mut self) -> Result<u64> {
        let (writes, context) = self.seen()?;
        Ok(writes.map.len(context)?.wrapping_add_signed(writes.growth()))
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
        let (writes, context) = self.seen()?;
        Ok(writes.applied_to(writes.map.snapshot(context)?.to_vec()))
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

/// Reads the values to which the transaction has only added.
#[cold]
fn look(writes: &mut Writes, context: &Context) -> Result<()> {
    let mut unseen = writes.take_unseen().into_iter();
    while let Some((key, more)) = unseen.next() {
        if let Err(error) = add(writes, context, &key, more) {
            // The remaining additions are left to the commit, which will return the same error.
            for (key, more) in std::iter::once((key, more)).chain(unseen) {
                writes.add_unseen(&key, more);
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Adds to the integer of a key, in a locked map.
fn add(writes: &mut Writes, context: &Context, key: &[u8], more: i64) -> Result<i64> {
    let key = Key::new(context.region(), key)?;
    let plus = |before: i64| before.checked_add(more).ok_or(Error::Overflow);
    let sum = match writes.get(&key) {
        Seen::Value(value) => plus(decode_integer(value)?)?,
        Seen::Nothing => more,
        Seen::InMap | Seen::Never => {
            let found = writes.map.find(context, &key)?;
            let sum = match found {
                Some((_, cell)) => plus(cell.as_integer().ok_or(Error::NotAnInteger)?)?,
                None => more,
            };
            if writes.get(&key) == Seen::Never {
                let position = found.map(|(position, _)| position);
                writes.set_found(&key, position, &int_bytes(sum));
                return Ok(sum);
            }
            sum
        }
    };
    writes.set(&key, &int_bytes(sum));
    Ok(sum)
}
