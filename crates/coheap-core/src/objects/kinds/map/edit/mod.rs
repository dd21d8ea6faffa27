//! Inserting, replacing and deleting one entry within an open change.
//!
//! What always holds: cells at positions from `used` on are stored without being saved, because no
//! reader reads them; all other words are saved first. Within one change, a position must therefore
//! not be given back and used again: `delete` gives positions back only if its caller says that no
//! insertion follows.

pub(super) mod holes;
mod reorder;

use super::buckets::Bucket;
use super::table::{Found, Table, map_root, put_entry, trail};
use super::{Key, index};
use crate::allocator;
use crate::error::Result;
use crate::journal::{Change, Context};
use crate::memory::Word;
use crate::memory::layout::{MapRoot, Object};
use crate::objects::cell::{self, Cell};

/// Words that `insert` saves at most.
pub(crate) const INSERT_WORDS: usize = 2 * allocator::TAKE_WORDS + 4;
/// Words that `delete` saves at most, without those for [`Numbers`] and for positions at the end.
pub(crate) const DELETE_WORDS: usize = 2 * allocator::GIVE_WORDS + 1 + holes::OPEN_WORDS;
/// Words that it saves more if positions at the end may be given back.
pub(crate) const SHRINK_WORDS: usize = holes::END_WORDS;

/// How the numbers of a map are stored that a removal changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Each is saved first.
    Each,
    /// They were saved by this change, which stores them often.
    Saved,
}

impl Numbers {
    /// Words that are saved for them at most.
    pub(crate) const WORDS: usize = 5;

    /// Saves them.
    pub(crate) fn saved(change: &mut Change<'_>, object: &Object) -> Self {
        let MapRoot { live, used, capacity, first, gaps, .. } = map_root(object);
        for word in [live, used, capacity, first, gaps] {
            change.save(word);
        }
        Self::Saved
    }

    #[inline]
    fn set(self, change: &mut Change<'_>, word: &Word, value: u64) {
        match self {
            Self::Each => change.set(word, value),
            Self::Saved => change.put(word, value),
        }
    }
}

/// Makes sure that `insert` finds its blocks.
pub(super) fn ensure_insert(context: &Context, key: &Key<'_>, value: &[u8]) -> Result<()> {
    match (cell::room_of(key.bytes), cell::room_of(value)) {
        (Some(first), Some(second)) => allocator::ensure_all(context, &mut [first, second]),
        (Some(_), None) => {
            cell::ensure(context, value)?;
            cell::ensure(context, key.bytes)
        }
        (None, _) => cell::ensure(context, value),
    }
}

/// Adds an entry behind all others. The key must not be there, and there must be room.
pub(crate) fn insert(
    change: &mut Change<'_>,
    object: &Object,
    key: &Key<'_>,
    value: &[u8],
) -> Result<()> {
    let table = Table::new(change.region(), object);
    let position = table.used();
    let entry = table.entry(position)?;
    trail::note(change.region(), object, position)?;
    let key_cell = cell::make(change, key.bytes)?;
    let value_cell = cell::make(change, value)?;
    put_entry(change, entry, key_cell, value_cell);
    index::insert(change, object, position, key.hash)?;
    let root = table.root;
    change.set(&root.used, position + 1);
    change.set(&root.live, root.live.get().wrapping_add(1));
    Ok(())
}

/// Removes an entry. `shrink`: positions at the end may be given back.
#[inline]
pub(crate) fn delete(
    change: &mut Change<'_>,
    object: &Object,
    found: &Found<'_>,
    shrink: bool,
    numbers: Numbers,
) -> Result<()> {
    trail::note(change.region(), object, found.position)?;
    cell::free(change, Cell::load(&found.entry.key))?;
    cell::free(change, Cell::load(&found.entry.value))?;
    change.set(found.bucket, Bucket(found.bucket.get()).removed().0);
    let MapRoot { live, used, .. } = map_root(object);
    let left = live.get().saturating_sub(1);
    numbers.set(change, live, left);
    if shrink && left == 0 {
        holes::close_end(change, object, 0, numbers)
    } else if shrink && found.position + 1 == used.get() {
        holes::close_end(change, object, found.position, numbers)
    } else {
        holes::open(change, object, found.position, numbers)
    }
}
