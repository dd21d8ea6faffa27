//! Lookups in a map, with its turn or without.
//!
//! Without the turn, everything that is read may be torn or stale. Every offset is therefore
//! checked before it is followed, every walk is bounded, and the caller discards the result unless
//! the turn's sequence is unchanged.

pub(super) mod gap;
pub(super) mod trail;

use std::ops::Range;

use smallvec::SmallVec;

use super::Key;
use super::buckets::{Bucket, HEAD, MOST_BITS, MOST_DEPTH, buckets, leaf_shape};
use crate::allocator::Room;
use crate::error::{Corrupt, Result};
use crate::journal::Change;
use crate::memory::layout::{ENTRY_BYTES, MapEntry, MapRoot, Object, SEGMENT_ENTRIES, WORD_BYTES};
use crate::memory::{Region, Word, private_list};
use crate::objects::cell::{self, Cell};

/// The number of keys that are prefetched together.
const WARM: usize = 64;

/// The parts of a map, for lookups.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table<'a> {
    pub(crate) region: &'a Region,
    pub(crate) root: &'a MapRoot,
}

/// A key that was found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) position: u64,
    pub(crate) entry: &'a MapEntry,
    /// Its bucket in the index.
    pub(crate) bucket: &'a Word,
}

/// Returns the root words of a map.
#[inline(always)]
pub(crate) fn map_root(object: &Object) -> &MapRoot {
    object.root_as()
}

impl<'a> Table<'a> {
    #[inline(always)]
    pub(crate) fn new(region: &'a Region, object: &'a Object) -> Self {
        Self { region, root: map_root(object) }
    }

    pub(crate) fn live(&self) -> u64 {
        self.root.live.get()
    }

    pub(crate) fn used(&self) -> u64 {
        self.root.used.get()
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.root.capacity.get()
    }

    /// Refuses numbers that are impossible in a heap of this size, before they are used.
    pub(crate) fn check_numbers(&self) -> Result<(), Corrupt> {
        let most = self.region.span_limit() * SEGMENT_ENTRIES;
        let (live, used, capacity) = (self.live(), self.used(), self.capacity());
        let (directory_len, depth) = (self.root.directory_len.get(), self.root.depth.get());
        let first = self.root.first.get();
        let has_room = directory_len <= most && capacity <= directory_len.max(1) * SEGMENT_ENTRIES;
        if live <= used && used <= capacity && has_room && depth <= MOST_DEPTH && first <= used {
            return Ok(());
        }
        Err(Corrupt { what: "numbers of a map", at: used })
    }

    /// Returns the entry of a key.
    #[inline]
    pub(crate) fn find(&self, key: &Key<'_>) -> Result<Option<Found<'a>>, Corrupt> {
        let Some(buckets) = leaf_of(self, key.hash)? else { return Ok(None) };
        let mask = buckets.len() - 1;
        let mut at = key.hash as usize & mask;
        for _ in 0..buckets.len() {
            let bucket = &buckets[at];
            if at != HEAD {
                let word = Bucket(bucket.get());
                if word.is_free() {
                    return Ok(None);
                }
                if word.is_candidate(key.hash) {
                    let position = word.position();
                    let entry = self.entry(position)?;
                    if key.is_in(self.region, Cell::load(&entry.key))? {
                        return Ok(Some(Found { position, entry, bucket }));
                    }
                }
            }
            at = (at + 1) & mask;
        }
        Ok(None)
    }

    /// Reads the memory that `find` will read for each of these hashes, so that the memory
    /// latencies overlap. The values that it reads are not used.
    pub(crate) fn warm(&self, hashes: impl Iterator<Item = u32>) -> Result<(), Corrupt> {
        let mut buckets: SmallVec<[Bucket; WARM]> = SmallVec::new();
        for hash in hashes {
            if let Some(leaf) = leaf_of(self, hash)? {
                // The head is no bucket: the search begins behind it.
                let number = (hash as usize & (leaf.len() - 1)).max(HEAD + 1);
                buckets.push(Bucket(leaf[number].get()));
            }
            if buckets.len() == WARM {
                self.warm_entries(&buckets)?;
                buckets.clear();
            }
        }
        self.warm_entries(&buckets)
    }

    fn warm_entries(&self, buckets: &[Bucket]) -> Result<(), Corrupt> {
        for bucket in buckets {
            if bucket.position() < self.capacity() {
                std::hint::black_box(self.entry(bucket.position())?.key[0].get());
            }
        }
        Ok(())
    }

    /// Returns the entry at a position.
    #[inline(always)]
    pub(crate) fn entry(&self, position: u64) -> Result<&'a MapEntry, Corrupt> {
        let (segment, inside) = self.place(position)?;
        self.region.at(segment.wrapping_add(inside * ENTRY_BYTES))
    }

