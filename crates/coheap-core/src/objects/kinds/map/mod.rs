//! Maps: keys to values, in the order of insertion.
//!
//! Entries lie in segments in the order they came, as in Python's dict. An index of buckets gives
//! the position of each key; it is split one leaf at a time.
//!
//! The root words are a [`MapRoot`](crate::memory::layout::MapRoot).
//!
//! What always holds: keys are equal if their canonical bytes are; an entry keeps the form of its key that was
//! given first. The hash has 32 bits and is seeded with the heap's number; it is XXH3 for canonical bytes
//! that are too long for a cell.

mod bulk;
mod edit;
mod growth;
mod index;
mod inside;
mod pairs;
mod read;
mod shape;
mod shrink;
mod buckets;
mod table;

pub use bulk::{ONE_CHANGE, parts};
pub(crate) use inside::Writes;
pub use pairs::{Pairs, Take};
pub use read::{Batch, FoundMany};
pub(crate) use shape::Shape;
pub use shape::{NotedRecipe, Recipe};

pub(crate) use edit::{DELETE_WORDS, INSERT_WORDS, Numbers, SHRINK_WORDS, delete, insert};
pub(crate) use growth::reserve;
pub(crate) use table::{Found, Table, directory_room, entries_room, map_root};

use table::trail;

use std::ops::Range;

use crate::allocator;
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context, Held};
use crate::memory::Region;
use crate::memory::layout::Object;
use crate::objects::cell::{self, Cell, Expected, Long, Step};
use crate::objects::header::Handle;
use crate::objects::{estate, husk, value};
use crate::wire::{canonical, int_bytes};

/// A handle to a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Map {
    pub(in crate::objects) handle: Handle,
}

/// A key with its hash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'a> {
    /// The key with its form, if it has one: what a new entry has.
    pub(crate) bytes: &'a [u8],
    /// What it is found by, and the cell of that.
    pub(crate) canonical: &'a [u8],
    inline: Option<Cell>,
    pub(crate) hash: u32,
}

impl<'a> Key<'a> {
    #[inline]
    pub(crate) fn new(region: &Region, bytes: &'a [u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Err(Error::BadArgument("a key needs at least one byte"));
        }
        Ok(Self::seeded(bytes, region.header().seed.get()))
    }

    /// Returns a key of a heap with this seed.
    #[inline]
    pub(crate) fn seeded(bytes: &'a [u8], seed: u64) -> Self {
        let canonical = canonical(bytes);
        let inline = Cell::inline(canonical);
        Self { bytes, canonical, inline, hash: hash(canonical, inline, seed) }
    }

    /// Returns a key whose hash is known.
    #[inline]
    pub(crate) fn hashed(bytes: &'a [u8], hash: u32) -> Self {
        let canonical = canonical(bytes);
        Self { bytes, canonical, inline: Cell::inline(canonical), hash }
    }

    /// Returns whether an entry with this key cell has the key.
    #[inline(always)]
    pub(crate) fn is_in(&self, region: &Region, cell: Cell) -> Result<bool, Corrupt> {
        if cell.is(region, self.canonical, self.inline)? {
            return Ok(true);
        }
        Ok(cell.len() > self.canonical.len() as u64 && self.is_formed_in(region, cell)?)
    }

    #[cold]
    fn is_formed_in(&self, region: &Region, cell: Cell) -> Result<bool, Corrupt> {
        let mut bytes = Vec::new();
        match cell.read(region, &mut bytes) {
            Ok(()) => Ok(canonical(&bytes) == self.canonical),
            Err(Error::Corrupt(corrupt)) => Err(corrupt),
            Err(_) => Ok(false),
        }
    }
}

/// Returns the hash of a key, with its cell if it is short.
#[inline(always)]
fn hash(bytes: &[u8], inline: Option<Cell>, seed: u64) -> u32 {
    match inline {
        Some(cell) => hash_short(cell, seed),
        None => xxhash_rust::xxh3::xxh3_64_with_seed(bytes, seed) as u32,
    }
}

/// Returns the hash of a key that is its cell: two rounds of multiply and fold, all in registers.
#[inline]
fn hash_short(cell: Cell, seed: u64) -> u32 {
    let fold = |left: u64, right: u64| {
        let product = u128::from(left) * u128::from(right);
        product as u64 ^ (product >> 64) as u64
    };
    let first = fold(cell.0 ^ seed ^ SECRETS[0], cell.1 ^ seed.rotate_left(32) ^ SECRETS[1]);
    fold(first ^ seed, SECRETS[2]) as u32
}

