//! Storing many entries with one change.
//!
//! New entries lie after all others, at positions that no reader reads before the number of used
//! positions includes them, so they are stored without saving a word. An index for them is built
//! beside the old one and costs a few saved words per leaf; a block costs one. So the number of
//! saved words hardly grows with the number of new entries. Replaced values are saved.
//!
//! More entries than a transaction takes are stored part by part, each with a change of its own, so that
//! no turn is held for long.
//!
//! What always holds: every step that can fail comes before the first store of the one change, or
//! is a change of its own that keeps the map's content and order.

mod fresh;
mod seen;

use std::ops::Range;

use super::buckets::{self, Bucket, leaf_shape};
use super::index::{self, Plan};
use super::pairs::Pairs;
use super::table::{Table, index_leaves, put_entry, trail};
use super::{Key, growth};
use crate::allocator::{self, LONGEST_BLOCK, Room, Taken};
use crate::error::{Error, Result};
use crate::journal::{Change, Held, MAX_WORDS};
use crate::memory::layout::{CellWords, Object};
use crate::memory::{Region, private_list};
use crate::objects::cell::{self, Cell, Overwrite};
use crate::objects::parcel;
use crate::wire::{self, INT_BYTES, int_bytes};
use fresh::Fresh;
use seen::Seen;

/// The position of an entry that does not exist yet.
const NEW: u32 = u32::MAX;

/// Most entries of a call that are stored with one change, whatever their sizes.
pub const ONE_CHANGE: usize = 32_768;
/// Entries in each part of a larger call.
const PART: usize = 2048;
/// Most words that an entry needs in a change, with its bucket.
const MOST_WORDS: usize = 8;
const _: () = assert!(ONE_CHANGE * MOST_WORDS <= MAX_WORDS, "a whole call fits one change");

/// Returns the entries of each change of a call with so many, in their order.
pub fn parts(len: usize) -> impl Iterator<Item = Range<usize>> {
    let part = if len <= ONE_CHANGE { ONE_CHANGE } else { PART };
    (0..len).step_by(part).map(move |begin| begin..len.min(begin + part))
}

/// The arguments of a call: keys and values by their numbers.
trait Batch {
    /// Returns a key and a value.
    fn pair(&self, name: u32, value: u32) -> (&[u8], &[u8]);
    /// Returns whether there may be a key or a value that does not fit into its cell.
    fn has_long(&self) -> bool;
}

/// A key of a call, once, and the number of its value in the call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Write {
    name: u32,
    value: u32,
    hash: u32,
    position: u32,
}

impl Write {
    #[inline]
    fn key<'a>(&self, batch: &'a impl Batch) -> Key<'a> {
        Key::hashed(batch.pair(self.name, self.value).0, self.hash)
    }

    #[inline]
    fn is_new(&self) -> bool {
        self.position == NEW
    }
}

/// Lists each key once, where it first comes. Calls `again` for a key that came before.
#[inline]
fn each_once<'a>(
    region: &Region,
    numbers: Range<usize>,
    name: impl Fn(u32) -> &'a [u8],
    mut again: impl FnMut(&mut Write, u32) -> Result<()>,
) -> Result<Vec<Write>> {
    let count = numbers.len();
    if numbers.end >= NEW as usize {
        return Err(Error::BadArgument("a call takes fewer than 4,294,967,295 entries"));
    }
    let seed = region.header().seed.get();
    let mut writes: Vec<Write> = Vec::with_capacity(count);
    let mut seen = Seen::new(count);
    for number in numbers.start as u32..numbers.end as u32 {
        let key = name(number);
        if key.is_empty() {
            return Err(Error::BadArgument("a key needs at least one byte"));
        }
        let Key { canonical, hash, .. } = Key::seeded(key, seed);
        let is_same = |before: usize| {
            let before = &writes[before];
            before.hash == hash && wire::canonical(name(before.name)) == canonical
        };
        match seen.enter(hash, writes.len(), is_same) {
            Some(before) => again(&mut writes[before], number)?,
            None => writes.push(Write { name: number, value: number, hash, position: NEW }),
        }
    }
    Ok(writes)
}

/// Values to be stored.
pub(super) struct Values<'a> {
    pairs: &'a Pairs,
    /// The length of the longest key or value.
    longest: usize,
    writes: Vec<Write>,
}

impl Batch for Values<'_> {
    #[inline(always)]
    fn pair(&self, name: u32, value: u32) -> (&[u8], &[u8]) {
        let pair = self.pairs.at(name as usize);
        if name == value { pair } else { (pair.0, self.pairs.at(value as usize).1) }
    }

    fn has_long(&self) -> bool {
        self.longest > cell::INLINE
    }
}

