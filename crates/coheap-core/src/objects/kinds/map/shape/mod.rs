//! The map's implementation of the methods that every kind has: creation, removal, the integrity
//! walk.
//!
//! Not here: how the remains of a map are taken apart (`husk`).

mod husk;

pub(super) use husk::{CUT_WORDS, cut_loose, cut_loose_into};

use super::buckets::{Bucket, buckets, leaf_room, leaf_shape};

use super::table::gap::{self, Gaps};
use super::table::{index_leaves, trail};
use super::{Key, Table, directory_room, entries_room, map_root};
use crate::allocator::{self, Room};
use crate::error::{Corrupt, Result};
use crate::journal::{Change, Context};
use crate::memory::layout::{Husk, Object, SEGMENT_ENTRIES};
use crate::memory::{Region, Word};
use crate::objects::cell::Cell;
use crate::objects::husk as husks;
use crate::objects::kinds;
use crate::objects::walk::{self, Walk, broken};

/// An empty map.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recipe;

/// An empty map with a note of its creator, see [`Map::note`](super::Map::note).
#[derive(Debug, Clone, Copy)]
pub struct NotedRecipe(pub u8);

impl kinds::Recipe for Recipe {
    type Object = super::Map;

    fn prepare(&self, context: &Context, rooms: &mut Vec<Room>) -> Result<()> {
        NotedRecipe(0).prepare(context, rooms)
    }

    fn fill(&self, change: &mut Change<'_>, object: &Object) -> Result<()> {
        NotedRecipe(0).fill(change, object)
    }
}

impl kinds::Recipe for NotedRecipe {
    type Object = super::Map;

    fn prepare(&self, _: &Context, rooms: &mut Vec<Room>) -> Result<()> {
        rooms.push(husks::ROOM);
        Ok(())
    }

    fn fill(&self, change: &mut Change<'_>, object: &Object) -> Result<()> {
        let reserve = allocator::take(change, husks::ROOM)?;
        change.put(&map_root(object).reserve, reserve);
        change.put(&object.holder, u64::from(self.0));
        Ok(())
    }
}

/// The shape of a map.
pub(crate) struct Shape;

impl kinds::Shape for Shape {
    fn prepare_removal(&self, context: &Context, object: &Object) -> Result<()> {
        husks::ensure_or_reserve(context, &map_root(object).reserve)
    }

    fn detach(&self, change: &mut Change<'_>, object: &Object) -> Result<()> {
        cut_loose(change, object, true)?;
        match map_root(object).reserve.get() {
            0 => Ok(()),
            reserve => allocator::give(change, husks::ROOM, reserve),
        }
    }

    fn walk(&self, region: &Region, object: &Object, walk: &mut dyn Walk) -> Result<()> {
        let table = Table::new(region, object);
        table.check_numbers()?;
        walk_segments(&table, walk)?;
        let living = walk_entries(&table, walk)?;
        if living != table.live() || walk_index(&table, walk)? != living {
            return Err(broken("number of entries of a map", living));
        }
        trail::walk(region, object, walk)?;
        husks::walk_reserve(walk, &table.root.reserve)
    }

    fn is_possible(&self, region: &Region, husk: &Husk) -> bool {
        husk::is_possible(region, husk)
    }

    fn dismantle(&self, change: &mut Change<'_>, husk: &Husk) -> Result<bool> {
        husk::dismantle(change, husk)
    }

    fn walk_husk(&self, region: &Region, husk: &Husk, walk: &mut dyn Walk) -> Result<()> {
        husk::walk(region, husk, walk)
    }
}

/// Walks the blocks that entries lie in.
fn walk_segments(table: &Table<'_>, walk: &mut dyn Walk) -> Result<()> {
    let (entries, directory_len) = (table.root.entries.get(), table.root.directory_len.get());
    if directory_len == 0 {
        let room = entries_room(table.capacity());
        return if entries == 0 { Ok(()) } else { walk.claim(entries, room) };
    }
    walk.claim(entries, directory_room(directory_len))?;
    let directory = table.directory()?;
    let given = |word: &&Word| word.get() == 0;
    let below = (table.used() / SEGMENT_ENTRIES) as usize;
    let (dead, at_end) = directory[..(table.capacity() / SEGMENT_ENTRIES) as usize].split_at(below);
    if dead.iter().filter(given).count() as u64 != Gaps(table.root.gaps.get()).given() {
        return Err(broken("segments of a map that were given back", table.root.gaps.get()));
    }
    if let Some(word) = at_end.iter().find(given) {
        return Err(broken("segment of a map", table.region.offset_of(word)));
    }
    let segments = directory.iter().filter(|word| word.get() != 0);
    let room = entries_room(SEGMENT_ENTRIES);
    segments.map(Word::get).try_for_each(|segment| walk.claim(segment, room))
}