/// Odd numbers with about as many ones as zeros: digits of the square roots of 2, 3 and 5.
const SECRETS: [u64; 3] = [0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b];

impl Map {
    /// Sets the value of a key, and returns whether the key is new.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`], [`Error::ObjectGone`]; nothing was changed.
    pub fn set(&self, context: &Context, key: &[u8], value: &[u8]) -> Result<bool> {
        let key = Key::new(context.region(), key)?;
        let mut long = Long::new(context);
        if cell::is_long(key.bytes) || cell::is_long(value) {
            build(&mut long, &[key.bytes, value])?;
        }
        let is_new = estate::or_after_sweep(context, || {
            let (held, object) = self.handle.hold(context)?;
            store(&held, object, &key, value)
        });
        self.tidy(context).and(is_new)
    }

    /// Sets the value of a missing key, and returns `true`. If the key exists, returns `false` and
    /// replaces `out` by its value.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`], [`Error::ObjectGone`]; nothing was changed.
    pub fn set_default(
        &self,
        context: &Context,
        key: &[u8],
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        let key = Key::new(context.region(), key)?;
        // A long value is not built in vain.
        if cell::is_long(value) && self.get(context, key.bytes, out)? {
            return Ok(false);
        }
        let mut long = Long::new(context);
        if cell::is_long(key.bytes) || cell::is_long(value) {
            build(&mut long, &[key.bytes, value])?;
        }
        let late = estate::or_after_sweep(context, || {
            let (held, object) = self.handle.hold(context)?;
            if let Some(found) = Table::new(context.region(), object).find(&key)? {
                return Cell::load(&found.entry.value).begin(context, out).map(Some);
            }
            store(&held, object, &key, value).map(|_| None)
        })?;
        match late {
            Some(late) => cell::finish(late, out).map(|()| false),
            None => self.tidy(context).map(|()| true),
        }
    }

    /// Adds to the integer of a key, and returns the sum. A missing key counts as 0.
    ///
    /// # Errors
    ///
    /// [`Error::NotAnInteger`], [`Error::Overflow`], [`Error::HeapFull`], [`Error::ObjectGone`];
    /// nothing was changed.
    pub fn add(&self, context: &Context, key: &[u8], more: i64) -> Result<i64> {
        let key = Key::new(context.region(), key)?;
        let mut long = Long::new(context);
        if cell::is_long(key.bytes) {
            build(&mut long, &[key.bytes])?;
        }
        let sum = estate::or_after_sweep(context, || {
            let (held, object) = self.handle.hold(context)?;
            match Table::new(context.region(), object).find(&key)? {
                Some(found) => {
                    trail::note(context.region(), object, found.position)?;
                    value::add(&held, &found.entry.value, more).map(Some)
                }
                None => store(&held, object, &key, &int_bytes(more)).map(|_| None),
            }
        })?;
        match sum {
            Some(sum) => Ok(sum),
            None => self.tidy(context).map(|()| more),
        }
    }

    /// Sets the values of all these keys, and returns how many keys are new. A key that comes twice gets
    /// its last value; new keys keep the order in which they first come.
    ///
    /// Up to [`ONE_CHANGE`] entries are one change: all of them are set, or none. More are set in
    /// parts, in their order, each with a change of its own: other threads see some of them without the
    /// others, and an error or a death leaves the parts before.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`], [`Error::ObjectGone`], [`Error::BadArgument`] for a key or a value without
    /// bytes; nothing was changed, or only the parts before were.
    pub fn set_many(&self, context: &Context, entries: &Pairs) -> Result<u64> {
        bulk::parts(entries.len())
            .try_fold(0, |new, numbers| Ok(new + self.set_part(context, entries, numbers)?))
    }

    /// Sets the values of some of these keys, with one change, and returns how many keys are new.
    ///
    /// # Errors
    ///
    /// As [`Map::set_many`], and for more than [`ONE_CHANGE`] numbers, [`Error::BadArgument`]; nothing was
    /// changed.
    pub fn set_part(
        &self,
        context: &Context,
        entries: &Pairs,
        numbers: Range<usize>,
    ) -> Result<u64> {
        check_part(&numbers)?;
        let mut values = bulk::Values::new(context.region(), entries, numbers)?;
        let mut long = Long::new(context);
        let new = estate::or_after_sweep(context, || {
            long.build(values.long())?;
            let (held, object) = self.handle.hold(context)?;
            values.store(&held, object)
        });
        self.tidy(context)?;
        context.let_others_go();
        new
    }