impl<'a> Values<'a> {
    /// Those with these numbers. Each key gets its last value.
    pub(super) fn new(region: &Region, pairs: &'a Pairs, numbers: Range<usize>) -> Result<Self> {
        let mut longest = 0;
        for number in numbers.clone() {
            let (key, value) = pairs.at(number);
            if value.is_empty() {
                return Err(Error::BadArgument("a value needs at least one byte"));
            }
            longest = longest.max(key.len()).max(value.len());
        }
        let name = |number: u32| pairs.at(number as usize).0;
        let writes = each_once(region, numbers, name, |write, number| {
            write.value = number;
            Ok(())
        })?;
        Ok(Self { pairs, longest, writes })
    }

    /// Returns the keys and values to be built in advance.
    pub(super) fn long(&self) -> impl Iterator<Item = &[u8]> {
        let writes = if self.longest > LONGEST_BLOCK { &self.writes[..] } else { &[] };
        writes.iter().flat_map(|write| <[_; 2]>::from(self.pair(write.name, write.value)))
    }

    /// Stores all of them, and returns how many keys are new. The turn is held and no change is
    /// open.
    pub(super) fn store(&mut self, held: &Held<'_>, object: &Object) -> Result<u64> {
        let mut writes = std::mem::take(&mut self.writes);
        let table = Table::new(held.context().region(), object);
        let done = find_all(&table, self, &mut writes)
            .and_then(|()| store_found(held, object, self, &mut writes));
        self.writes = writes;
        done
    }
}

/// Additions to integers.
pub(super) struct Additions<'a, K> {
    keys: &'a [(K, i64)],
    writes: Vec<Write>,
    /// The total addition to each key, under the number of its first entry.
    sums: Vec<i64>,
    /// The new integers.
    after: Vec<[u8; INT_BYTES]>,
}

impl<K: AsRef<[u8]>> Batch for Additions<'_, K> {
    #[inline]
    fn pair(&self, name: u32, _: u32) -> (&[u8], &[u8]) {
        (self.keys[name as usize].0.as_ref(), &self.after[name as usize])
    }

    fn has_long(&self) -> bool {
        self.keys.iter().any(|(key, _)| key.as_ref().len() > cell::INLINE)
    }
}

impl<'a, K: AsRef<[u8]>> Additions<'a, K> {
    pub(super) fn new(region: &Region, keys: &'a [(K, i64)]) -> Result<Self> {
        let mut sums: Vec<i64> = keys.iter().map(|(_, more)| *more).collect();
        let name = |number: u32| keys[number as usize].0.as_ref();
        let writes = each_once(region, 0..keys.len(), name, |write, number| {
            let sum = &mut sums[write.name as usize];
            *sum = sum.checked_add(keys[number as usize].1).ok_or(Error::Overflow)?;
            Ok(())
        })?;
        Ok(Self { keys, writes, sums, after: vec![int_bytes(0); keys.len()] })
    }

    /// Returns the keys to be built in advance.
    pub(super) fn long(&self) -> impl Iterator<Item = &[u8]> {
        self.writes.iter().map(|write| self.keys[write.name as usize].0.as_ref())
    }

    /// Adds to all of them. The turn is held and no change is open.
    pub(super) fn add(&mut self, held: &Held<'_>, object: &Object) -> Result<()> {
        let table = Table::new(held.context().region(), object);
        if table.live() > 0 {
            table.warm(self.writes.iter().map(|write| write.hash))?;
        }
        for number in 0..self.writes.len() {
            let mut write = self.writes[number];
            let mut sum = self.sums[write.name as usize];
            write.position = NEW;
            if let Some(found) = table.find(&write.key(self))? {
                let before = Cell::load(&found.entry.value).as_integer();
                sum = before.ok_or(Error::NotAnInteger)?.checked_add(sum).ok_or(Error::Overflow)?;
                write.position = found.position as u32;
            }
            self.writes[number].position = write.position;
            self.after[write.name as usize] = int_bytes(sum);
        }
        let mut writes = std::mem::take(&mut self.writes);
        let done = store_found(held, object, self, &mut writes);
        self.writes = writes;
        done.map(|_| ())
    }
}

/// Notes the positions of the keys.
fn find_all(table: &Table<'_>, batch: &impl Batch, writes: &mut [Write]) -> Result<()> {
    if table.live() == 0 {
        writes.iter_mut().for_each(|write| write.position = NEW);
        return Ok(());
    }
    table.warm(writes.iter().map(|write| write.hash))?;
    for write in writes {
        write.position = table.find(&write.key(batch))?.map_or(NEW, |found| found.position as u32);
    }
    Ok(())
}

