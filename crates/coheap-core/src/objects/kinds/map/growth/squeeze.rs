//! Packing a map in place, in a heap that has no room for a copy.
//!
//! What always holds: each change moves some entries, in order, and leaves the map consistent. No
//! word is stored twice in one change.

use super::super::buckets::Bucket;
use super::super::table::{Table, entries_room, hashes_by_position, leaf_of};
use crate::allocator;
use crate::error::{Corrupt, Result};
use crate::journal::{Change, Held};
use crate::memory::layout::{Object, SEGMENT_ENTRIES};
use crate::objects::cell::{self, Cell, REMOVED};

/// Most entries that one change moves.
const MOVES: usize = 512;
/// Words that the move of one entry saves: four of the entry, one at its old position, and its bucket.
const MOVE_WORDS: usize = 6;

/// Moves the living entries together, and frees the segments behind them, except for room for
/// `more`. Returns whether there are positions for new entries that there were not. The turn is
/// held, no change is open.
pub(in super::super) fn squeeze(held: &Held<'_>, object: &Object, more: u64) -> Result<bool> {
    let table = Table::new(held.context().region(), object);
    let root = table.root;
    table.check_numbers()?;
    let hashes = hashes_by_position(&table)?;
    let used = table.used();
    let (mut from, mut to) = (0, 0);
    while from < used {
        let mut change = Change::begin(held, MOVES * MOVE_WORDS + 3)?;
        let begin = from;
        let mut moved = 0;
        // This change puts no entry at a position from which it has taken one.
        while from < used && moved < MOVES && (to < begin || from == to) {
            if !Cell::load(&table.entry(from)?.key).is_removed() {
                if from != to {
                    relocate(&mut change, &table, hashes[from as usize], from, to)?;
                    moved += 1;
                }
                to += 1;
            }
            from += 1;
        }
        change.set(&root.numbering, root.numbering.get().wrapping_add(1));
        change.set(&root.first, 0);
        if from == used {
            change.set(&root.used, to);
        }
        change.commit();
    }
    give_segments(held, object, more)?;
    Ok(to < used)
}

fn relocate(
    change: &mut Change<'_>,
    table: &Table<'_>,
    hash: u32,
    from: u64,
    to: u64,
) -> Result<()> {
    let (old, new) = (Bucket::new(from, hash), Bucket::new(to, hash));
    let buckets = leaf_of(table, hash)?.unwrap_or_default();
    let first = hash as usize & buckets.len().saturating_sub(1);
    let bucket =
        buckets[first..].iter().chain(&buckets[..first]).find(|bucket| bucket.get() == old.0);
    let bucket = bucket.ok_or(Corrupt { what: "entry without a bucket", at: from })?;
    let entry = table.entry(from)?;
    let target = table.entry(to)?;
    cell::store(change, &target.key, Cell::load(&entry.key));
    cell::store(change, &target.value, Cell::load(&entry.value));
    change.set(&entry.key[0], REMOVED);
    change.set(bucket, new.0);
    Ok(())
}

/// Frees the segments that are not needed for the entries and `more`.
fn give_segments(held: &Held<'_>, object: &Object, more: u64) -> Result<()> {
    let region = held.context().region();
    let table = Table::new(region, object);
    let root = table.root;
    let wanted = table.used().saturating_add(more).max(1);
    while root.directory_len.get() != 0
        && table.capacity() >= wanted.saturating_add(SEGMENT_ENTRIES)
    {
        let left = table.capacity() - SEGMENT_ENTRIES;
        let directory = region.words(root.entries.get(), root.directory_len.get() as usize)?;
        let last = directory.get((left / SEGMENT_ENTRIES) as usize);
        let at = last.ok_or(Corrupt { what: "segment of a map", at: left })?.get();
        let mut change = Change::begin(held, allocator::GIVE_WORDS + 1)?;
        allocator::give(&mut change, entries_room(SEGMENT_ENTRIES), at)?;
        change.set(&root.capacity, left);
        change.commit();
    }
    Ok(())
}