/// Walks the entries, each of which the index must find, and returns the number of living ones.
fn walk_entries(table: &Table<'_>, walk: &mut dyn Walk) -> Result<u64> {
    let region = table.region;
    let (mut living, mut hole) = (0, 0);
    let packed = Gaps(table.root.gaps.get()).packed();
    for position in 0..table.used() {
        let is_given = table.is_given(position / SEGMENT_ENTRIES)?;
        if is_given || Cell::load(&table.entry(position)?.key).is_removed() {
            if position == packed && hole > 0 {
                return Err(broken("pass over a map", position));
            }
            hole = if is_given { 0 } else { hole + 1 };
            let is_end = (position + 1) % SEGMENT_ENTRIES == 0 || position + 1 == table.used();
            if is_end && hole > 0 {
                check_hole(table, position + 1, std::mem::take(&mut hole))?;
            }
            continue;
        }
        check_hole(table, position, std::mem::take(&mut hole))?;
        let entry = table.entry(position)?;
        let key = Cell::load(&entry.key);
        if position < table.root.first.get() {
            return Err(broken("first entry of a map", position));
        }
        living += 1;
        walk::cell(walk, region, key)?;
        walk::cell(walk, region, Cell::load(&entry.value))?;
        let mut bytes = Vec::new();
        key.read(region, &mut bytes)?;
        match table.find(&Key::new(region, &bytes)?)? {
            Some(found) if found.position == position => {}
            _ => return Err(broken("entry that its index does not find", position)),
        }
    }
    Ok(living)
}

/// Checks the numbers at both ends of the hole of so many entries before a position.
fn check_hole(table: &Table<'_>, end: u64, count: u64) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    let word = |position| Ok::<_, Corrupt>(table.entry(position)?.key[0].get());
    let (onward, back) = (gap::onward(word(end - count)?), gap::back(word(end - 1)?));
    if onward == count && back == count {
        return Ok(());
    }
    Err(broken("hole of a map", end - count))
}

/// Walks the index, and returns how many entries it leads to.
fn walk_index(table: &Table<'_>, walk: &mut dyn Walk) -> Result<u64> {
    let depth = table.root.depth.get();
    if depth > 0 {
        walk.claim(table.root.index.get(), directory_room(1 << depth))?;
    }
    let mut living = 0;
    for leaf in index_leaves(table)? {
        let shape = leaf_shape(table.region, leaf)?;
        walk.claim(leaf, leaf_room(shape.bits))?;
        let buckets = buckets(table.region, leaf, shape)?;
        let filled = buckets.iter().filter(|bucket| bucket.get() != 0).count() as u64;
        if filled != shape.filled || shape.depth > depth {
            return Err(broken("index leaf", leaf));
        }
        living += buckets.iter().filter(|bucket| Bucket(bucket.get()).is_living()).count() as u64;
    }
    Ok(living)
}

#[cfg(all(test, not(any(loom, miri, sim))))]
mod tests {
    use super::*;
    use crate::heap::Heap;
    use crate::objects::Directory;

    #[test]
    fn a_note_stays_whatever_becomes_of_the_entries() {
        let heap = Heap::anonymous(1 << 20).expect("a heap");
        let done = heap.with(|context| {
            for (name, note) in [("noted", 5), ("other", 0)] {
                let map = Directory.get_or_create(context, name, &NotedRecipe(note))?;
                (0..100u8).try_for_each(|key| map.set(context, &[key], b"value").map(|_| ()))?;
                map.snapshot(context)?;
                assert_eq!(map.note(context)?, note);
                map.clear(context)?;
                // Who finds it has another recipe, which does not count.
                let found = Directory.get_or_create(context, name, &Recipe)?;
                assert_eq!(found.note(context)?, note);
            }
            Ok(())
        });
        assert_eq!(done, Ok(()));
    }
}