    /// Adds to the integers of all these keys. A missing key counts as 0, and a key may come twice.
    ///
    /// The parts of a large call are those of [`Map::set_many`].
    ///
    /// # Errors
    ///
    /// [`Error::NotAnInteger`], [`Error::Overflow`], and as [`Map::set_many`]; nothing was changed, or
    /// only the parts before were.
    pub fn add_many<K: AsRef<[u8]>>(
        &self,
        context: &Context,
        additions: &[(K, i64)],
    ) -> Result<()> {
        bulk::parts(additions.len())
            .try_for_each(|numbers| self.add_part(context, &additions[numbers]))
    }

    /// Adds to the integers of all these keys, with one change.
    ///
    /// # Errors
    ///
    /// As [`Map::add_many`], and for more than [`ONE_CHANGE`] keys, [`Error::BadArgument`]; nothing was
    /// changed.
    pub fn add_part<K: AsRef<[u8]>>(
        &self,
        context: &Context,
        additions: &[(K, i64)],
    ) -> Result<()> {
        check_part(&(0..additions.len()))?;
        let mut additions = bulk::Additions::new(context.region(), additions)?;
        let mut long = Long::new(context);
        let done = estate::or_after_sweep(context, || {
            long.build(additions.long())?;
            let (held, object) = self.handle.hold(context)?;
            additions.add(&held, object)
        });
        self.tidy(context)?;
        context.let_others_go();
        done
    }

    /// Sets a key to `new` if its value is exactly `expected`, and returns whether it did. `None`
    /// stands for no value.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`], [`Error::ObjectGone`]; nothing was changed.
    pub fn compare_and_set(
        &self,
        context: &Context,
        key: &[u8],
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool> {
        let region = context.region();
        let key = Key::new(region, key)?;
        let (mut old, mut long) = (expected.map(Expected::new), Long::new(context));
        let is_done = loop {
            let step = estate::or_after_sweep(context, || {
                let (held, object) = self.handle.hold(context)?;
                let found = Table::new(region, object).find(&key)?;
                match is_as_expected(context, found.as_ref(), old.as_ref())? {
                    Step::Done(true) => {}
                    other => return Ok(other),
                }
                match (found, new) {
                    (_, Some(value)) if long.lacks(value) || long.lacks(key.bytes) => {
                        return Ok(Step::Build);
                    }
                    (_, Some(value)) => store(&held, object, &key, value).map(|_| ())?,
                    (Some(found), None) => take_out(&held, object, &found)?,
                    (None, None) => {}
                }
                Ok(Step::Done(true))
            })?;
            match (step, &mut old) {
                (Step::Done(is_done), _) => break is_done,
                (Step::Compare(cell, late), Some(old)) => old.compare(cell, late)?,
                _ => estate::or_after_sweep(context, || {
                    long.build(new.into_iter().chain([key.bytes]))
                })?,
            }
        };
        drop(old);
        if is_done {
            self.tidy(context)?;
        }
        Ok(is_done)
    }

    /// Removes a key and replaces `out` by its value. Returns `false` if the key is missing.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`]; nothing was changed.
    pub fn remove(&self, context: &Context, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let key = Key::new(context.region(), key)?;
        let (held, object) = self.handle.hold(context)?;
        let Some(found) = Table::new(context.region(), object).find(&key)? else {
            return Ok(false);
        };
        let value = Cell::load(&found.entry.value);
        if !value.read_short(context.region(), out)? {
            drop(held);
            return self.remove_long(context, &key, value, out);
        }
        take_out(&held, object, &found)?;
        drop(held);
        self.tidy(context).map(|()| true)
    }

    /// As `remove`, for a key whose value is or was this long one.
    #[cold]
    fn remove_long(
        &self,
        context: &Context,
        key: &Key<'_>,
        mut value: Cell,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        loop {
            cell::make_room(context, value, out)?;
            let (held, object) = self.handle.hold(context)?;
            let Some(found) = Table::new(context.region(), object).find(key)? else {
                return Ok(false);
            };
            value = Cell::load(&found.entry.value);
            if cell::has_room(value, out) {
                let late = value.begin(context, out)?;
                take_out(&held, object, &found)?;
                drop(held);
                cell::finish(late, out)?;
                return self.tidy(context).map(|()| true);
            }
        }
    }

    /// The references of the removed value are left to `parcel::let_go`, because the caller may
    /// need the objects.
    fn tidy(&self, context: &Context) -> Result<()> {
        self.tidy_only(context)?;
        go_on(context)
    }

    fn tidy_only(&self, context: &Context) -> Result<()> {
        husk::dismantle_only(context)?;
        allocator::tidy(context)
    }
}

fn check_part(numbers: &Range<usize>) -> Result<()> {
    match numbers.len() {
        0..=ONE_CHANGE => Ok(()),
        _ => Err(Error::BadArgument("a part of a call has at most 32,768 entries")),
    }
}

/// Does some of the steps that this thread owes the map that it has made grow.
#[inline(always)]
pub(crate) fn go_on(context: &Context) -> Result<()> {
    if context.kept.packing.steps() == 0 { Ok(()) } else { Map::go_on(context) }
}

/// Builds the long ones of these values, for an operation that stores them.
#[cold]
fn build(long: &mut Long<'_>, values: &[&[u8]]) -> Result<()> {
    estate::or_after_sweep(long.context(), || long.build(values.iter().copied()))
}

/// Returns whether what was found under a key, with the turn held, is the expected value.
fn is_as_expected<'a>(
    context: &'a Context,
    found: Option<&Found<'_>>,
    expected: Option<&Expected<'_, '_>>,
) -> Result<Step<'a, bool>> {
    let (Some(found), Some(expected)) = (found, expected) else {
        return Ok(Step::Done(found.is_none() && expected.is_none()));
    };
    let cell = Cell::load(&found.entry.value);
    let late = cell.late(context)?;
    Ok(match (expected.is(context.region(), cell, late.as_deref())?, late) {
        (None, Some(late)) => Step::Compare(cell, late),
        (is_equal, _) => Step::Done(is_equal == Some(true)),
    })
}

