//! Fewer leaves in the index of a map that was once much larger.
//!
//! What always holds: each step is a change of its own that keeps the index's content.

use super::super::buckets::{MOST_BITS, Shape, image, leaf_room, leaf_shape, leaf_words};
use super::super::table::{Table, directory_room, map_root};
use super::enlarge::{living_slots, rebuild};
use crate::allocator;
use crate::error::Result;
use crate::journal::{Change, Held};
use crate::memory::layout::Object;
use crate::memory::{Region, Word};

/// Two leaves are merged if together they have at most this part of a leaf's buckets.
const PART: u64 = 2;
/// Leaves are merged if all of them have at most this part of their buckets on average.
const SPARSE: u64 = 6;
/// Pairs of leaves that one step merges.
const PAIRS: usize = 4;

/// Does one step towards an index that is not much larger than its entries need, and returns whether
/// there was anything to do.
pub(super) fn merge_some(held: &Held<'_>, object: &Object) -> Result<bool> {
    let table = Table::new(held.context().region(), object);
    let (live, depth) = (table.live(), table.root.depth.get());
    if live.saturating_mul(SPARSE) > (1 << MOST_BITS) << depth {
        return Ok(false);
    }
    if depth == 0 {
        return shrink_leaf(held, object);
    }
    let leaves = table.region.words(table.root.index.get(), 1 << depth)?;
    let pairs: Vec<&[Word]> =
        leaves.chunks_exact(2).filter(|pair| pair[0].get() != pair[1].get()).take(PAIRS).collect();
    if pairs.is_empty() {
        halve_directory(held, object).map(|()| true)
    } else {
        merge(held, &pairs)
    }
}

/// Merges pairs of leaves. Returns `false` if one of them has too many buckets for that.
fn merge(held: &Held<'_>, pairs: &[&[Word]]) -> Result<bool> {
    let region = held.context().region();
    let words = (1 << MOST_BITS) + 1 + allocator::GIVE_WORDS;
    let mut change = Change::begin(held, pairs.len() * words)?;
    let mut has_merged = false;
    for pair in pairs {
        has_merged |= merge_pair(&mut change, region, pair)?;
    }
    change.commit();
    Ok(has_merged)
}

fn merge_pair(change: &mut Change<'_>, region: &Region, pair: &[Word]) -> Result<bool> {
    let (kept, given) = (pair[0].get(), pair[1].get());
    let shape = leaf_shape(region, kept)?;
    let mut living = living_slots(region, kept, shape)?;
    living.extend(living_slots(region, given, leaf_shape(region, given)?)?);
    if living.len() as u64 * PART > 1 << shape.bits {
        return Ok(false);
    }
    let shape = Shape { depth: shape.depth.saturating_sub(1), ..shape };
    let image = image(living.into_iter(), shape)?;
    for (word, value) in leaf_words(region, kept, shape)?.iter().zip(image) {
        if word.get() != value {
            change.set(word, value);
        }
    }
    change.set(&pair[1], kept);
    allocator::give(change, leaf_room(MOST_BITS), given)?;
    Ok(true)
}

/// Halves the directory: each offset stands in it at least twice.
fn halve_directory(held: &Held<'_>, object: &Object) -> Result<()> {
    let region = held.context().region();
    let root = map_root(object);
    let (old, depth) = (root.index.get(), root.depth.get());
    let less = depth - 1;
    let room = directory_room(1 << less);
    if less > 0 {
        allocator::ensure(held.context(), room, 1)?;
    }
    let leaves = region.words(old, 1 << depth)?;
    let mut change = Change::begin(held, allocator::TAKE_WORDS + allocator::GIVE_WORDS + 2)?;
    let mut at = leaves[0].get();
    if less > 0 {
        at = allocator::take(&mut change, room)?;
        for (word, pair) in region.words(at, 1 << less)?.iter().zip(leaves.chunks_exact(2)) {
            change.put(word, pair[0].get());
        }
    }
    allocator::give(&mut change, directory_room(1 << depth), old)?;
    change.set(&root.index, at);
    change.set(&root.depth, less);
    change.commit();
    Ok(())
}

/// Replaces the only leaf by a smaller one.
fn shrink_leaf(held: &Held<'_>, object: &Object) -> Result<bool> {
    let region = held.context().region();
    let at = map_root(object).index.get();
    if at == 0 {
        return Ok(false);
    }
    let shape = leaf_shape(region, at)?;
    let living = living_slots(region, at, shape)?;
    let bits = Shape::bits_for(living.len() as u64);
    if bits + 1 >= shape.bits {
        return Ok(false);
    }
    rebuild(held, object, 0, &living, Shape { bits, ..shape }).map(|()| true)
}
