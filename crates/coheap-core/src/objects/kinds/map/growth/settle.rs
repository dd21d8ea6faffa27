//! What a map keeps after a pass although it is smaller now: segments behind the last entry, a directory
//! for more of them, leaves of the index.
//!
//! What always holds: each step is a change of its own that keeps the map's content and order.

use super::super::edit::holes;
use super::super::table::{Table, directory_room, map_root};
use super::{fill_directory, merge, pack};
use crate::allocator;
use crate::error::{Error, Result};
use crate::journal::{Change, Held};
use crate::memory::Word;
use crate::memory::layout::{Object, SEGMENT_ENTRIES};

/// The smallest directory.
const LEAST_DIRECTORY: u64 = 8;

/// Does one step towards a map that has no more room than its entries need, and returns whether there
/// was anything to do. The turn is held, no change is open.
///
/// # Errors
///
/// [`Error::Corrupt`]. What needs room that the heap has not is left.
pub(in super::super) fn settle(held: &Held<'_>, object: &Object) -> Result<bool> {
    let done = settle_one(held, object);
    if let Err(Error::HeapFull { .. }) = done { Ok(false) } else { done }
}

fn settle_one(held: &Held<'_>, object: &Object) -> Result<bool> {
    let table = Table::new(held.context().region(), object);
    table.check_numbers()?;
    let root = table.root;
    let (used, len) = (table.used(), root.directory_len.get());
    if len == 0 {
        let is_large = table.capacity() > 8 && table.capacity() >= used.max(table.live()) * 4;
        if is_large {
            pack(held, object, 0)?;
        }
        return Ok(is_large);
    }
    let kept = used.div_ceil(SEGMENT_ENTRIES).max(1);
    if holes::give_behind(held, object, kept)? {
        return Ok(true);
    }
    if kept == 1 && !table.is_given(0)? {
        leave_directory(held, object)?;
        return Ok(true);
    }
    if len > LEAST_DIRECTORY && kept * 4 <= len {
        shorten_directory(held, object, (kept * 2).next_power_of_two().max(LEAST_DIRECTORY))?;
        return Ok(true);
    }
    merge::merge_some(held, object)
}

/// Makes a map with one segment again. The other ones were given back.
fn leave_directory(held: &Held<'_>, object: &Object) -> Result<()> {
    let root = map_root(object);
    let table = Table::new(held.context().region(), object);
    let only = table.segment_word(0)?.get();
    let mut change = Change::begin(held, allocator::GIVE_WORDS + 4)?;
    allocator::give(&mut change, directory_room(root.directory_len.get()), root.entries.get())?;
    change.set(&root.entries, only);
    change.set(&root.directory_len, 0);
    change.set(&root.capacity, SEGMENT_ENTRIES);
    change.set(&root.gaps, 0);
    change.commit();
    Ok(())
}

/// Replaces the directory by a shorter one.
fn shorten_directory(held: &Held<'_>, object: &Object, len: u64) -> Result<()> {
    let root = map_root(object);
    let region = held.context().region();
    let (old, old_len) = (root.entries.get(), root.directory_len.get());
    allocator::ensure(held.context(), directory_room(len), 1)?;
    let mut change = Change::begin(held, allocator::TAKE_WORDS + allocator::GIVE_WORDS + 3)?;
    let at = allocator::take(&mut change, directory_room(len))?;
    let offsets = region.words(old, old_len as usize)?;
    fill_directory(&change, region.words(at, len as usize)?, offsets.iter().map(Word::get));
    allocator::give(&mut change, directory_room(old_len), old)?;
    change.set(&root.entries, at);
    change.set(&root.directory_len, len);
    let capacity = root.capacity.get().min(len * SEGMENT_ENTRIES);
    change.set(&root.capacity, capacity);
    change.commit();
    Ok(())
}
