//! The index: hash slots in segments, chosen by the first bits of the hash.
//!
//! A segment is a power of two of slots, searched from the last bits of the hash on; `slots` says
//! what its words mean. A small map has one segment that doubles up to 2,048 slots; after that
//! segments are split in two, one at a time, and only the directory of their offsets is ever copied
//! whole.
//!
//! Not here: making room (`enlarge`), and searching (`table`).

use super::slots::{
    HEAD, LEAST_BITS, MOST_BITS, MOST_DEPTH, Shape, SlotWord, image, segment_room, segment_shape,
    segment_words,
};
use super::table::{Table, directory_room, index_segments, map_root, segment_at};
use crate::allocator::{self, Room};
use crate::error::{Corrupt, Result};
use crate::journal::Change;
use crate::memory::Word;
use crate::memory::layout::Object;

/// Writes a whole segment that nobody can see yet.
pub(super) fn fill(
    change: &Change<'_>,
    at: u64,
    living: impl Iterator<Item = u64>,
    shape: Shape,
) -> Result<()> {
    let words = segment_words(change.region(), at, shape)?;
    for (word, value) in words.iter().zip(image(living, shape)) {
        change.put(word, value);
    }
    Ok(())
}

/// Puts a position into a slot; `reserve` made sure that there is one.
pub(super) fn insert(
    change: &mut Change<'_>,
    object: &Object,
    position: u64,
    hash: u32,
) -> Result<()> {
    let region = change.region();
    let at = segment_at(&Table::new(region, object), hash)?;
    let shape = segment_shape(region, at)?;
    let words = segment_words(region, at, shape)?;
    let slot = open_slot(words, at, hash)?;
    if SlotWord(slot.get()).is_free() {
        change.set(&words[HEAD], Shape { filled: shape.filled + 1, ..shape }.word());
    }
    change.set(slot, SlotWord::new(position, hash).0);
    Ok(())
}

/// The first slot for a key that is not there: one whose entry was removed is used again, so that
/// who adds and removes the same key over and over leaves no trail for others to search.
#[inline]
fn open_slot(words: &[Word], at: u64, hash: u32) -> Result<&Word, Corrupt> {
    let mask = words.len() - 1;
    let mut place = hash as usize & mask;
    for _ in 0..words.len() {
        if place != HEAD && !SlotWord(words[place].get()).is_living() {
            return Ok(&words[place]);
        }
        place = (place + 1) & mask;
    }
    Err(Corrupt { what: "index without a free slot", at })
}

/// Puts positions into slots, those of one segment next to each other: the first word of a
/// segment is saved once. `reserve` made sure that there are enough.
pub(super) fn insert_many(
    change: &mut Change<'_>,
    object: &Object,
    sorted: impl IntoIterator<Item = SlotWord>,
) -> Result<()> {
    let region = change.region();
    let mut segment = 0;
    for slot in sorted {
        let at = segment_at(&Table::new(region, object), slot.hash())?;
        let shape = segment_shape(region, at)?;
        let words = segment_words(region, at, shape)?;
        if at != segment {
            change.save(&words[HEAD]);
            segment = at;
        }
        let place = open_slot(words, at, slot.hash())?;
        if SlotWord(place.get()).is_free() {
            change.put(&words[HEAD], Shape { filled: shape.filled + 1, ..shape }.word());
        }
        change.set(place, slot.0);
    }
    Ok(())
}

/// What an index looks like that was built for so many entries at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) bits: u32,
    pub(super) depth: u64,
}

/// Plans an index for slots with these hashes, and `more` of them, at most half full.
pub(super) fn plan(hashes: impl Iterator<Item = u32> + Clone, more: u64) -> Plan {
    let wanted = (hashes.clone().count() as u64 + more) * 2;
    let bits = (u64::BITS - wanted.leading_zeros()).clamp(LEAST_BITS, MOST_BITS);
    let mut depth = (wanted >> MOST_BITS).checked_ilog2().map_or(0, |log| u64::from(log) + 1);
    if bits < MOST_BITS {
        depth = 0;
    }
    let limit = (3 << bits) / 4;
    while depth < MOST_DEPTH && shares(hashes.clone(), depth).into_iter().max() >= Some(limit) {
        depth += 1;
    }
    Plan { bits: if depth > 0 { MOST_BITS } else { bits }, depth }
}

/// How many of these hashes each segment gets when `depth` bits choose it.
fn shares(hashes: impl Iterator<Item = u32>, depth: u64) -> Vec<usize> {
    let mut shares = vec![0; 1 << depth];
    for hash in hashes {
        shares[(u64::from(hash) >> (32 - depth)) as usize] += 1;
    }
    shares
}

impl Plan {
    /// Room of each segment.
    pub(super) fn segment_room(self) -> Room {
        segment_room(self.bits)
    }

    /// How many segments.
    pub(super) fn segments(self) -> u64 {
        1 << self.depth
    }

    /// Room of the directory, if there is one.
    pub(super) fn directory_room(self) -> Option<Room> {
        (self.depth > 0).then(|| directory_room(1 << self.depth))
    }
}

/// Builds an index that nobody can see yet. Answers where it is: its segment, or the directory of
/// its segments.
pub(super) fn build(
    change: &mut Change<'_>,
    plan: Plan,
    slots: impl Iterator<Item = SlotWord> + Clone,
) -> Result<u64> {
    let segment_of = |slot: SlotWord| (u64::from(slot.hash()) >> (32 - plan.depth)) as usize;
    let mut ends = shares(slots.clone().map(SlotWord::hash), plan.depth);
    let mut end = 0;
    for place in &mut ends {
        (*place, end) = (end, end + *place);
    }
    let mut sorted = vec![0; end];
    for slot in slots {
        let place = &mut ends[segment_of(slot)];
        sorted[*place] = slot.0;
        *place += 1;
    }
    let shape = Shape { filled: 0, bits: plan.bits, depth: plan.depth };
    let mut segments = Vec::with_capacity(ends.len());
    let mut from = 0;
    for end in ends {
        let segment = allocator::take(change, plan.segment_room())?;
        fill(change, segment, sorted[from..end].iter().copied(), shape)?;
        segments.push(segment);
        from = end;
    }
    let Some(room) = plan.directory_room() else { return Ok(segments[0]) };
    let directory = allocator::take(change, room)?;
    for (place, segment) in change.region().words(directory, segments.len())?.iter().zip(segments) {
        change.put(place, segment);
    }
    Ok(directory)
}

/// Puts an index with these slots in place of the one that is there.
pub(super) fn replace(
    change: &mut Change<'_>,
    object: &Object,
    plan: Plan,
    slots: impl Iterator<Item = SlotWord> + Clone,
) -> Result<()> {
    let region = change.region();
    let root = map_root(object);
    let (first, depth) = (root.index.get(), root.depth.get());
    for segment in index_segments(&Table::new(region, object))? {
        let bits = segment_shape(region, segment)?.bits;
        allocator::give(change, segment_room(bits), segment)?;
    }
    if depth > 0 {
        allocator::give(change, directory_room(1 << depth), first)?;
    }
    let new = build(change, plan, slots)?;
    change.set(&root.index, new);
    change.set(&root.depth, plan.depth);
    Ok(())
}
