//! The words of the index: buckets, and word 0 of a leaf, which says how it is filled.
//!
//! | bits of word 0 | meaning                                     |
//! |----------------|---------------------------------------------|
//! | 0..32          | buckets that are not free, removed ones too   |
//! | 32..40         | log2 of the number of buckets                 |
//! | 40..48         | bits of the hash that choose this leaf    |
//!
//! A bucket holds position plus one in its low half (all ones: removed) and the hash in its high
//! half, so a leaf is split without looking at a single key.
//!
//! Not here: which leaf a hash belongs to (`table`), and how buckets are changed (`index`).

use crate::allocator::Room;
use crate::error::{Corrupt, Result};
use crate::memory::layout::LeafHead;
use crate::memory::{Region, Word};

/// log2 of the buckets of the smallest and the largest leaf.
pub(super) const LEAST_BITS: u32 = 4;
pub(super) const MOST_BITS: u32 = 11;
/// Deepest index.
pub(super) const MOST_DEPTH: u64 = 21;
/// The index of the head word of a leaf, which is not a bucket.
pub(super) const HEAD: usize = 0;
const REMOVED: u64 = 0xffff_ffff;

/// A bucket's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bucket(pub(crate) u64);

impl Bucket {
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

    /// Returns a bucket whose entry was removed: searches continue past it.
    pub(super) fn removed(self) -> Self {
        Self(self.0 | REMOVED)
    }
}

/// The shape of a leaf: its size, its depth, and how many buckets are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) filled: u64,
    pub(crate) bits: u32,
    pub(crate) depth: u64,
}

impl Shape {
    pub(super) fn word(self) -> u64 {
        self.filled | u64::from(self.bits) << LeafHead::SIZE | self.depth << LeafHead::DEPTH
    }

    #[inline(always)]
    fn of(word: u64) -> Self {
        let bits = (word >> LeafHead::SIZE) as u32 & 0xff;
        Self { filled: word & 0xffff_ffff, bits, depth: word >> LeafHead::DEPTH & 0xff }
    }

    /// Returns the size of a leaf for so many buckets, at most half full.
    pub(super) fn bits_for(count: u64) -> u32 {
        (u64::BITS - (count * 2).leading_zeros()).clamp(LEAST_BITS, MOST_BITS)
    }

    pub(super) fn is_full_with(self, more: u64) -> bool {
        self.filled + more > (3 << self.bits) / 4
    }
}

/// Returns the shape of the leaf at an offset.
#[inline(always)]
pub(crate) fn leaf_shape(region: &Region, at: u64) -> Result<Shape, Corrupt> {
    let shape = Shape::of(region.at::<LeafHead>(at)?.shape.get());
    if !(LEAST_BITS..=MOST_BITS).contains(&shape.bits) || shape.depth > MOST_DEPTH {
        return Err(Corrupt { what: "leaf of an index", at });
    }
    Ok(shape)
}

/// Returns the words of the leaf at an offset, the head among them.
#[inline]
pub(super) fn leaf_words(region: &Region, at: u64, shape: Shape) -> Result<&[Word], Corrupt> {
    region.words(at, 1 << shape.bits)
}

/// Returns the buckets of the leaf at an offset.
pub(crate) fn buckets(region: &Region, at: u64, shape: Shape) -> Result<&[Word], Corrupt> {
    Ok(&leaf_words(region, at, shape)?[HEAD + 1..])
}

/// Returns the room of a leaf with so many words, as their log2.
pub(crate) fn leaf_room(bits: u32) -> Room {
    Room::of(size_of::<Word>() << bits)
}

/// Returns the words of a leaf with these buckets.
///
/// # Errors
///
/// [`Corrupt`] when they do not fit: in a damaged map, any number of hashes may begin with the same
/// bits.
pub(super) fn image(living: impl Iterator<Item = u64>, shape: Shape) -> Result<Vec<u64>, Corrupt> {
    let mut image = vec![0u64; 1 << shape.bits];
    let mask = image.len() - 1;
    let mut filled = 0;
    for word in living {
        if filled == mask as u64 {
            return Err(Corrupt { what: "leaf of an index", at: word });
        }
        let mut number = Bucket(word).hash() as usize & mask;
        while number == HEAD || image[number] != 0 {
            number = (number + 1) & mask;
        }
        image[number] = word;
        filled += 1;
    }
    image[HEAD] = Shape { filled, ..shape }.word();
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a leaf takes as many buckets as it has, and one more is an error and no search for a
    /// free bucket without end.
    /// Method: buckets of one hash.
    #[test]
    fn a_leaf_takes_no_more_buckets_than_it_has() {
        let shape = Shape { filled: 0, bits: LEAST_BITS, depth: MOST_DEPTH };
        let buckets = |count: u64| (0..count).map(|position| Bucket::new(position, 7).0);
        let most = (1 << LEAST_BITS) - 1;
        let image = |count| image(buckets(count), shape);
        let full = image(most).expect("as many as there are buckets");
        assert_eq!(Shape::of(full[HEAD]).filled, most);
        assert!(full.iter().all(|word| *word != 0));
        assert!(image(most + 1).is_err());
    }
}
