//! Room that a map gives back: all of it with its last entry, and what removed entries still occupy
//! when the heap is full.
//!
//! What always holds: each step leaves a whole map with the same entries in the same order.

use super::Map;
use super::growth::{pack, squeeze};
use super::shape::cut_loose;
use super::table::{Table, map_root};
use crate::error::{Error, Result};
use crate::journal::{Change, Context, Held};
use crate::memory::layout::{MapRoot, Object, SEGMENT_ENTRIES};
use crate::objects::husk;

/// Words that `reset` saves at most.
const RESET_WORDS: usize = husk::HANG_WORDS + 9;

/// Cuts everything loose from a map and leaves it empty; with `has_cells`, there are entries. The turn
/// is held, no change is open.
pub(super) fn reset(held: &Held<'_>, object: &Object, has_cells: bool) -> Result<()> {
    let root = map_root(object);
    husk::ensure_or_reserve(held.context(), &root.reserve)?;
    let mut change = Change::begin(held, RESET_WORDS)?;
    cut_loose(&mut change, object, has_cells)?;
    let MapRoot { live, used, entries, capacity, directory_len, index, depth, first, .. } = root;
    for word in [live, used, entries, capacity, directory_len, index, depth, first] {
        change.set(word, 0);
    }
    change.set(&root.numbering, root.numbering.get().wrapping_add(1));
    change.commit();
    Ok(())
}

/// Gives the room of a large map back once it has no entry left. The turn is held, no change is open.
#[inline]
pub(super) fn reset_if_empty(held: &Held<'_>, object: &Object) -> Result<()> {
    let root = map_root(object);
    if root.live.get() == 0 && root.capacity.get() > SEGMENT_ENTRIES {
        return unless_full(reset(held, object, false)).map(|_| ());
    }
    Ok(())
}

impl Map {
    /// Gives back what removed entries occupy, and returns whether that was anything. No turn is held.
    pub(in crate::objects::kinds) fn give_room(&self, context: &Context) -> Result<bool> {
        let (held, object) = self.handle.hold(context)?;
        let table = Table::new(context.region(), object);
        table.check_numbers()?;
        let (live, used) = (table.live(), table.used());
        if table.capacity() == 0 || live > 0 && live == used {
            return Ok(false);
        }
        if live == 0 {
            return unless_full(reset(&held, object, false));
        }
        let has_given = squeeze(&held, object, 0)?;
        // The index is as large as the map once was.
        let is_sparse = live.saturating_mul(8) <= used;
        Ok(has_given | (is_sparse && unless_full(pack(&held, object, 0))?))
    }
}

fn unless_full(done: Result<()>) -> Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(Error::HeapFull { .. }) => Ok(false),
        Err(other) => Err(other),
    }
}
