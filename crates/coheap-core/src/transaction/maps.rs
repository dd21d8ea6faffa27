//! What a transaction does with maps.
//!
//! What always holds: a map that was read is locked, so the positions that the overlay notes stay
//! where they are until the commit.

use super::overlay::{Seen, Writes};
use super::touched::Touched;
use super::{Additions, Transaction, encode_integer, integer};
use crate::error::{Error, Result};
use crate::journal::Context;
use crate::kind::Kind;
use crate::objects::Map;
use crate::objects::map::Key;

impl Transaction {
    /// Locks a map without reading it.
    ///
    /// # Errors
    ///
    /// [`Error::Deadlock`], [`Error::ObjectGone`].
    pub fn lock_map(&mut self, map: &Map) -> Result<()> {
        self.touch_map(map).map(|_| ())
    }

    /// As [`Map::get`], through this transaction's own writes.
    ///
    /// # Errors
    ///
    /// As [`Map::get`]; [`Error::Deadlock`].
    pub fn map_get(&mut self, map: &Map, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let (writes, context) = self.touch_map(map)?;
        match writes.get(&Key::new(context.region(), key)?) {
            Seen::Value(value) => {
                out.clear();
                out.extend_from_slice(value);
                Ok(true)
            }
            Seen::Nothing => Ok(false),
            Seen::InMap | Seen::Never => map.get(context, key, out),
        }
    }

    /// As [`Map::set`], when this transaction commits.
    ///
    /// # Errors
    ///
    /// [`Error::Deadlock`], [`Error::ObjectGone`].
    pub fn map_set(&mut self, map: &Map, key: &[u8], value: &[u8]) -> Result<()> {
        if key.is_empty() || value.is_empty() {
            return Err(Error::BadArgument("keys and values have at least one byte"));
        }
        let (writes, context) = self.touch_map(map)?;
        let key = Key::new(context.region(), key)?;
        if writes.get(&key) == Seen::Never {
            let found = map.find(context, &key)?.map(|(position, _)| position);
            writes.set_found(&key, found, value);
        } else {
            writes.set(&key, value);
        }
        Ok(())
    }

    /// As [`Map::remove`], when this transaction commits.
    ///
    /// # Errors
    ///
    /// [`Error::Deadlock`], [`Error::ObjectGone`].
    pub fn map_remove(&mut self, map: &Map, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        if !self.map_get(map, key, out)? {
            return Ok(false);
        }
        let (writes, context) = self.touch_map(map)?;
        let key = Key::new(context.region(), key)?;
        if writes.get(&key) == Seen::Never {
            writes.learn(&key, map.find(context, &key)?.map(|(position, _)| position));
        }
        writes.remove(&key);
        Ok(true)
    }

    /// As [`Map::add`], when this transaction commits.
    ///
    /// # Errors
    ///
    /// As [`Map::add`]; [`Error::Deadlock`].
    pub fn map_add(&mut self, map: &Map, key: &[u8], more: i64) -> Result<i64> {
        let (writes, context) = self.touch_map(map)?;
        let key = Key::new(context.region(), key)?;
        let plus = |before: i64| before.checked_add(more).ok_or(Error::Overflow);
        let sum = match writes.get(&key) {
            Seen::Value(value) => plus(integer(value)?)?,
            Seen::Nothing => more,
            Seen::InMap | Seen::Never => {
                let found = map.find(context, &key)?;
                let sum = match found {
                    Some((_, cell)) => plus(cell.as_integer().ok_or(Error::NotAnInteger)?)?,
                    None => more,
                };
                let position = found.map(|(position, _)| position);
                if writes.get(&key) == Seen::Never {
                    writes.set_found(&key, position, &encode_integer(sum));
                    return Ok(sum);
                }
                sum
            }
        };
        writes.set(&key, &encode_integer(sum));
        Ok(sum)
    }

