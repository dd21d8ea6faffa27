//! The table of a map that a transaction has cleared: built beside the old one, which becomes a husk in
//! the same change.
//!
//! What always holds: what is built is not reached by anybody before the change commits, so of the
//! entries and of the index no word is saved. The husk lies in the block that the map keeps for it, if
//! it has one, so a full heap can be cleared.
//!
//! Not here: how the husk is taken apart (`shape::husk`).

use super::super::buckets::Bucket;
use super::super::growth::Layout;
use super::super::index;
use super::super::shape::cut_loose_into;
use super::super::table::{map_root, put_entry};
use super::content::{CLEAR_WORDS, Content};
use super::notes::{Note, Seen};
use crate::allocator;
use crate::error::Result;
use crate::journal::Change;
use crate::memory::layout::{ENTRY_BYTES, MapRoot, Object, SEGMENT_ENTRIES};
use crate::objects::cell;
use crate::objects::husk;
use crate::objects::overlay::Needs;

/// Returns where the entries of the new table go. `None`: there are none.
fn layout(content: &Content) -> Option<Layout> {
    let hashes: Vec<u32> = added(content).map(|note| note.key().hash).collect();
    let plan = index::plan(hashes.iter().copied(), 0);
    (!hashes.is_empty()).then(|| Layout::new(hashes.len() as u64, 0, plan))
}

/// The notes of the keys that are there afterwards, in order.
fn added(content: &Content) -> impl Iterator<Item = &Note> {
    content.order.iter().map(|number| content.notes.get(number))
}

/// Adds what clearing a map needs, and storing what was added after that.
pub(super) fn prepare(object: &Object, content: &Content, needs: &mut Needs) {
    if map_root(object).reserve.get() == 0 {
        needs.rooms.push(husk::ROOM);
    }
    needs.words += CLEAR_WORDS;
    needs.rooms.extend(layout(content).iter().flat_map(Layout::rooms));
    for note in added(content) {
        let (key, Seen::Value(value)) = (note.key().bytes, note.seen()) else { continue };
        needs.value(key);
        needs.value(value);
        needs.words += note.words(true);
    }
}

/// Cuts everything loose from a map, and stores what was added after the clear.
pub(super) fn apply(change: &mut Change<'_>, object: &Object, content: &Content) -> Result<()> {
    let root = map_root(object);
    let at = match root.reserve.get() {
        0 => allocator::take(change, husk::ROOM)?,
        kept => {
            change.set(&root.reserve, 0);
            kept
        }
    };
    cut_loose_into(change, object, at, true)?;
    let count = content.order.iter().count() as u64;
    let (mut entries_at, mut index_at, table) = (0, 0, layout(content));
    if let Some(table) = &table {
        (entries_at, index_at) = build(change, table, content)?;
    }
    let MapRoot { live, used, entries, capacity, directory_len, index, depth, first, gaps, .. } =
        root;
    change.set(live, count);
    change.set(used, count);
    change.set(entries, entries_at);
    change.set(capacity, table.as_ref().map_or(0, |table| table.positions));
    change.set(directory_len, table.as_ref().map_or(0, |table| table.directory_len));
    change.set(index, index_at);
    change.set(depth, table.as_ref().map_or(0, |table| table.index.depth));
    change.set(first, 0);
    change.set(gaps, 0);
    change.set(&root.numbering, root.numbering.get().wrapping_add(1));
    Ok(())
}

/// Builds a table with what was added. Returns what leads to its entries and to its index.
fn build(change: &mut Change<'_>, table: &Layout, content: &Content) -> Result<(u64, u64)> {
    let (entries, segments) = table.take_entries(change)?;
    for (number, note) in (0u64..).zip(added(content)) {
        let Seen::Value(value) = note.seen() else { continue };
        let segment = segments[(number / SEGMENT_ENTRIES) as usize];
        let to = change.region().at(segment + number % SEGMENT_ENTRIES * ENTRY_BYTES)?;
        let key = cell::make(change, note.key().bytes)?;
        let value = cell::make(change, value)?;
        put_entry(change, to, key, value);
    }
    let hashes = added(content).map(|note| note.key().hash);
    let buckets: Vec<Bucket> =
        (0u64..).zip(hashes).map(|(at, hash)| Bucket::new(at, hash)).collect();
    let index = index::build(change, table.index, buckets.iter().copied())?;
    Ok((entries, index))
}
