//! Room for more entries.
//!
//! A small map has one segment of entries, which doubles up to 512. If a quarter of its positions belong
//! to removed entries, it is packed instead: a new segment and a new index are filled beside the old
//! ones, which become a husk in the same change. In a heap without room for that, it is packed in place.
//!
//! A larger map gets segments of 512, one at a time. What removed entries occupy comes back by passes
//! over the map (`pass`), whose steps are left to the time after the operation.
//!
//! What always holds: each step is a change of its own that keeps the map's content and order, and
//! leaves more room than before, or fails.

mod enlarge;
mod layout;
mod merge;
mod pass;
mod settle;

pub(super) use enlarge::reserve as reserve_index;
pub(super) use layout::Layout;
pub(super) use pass::{Known, Step, gives_room, learn, step};
pub(super) use settle::settle;

use layout::{LEAST, fill_directory};

use super::buckets::Bucket;
use super::index;
use super::shape::{CUT_WORDS, cut_loose};
use super::table::{Table, copy_entry, directory_room, entries_room, hashes_by_position, map_root};
use crate::allocator;
use crate::error::{Error, Result};
use crate::journal::{Change, Held};
use crate::memory::layout::{ENTRY_BYTES, MapEntry, Object, SEGMENT_ENTRIES};
use crate::memory::{Word, private_list, reserve_private};
use crate::objects::cell::Cell;
use crate::objects::husk;
use crate::objects::wait::owner_of;
use crate::sync::parking::word::LockWord;

/// Steps of a pass for each new segment: four times as many entries are moved as are added, so that a
/// pass ends.
const STEPS: u32 = 4;

/// Makes room to insert keys with these hashes. The turn is held, no change is open.
pub(crate) fn reserve(held: &Held<'_>, object: &Object, hashes: &[u32]) -> Result<()> {
    reserve_positions(held, object, hashes.len() as u64)?;
    reserve_index(held, object, hashes)
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
    let is_small = table.root.directory_len.get() == 0;
    if is_small && table.used() >= LEAST && table.live() * 4 <= table.used() * 3 {
        match pack(held, object, more) {
            Err(Error::HeapFull { .. }) => {}
            other => return other,
        }
    }
    match grow(held, object, more) {
        Err(full @ Error::HeapFull { .. }) => {
            if pack_in_place(held, object)? {
                Ok(())
            } else {
                Err(full)
            }
        }
        Ok(()) if pass::is_due(&table) => {
            held.context().kept.packing.note(
                held.context().region().offset_of(object),
                object.generation.get(),
                STEPS,
            );
            Ok(())
        }
        other => other,
    }
}

/// Moves the entries together although the turn stays held: of a small map, and of one that the caller
/// has locked for a transaction, for nobody else can do it then. Returns whether that made room.
#[cold]
fn pack_in_place(held: &Held<'_>, object: &Object) -> Result<bool> {
    let context = held.context();
    let table = Table::new(context.region(), object);
    let is_small = table.root.directory_len.get() == 0;
    let is_own =
        LockWord(object.lock.get()).thread().is_some_and(|who| owner_of(who) == context.me());
    // What can be had without room is worth it where it is not next to nothing. An answer that there is
    // room now, where there is none, would be asked for again and again.
    if !(is_small || is_own) || !pass::gives_room(&table) {
        return Ok(false);
    }
    let before = table.capacity() - table.used();
    while let Step::Part = step(held, object, &Known::new())? {}
    Ok(table.capacity() - table.used() > before)
}

fn grow(held: &Held<'_>, object: &Object, more: u64) -> Result<()> {
    let table = Table::new(held.context().region(), object);
    let root = table.root;
    let wanted = table.used() + more;
    if root.directory_len.get() == 0 && table.capacity() < SEGMENT_ENTRIES {
        return enlarge_segment(
            held,
            object,
            wanted.next_power_of_two().clamp(LEAST, SEGMENT_ENTRIES),
        );
    }
    if root.directory_len.get() * SEGMENT_ENTRIES <= table.capacity() {
        return enlarge_directory(held, object);
    }
    add_segment(held, object)
}

/// Copies the only segment into a larger one.
fn enlarge_segment(held: &Held<'_>, object: &Object, positions: u64) -> Result<()> {
    let region = held.context().region();
    let table = Table::new(region, object);
    let room = entries_room(positions);
    allocator::ensure(held.context(), room, 1)?;
    let mut change = Change::begin(held, allocator::TAKE_WORDS + allocator::GIVE_WORDS + 2)?;
    let at = allocator::take(&mut change, room)?;
    let used = table.used() as usize;
    let root = table.root;
    let old = root.entries.get();
    if used > 0 {
        let entries = region.rows::<MapEntry>(old, used)?;
        for (to, from) in region.rows(at, used)?.iter().zip(entries) {
            copy_entry(&change, to, from);
        }
    }
    if old != 0 {
        allocator::give(&mut change, entries_room(table.capacity()), old)?;
    }
    change.set(&root.entries, at);
    change.set(&root.capacity, positions);
    change.commit();
    Ok(())
}