/// Removes an entry that was found with the turn held.
#[inline(always)]
fn take_out(held: &Held<'_>, object: &Object, found: &Found<'_>) -> Result<()> {
    let mut change = Change::begin(held, DELETE_WORDS + SHRINK_WORDS)?;
    delete(&mut change, object, found, true, Numbers::Each)?;
    change.commit();
    shrink::reset_if_empty(held, object)
}

/// Sets the value of a key, whether the key exists or not. The turn is held and no change is open.
fn store(held: &Held<'_>, object: &Object, key: &Key<'_>, value: &[u8]) -> Result<bool> {
    let context = held.context();
    let region = context.region();
    if let Some(found) = Table::new(region, object).find(key)? {
        trail::note(region, object, found.position)?;
        let words = &found.entry.value;
        return value::store(held, words, Cell::load(words), value).map(|_| false);
    }
    reserve(held, object, &[key.hash])?;
    edit::ensure_insert(context, key, value)?;
    let mut change = Change::begin(held, INSERT_WORDS)?;
    insert(&mut change, object, key, value)?;
    change.commit();
    Ok(true)
}

#[cfg(all(test, not(any(loom, miri, sim))))]
mod tests {
    use super::*;
    use crate::heap::Heap;
    use crate::objects::{Directory, map};

    /// Goal: a key that comes and goes for ever leaves nothing in the index for others to search.
    /// Method: no more buckets are filled than with the key there once.
    #[test]
    fn a_key_that_comes_and_goes_leaves_no_trail() {
        let heap = Heap::anonymous(1 << 20).expect("a heap");
        let filled = |context: &Context, map: &Map| {
            let object = map.handle.object(context.region())?;
            let at = table::leaf_at(&Table::new(context.region(), object), 0)?;
            Ok::<_, Error>(buckets::leaf_shape(context.region(), at)?.filled)
        };
        let answer = heap.with(|context| {
            let map = Directory.get_or_create(context, "map", &map::Recipe)?;
            (0..100u8).try_for_each(|key| map.set(context, &[key], b"other").map(|_| ()))?;
            map.set(context, b"key", b"value")?;
            let before = filled(context, &map)?;
            for _ in 0..1000 {
                assert!(map.remove(context, b"key", &mut Vec::new())?);
                assert!(map.set(context, b"key", b"value")?);
            }
            assert_eq!(filled(context, &map)?, before);
            Ok(())
        });
        assert_eq!(answer, Ok(()));
    }
}
