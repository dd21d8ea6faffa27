//! Room for more entries.
//!
//! A small map has one segment of entries that doubles up to 512; after that segments of 512 are
//! added one at a time. Where a quarter of the positions belong to removed entries, the map is
//! packed instead: new segments and a new index are filled beside the old ones, which become a
//! husk in the same change. Where the heap has no room for that, it is squeezed where it is
//! (`squeeze`).
//!
//! What always holds: each step is a change of its own that keeps the map's content and order.

use super::enlarge;
use super::index::{self, Plan};
use super::slots::SlotWord;
use super::squeeze::squeeze;
use super::table::{SEGMENT, Table, hashes_by_position, segment_room};
use super::{ENTRY_WORDS, cut_loose};
use crate::allocator::{self, Room};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Held};
use crate::memory::layout::Object;
use crate::objects::cell::Cell;
use crate::objects::husk;

/// Fewest positions of a map that is not empty.
const LEAST: u64 = 8;

/// Makes room to insert keys with these hashes. The turn is held, no change is open.
pub(crate) fn reserve(held: &Held<'_>, object: &Object, hashes: &[u32]) -> Result<()> {
    reserve_positions(held, object, hashes.len() as u64)?;
    enlarge::reserve(held, object, hashes)
}

/// Makes room for so many entries, but not in the index. The turn is held, no change is open.
#[inline]
pub(super) fn reserve_positions(held: &Held<'_>, object: &Object, more: u64) -> Result<()> {
    let table = Table::new(held.context().region(), object);
    while table.used().saturating_add(more) > table.capacity() {
        add_positions(held, object, more)?;
    }
    Ok(())
}

#[cold]
fn add_positions(held: &Held<'_>, object: &Object, more: u64) -> Result<()> {
    let table = Table::new(held.context().region(), object);
    table.check_numbers()?;
    if table.used() >= LEAST && table.live() * 4 <= table.used() * 3 {
        match pack(held, object, more) {
            Err(Error::HeapFull { .. }) => {}
            other => return other,
        }
    }
    match grow(held, object, more) {
        // What can be had without room is worth it where it is not next to nothing.
        Err(Error::HeapFull { .. }) if table.live() * 16 <= table.used() * 15 => {
            squeeze(held, object, more)
        }
        other => other,
    }
}

fn grow(held: &Held<'_>, object: &Object, more: u64) -> Result<()> {
    let table = Table::new(held.context().region(), object);
    let wanted = table.used() + more;
    if object.root[4].get() == 0 && table.capacity() < SEGMENT {
        return enlarge_segment(held, object, wanted.next_power_of_two().clamp(LEAST, SEGMENT));
    }
    if object.root[4].get() * SEGMENT <= table.capacity() {
        return enlarge_directory(held, object);
    }
    add_segment(held, object)
}

/// Copies the only segment into a larger one.
fn enlarge_segment(held: &Held<'_>, object: &Object, positions: u64) -> Result<()> {
    let region = held.context().region();
    let table = Table::new(region, object);
    let room = segment_room(positions);
    allocator::ensure(held.context(), room, 1)?;
    let mut change = Change::begin(held, allocator::TAKE_WORDS + allocator::GIVE_WORDS + 2)?;
    let at = allocator::take(&mut change, room)?;
    let words = table.used() as usize * ENTRY_WORDS;
    let old = object.root[2].get();
    if words > 0 {
        for (to, from) in region.words(at, words)?.iter().zip(region.words(old, words)?) {
            change.put(to, from.get());
        }
    }
    if old != 0 {
        allocator::give(&mut change, segment_room(table.capacity()), old)?;
    }
    change.set(&object.root[2], at);
    change.set(&object.root[3], positions);
    change.commit();
    Ok(())
}

/// Twice the places for segments; the first directory begins with the only segment.
fn enlarge_directory(held: &Held<'_>, object: &Object) -> Result<()> {
    let region = held.context().region();
    let places = object.root[4].get();
    let wanted = (places * 2).max(8);
    let room = Room::of(wanted as usize * 8);
    allocator::ensure(held.context(), room, 1)?;
    let mut change = Change::begin(held, allocator::TAKE_WORDS + allocator::GIVE_WORDS + 2)?;
    let at = allocator::take(&mut change, room)?;
    let new = region.words(at, wanted as usize)?;
    let old = object.root[2].get();
    if places == 0 {
        change.put(&new[0], old);
    } else {
        for (to, from) in new.iter().zip(region.words(old, places as usize)?) {
            change.put(to, from.get());
        }
        allocator::give(&mut change, Room::of(places as usize * 8), old)?;
    }
    change.set(&object.root[2], at);
    change.set(&object.root[4], wanted);
    change.commit();
    Ok(())
}

