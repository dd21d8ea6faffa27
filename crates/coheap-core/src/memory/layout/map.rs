//! The layout of a map: its root words, its entries, its index; and the values of the directory.
//!
//! What always holds: `entries` leads to a segment. `index` leads to a leaf, or to a directory of
//! leaves, which consists of plain words with offsets.
//!
//! Not here: how the words are used (`objects::map`).

use super::objects::CellWords;
use crate::memory::plain::plain;
use crate::memory::word::Word;

/// Entries in a full segment of a map.
pub const SEGMENT_ENTRIES: u64 = 512;
/// Bytes of an entry of a map.
pub const ENTRY_BYTES: u64 = size_of::<MapEntry>() as u64;

plain! {
    /// The root words of a map.
    pub struct MapRoot: 88 {
        /// Living entries.
        pub live: Word,
        /// Positions used, removed entries included.
        pub used: Word,
        /// Entries: a segment, or a directory of segments of 512.
        pub entries: Word,
        /// Positions there is room for.
        pub capacity: Word,
        /// Offsets in the directory of segments; 0 = `entries` is the only segment.
        pub directory_len: Word,
        /// Index: a leaf, or a directory of leaves.
        pub index: Word,
        /// Bits of the hash that choose a leaf; 0 = `index` is the only leaf.
        pub depth: Word,
        /// No living entry lies before this position.
        pub first: Word,
        /// How often positions were given out anew.
        pub numbering: Word,
        /// A block kept for the husk, should the heap be full.
        pub reserve: Word,
        /// Low half: the position to which a pass has come that moves entries together, 0 = none is under
        /// way; high half: segments below `used` that were given back.
        pub gaps: Word,
    }

    /// What is left of a map.
    pub struct MapHusk: 64 {
        /// Next husk of the chain.
        pub next: Word,
        /// Bit 0: the cells are to be freed; bits 8..16 the stage; bits 16..24 the kind.
        pub info: Word,
        /// As in the map's root words; 0 = freed.
        pub entries: Word,
        /// As in the map's root words; goes down as segments are freed.
        pub capacity: Word,
        /// As in the map's root words.
        pub directory_len: Word,
        /// As in the map's root words; 0 = freed.
        pub index: Word,
        /// As in the map's root words.
        pub depth: Word,
        /// Positions whose cells are left; in the last stage, leaves of the index that are left.
        pub left: Word,
    }

    /// What the block begins with in which a map notes what changes; positions follow, as in a ring.
    pub struct TrailHead: 32 {
        /// Number that no other such block has.
        pub serial: Word,
        /// Positions noted so far.
        pub noted: Word,
        /// When `noted` has come so far, nothing more is noted.
        pub until: Word,
        /// log2 of the number of positions that the ring holds.
        pub bits: Word,
    }

    /// A key and its value.
    pub struct MapEntry: 32 {
        /// The key; marked when the entry was removed.
        pub key: CellWords,
        /// The value.
        pub value: CellWords,
    }

    /// What a leaf begins with: it is there instead of the first bucket.
    pub struct LeafHead: 8 {
        /// Low half buckets that are not free; bits 32..40 log2 of the number of words; bits 40..48
        /// bits of the hash that choose this leaf.
        pub shape: Word,
    }
}

impl LeafHead {
    /// First bit of the size: log2 of the number of words.
    pub const SIZE: u32 = 32;
    /// First bit of the depth: how many bits of the hash choose the leaf.
    pub const DEPTH: u32 = 40;
}

/// The value of a name in the directory: 14 bytes, little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryValue {
    /// Offset of the object's header, in 6 bytes.
    pub at: u64,
    /// Its generation, in 8 bytes.
    pub generation: u64,
}

impl DirectoryValue {
    /// Bytes of one.
    pub const BYTES: usize = Self::AT_BYTES + 8;
    /// Offsets fit 48 bits.
    const AT_BYTES: usize = 6;

    /// Returns the bytes.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (at, generation) = bytes.split_at_mut(Self::AT_BYTES);
        at.copy_from_slice(&self.at.to_le_bytes()[..Self::AT_BYTES]);
        generation.copy_from_slice(&self.generation.to_le_bytes());
        bytes
    }

    /// What these bytes say. `None`: they are no such value.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (at, generation) = bytes.split_at_checked(Self::AT_BYTES)?;
        let mut whole = [0; 8];
        whole[..Self::AT_BYTES].copy_from_slice(at);
        let generation = u64::from_le_bytes(generation.try_into().ok()?);
        Some(Self { at: u64::from_le_bytes(whole), generation })
    }
}