fn store_found(
    held: &Held<'_>,
    object: &Object,
    batch: &impl Batch,
    writes: &mut [Write],
) -> Result<u64> {
    let table = Table::new(held.context().region(), object);
    let new = writes.iter().filter(|write| write.is_new()).count();
    let mut need = Need::of(&table, batch, writes, Overwrite::IfShort)?;
    if new > 0 {
        let numbering = table.root.numbering.get();
        growth::reserve_positions(held, object, new as u64)?;
        if table.root.numbering.get() != numbering {
            find_all(&table, batch, writes)?;
        }
    }
    let buckets = if Need::is_index_built(&table, new) {
        Buckets::built(&table, writes)?
    } else {
        Buckets::inserted(held, object, writes)?
    };
    need.add_buckets(&table, &buckets)?;
    match allocator::ensure_all(held.context(), &mut need.rooms) {
        Err(full @ Error::HeapFull { .. }) => {
            // Without room for new blocks, values go into the old ones, which saves more words.
            need = Need::of(&table, batch, writes, Overwrite::IfItFits)?;
            need.add_buckets(&table, &buckets)?;
            if need.words > MAX_WORDS {
                return Err(full);
            }
            allocator::ensure_all(held.context(), &mut need.rooms)?;
        }
        other => other?,
    }
    let mut change = Change::begin(held, need.words)?;
    let writes = Writes { list: writes, new, overwrite: need.overwrite };
    apply(&mut change, object, batch, writes, buckets)?;
    change.commit();
    Ok(new as u64)
}

/// What a change stores.
#[derive(Clone, Copy)]
struct Writes<'a> {
    list: &'a [Write],
    /// How many of the keys are new.
    new: usize,
    overwrite: Overwrite,
}

/// How new positions are entered in the index.
enum Buckets {
    /// By a new index, which also gets the existing buckets.
    Built(Plan, Vec<Bucket>),
    /// By buckets of the existing index, in the order of their hashes.
    Inserted(Vec<Bucket>),
}

impl Buckets {
    fn built(table: &Table<'_>, writes: &[Write]) -> Result<Self> {
        let mut buckets = private_list(table.live())?;
        for leaf in index_leaves(table)? {
            let shape = leaf_shape(table.region, leaf)?;
            let all =
                buckets::buckets(table.region, leaf, shape)?.iter().map(|word| Bucket(word.get()));
            buckets.extend(all.filter(|bucket| bucket.is_living()));
        }
        let all = buckets.iter().copied().chain(fresh_buckets(table, writes));
        let plan = index::plan(all.map(Bucket::hash), 0);
        Ok(Self::Built(plan, buckets))
    }

    fn inserted(held: &Held<'_>, object: &Object, writes: &[Write]) -> Result<Self> {
        let table = Table::new(held.context().region(), object);
        let mut buckets: Vec<Bucket> = fresh_buckets(&table, writes).collect();
        buckets.sort_unstable_by_key(|bucket| bucket.hash());
        let hashes: Vec<u32> = buckets.iter().map(|bucket| bucket.hash()).collect();
        growth::reserve_index(held, object, &hashes)?;
        Ok(Self::Inserted(buckets))
    }
}

/// Returns the buckets of new entries.
fn fresh_buckets(table: &Table<'_>, writes: &[Write]) -> impl Iterator<Item = Bucket> + Clone {
    let fresh = writes.iter().filter(|write| write.is_new());
    (table.used()..).zip(fresh).map(|(position, write)| Bucket::new(position, write.hash))
}

/// The resources of the change: words to save, and blocks.
#[derive(Default)]
struct Need {
    words: usize,
    rooms: Vec<Room>,
    overwrite: Overwrite,
}

impl Need {
    /// Computes the resources of all these entries, without the index.
    fn of(
        table: &Table<'_>,
        batch: &impl Batch,
        writes: &[Write],
        overwrite: Overwrite,
    ) -> Result<Self> {
        // Heads of chains; entries, positions, and where the index is.
        let mut need = Self { words: Taken::HEADS + 4, rooms: Vec::new(), overwrite };
        if batch.has_long() || writes.iter().any(|write| !write.is_new()) {
            for write in writes {
                need.add(table, batch, write)?;
            }
        }
        Ok(need)
    }

