//! The remains of a map, taken apart in small steps: first the cells of its entries, then the
//! entries, then the index.
//!
//! What always holds: each step leaves a husk whose numbers say what is left.

use super::super::table::trail;
use super::{Table, directory_room, entries_room, leaf_room as room_of, leaf_shape, map_root};
use crate::allocator::{self, LONGEST_BLOCK, Room};
use crate::error::{Corrupt, Result};
use crate::journal::Change;
use crate::kind::Kind;
use crate::memory::layout::{
    ENTRY_BYTES, Husk, MapEntry, MapHusk, Object, SEGMENT_ENTRIES, WORD_BYTES,
};
use crate::memory::{Region, Word};
use crate::objects::cell::{self, Cell};
use crate::objects::husk::{self, RUNS, STEP};
use crate::objects::kinds::DETACH_WORDS;
use crate::objects::walk::{self, Walk};

/// Words that [`cut_loose`] saves at most.
pub(in super::super) const CUT_WORDS: usize = husk::HANG_WORDS + trail::GIVE_WORDS;
const _: () =
    assert!(CUT_WORDS + allocator::GIVE_WORDS <= DETACH_WORDS, "a map that ends leaves a husk");
/// Flag: the cells are to be freed.
const WITH_CELLS: u8 = 1;
const CELLS: u8 = 0;
const ENTRIES: u8 = 1;
const INDEX: u8 = 2;

/// Moves everything that hangs from a map into a husk; the caller resets the root words.
pub(in super::super) fn cut_loose(
    change: &mut Change<'_>,
    object: &Object,
    with_cells: bool,
) -> Result<()> {
    let at = husk::take_or_reserve(change, &map_root(object).reserve)?;
    cut_loose_into(change, object, at, with_cells)
}

/// As [`cut_loose`], into a husk in this block.
pub(in super::super) fn cut_loose_into(
    change: &mut Change<'_>,
    object: &Object,
    at: u64,
    with_cells: bool,
) -> Result<()> {
    Table::new(change.region(), object).check_numbers()?;
    trail::give(change, object)?;
    if with_cells {
        // All entries were to go; else an operation that asked for less found that many have gone.
        change.context().kept.husks.ask();
    }
    let root = map_root(object);
    let info = husk::info(Kind::Map, CELLS, if with_cells { WITH_CELLS } else { 0 });
    husk::hang_in(change, at, info, |change, husk: &MapHusk| {
        change.put(&husk.entries, root.entries.get());
        let len = root.directory_len.get();
        // Segments lie behind the last position, too.
        change.put(&husk.capacity, root.capacity.get().max(len * SEGMENT_ENTRIES));
        change.put(&husk.directory_len, len);
        change.put(&husk.index, root.index.get());
        change.put(&husk.depth, root.depth.get());
        change.put(&husk.left, root.used.get());
    })
}

/// Returns whether a husk has numbers that a map in a heap of this size can have.
pub(super) fn is_possible(region: &Region, husk: &Husk) -> bool {
    let husk: &MapHusk = husk.view_as();
    let (capacity, directory_len) = (husk.capacity.get(), husk.directory_len.get());
    let (depth, left) = (husk.depth.get(), husk.left.get());
    let has_room = directory_len <= region.span_limit() * SEGMENT_ENTRIES
        && capacity <= directory_len.max(1) * SEGMENT_ENTRIES;
    match stage_of(husk) {
        CELLS => has_room && left <= capacity,
        ENTRIES => has_room,
        INDEX => depth < 32 && left <= 1 << depth,
        _ => false,
    }
}