    /// Adds to many integers at once, each under its own key. What is there is looked at by the
    /// commit: it fails where one is no integer, or a sum does not fit.
    ///
    /// # Errors
    ///
    /// [`Error::Deadlock`], [`Error::ObjectGone`].
    pub fn map_add_many<K: AsRef<[u8]>>(
        &mut self,
        map: &Map,
        additions: impl IntoIterator<Item = (K, i64)>,
    ) -> Result<()> {
        let mut seen = Vec::new();
        let mut unseen = self.map_additions(map)?;
        for (key, more) in additions {
            // New keys stand in the order in which they come: after the first that has to be
            // looked at, all are.
            if !seen.is_empty() || !unseen.add(key.as_ref(), more)? {
                seen.push((key, more));
            }
        }
        for (key, more) in seen {
            self.map_add(map, key.as_ref(), more)?;
        }
        Ok(())
    }

    /// Takes additions to integers one by one; what is there is looked at by the commit.
    ///
    /// # Errors
    ///
    /// [`Error::Deadlock`], [`Error::ObjectGone`].
    pub fn map_additions(&mut self, map: &Map) -> Result<Additions<'_>> {
        let number = self.touch_map_unseen(map)?;
        Ok(Additions { writes: self.writes(number)?.0 })
    }

    /// As [`Map::len`], with this transaction's own writes.
    ///
    /// # Errors
    ///
    /// As [`Map::len`]; [`Error::Deadlock`].
    pub fn map_len(&mut self, map: &Map) -> Result<u64> {
        let (writes, context) = self.touch_map(map)?;
        Ok(map.len(context)?.wrapping_add_signed(writes.growth()))
    }

    /// As [`Map::snapshot`], with this transaction's own writes.
    ///
    /// # Errors
    ///
    /// As [`Map::snapshot`]; [`Error::Deadlock`].
    pub fn map_snapshot(&mut self, map: &Map) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let (writes, context) = self.touch_map(map)?;
        Ok(writes.applied_to(map.snapshot(context)?.to_vec()))
    }

    /// What is written to a map, which is locked, and every addition looked at.
    #[inline]
    fn touch_map(&mut self, map: &Map) -> Result<(&mut Writes, &Context)> {
        let number = self.touch_map_unseen(map)?;
        match self.touched.get_mut(number) {
            Some(Touched::Map { is_locked: true, writes, .. }) if !writes.has_unseen() => {}
            _ => self.look_at_map(map, number)?,
        }
        self.writes(number)
    }

    /// Locks a map that was touched and looks at what is added to.
    #[cold]
    fn look_at_map(&mut self, map: &Map, number: usize) -> Result<()> {
        if let Some(Touched::Map { is_locked: false, .. }) = self.touched.get_mut(number) {
            self.lock(&map.handle)?;
        }
        if let Some(Touched::Map { is_locked, .. }) = self.touched.get_mut(number) {
            *is_locked = true;
        }
        let mut unseen = self.writes(number)?.0.take_unseen().into_iter();
        while let Some((key, more)) = unseen.next() {
            if let Err(error) = self.map_add(map, &key, more) {
                // What was not added waits for the commit again, which will say the same.
                let writes = self.writes(number)?.0;
                for (key, more) in std::iter::once((key, more)).chain(unseen) {
                    writes.add_unseen(&key, more);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// The number of a map among the objects that were touched.
    #[inline]
    fn touch_map_unseen(&mut self, map: &Map) -> Result<usize> {
        self.check()?;
        let seed = self.context.region().header().seed.get();
        let fresh = || Touched::Map { map: *map, writes: Writes::new(seed), is_locked: false };
        Ok(self.touched.enter(map.handle.at, fresh))
    }

    #[inline]
    fn writes(&mut self, number: usize) -> Result<(&mut Writes, &Context)> {
        match self.touched.get_mut(number) {
            Some(Touched::Map { writes, .. }) => Ok((writes, &self.context)),
            _ => Err(Error::WrongKind { found: Kind::Value, wanted: Kind::Map }),
        }
    }
}