/// One more segment at the next place of the directory.
fn add_segment(held: &Held<'_>, object: &Object) -> Result<()> {
    let region = held.context().region();
    allocator::ensure(held.context(), segment_room(SEGMENT), 1)?;
    let capacity = object.root[3].get();
    let place = capacity / SEGMENT;
    let directory = region.words(object.root[2].get(), object.root[4].get() as usize)?;
    let word =
        directory.get(place as usize).ok_or(Corrupt { what: "segment of a map", at: capacity })?;
    let mut change = Change::begin(held, allocator::TAKE_WORDS + 1)?;
    let at = allocator::take(&mut change, segment_room(SEGMENT))?;
    change.put(word, at);
    change.set(&object.root[3], capacity + SEGMENT);
    change.commit();
    Ok(())
}

/// Where the entries of a packed map go.
struct Layout {
    positions: u64,
    places: u64,
    index: Plan,
}

impl Layout {
    fn new(live: u64, more: u64, index: Plan) -> Self {
        let wanted = (live + more).max(LEAST);
        if wanted <= SEGMENT {
            return Self { positions: wanted.next_power_of_two(), places: 0, index };
        }
        let segments = wanted.div_ceil(SEGMENT);
        Self { positions: segments * SEGMENT, places: segments.next_power_of_two().max(8), index }
    }

    fn segments(&self) -> u64 {
        if self.places == 0 { 1 } else { self.positions / SEGMENT }
    }

    fn rooms(&self) -> Vec<Room> {
        let segment = segment_room(self.positions.min(SEGMENT));
        let mut rooms = vec![segment; self.segments() as usize];
        if self.places > 0 {
            rooms.push(Room::of(self.places as usize * 8));
        }
        rooms.extend(vec![self.index.segment_room(); self.index.segments() as usize]);
        rooms.extend(self.index.directory_room());
        rooms.push(husk::ROOM);
        rooms
    }
}

/// Moves the living entries together, in order.
fn pack(held: &Held<'_>, object: &Object, more: u64) -> Result<()> {
    let region = held.context().region();
    let table = Table::new(region, object);
    let hashes = hashes_by_position(&table)?;
    let living: Vec<(u64, u32)> = living_positions(&table, &hashes)?;
    let plan = index::plan(living.iter().map(|(_, hash)| *hash), more);
    let layout = Layout::new(living.len() as u64, more, plan);
    let mut rooms = layout.rooms();
    allocator::ensure_all(held.context(), &mut rooms)?;
    let words = rooms.len() * allocator::TAKE_WORDS + husk::CUT_WORDS + 9;
    let mut change = Change::begin(held, words)?;
    let (entries, segments) = take_entries(&mut change, &layout)?;
    for (number, (position, _)) in living.iter().enumerate() {
        let number = number as u64;
        let segment = segments[(number / SEGMENT) as usize];
        let to = region.words(segment + number % SEGMENT * 32, ENTRY_WORDS)?;
        for (to, from) in to.iter().zip(table.entry(*position)?) {
            change.put(to, from.get());
        }
    }
    let slots = (0u64..).zip(&living).map(|(number, (_, hash))| SlotWord::new(number, *hash));
    let index = index::build(&mut change, layout.index, slots)?;
    cut_loose(&mut change, object, false)?;
    let root = &object.root;
    let live = living.len() as u64;
    let values = [live, live, entries, layout.positions, layout.places, index, layout.index.depth];
    for (word, value) in root.iter().zip(values) {
        change.set(word, value);
    }
    change.set(&root[7], 0);
    change.set(&root[8], root[8].get().wrapping_add(1));
    change.commit();
    Ok(())
}

fn take_entries(change: &mut Change<'_>, layout: &Layout) -> Result<(u64, Vec<u64>)> {
    let room = segment_room(layout.positions.min(SEGMENT));
    let segments = (0..layout.segments())
        .map(|_| allocator::take(change, room))
        .collect::<Result<Vec<u64>>>()?;
    if layout.places == 0 {
        return Ok((segments[0], segments));
    }
    let directory = allocator::take(change, Room::of(layout.places as usize * 8))?;
    let places = change.region().words(directory, layout.places as usize)?;
    for (place, segment) in places.iter().zip(&segments) {
        change.put(place, *segment);
    }
    Ok((directory, segments))
}

fn living_positions(table: &Table<'_>, hashes: &[u32]) -> Result<Vec<(u64, u32)>, Corrupt> {
    let mut living = Vec::with_capacity(table.live() as usize % (1 << 24));
    for position in 0..table.used() {
        if !Cell::load(table.entry(position)?).is_removed() {
            living.push((position, hashes[position as usize]));
        }
    }
    Ok(living)
}
