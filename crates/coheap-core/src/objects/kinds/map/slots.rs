//! The words of the index: slots, and word 0 of a segment, which says how it is filled.
//!
//! | bits of word 0 | meaning                                     |
//! |----------------|---------------------------------------------|
//! | 0..32          | slots that are not free, removed ones too   |
//! | 32..40         | log2 of the number of slots                 |
//! | 40..48         | bits of the hash that choose this segment    |
//!
//! A slot holds position plus one in its low half (all ones: removed) and the hash in its high
//! half, so a segment is split without looking at a single key.
//!
//! Not here: which segment a hash belongs to (`table`), and how slots are changed (`index`).

use crate::allocator::Room;
use crate::error::{Corrupt, Result};
use crate::memory::layout::IndexSegmentHead;
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

    pub(super) fn is_full_with(self, more: u64) -> bool {
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

/// The room of a segment with so many words, as their log2.
pub(crate) fn segment_room(bits: u32) -> Room {
    Room::of(size_of::<Word>() << bits)
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