/// One bounded step. `false`: nothing is left.
pub(super) fn dismantle(change: &mut Change<'_>, husk: &Husk) -> Result<bool> {
    let husk: &MapHusk = husk.view_as();
    match stage_of(husk) {
        CELLS => free_cells(change, husk)?,
        ENTRIES => free_entries(change, husk)?,
        _ if husk.index.get() != 0 => free_index(change, husk)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Claims everything that is left.
pub(super) fn walk(region: &Region, husk: &Husk, walk: &mut dyn Walk) -> Result<()> {
    let husk: &MapHusk = husk.view_as();
    for position in 0..cells_left(husk) {
        let Some(entry) = entry_at(region, husk, position)? else { continue };
        if !Cell::load(&entry.key).is_removed() {
            walk::cell(walk, region, Cell::load(&entry.key))?;
            walk::cell(walk, region, Cell::load(&entry.value))?;
        }
    }
    parts(region, husk)?.into_iter().try_for_each(|(block, room)| walk.claim(block, room))
}

fn stage_of(husk: &MapHusk) -> u8 {
    husk::stage_and_flags(husk.info.get()).0
}

/// Returns how many bits of the hash choose a leaf of the index: no shift by it goes too far.
fn depth_of(husk: &MapHusk) -> u64 {
    husk.depth.get() & 31
}

/// Returns how many entries of a husk have cells that are still to be freed.
fn cells_left(husk: &MapHusk) -> u64 {
    if husk::stage_and_flags(husk.info.get()) == (CELLS, WITH_CELLS) { husk.left.get() } else { 0 }
}

/// Returns the blocks that still hang from the husk of a map, cells aside.
fn parts(region: &Region, husk: &MapHusk) -> Result<Vec<(u64, Room)>> {
    let mut parts = Vec::new();
    let (entries, capacity, offsets) =
        (husk.entries.get(), husk.capacity.get(), husk.directory_len.get());
    if entries != 0 && offsets == 0 {
        parts.push((entries, entries_room(capacity)));
    } else if entries != 0 {
        parts.push((entries, directory_room(offsets)));
        let directory = region.words(entries, offsets as usize)?;
        let segments = directory.iter().take((capacity / SEGMENT_ENTRIES) as usize);
        let there = segments.map(Word::get).filter(|segment| *segment != 0);
        parts.extend(there.map(|segment| (segment, entries_room(SEGMENT_ENTRIES))));
    }
    let (index, depth) = (husk.index.get(), depth_of(husk));
    if index == 0 {
        return Ok(parts);
    }
    if depth == 0 {
        parts.push((index, room_of_leaf(region, index)?));
        return Ok(parts);
    }
    parts.push((index, directory_room(1 << depth)));
    let left = if stage_of(husk) == INDEX { husk.left.get() } else { 1 << depth };
    let offsets = region.words(index, 1 << depth)?;
    let mut leaves: Vec<u64> = offsets.iter().take(left as usize).map(Word::get).collect();
    leaves.dedup();
    for leaf in leaves {
        parts.push((leaf, room_of_leaf(region, leaf)?));
    }
    Ok(parts)
}

/// Returns the room of the leaf at an offset.
fn room_of_leaf(region: &Region, at: u64) -> Result<Room, Corrupt> {
    Ok(room_of(leaf_shape(region, at)?.bits))
}

/// Returns the entry at a position of the map that a husk is left of, unless its segment was given back.
fn entry_at<'a>(region: &'a Region, husk: &MapHusk, position: u64) -> Result<Option<&'a MapEntry>> {
    let segment = match husk.directory_len.get() {
        0 => husk.entries.get(),
        _ => {
            let number = position / SEGMENT_ENTRIES * WORD_BYTES;
            region.at::<Word>(husk.entries.get().wrapping_add(number))?.get()
        }
    };
    if segment == 0 {
        return Ok(None);
    }
    Ok(Some(region.at(segment.wrapping_add(position % SEGMENT_ENTRIES * ENTRY_BYTES))?))
}

fn free_cells(change: &mut Change<'_>, husk: &MapHusk) -> Result<()> {
    let left = husk.left.get();
    if husk::stage_and_flags(husk.info.get()).1 & WITH_CELLS == 0 || left == 0 {
        change.set(&husk.info, husk::info(Kind::Map, ENTRIES, 0));
        return Ok(());
    }
    let segment = (left - 1) / SEGMENT_ENTRIES * SEGMENT_ENTRIES;
    if entry_at(change.region(), husk, segment)?.is_none() {
        change.set(&husk.left, segment);
        return Ok(());
    }
    let (last, mut first, mut runs) = (left.saturating_sub(STEP).max(segment), left, 0);
    while first > last && runs < RUNS {
        let Some(entry) = entry_at(change.region(), husk, first - 1)? else { break };
        first -= 1;
        let cells = [Cell::load(&entry.key), Cell::load(&entry.value)];
        if !cells[0].is_removed() {
            for cell in cells {
                cell::free(change, cell)?;
                runs += u64::from(cell.len() > LONGEST_BLOCK as u64);
            }
        }
    }
    change.set(&husk.left, first);
    Ok(())
}

fn free_entries(change: &mut Change<'_>, husk: &MapHusk) -> Result<()> {
    let (entries, capacity, directory_len) =
        (husk.entries.get(), husk.capacity.get(), husk.directory_len.get());
    if entries != 0 && directory_len != 0 && capacity > 0 {
        let directory = change.region().words(entries, directory_len as usize)?;
        let last = (capacity / SEGMENT_ENTRIES) as usize;
        let first = last.saturating_sub(RUNS as usize);
        let going = directory.get(first..last);
        let going = going.ok_or(Corrupt { what: "husk", at: capacity })?;
        for word in going.iter().filter(|word| word.get() != 0) {
            allocator::give(change, entries_room(SEGMENT_ENTRIES), word.get())?;
        }
        change.set(&husk.capacity, first as u64 * SEGMENT_ENTRIES);
        return Ok(());
    }
    if entries != 0 {
        let room = match directory_len {
            0 => entries_room(capacity),
            _ => directory_room(directory_len),
        };
        allocator::give(change, room, entries)?;
        change.set(&husk.entries, 0);
    }
    change.set(&husk.info, husk::info(Kind::Map, INDEX, 0));
    change.set(&husk.left, 1 << depth_of(husk));
    Ok(())
}

fn free_index(change: &mut Change<'_>, husk: &MapHusk) -> Result<()> {
    let region = change.region();
    let (index, depth, mut left) = (husk.index.get(), depth_of(husk), husk.left.get());
    if depth == 0 {
        allocator::give(change, room_of_leaf(region, index)?, index)?;
        change.set(&husk.index, 0);
        return Ok(());
    }
    let offsets = region.words(index, 1 << depth)?;
    for _ in 0..RUNS {
        let Some(number) = left.checked_sub(1) else { break };
        let leaf = offsets[(number as usize) % offsets.len()].get();
        let shape = leaf_shape(region, leaf)?;
        allocator::give(change, room_of(shape.bits), leaf)?;
        left = left.saturating_sub(1 << (depth.saturating_sub(shape.depth)));
    }
    if left == 0 {
        allocator::give(change, directory_room(1 << depth), index)?;
        change.set(&husk.index, 0);
    }
    change.set(&husk.left, left);
    Ok(())
}