    /// Returns the entry at a position, unless its segment was given back.
    #[inline(always)]
    pub(super) fn kept(&self, position: u64) -> Result<Option<&'a MapEntry>, Corrupt> {
        match self.place(position)? {
            (0, _) => Ok(None),
            (segment, inside) => {
                self.region.at(segment.wrapping_add(inside * ENTRY_BYTES)).map(Some)
            }
        }
    }

    /// Returns the offset of the segment of a position, 0 if it was given back, and the number in it.
    #[inline(always)]
    fn place(&self, position: u64) -> Result<(u64, u64), Corrupt> {
        if position >= self.capacity() {
            return Err(Corrupt { what: "position in a map", at: position });
        }
        if self.root.directory_len.get() == 0 {
            return Ok((self.root.entries.get(), position));
        }
        let word = self.segment_word(position / SEGMENT_ENTRIES)?;
        Ok((word.get(), position % SEGMENT_ENTRIES))
    }

    /// Returns the entries from a position on, below another one, that lie in its segment: one at least.
    /// `None`: the segment was given back.
    #[inline]
    pub(super) fn run(&self, from: u64, below: u64) -> Result<Option<&'a [MapEntry]>, Corrupt> {
        let (segment, inside) = self.place(from)?;
        let count = (below - from).min(SEGMENT_ENTRIES - from % SEGMENT_ENTRIES);
        if segment == 0 {
            return Ok(None);
        }
        let first = segment.wrapping_add(inside * ENTRY_BYTES);
        self.region.rows(first, count as usize).map(Some)
    }

    /// Returns the entry at a position, if there is one.
    pub(super) fn living(&self, position: u64) -> Result<Option<&'a MapEntry>, Corrupt> {
        if position >= self.used() {
            return Ok(None);
        }
        Ok(self.kept(position)?.filter(|entry| !Cell::load(&entry.key).is_removed()))
    }

    /// Returns the offsets of the segments: none if there is only one.
    #[inline]
    pub(super) fn directory(&self) -> Result<&'a [Word], Corrupt> {
        match self.root.directory_len.get() {
            0 => Ok(&[]),
            len => self.region.words(self.root.entries.get(), len as usize),
        }
    }

    /// Returns the word with the offset of a segment.
    #[inline(always)]
    pub(super) fn segment_word(&self, number: u64) -> Result<&'a Word, Corrupt> {
        let word = self.directory()?.get(number as usize);
        word.ok_or(Corrupt { what: "segment of a map", at: number })
    }

    /// Returns whether a segment was given back.
    #[inline]
    pub(super) fn is_given(&self, number: u64) -> Result<bool, Corrupt> {
        Ok(self.root.directory_len.get() != 0 && self.segment_word(number)?.get() == 0)
    }

    /// Returns how many of these segments were given back.
    pub(super) fn given_among(&self, numbers: Range<u64>) -> Result<u64, Corrupt> {
        let mut given = 0;
        for number in numbers {
            given += u64::from(self.is_given(number)?);
        }
        Ok(given)
    }

    /// Returns the position of the first living entry at or after a position. `from` follows a living
    /// entry, or is 0, or what this returned.
    #[inline]
    pub(crate) fn next_living(&self, from: u64) -> Result<Option<u64>, Corrupt> {
        let used = self.used();
        let mut at = from.max(self.root.first.get());
        while at < used {
            let left = SEGMENT_ENTRIES - at % SEGMENT_ENTRIES;
            let Some(entry) = self.kept(at)? else {
                at += left;
                continue;
            };
            let key = Cell::load(&entry.key);
            if !key.is_removed() {
                return Ok(Some(at));
            }
            at += gap::onward(key.0).min(left);
        }
        Ok(None)
    }

    /// Returns the position of the last living entry before a position, which is that of a living
    /// entry, or follows one, or is the number of used positions or more.
    #[inline]
    pub(crate) fn previous_living(&self, before: u64) -> Result<Option<u64>, Corrupt> {
        let first = self.root.first.get();
        let mut end = before.min(self.used());
        while end > first {
            let inside = (end - 1) % SEGMENT_ENTRIES;
            let Some(entry) = self.kept(end - 1)? else {
                end -= inside + 1;
                continue;
            };
            let key = Cell::load(&entry.key);
            if !key.is_removed() {
                return Ok(Some(end - 1));
            }
            end -= gap::back(key.0).min(inside + 1);
        }
        Ok(None)
    }
}

