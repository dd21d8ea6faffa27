//! Room for more buckets in the index, one leaf at a time.
//!
//! What always holds: each step is a change of its own that keeps the index's content.

use super::super::buckets::{
    Bucket, LEAST_BITS, MOST_BITS, MOST_DEPTH, Shape, buckets, image, leaf_room, leaf_shape,
    leaf_words,
};
use super::super::index::fill;
use super::super::table::{Table, directory_room, leaf_at, map_root};
use crate::allocator;
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Held};
use crate::memory::layout::{Object, WORD_BYTES};
use crate::memory::{Region, Word};

/// Makes the leaves for all these hashes large enough. The turn is held, no change is open.
pub(in super::super) fn reserve(held: &Held<'_>, object: &Object, hashes: &[u32]) -> Result<()> {
    let region = held.context().region();
    let table = Table::new(region, object);
    if let [hash] = hashes {
        return reserve_one(held, object, *hash, 1);
    }
    let mut sorted = hashes.to_vec();
    sorted.sort_unstable();
    let mut rest = sorted.as_slice();
    while let Some(hash) = rest.first() {
        // The first bits choose a leaf in the directory, so the hashes of one leaf are neighbours.
        let depth = match leaf_at(&table, *hash)? {
            0 => 0,
            at => leaf_shape(region, at)?.depth,
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
    match leaf_at(table, hash)? {
        0 => Ok(false),
        at => Ok(!leaf_shape(table.region, at)?.is_full_with(count)),
    }
}

/// As [`enlarge`]; if the heap has no room for that, removed buckets are reused instead.
#[cold]
fn make_room(held: &Held<'_>, object: &Object, hash: u32) -> Result<()> {
    match enlarge(held, object, hash) {
        Err(full @ Error::HeapFull { .. }) => match sweep_buckets(held, object, hash)? {
            true => Ok(()),
            false => Err(full),
        },
        other => other,
    }
}

/// Frees the removed buckets of the leaf for a hash, in place. Returns `false` if there are none.
fn sweep_buckets(held: &Held<'_>, object: &Object, hash: u32) -> Result<bool> {
    let region = held.context().region();
    let at = leaf_at(&Table::new(region, object), hash)?;
    if at == 0 {
        return Ok(false);
    }
    let shape = leaf_shape(region, at)?;
    let living = living_slots(region, at, shape)?;
    if living.len() as u64 >= shape.filled {
        return Ok(false);
    }
    let words = leaf_words(region, at, shape)?;
    let image = image(living.into_iter(), shape)?;
    let mut change = Change::begin(held, words.len())?;
    for (word, value) in words.iter().zip(image) {
        if word.get() != value {
            change.set(word, value);
        }
    }
    change.commit();
    Ok(true)
}

/// Returns the content of the living buckets of a leaf.
pub(super) fn living_slots(region: &Region, at: u64, shape: Shape) -> Result<Vec<u64>, Corrupt> {
    let held = buckets(region, at, shape)?.iter().map(Word::get);
    Ok(held.filter(|word| Bucket(*word).is_living()).collect())
}

/// Does one step towards more room for a hash: a change of its own that keeps the content of the
/// map.
#[cold]
fn enlarge(held: &Held<'_>, object: &Object, hash: u32) -> Result<()> {
    let region = held.context().region();
    let table = Table::new(region, object);
    let at = leaf_at(&table, hash)?;
    if at == 0 {
        let shape = Shape { filled: 0, bits: LEAST_BITS, depth: 0 };
        return rebuild(held, object, hash, &[], shape);
    }
    let shape = leaf_shape(region, at)?;
    if shape.depth > table.root.depth.get() {
        return Err(Corrupt { what: "leaf of an index", at }.into());
    }
    let living = living_slots(region, at, shape)?;
    if living.len() as u64 * 2 < shape.filled {
        // Half of the buckets are removed ones: the same size is enough.
        return rebuild(held, object, hash, &living, shape);
    }
    // A leaf that is split needs room for ever, and a sixteenth of removed ones serves many new keys.
    if living.len() as u64 * 16 <= shape.filled * 15 && sweep_buckets(held, object, hash)? {
        return Ok(());
    }
    if shape.bits < MOST_BITS {
        return rebuild(held, object, hash, &living, Shape { bits: shape.bits + 1, ..shape });
    }
    if shape.depth == table.root.depth.get() {
        double_directory(held, object)?;
    }
    split(held, object, hash, at, &living, shape)
}

/// Replaces the leaf for a hash by one of another shape with the same living buckets.
pub(super) fn rebuild(
    held: &Held<'_>,
    object: &Object,
    hash: u32,
    living: &[u64],
    shape: Shape,
) -> Result<()> {
    let context = held.context();
    let old = leaf_at(&Table::new(context.region(), object), hash)?;
    allocator::ensure(context, leaf_room(shape.bits), 1)?;
    let root = map_root(object);
    let pointers = 1 << (root.depth.get() - shape.depth);
    let mut change = Change::begin(held, 2 * allocator::TAKE_WORDS + 2 + pointers)?;
    let at = allocator::take(&mut change, leaf_room(shape.bits))?;
    fill(&change, at, living.iter().copied(), shape)?;
    if root.depth.get() == 0 {
        change.set(&root.index, at);
    } else {
        redirect(&mut change, object, hash, shape.depth, &[at])?;
    }
    if old != 0 {
        let bits = leaf_shape(change.region(), old)?.bits;
        allocator::give(&mut change, leaf_room(bits), old)?;
    }
    change.commit();
    Ok(())
}

/// Replaces a full leaf by two; one more bit of the hash chooses between them.
fn split(
    held: &Held<'_>,
    object: &Object,
    hash: u32,
    old: u64,
    living: &[u64],
    shape: Shape,
) -> Result<()> {
    let context = held.context();
    allocator::ensure(context, leaf_room(MOST_BITS), 2)?;
    let pointers = 1usize << (map_root(object).depth.get() - shape.depth);
    let mut change = Change::begin(held, 8 + pointers)?;
    let deeper = Shape { filled: 0, bits: MOST_BITS, depth: shape.depth + 1 };
    let mut halves = [0; 2];
    for (bit, half) in halves.iter_mut().enumerate() {
        *half = allocator::take(&mut change, leaf_room(MOST_BITS))?;
        let belongs = |word: &u64| Bucket(*word).hash() >> (31 - shape.depth) & 1 == bit as u32;
        fill(&change, *half, living.iter().copied().filter(belongs), deeper)?;
    }
    redirect(&mut change, object, hash, shape.depth, &halves)?;
    allocator::give(&mut change, leaf_room(MOST_BITS), old)?;
    change.commit();
    Ok(())
}

/// Points the offsets that `depth` bits of the hash choose to new leaves, an equal
/// share of them to each.
fn redirect(
    change: &mut Change<'_>,
    object: &Object,
    hash: u32,
    depth: u64,
    leaves: &[u64],
) -> Result<()> {
    let root = map_root(object);
    let whole = root.depth.get();
    let count = 1usize << (whole - depth);
    let first = if depth == 0 { 0 } else { (u64::from(hash) >> (32 - depth)) << (whole - depth) };
    let offsets =
        change.region().words(root.index.get().wrapping_add(first * WORD_BYTES), count)?;
    for (number, word) in offsets.iter().enumerate() {
        change.set(word, leaves[number * leaves.len() / count]);
    }
    Ok(())
}

/// Doubles the directory: each offset stands in it twice.
fn double_directory(held: &Held<'_>, object: &Object) -> Result<()> {
    let region = held.context().region();
    let root = map_root(object);
    let depth = root.depth.get();
    if depth >= MOST_DEPTH {
        return Err(Corrupt { what: "depth of an index", at: depth }.into());
    }
    let room = directory_room(2 << depth);
    allocator::ensure(held.context(), room, 1)?;
    let mut change = Change::begin(held, 2 * allocator::TAKE_WORDS + 2)?;
    let at = allocator::take(&mut change, room)?;
    let new = region.words(at, 2 << depth)?;
    let old = root.index.get();
    for (number, word) in new.iter().enumerate() {
        let leaf = match depth {
            0 => old,
            _ => region.at::<Word>(old.wrapping_add(number as u64 / 2 * WORD_BYTES))?.get(),
        };
        change.put(word, leaf);
    }
    change.set(&root.index, at);
    change.set(&root.depth, depth + 1);
    if depth > 0 {
        allocator::give(&mut change, directory_room(1 << depth), old)?;
    }
    change.commit();
    Ok(())
}
