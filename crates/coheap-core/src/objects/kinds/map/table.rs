//! Looking things up in a map, with its turn or without.
//!
//! Without the turn everything read may be torn or stale, so every offset is checked before it is
//! followed, every walk is bounded, and the caller throws the answer away unless the turn's
//! sequence is unchanged.

use smallvec::SmallVec;

use super::Key;
use super::slots::{HEAD, MOST_BITS, MOST_DEPTH, SlotWord, segment_shape, slots};
use crate::allocator::Room;
use crate::error::{Corrupt, Result};
use crate::journal::Change;
use crate::memory::layout::{ENTRY_BYTES, MapEntry, MapRoot, Object, SEGMENT_ENTRIES, WORD_BYTES};
use crate::memory::{Region, Word};
use crate::objects::cell::{self, Cell};

/// Keys that are warmed together.
const WARM: usize = 64;

/// A map's insides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table<'a> {
    pub(crate) region: &'a Region,
    pub(crate) root: &'a MapRoot,
}

/// A key that is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) position: u64,
    pub(crate) entry: &'a MapEntry,
    /// The index slot.
    pub(crate) slot: &'a Word,
}

/// The root words of a map.
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

    /// Refuses numbers that no heap of this size can have, before something is computed from them.
    pub(crate) fn check_numbers(&self) -> Result<(), Corrupt> {
        let most = self.region.span_limit() * SEGMENT_ENTRIES;
        let (live, used, capacity) = (self.live(), self.used(), self.capacity());
        let (places, depth) = (self.root.places.get(), self.root.depth.get());
        let first = self.root.first.get();
        let has_room = places <= most && capacity <= places.max(1) * SEGMENT_ENTRIES;
        if live <= used && used <= capacity && has_room && depth <= MOST_DEPTH && first <= used {
            return Ok(());
        }
        Err(Corrupt { what: "numbers of a map", at: used })
    }

    /// The entry of a key.
    #[inline]
    pub(crate) fn find(&self, key: &Key<'_>) -> Result<Option<Found<'a>>, Corrupt> {
        let Some(slots) = segment_of(self, key.hash)? else { return Ok(None) };
        let mask = slots.len() - 1;
        let mut at = key.hash as usize & mask;
        for _ in 0..slots.len() {
            let slot = &slots[at];
            if at != HEAD {
                let word = SlotWord(slot.get());
                if word.is_free() {
                    return Ok(None);
                }
                if word.is_candidate(key.hash) {
                    let position = word.position();
                    let entry = self.entry(position)?;
                    if Cell::load(&entry.key).is(self.region, key.bytes, key.inline)? {
                        return Ok(Some(Found { position, entry, slot }));
                    }
                }
            }
            at = (at + 1) & mask;
        }
        Ok(None)
    }

    /// Touches what `find` will look at for each of these hashes, so that the waits for memory
    /// overlap instead of adding up. What it sees is used for nothing else.
    pub(crate) fn warm(&self, hashes: impl Iterator<Item = u32>) -> Result<(), Corrupt> {
        let mut slots: SmallVec<[SlotWord; WARM]> = SmallVec::new();
        for hash in hashes {
            if let Some(segment) = segment_of(self, hash)? {
                slots.push(SlotWord(segment[hash as usize & (segment.len() - 1)].get()));
            }
            if slots.len() == WARM {
                self.warm_entries(&slots)?;
                slots.clear();
            }
        }
        self.warm_entries(&slots)
    }

    fn warm_entries(&self, slots: &[SlotWord]) -> Result<(), Corrupt> {
        for slot in slots {
            if slot.position() < self.capacity() {
                std::hint::black_box(self.entry(slot.position())?.key[0].get());
            }
        }
        Ok(())
    }

    /// The entry at a position.
    #[inline(always)]
    pub(crate) fn entry(&self, position: u64) -> Result<&'a MapEntry, Corrupt> {
        if position >= self.capacity() {
            return Err(Corrupt { what: "position in a map", at: position });
        }
        let places = self.root.places.get();
        let (segment, inside) = if places == 0 {
            (self.root.entries.get(), position)
        } else {
            let directory = self.region.words(self.root.entries.get(), places as usize)?;
            let place = (position / SEGMENT_ENTRIES) as usize;
            let Some(word) = directory.get(place) else {
                return Err(Corrupt { what: "segment of a map", at: position });
            };
            (word.get(), position % SEGMENT_ENTRIES)
        };
        self.region.at(segment.wrapping_add(inside * ENTRY_BYTES))
    }

    /// Position of the living entry that came last.
    pub(crate) fn last_living(&self) -> Result<Option<u64>, Corrupt> {
        let first = self.root.first.get();
        for position in (first..self.used()).rev() {
            if !Cell::load(&self.entry(position)?.key).is_removed() {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }
}

/// Stores an entry at a position where nobody looks yet.
#[inline(always)]
pub(super) fn put_entry(change: &Change<'_>, entry: &MapEntry, key: Cell, value: Cell) {
    cell::put(change, &entry.key, key);
    cell::put(change, &entry.value, value);
}

/// Copies an entry to a position where nobody looks yet.
pub(super) fn copy_entry(change: &Change<'_>, to: &MapEntry, from: &MapEntry) {
    put_entry(change, to, Cell::load(&from.key), Cell::load(&from.value));
}

/// The room of a segment with so many entries.
pub(crate) fn entries_room(entries: u64) -> Room {
    Room::of((entries * ENTRY_BYTES) as usize)
}

/// The room of a directory with so many offsets of segments.
pub(crate) fn directory_room(places: u64) -> Room {
    Room::of((places * WORD_BYTES) as usize)
}

/// Where the segment for a hash is. 0: there is none yet.
#[inline(always)]
pub(super) fn segment_at(table: &Table<'_>, hash: u32) -> Result<u64, Corrupt> {
    let depth = table.root.depth.get();
    let first = table.root.index.get();
    if depth == 0 {
        return Ok(first);
    }
    if depth > MOST_DEPTH {
        return Err(Corrupt { what: "depth of an index", at: depth });
    }
    let place = u64::from(hash) >> (32 - depth);
    Ok(table.region.at::<Word>(first.wrapping_add(place * WORD_BYTES))?.get())
}

/// The words of the segment for a hash, the head among them.
#[inline(always)]
pub(super) fn segment_of<'a>(table: &Table<'a>, hash: u32) -> Result<Option<&'a [Word]>, Corrupt> {
    let at = segment_at(table, hash)?;
    if at == 0 {
        return Ok(None);
    }
    // Where there are several segments, all are of the largest size: no need to look.
    let bits = match table.root.depth.get() {
        0 => segment_shape(table.region, at)?.bits,
        _ => MOST_BITS,
    };
    Ok(Some(table.region.words(at, 1 << bits)?))
}

/// The hash of each position, from the index; 0 for removed ones.
pub(super) fn hashes_by_position(table: &Table<'_>) -> Result<Vec<u32>, Corrupt> {
    let mut hashes = vec![0; table.used() as usize];
    for segment in index_segments(table)? {
        let shape = segment_shape(table.region, segment)?;
        for word in slots(table.region, segment, shape)? {
            let slot = SlotWord(word.get());
            if slot.is_living() {
                let place = hashes.get_mut(slot.position() as usize);
                *place.ok_or(Corrupt { what: "slot of an index", at: slot.0 })? = slot.hash();
            }
        }
    }
    Ok(hashes)
}

/// The offsets of all segments of the index, each once.
pub(crate) fn index_segments(table: &Table<'_>) -> Result<Vec<u64>, Corrupt> {
    let depth = table.root.depth.get();
    let first = table.root.index.get();
    if depth == 0 {
        return Ok(if first == 0 { Vec::new() } else { vec![first] });
    }
    if depth > 32 {
        return Err(Corrupt { what: "depth of an index", at: depth });
    }
    let places = table.region.words(first, 1 << depth)?;
    let mut segments: Vec<u64> = places.iter().map(Word::get).collect();
    segments.dedup();
    Ok(segments)
}