/// Twice the offsets; the first directory begins with the only segment.
fn enlarge_directory(held: &Held<'_>, object: &Object) -> Result<()> {
    let region = held.context().region();
    let root = map_root(object);
    let directory_len = root.directory_len.get();
    let wanted = (directory_len * 2).max(8);
    let room = directory_room(wanted);
    allocator::ensure(held.context(), room, 1)?;
    let mut change = Change::begin(held, allocator::TAKE_WORDS + allocator::GIVE_WORDS + 2)?;
    let at = allocator::take(&mut change, room)?;
    let new = region.words(at, wanted as usize)?;
    let old = root.entries.get();
    if directory_len == 0 {
        fill_directory(&change, new, std::iter::once(old));
    } else {
        let offsets = region.words(old, directory_len as usize)?;
        fill_directory(&change, new, offsets.iter().map(Word::get));
        allocator::give(&mut change, directory_room(directory_len), old)?;
    }
    change.set(&root.entries, at);
    change.set(&root.directory_len, wanted);
    change.commit();
    Ok(())
}

/// One more segment behind the last one; perhaps it was left there.
fn add_segment(held: &Held<'_>, object: &Object) -> Result<()> {
    let table = Table::new(held.context().region(), object);
    let capacity = &table.root.capacity;
    let after = capacity.get() + SEGMENT_ENTRIES;
    let word = table.segment_word(capacity.get() / SEGMENT_ENTRIES)?;
    let is_there = word.get() != 0;
    if !is_there {
        allocator::ensure(held.context(), entries_room(SEGMENT_ENTRIES), 1)?;
    }
    let mut change = Change::begin(held, allocator::TAKE_WORDS + 2)?;
    if !is_there {
        let at = allocator::take(&mut change, entries_room(SEGMENT_ENTRIES))?;
        change.set(word, at);
    }
    change.set(capacity, after);
    change.commit();
    Ok(())
}

/// Moves the living entries together, in order.
pub(super) fn pack(held: &Held<'_>, object: &Object, more: u64) -> Result<()> {
    let region = held.context().region();
    let table = Table::new(region, object);
    let hashes = hashes_by_position(&table)?;
    let living: Vec<(u64, u32)> = living_positions(&table, &hashes)?;
    let plan = index::plan(living.iter().map(|(_, hash)| *hash), more);
    let layout = Layout::new(living.len() as u64, more, plan);
    let mut rooms = layout.rooms();
    rooms.push(husk::ROOM);
    allocator::ensure_all(held.context(), &mut rooms)?;
    let words = rooms.len() * allocator::TAKE_WORDS + CUT_WORDS + 10;
    let mut change = Change::begin(held, words)?;
    let (entries, segments) = layout.take_entries(&mut change)?;
    for (number, (position, _)) in living.iter().enumerate() {
        let number = number as u64;
        let segment = segments[(number / SEGMENT_ENTRIES) as usize];
        let to = region.at(segment + number % SEGMENT_ENTRIES * ENTRY_BYTES)?;
        copy_entry(&change, to, table.entry(*position)?);
    }
    let buckets = (0u64..).zip(&living).map(|(number, (_, hash))| Bucket::new(number, *hash));
    let index = index::build(&mut change, layout.index, buckets)?;
    cut_loose(&mut change, object, false)?;
    let root = table.root;
    let live = living.len() as u64;
    change.set(&root.live, live);
    change.set(&root.used, live);
    change.set(&root.entries, entries);
    change.set(&root.capacity, layout.positions);
    change.set(&root.directory_len, layout.directory_len);
    change.set(&root.index, index);
    change.set(&root.depth, layout.index.depth);
    change.set(&root.first, 0);
    change.set(&root.gaps, 0);
    change.set(&root.numbering, root.numbering.get().wrapping_add(1));
    change.commit();
    Ok(())
}

fn living_positions(table: &Table<'_>, hashes: &[u32]) -> Result<Vec<(u64, u32)>> {
    let mut living = private_list(table.live())?;
    for position in 0..table.used() {
        if !Cell::load(&table.entry(position)?.key).is_removed() {
            reserve_private(&mut living, 1)?;
            living.push((position, hashes[position as usize]));
        }
    }
    Ok(living)
}
