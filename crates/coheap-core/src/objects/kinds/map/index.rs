//! The index: hash buckets in leaves, chosen by the first bits of the hash.
//!
//! A leaf has a power of two of buckets and is searched from the bucket that the last bits of the
//! hash give; `buckets` defines its words. A small map has one leaf, which doubles up to 2,048
//! buckets. After that, leaves are split in two, one at a time, and only the directory of their
//! offsets is ever copied as a whole.
//!
//! Not here: making room (`enlarge`), and searching (`table`).

use super::buckets::{
    Bucket, HEAD, MOST_BITS, MOST_DEPTH, Shape, image, leaf_room, leaf_shape, leaf_words,
};
use super::table::{Table, directory_room, index_leaves, leaf_at, map_root};
use crate::allocator::{self, Room};
use crate::error::{Corrupt, Result};
use crate::journal::Change;
use crate::memory::layout::Object;
use crate::memory::{Word, private_list};

/// Writes a whole leaf that no reader can reach yet.
pub(super) fn fill(
    change: &Change<'_>,
    at: u64,
    living: impl Iterator<Item = u64>,
    shape: Shape,
) -> Result<()> {
    let words = leaf_words(change.region(), at, shape)?;
    for (word, value) in words.iter().zip(image(living, shape)?) {
        change.put(word, value);
    }
    Ok(())
}

/// Puts a position into a bucket; `reserve` has made room for it.
pub(super) fn insert(
    change: &mut Change<'_>,
    object: &Object,
    position: u64,
    hash: u32,
) -> Result<()> {
    let region = change.region();
    let at = leaf_at(&Table::new(region, object), hash)?;
    let shape = leaf_shape(region, at)?;
    let words = leaf_words(region, at, shape)?;
    let bucket = open_bucket(words, at, hash)?;
    if Bucket(bucket.get()).is_free() {
        change.set(&words[HEAD], Shape { filled: shape.filled + 1, ..shape }.word());
    }
    change.set(bucket, Bucket::new(position, hash).0);
    Ok(())
}

/// Returns the first bucket for a missing key. A bucket whose entry was removed is used again, so
/// that adding and removing the same key repeatedly leaves no trail that searches must pass.
#[inline]
fn open_bucket(words: &[Word], at: u64, hash: u32) -> Result<&Word, Corrupt> {
    let mask = words.len() - 1;
    let mut number = hash as usize & mask;
    for _ in 0..words.len() {
        if number != HEAD && !Bucket(words[number].get()).is_living() {
            return Ok(&words[number]);
        }
        number = (number + 1) & mask;
    }
    Err(Corrupt { what: "index without a free bucket", at })
}

/// Puts positions into buckets, those of one leaf next to each other: the first word of a leaf is
/// saved once. `reserve` has made room for them.
pub(super) fn insert_many(
    change: &mut Change<'_>,
    object: &Object,
    sorted: impl IntoIterator<Item = Bucket>,
) -> Result<()> {
    let region = change.region();
    let mut leaf = 0;
    for bucket in sorted {
        let at = leaf_at(&Table::new(region, object), bucket.hash())?;
        let shape = leaf_shape(region, at)?;
        let words = leaf_words(region, at, shape)?;
        if at != leaf {
            change.save(&words[HEAD]);
            leaf = at;
        }
        let word = open_bucket(words, at, bucket.hash())?;
        if Bucket(word.get()).is_free() {
            change.put(&words[HEAD], Shape { filled: shape.filled + 1, ..shape }.word());
        }
        change.set(word, bucket.0);
    }
    Ok(())
}

/// The plan of an index that is built for many entries at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) bits: u32,
    pub(super) depth: u64,
}

/// Plans an index for buckets with these hashes, and `more` of them, at most half full.
pub(super) fn plan(hashes: impl Iterator<Item = u32> + Clone, more: u64) -> Plan {
    let wanted = (hashes.clone().count() as u64 + more) * 2;
    let bits = Shape::bits_for(wanted / 2);
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

/// Returns how many of these hashes each leaf gets when `depth` bits choose it.
fn shares(hashes: impl Iterator<Item = u32>, depth: u64) -> Vec<usize> {
    let mut shares = vec![0; 1 << depth];
    for hash in hashes {
        shares[(u64::from(hash) >> (32 - depth)) as usize] += 1;
    }
    shares
}

impl Plan {
    /// Room of each leaf.
    pub(super) fn leaf_room(self) -> Room {
        leaf_room(self.bits)
    }

    /// Returns how many leaves.
    pub(super) fn leaves(self) -> u64 {
        1 << self.depth
    }

    /// Room of the directory, if there is one.
    pub(super) fn directory_room(self) -> Option<Room> {
        (self.depth > 0).then(|| directory_room(1 << self.depth))
    }
}

/// Builds an index that no reader can reach yet. Returns the offset of its leaf, or of the
/// directory of its leaves.
pub(super) fn build(
    change: &mut Change<'_>,
    plan: Plan,
    buckets: impl Iterator<Item = Bucket> + Clone,
) -> Result<u64> {
    let leaf_of = |bucket: Bucket| (u64::from(bucket.hash()) >> (32 - plan.depth)) as usize;
    let mut ends = shares(buckets.clone().map(Bucket::hash), plan.depth);
    let mut end = 0;
    for begin in &mut ends {
        (*begin, end) = (end, end + *begin);
    }
    let mut sorted = private_list(end as u64)?;
    sorted.resize(end, 0);
    for bucket in buckets {
        let next = &mut ends[leaf_of(bucket)];
        sorted[*next] = bucket.0;
        *next += 1;
    }
    let shape = Shape { filled: 0, bits: plan.bits, depth: plan.depth };
    let mut leaves = Vec::with_capacity(ends.len());
    let mut from = 0;
    for end in ends {
        let leaf = allocator::take(change, plan.leaf_room())?;
        fill(change, leaf, sorted[from..end].iter().copied(), shape)?;
        leaves.push(leaf);
        from = end;
    }
    let Some(room) = plan.directory_room() else { return Ok(leaves[0]) };
    let directory = allocator::take(change, room)?;
    for (word, leaf) in change.region().words(directory, leaves.len())?.iter().zip(leaves) {
        change.put(word, leaf);
    }
    Ok(directory)
}

/// Replaces the index by one with these buckets.
pub(super) fn replace(
    change: &mut Change<'_>,
    object: &Object,
    plan: Plan,
    buckets: impl Iterator<Item = Bucket> + Clone,
) -> Result<()> {
    let region = change.region();
    let root = map_root(object);
    let (first, depth) = (root.index.get(), root.depth.get());
    for leaf in index_leaves(&Table::new(region, object))? {
        let bits = leaf_shape(region, leaf)?.bits;
        allocator::give(change, leaf_room(bits), leaf)?;
    }
    if depth > 0 {
        allocator::give(change, directory_room(1 << depth), first)?;
    }
    let new = build(change, plan, buckets)?;
    change.set(&root.index, new);
    change.set(&root.depth, plan.depth);
    Ok(())
}
