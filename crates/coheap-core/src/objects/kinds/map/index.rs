//! The index: hash slots in segments, chosen by the first bits of the hash.
//!
//! A segment is a power of two of slots, searched from the last bits of the hash on. Word 0 of a
//! segment is no slot but says how it is filled:
//!
//! | bits of word 0 | meaning                                     |
//! |----------------|---------------------------------------------|
//! | 0..32          | slots that are not free, removed ones too   |
//! | 32..40         | log2 of the number of slots                 |
//! | 40..48         | bits of the hash that choose this segment    |
//!
//! A slot holds position plus one in its low half (all ones: removed) and the hash in its high
//! half, so a segment is split without looking at a single key. A small map has one segment that
//! doubles up to 2,048 slots; after that segments are split in two, one at a time, and only the
//! directory of their offsets is ever copied whole.

use super::enlarge::make_room;
use super::table::{Table, directory_room, map_root};
use crate::allocator::{self, Room};
use crate::error::{Corrupt, Result};
use crate::journal::{Change, Held};
use crate::memory::layout::{IndexSegmentHead, Object, WORD_BYTES};
use crate::memory::{Region, Word};

/// log2 of the slots of the smallest and the largest segment.
pub(super) const LEAST_BITS: u32 = 4;
pub(super) const MOST_BITS: u32 = 11;
/// Deepest index.
pub(super) const MOST_DEPTH: u64 = 21;
/// The word of a segment that is its head and no slot.
pub(super) const HEAD: usize = 0;
const REMOVED: u64 = 0xffff_ffff;

/// A slot's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotWord(pub(crate) u64);

impl SlotWord {
    pub(super) fn new(position: u64, hash: u32) -> Self {
        Self((position + 1) | u64::from(hash) << 32)
    }

    #[inline(always)]
    pub(crate) fn is_free(self) -> bool {
        self.0 == 0
    }

    #[inline(always)]
    pub(super) fn is_candidate(self, hash: u32) -> bool {
        self.0 >> 32 == u64::from(hash) && self.0 & REMOVED != REMOVED
    }

    pub(crate) fn is_living(self) -> bool {
        self.0 != 0 && self.0 & REMOVED != REMOVED
    }

    #[inline(always)]
    pub(crate) fn position(self) -> u64 {
        (self.0 & REMOVED).wrapping_sub(1)
    }

    pub(crate) fn hash(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// A slot whose entry was removed: searches go on past it.
    pub(super) fn removed(self) -> Self {
        Self(self.0 | REMOVED)
    }
}

/// How a segment is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) filled: u64,
    pub(crate) bits: u32,
    pub(crate) depth: u64,
}

impl Shape {
    pub(super) fn word(self) -> u64 {
        self.filled | u64::from(self.bits) << 32 | self.depth << 40
    }

    fn is_full_with(self, more: u64) -> bool {
        self.filled + more > (3 << self.bits) / 4
    }
}

/// The shape of the segment at an offset.
#[inline]
pub(crate) fn segment_shape(region: &Region, at: u64) -> Result<Shape, Corrupt> {
    let word = region.at::<IndexSegmentHead>(at)?.shape.get();
    let bits = (word >> 32) as u32 & 0xff;
    let depth = word >> 40 & 0xff;
    if !(LEAST_BITS..=MOST_BITS).contains(&bits) || depth > MOST_DEPTH {
        return Err(Corrupt { what: "index segment", at });
    }
    Ok(Shape { filled: word & 0xffff_ffff, bits, depth })
}

/// The words of the segment at an offset, the head among them.
#[inline]
pub(super) fn segment_words(region: &Region, at: u64, shape: Shape) -> Result<&[Word], Corrupt> {
    region.words(at, 1 << shape.bits)
}

/// The slots of the segment at an offset.
pub(crate) fn slots(region: &Region, at: u64, shape: Shape) -> Result<&[Word], Corrupt> {
    Ok(&segment_words(region, at, shape)?[HEAD + 1..])
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

/// Makes the segments for all these hashes large enough. The turn is held, no change is open.
pub(super) fn reserve(held: &Held<'_>, object: &Object, hashes: &[u32]) -> Result<()> {
    let region = held.context().region();
    let table = Table::new(region, object);
    if let [hash] = hashes {
        return reserve_one(held, object, *hash, 1);
    }
    let mut sorted = hashes.to_vec();
    sorted.sort_unstable();
    let mut rest = sorted.as_slice();
    while let Some(hash) = rest.first() {
        // The directory is chosen by first bits, so a segment's hashes are neighbours.
        let depth = match segment_at(&table, *hash)? {
            0 => 0,
            at => segment_shape(region, at)?.depth,
        };
        let prefix = |hash: u32| u64::from(hash) >> (32 - depth);
        let count = rest.partition_point(|other| prefix(*other) == prefix(*hash));
        if is_large_enough(&table, *hash, count as u64)? {
            rest = &rest[count..];
        } else {
            make_room(held, object, *hash)?;
        }
    }
    Ok(())
}

#[inline]
fn reserve_one(held: &Held<'_>, object: &Object, hash: u32, count: u64) -> Result<()> {
    let table = Table::new(held.context().region(), object);
    while !is_large_enough(&table, hash, count)? {
        make_room(held, object, hash)?;
    }
    Ok(())
}

fn is_large_enough(table: &Table<'_>, hash: u32, count: u64) -> Result<bool, Corrupt> {
    match segment_at(table, hash)? {
        0 => Ok(false),
        at => Ok(!segment_shape(table.region, at)?.is_full_with(count)),
    }
}

/// The room of a segment with so many words, as their log2.
pub(crate) fn segment_room(bits: u32) -> Room {
    directory_room(1 << bits)
}

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

/// The words of a segment with these slots.
pub(super) fn image(living: impl Iterator<Item = u64>, shape: Shape) -> Vec<u64> {
    let mut image = vec![0u64; 1 << shape.bits];
    let mask = image.len() - 1;
    let mut filled = 0;
    for word in living {
        let mut place = SlotWord(word).hash() as usize & mask;
        while place == HEAD || image[place] != 0 {
            place = (place + 1) & mask;
        }
        image[place] = word;
        filled += 1;
    }
    image[HEAD] = Shape { filled, ..shape }.word();
    image
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
    for segment in super::index_segments(&Table::new(region, object))? {
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