/// Stores an entry at a position that no reader reads yet.
#[inline(always)]
pub(super) fn put_entry(change: &Change<'_>, entry: &MapEntry, key: Cell, value: Cell) {
    cell::put(change, &entry.key, key);
    cell::put(change, &entry.value, value);
}

/// Copies an entry to a position that no reader reads yet.
pub(super) fn copy_entry(change: &Change<'_>, to: &MapEntry, from: &MapEntry) {
    put_entry(change, to, Cell::load(&from.key), Cell::load(&from.value));
}

/// Returns the room of a segment with so many entries.
pub(crate) fn entries_room(entries: u64) -> Room {
    Room::of((entries * ENTRY_BYTES) as usize)
}

/// Returns the room of a directory with so many offsets of segments.
pub(crate) fn directory_room(directory_len: u64) -> Room {
    Room::of((directory_len * WORD_BYTES) as usize)
}

/// Returns the offset of the leaf for a hash, or 0 if there is none yet.
#[inline(always)]
pub(super) fn leaf_at(table: &Table<'_>, hash: u32) -> Result<u64, Corrupt> {
    let depth = table.root.depth.get();
    let first = table.root.index.get();
    if depth == 0 {
        return Ok(first);
    }
    if depth > MOST_DEPTH {
        return Err(Corrupt { what: "depth of an index", at: depth });
    }
    let number = u64::from(hash) >> (32 - depth);
    Ok(table.region.at::<Word>(first.wrapping_add(number * WORD_BYTES))?.get())
}

/// Returns the words of the leaf for a hash, the head among them.
#[inline(always)]
pub(super) fn leaf_of<'a>(table: &Table<'a>, hash: u32) -> Result<Option<&'a [Word]>, Corrupt> {
    let at = leaf_at(table, hash)?;
    if at == 0 {
        return Ok(None);
    }
    // If there are several leaves, all of them have the largest size, so it need not be read.
    let bits = match table.root.depth.get() {
        0 => leaf_shape(table.region, at)?.bits,
        _ => MOST_BITS,
    };
    Ok(Some(table.region.words(at, 1 << bits)?))
}

/// Returns the hash of each position, from the index; 0 for removed ones.
pub(super) fn hashes_by_position(table: &Table<'_>) -> Result<Vec<u32>> {
    let mut hashes = private_list(table.used())?;
    hashes.resize(table.used() as usize, 0);
    for leaf in index_leaves(table)? {
        let shape = leaf_shape(table.region, leaf)?;
        for word in buckets(table.region, leaf, shape)? {
            let bucket = Bucket(word.get());
            if bucket.is_living() {
                let noted = hashes.get_mut(bucket.position() as usize);
                *noted.ok_or(Corrupt { what: "bucket of an index", at: bucket.0 })? = bucket.hash();
            }
        }
    }
    Ok(hashes)
}

/// Returns the offsets of all leaves of the index, each once.
pub(crate) fn index_leaves(table: &Table<'_>) -> Result<Vec<u64>, Corrupt> {
    let depth = table.root.depth.get();
    let first = table.root.index.get();
    if depth == 0 {
        return Ok(if first == 0 { Vec::new() } else { vec![first] });
    }
    if depth > 32 {
        return Err(Corrupt { what: "depth of an index", at: depth });
    }
    let offsets = table.region.words(first, 1 << depth)?;
    let mut leaves: Vec<u64> = offsets.iter().map(Word::get).collect();
    leaves.dedup();
    Ok(leaves)
}
