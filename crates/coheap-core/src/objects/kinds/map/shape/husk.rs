//! What is left of a map, taken apart in small steps: first the cells of its entries, then the
//! entries, then the index.
//!
//! What always holds: each step leaves a husk whose numbers say what is left.

use super::{
    Table, directory_room, entries_room, map_root, segment_room as room_of, segment_shape,
};
use crate::allocator::{self, Room};
use crate::error::{Corrupt, Result};
use crate::journal::Change;
use crate::kind::Kind;
use crate::memory::layout::{
    ENTRY_BYTES, Husk, MapEntry, MapHusk, Object, SEGMENT_ENTRIES, WORD_BYTES,
};
use crate::memory::{Region, Word};
use crate::objects::cell::{self, Cell};
use crate::objects::husk::{self, STEP};
use crate::objects::walk::{self, Walk};

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
    Table::new(change.region(), object).check_numbers()?;
    let root = map_root(object);
    let info = husk::info(Kind::Map, CELLS, if with_cells { WITH_CELLS } else { 0 });
    husk::hang(change, info, &root.reserve, |change, husk: &MapHusk| {
        change.put(&husk.entries, root.entries.get());
        change.put(&husk.capacity, root.capacity.get());
        change.put(&husk.places, root.places.get());
        change.put(&husk.index, root.index.get());
        change.put(&husk.depth, root.depth.get());
        change.put(&husk.left, root.used.get());
    })
}

/// Whether a husk has numbers that a map in a heap of this size can have.
pub(super) fn is_possible(region: &Region, husk: &Husk) -> bool {
    let husk: &MapHusk = husk.view_as();
    let (capacity, places) = (husk.capacity.get(), husk.places.get());
    let (depth, left) = (husk.depth.get(), husk.left.get());
    let has_room = places <= region.span_limit() * SEGMENT_ENTRIES
        && capacity <= places.max(1) * SEGMENT_ENTRIES;
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
        let entry = entry_at(region, husk, position)?;
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

/// How many bits of the hash choose a segment of the index: no shift by it goes too far.
fn depth_of(husk: &MapHusk) -> u64 {
    husk.depth.get() & 31
}

/// How many entries of a husk have cells that are still to be freed.
fn cells_left(husk: &MapHusk) -> u64 {
    if husk::stage_and_flags(husk.info.get()) == (CELLS, WITH_CELLS) { husk.left.get() } else { 0 }
}

/// The blocks that still hang from the husk of a map, cells aside.
fn parts(region: &Region, husk: &MapHusk) -> Result<Vec<(u64, Room)>> {
    let mut parts = Vec::new();
    let (entries, capacity, places) = (husk.entries.get(), husk.capacity.get(), husk.places.get());
    if entries != 0 && places == 0 {
        parts.push((entries, entries_room(capacity)));
    } else if entries != 0 {
        parts.push((entries, directory_room(places)));
        let directory = region.words(entries, places as usize)?;
        let segments = directory.iter().take((capacity / SEGMENT_ENTRIES) as usize);
        let room = entries_room(SEGMENT_ENTRIES);
        parts.extend(segments.map(|place| (place.get(), room)));
    }
    let (index, depth) = (husk.index.get(), depth_of(husk));
    if index == 0 {
        return Ok(parts);
    }
    if depth == 0 {
        parts.push((index, segment_room(region, index)?));
        return Ok(parts);
    }
    parts.push((index, directory_room(1 << depth)));
    let left = if stage_of(husk) == INDEX { husk.left.get() } else { 1 << depth };
    let places = region.words(index, 1 << depth)?;
    let mut segments: Vec<u64> = places.iter().take(left as usize).map(Word::get).collect();
    segments.dedup();
    for segment in segments {
        parts.push((segment, segment_room(region, segment)?));
    }
    Ok(parts)
}

/// The room of the index segment at an offset.
fn segment_room(region: &Region, at: u64) -> Result<Room, Corrupt> {
    Ok(room_of(segment_shape(region, at)?.bits))
}

/// The entry at a position of the map that a husk is left of.
fn entry_at<'a>(region: &'a Region, husk: &MapHusk, position: u64) -> Result<&'a MapEntry> {
    let segment = match husk.places.get() {
        0 => husk.entries.get(),
        _ => {
            let place = position / SEGMENT_ENTRIES * WORD_BYTES;
            region.at::<Word>(husk.entries.get().wrapping_add(place))?.get()
        }
    };
    Ok(region.at(segment.wrapping_add(position % SEGMENT_ENTRIES * ENTRY_BYTES))?)
}

fn free_cells(change: &mut Change<'_>, husk: &MapHusk) -> Result<()> {
    let left = husk.left.get();
    if husk::stage_and_flags(husk.info.get()).1 & WITH_CELLS == 0 || left == 0 {
        change.set(&husk.info, husk::info(Kind::Map, ENTRIES, 0));
        return Ok(());
    }
    let first = left.saturating_sub(STEP);
    for position in first..left {
        let entry = entry_at(change.region(), husk, position)?;
        let key = Cell::load(&entry.key);
        if !key.is_removed() {
            cell::free(change, key)?;
            cell::free(change, Cell::load(&entry.value))?;
        }
    }
    change.set(&husk.left, first);
    Ok(())
}

fn free_entries(change: &mut Change<'_>, husk: &MapHusk) -> Result<()> {
    let (entries, capacity, places) = (husk.entries.get(), husk.capacity.get(), husk.places.get());
    if entries != 0 && places != 0 && capacity > 0 {
        let directory = change.region().words(entries, places as usize)?;
        let last = (capacity / SEGMENT_ENTRIES) as usize;
        let first = last.saturating_sub(STEP as usize);
        let going = directory.get(first..last);
        for place in going.ok_or(Corrupt { what: "husk", at: capacity })? {
            allocator::give(change, entries_room(SEGMENT_ENTRIES), place.get())?;
        }
        change.set(&husk.capacity, first as u64 * SEGMENT_ENTRIES);
        return Ok(());
    }
    if entries != 0 {
        let room = match places {
            0 => entries_room(capacity),
            _ => directory_room(places),
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
        allocator::give(change, segment_room(region, index)?, index)?;
        change.set(&husk.index, 0);
        return Ok(());
    }
    let places = region.words(index, 1 << depth)?;
    for _ in 0..STEP {
        let Some(place) = left.checked_sub(1) else { break };
        let segment = places[(place as usize) % places.len()].get();
        let shape = segment_shape(region, segment)?;
        allocator::give(change, room_of(shape.bits), segment)?;
        left = left.saturating_sub(1 << (depth.saturating_sub(shape.depth)));
    }
    if left == 0 {
        allocator::give(change, directory_room(1 << depth), index)?;
        change.set(&husk.index, 0);
    }
    change.set(&husk.left, left);
    Ok(())
}
