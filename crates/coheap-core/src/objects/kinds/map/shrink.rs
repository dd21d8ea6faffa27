//! Room that a map gives back: all of it with its last entry or when it is cleared, and what removed
//! entries still occupy when the heap is full.
//!
//! What always holds: each step leaves a whole map with the same entries in the same order.

use super::Map;
use super::growth::{pack, squeeze};
use super::shape::cut_loose;
use super::table::{Table, map_root};
use crate::allocator;
use crate::error::{Error, Result};
use crate::journal::{Change, Context, Held};
use crate::memory::layout::{MapRoot, Object, SEGMENT_ENTRIES};
use crate::objects::{husk, parcel};

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
    /// Removes all entries.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`] when there is no room for the husk, [`Error::ObjectGone`]; nothing was
    /// changed.
    pub fn clear(&self, context: &Context) -> Result<()> {
        context.retried(|| {
            let (held, object) = self.handle.hold(context)?;
            reset(&held, object, true)
        })?;
        self.tidy(context)?;
        parcel::let_go(context)?;
        context.in_passing(|| self.keep_reserve(context))
    }

    /// Refills the reserve block, if it is missing and the heap has one.
    fn keep_reserve(&self, context: &Context) -> Result<()> {
        let (held, object) = match self.handle.hold(context) {
            Err(Error::ObjectGone | Error::WouldBlock) => return Ok(()),
            other => other?,
        };
        let root = map_root(object);
        if root.reserve.get() != 0 || husk::ensure(context).is_err() {
            return Ok(());
        }
        let mut change = Change::begin(&held, allocator::TAKE_WORDS + 1)?;
        let block = allocator::take(&mut change, husk::ROOM)?;
        change.set(&root.reserve, block);
        change.commit();
        Ok(())
    }

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
