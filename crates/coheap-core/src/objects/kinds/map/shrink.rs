//! Room that a map gives back: all of it with its last entry or when it is cleared, and what removed
//! entries still occupy, some of it after each operation that made the map grow, and all of it when the
//! heap is full.
//!
//! What always holds: each step leaves a whole map with the same entries in the same order, and the turn
//! is free between two of them.

use super::Map;
use super::growth::{Known, Step, gives_room, learn, settle, step};
use super::shape::{CUT_WORDS, cut_loose};
use super::table::{Table, map_root, trail};
use crate::error::{Error, Result};
use crate::journal::{Change, Context, Held};
use crate::memory::layout::{MapRoot, Object};
use crate::objects::kinds::AnyObject;
use crate::objects::{husk, parcel};

/// So many steps are left to the operations that follow.
const FEW_STEPS: u32 = 8;
/// Words that `reset` saves at most.
const RESET_WORDS: usize = CUT_WORDS + 10;

/// Cuts everything loose from a map and leaves it empty; with `has_cells`, there are entries. The turn
/// is held, no change is open.
pub(super) fn reset(held: &Held<'_>, object: &Object, has_cells: bool) -> Result<()> {
    let root = map_root(object);
    husk::ensure_or_reserve(held.context(), &root.reserve)?;
    let mut change = Change::begin(held, RESET_WORDS)?;
    cut_loose(&mut change, object, has_cells)?;
    let MapRoot { live, used, entries, capacity, directory_len, index, depth, first, gaps, .. } =
        root;
    for word in [live, used, entries, capacity, directory_len, index, depth, first, gaps] {
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
    if root.live.get() == 0 && root.directory_len.get() != 0 {
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
        husk::keep_reserve(&held, &map_root(object).reserve)
    }

    /// Does a step that this thread owes a map which it made grow, or most of them if they are many,
    /// without waiting for it.
    #[cold]
    pub(super) fn go_on(context: &Context) -> Result<()> {
        let owed = &context.kept.packing;
        let most = owed.steps().saturating_sub(FEW_STEPS).max(1);
        for _ in 0..most {
            let Some((at, generation)) = owed.take() else { break };
            let done = match AnyObject::find(context, at, generation) {
                Ok(AnyObject::Map(map)) => {
                    context.waiting_until(0, |context| map.give_some(context))
                }
                _ => Ok(false),
            };
            match done {
                Ok(true) => continue,
                Ok(false) | Err(Error::ObjectGone | Error::InTransaction) => owed.keep(0),
                Err(damaged @ Error::Corrupt(_)) => return Err(damaged),
                // The operation itself is done: for now the map, or what a change needs, is others'.
                Err(_) => owed.keep(FEW_STEPS),
            }
            break;
        }
        Ok(())
    }

    /// Does one step that gives room back. Returns `false` if nothing is left to be done.
    fn give_some(&self, context: &Context) -> Result<bool> {
        let mut known = Known::new();
        loop {
            let (held, object) = self.handle.hold(context)?;
            let is_part = match step(&held, object, &known)? {
                Step::Part => true,
                Step::Done(has_moved) => settle(&held, object)? || has_moved,
                Step::Long(key, late) => {
                    drop(held);
                    learn(context, &mut known, key, late)?;
                    continue;
                }
            };
            drop(held);
            return self.tidy_only(context).map(|()| is_part);
        }
    }

    /// Gives back what removed entries occupy, and returns whether that was anything. No turn is held.
    pub(in crate::objects::kinds) fn give_room(&self, context: &Context) -> Result<bool> {
        let (held, object) = self.handle.hold(context)?;
        let table = Table::new(context.region(), object);
        table.check_numbers()?;
        if table.live() == 0 {
            return if table.capacity() == 0 {
                Ok(false)
            } else {
                unless_full(reset(&held, object, false))
            };
        }
        let mut has_given = trail::give_alone(&held, object)?;
        let has_holes = gives_room(&table);
        // Entries that others add meanwhile are for another time.
        let most = table.used() / 64 + (1 << table.root.depth.get()) + 64;
        drop(held);
        for _ in 0..most {
            let done = if has_holes { self.give_some(context) } else { self.settle_some(context) };
            match done {
                Ok(true) => has_given = true,
                Err(Error::Busy { .. } | Error::WouldBlock) if has_given => break,
                other => return other.map(|_| has_given),
            }
        }
        Ok(true)
    }

    /// Does one step towards a map with no more room than its entries need. Returns `false` if nothing is
    /// left to be done.
    fn settle_some(&self, context: &Context) -> Result<bool> {
        let (held, object) = self.handle.hold(context)?;
        let is_part = settle(&held, object)?;
        drop(held);
        self.tidy_only(context).map(|()| is_part)
    }
}

fn unless_full(done: Result<()>) -> Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(Error::HeapFull { .. }) => Ok(false),
        Err(other) => Err(other),
    }
}