    #[inline]
    fn add(&mut self, table: &Table<'_>, batch: &impl Batch, write: &Write) -> Result<()> {
        let (name, value) = batch.pair(write.name, write.value);
        // A parcel is taken off a chain whose head is saved each time.
        self.words += usize::from(value.first() == Some(&parcel::TAG));
        if write.is_new() {
            self.store(name);
            self.store(value);
            return Ok(());
        }
        let old = Cell::load(&table.entry(u64::from(write.position))?.value);
        self.words += 2;
        if cell::is_overwritten(table.region, old, value, self.overwrite)? {
            self.words += value.len().div_ceil(8);
            return Ok(());
        }
        self.store(value);
        if old.block().is_some() {
            self.words += allocator::GIVE_WORDS;
        }
        Ok(())
    }

    #[inline]
    fn store(&mut self, bytes: &[u8]) {
        if let Some(room) = cell::room_of(bytes) {
            self.words += 1;
            self.rooms.push(room);
        } else if cell::is_long(bytes) {
            self.words += allocator::TAKE_WORDS;
        }
    }

    /// Returns whether building a new index is better for this number of new entries: it is if they
    /// are many compared with the existing ones.
    fn is_index_built(table: &Table<'_>, new: usize) -> bool {
        new > 0 && new as u64 * 2 >= table.live()
    }

    fn add_buckets(&mut self, table: &Table<'_>, buckets: &Buckets) -> Result<()> {
        match buckets {
            Buckets::Built(plan, _) => {
                let leaves = plan.leaves() as usize;
                let old = index_leaves(table)?.len() + 1;
                self.words += (leaves + 1) * allocator::TAKE_WORDS + old * allocator::GIVE_WORDS;
                self.rooms.extend(std::iter::repeat_n(plan.leaf_room(), leaves));
                self.rooms.extend(plan.directory_room());
            }
            // Each entry needs a bucket, and at most one first word of a leaf.
            Buckets::Inserted(buckets) => self.words += 2 * buckets.len(),
        }
        Ok(())
    }
}

/// Makes the change.
fn apply(
    change: &mut Change<'_>,
    object: &Object,
    batch: &impl Batch,
    writes: Writes<'_>,
    buckets: Buckets,
) -> Result<()> {
    let Writes { list: writes, new, overwrite } = writes;
    let table = Table::new(change.region(), object);
    let mut taken = Taken::default();
    let mut fresh = Fresh::new(table);
    for write in writes {
        let (name, value) = batch.pair(write.name, write.value);
        if write.is_new() {
            trail::note(table.region, object, fresh.position())?;
            let key = make(change, &mut taken, name)?;
            let value = make(change, &mut taken, value)?;
            put_entry(change, fresh.next()?, key, value);
            continue;
        }
        trail::note(table.region, object, u64::from(write.position))?;
        let entry = table.entry(u64::from(write.position))?;
        replace(change, &mut taken, &entry.value, value, overwrite)?;
    }
    match buckets {
        Buckets::Built(plan, old) => {
            let all = old.iter().copied().chain(fresh_buckets(&table, writes));
            index::replace(change, object, plan, all)?;
        }
        Buckets::Inserted(sorted) => index::insert_many(change, object, sorted)?,
    }
    if new > 0 {
        change.set(&table.root.live, table.live().wrapping_add(new as u64));
        change.set(&table.root.used, fresh.position());
    }
    Ok(())
}

/// Replaces a value.
fn replace(
    change: &mut Change<'_>,
    taken: &mut Taken,
    words: &CellWords,
    value: &[u8],
    overwrite: Overwrite,
) -> Result<()> {
    let old = Cell::load(words);
    match Cell::inline(value) {
        Some(new) if old.block().is_none() => cell::update(change, words, new),
        _ if cell::is_overwritten(change.region(), old, value, overwrite)? => {
            cell::replace(change, words, value)?;
        }
        _ => {
            let new = make(change, taken, value)?;
            cell::free(change, old)?;
            cell::store(change, words, new);
        }
    }
    Ok(())
}

/// Returns the cell of a new key or value.
#[inline(always)]
fn make(change: &mut Change<'_>, taken: &mut Taken, bytes: &[u8]) -> Result<Cell> {
    match Cell::inline(bytes) {
        Some(cell) => Ok(cell),
        None => make_long(change, taken, bytes),
    }
}

fn make_long(change: &mut Change<'_>, taken: &mut Taken, bytes: &[u8]) -> Result<Cell> {
    if let Some(packed) = cell::packed(change, bytes)? {
        return Ok(packed);
    }
    if cell::is_long(bytes) {
        return cell::make_long(change, bytes);
    }
    let at = taken.take(change, Room::of(bytes.len()))?;
    Ok(cell::build(change.region(), at, bytes)?)
}
