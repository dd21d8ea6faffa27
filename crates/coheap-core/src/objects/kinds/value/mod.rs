//! One value: a cell in the object's header.
//!
//! The root words are a [`MutexRoot`], whose lock is beside the value.
//!
//! What always holds: a read takes no turn unless writers keep it from finishing.

mod inside;
mod shape;

pub(crate) use inside::NewValue;
pub(crate) use shape::Shape;
pub use shape::{Recipe, Traits};
pub(in crate::objects) use shape::{STRICT, fill, prepare};

use crate::allocator;
use crate::error::{Error, Result};
use crate::journal::{Change, Context, Held};
use crate::memory::Region;
use crate::memory::layout::{CellWords, MutexRoot, Object};
use crate::objects::cell::{self, Cell, Expected, Long, Step};
use crate::objects::estate;
use crate::objects::header::Handle;
use crate::sync::turn;

/// How often a reader tries without the turn before it takes the turn.
pub(crate) const LOOKS: u32 = 8;

/// A handle to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    pub(in crate::objects) handle: Handle,
}

/// Returns the cell of an object that has a value.
#[inline(always)]
pub(crate) fn cell_words(object: &Object) -> &CellWords {
    &object.root_as::<MutexRoot>().cell
}

impl Value {
    /// Replaces `out` by the value's bytes.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after the value was removed.
    pub fn get(&self, context: &Context, out: &mut Vec<u8>) -> Result<()> {
        let region = context.region();
        let turn = region.turn(self.handle.turn);
        for _ in 0..LOOKS {
            let Some(sequence) = turn::begin_read(turn) else { continue };
            let is_read = self.cell(region).and_then(|cell| cell.read_short(region, out));
            if turn::is_unchanged(turn, sequence) {
                return match is_read {
                    Ok(true) => Ok(()),
                    Ok(false) => self.get_slowly(context, out),
                    Err(error) => Err(error),
                };
            }
        }
        self.get_slowly(context, out)
    }

    /// As `get`, for a value that is long or changes all the time.
    #[cold]
    fn get_slowly(&self, context: &Context, out: &mut Vec<u8>) -> Result<()> {
        let region = context.region();
        let turn = region.turn(self.handle.turn);
        for _ in 0..LOOKS {
            let Some(sequence) = turn::begin_read(turn) else { continue };
            let late = self.cell(region).and_then(|cell| cell.begin(context, out));
            if turn::is_unchanged(turn, sequence) {
                return cell::finish(late?, out);
            }
        }
        let held = context.hold(self.handle.turn)?;
        let late = self.cell(region)?.begin(context, out)?;
        drop(held);
        cell::finish(late, out)
    }

    /// Returns the value, if it is an integer.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after the value was removed.
    #[inline]
    pub fn integer(&self, context: &Context) -> Result<Option<i64>> {
        let region = context.region();
        let turn = region.turn(self.handle.turn);
        if let Some(sequence) = turn::begin_read(turn) {
            let cell = Cell::load(cell_words(self.handle.object(region)?));
            if turn::is_unchanged(turn, sequence) {
                return Ok(cell.as_integer());
            }
        }
        let _held = context.hold(self.handle.turn)?;
        Ok(Cell::load(cell_words(self.handle.object(region)?)).as_integer())
    }

    #[inline(always)]
    pub(in crate::objects) fn cell(&self, region: &Region) -> Result<Cell> {
        Ok(Cell::load(cell_words(self.handle.object(region)?)))
    }

    /// Replaces the value.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`], [`Error::ObjectGone`]; nothing was changed.
    pub fn set(&self, context: &Context, bytes: &[u8]) -> Result<()> {
        if cell::is_long(bytes) {
            return self.set_long(context, bytes);
        }
        let stored = estate::or_after_sweep(context, || {
            let (held, object) = self.handle.hold(context)?;
            let words = cell_words(object);
            store(&held, words, Cell::load(words), bytes)
        })?;
        tidy(context, stored)
    }

    #[cold]
    fn set_long(&self, context: &Context, bytes: &[u8]) -> Result<()> {
        let mut long = Long::new(context);
        let stored = estate::or_after_sweep(context, || {
            long.build([bytes])?;
            let (held, object) = self.handle.hold(context)?;
            let mut change = Change::begin(&held, SET_WORDS)?;
            cell::replace(&mut change, cell_words(object), bytes)?;
            change.commit();
            Ok(Stored::Changed)
        })?;
        tidy(context, stored)
    }

    /// Adds to an integer and returns the sum.
    ///
    /// # Errors
    ///
    /// [`Error::NotAnInteger`], [`Error::Overflow`], [`Error::ObjectGone`]; nothing was changed.
    pub fn add(&self, context: &Context, more: i64) -> Result<i64> {
        let (held, object) = self.handle.hold(context)?;
        add(&held, cell_words(object), more)
    }

    /// Replaces the value if it is exactly `expected`, and returns whether it did.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`], [`Error::ObjectGone`]; nothing was changed.
    pub fn compare_and_set(
        &self,
        context: &Context,
        expected: &[u8],
        bytes: &[u8],
    ) -> Result<bool> {
        let region = context.region();
        let (mut old, mut long) = (Expected::new(expected), Long::new(context));
        let stored = loop {
            let step = estate::or_after_sweep(context, || {
                let (held, object) = self.handle.hold(context)?;
                let words = cell_words(object);
                let cell = Cell::load(words);
                let late = cell.late(context)?;
                Ok(match (old.is(region, cell, late.as_deref())?, late) {
                    (Some(true), _) if long.lacks(bytes) => Step::Build,
                    (Some(true), _) => Step::Done(Some(store(&held, words, cell, bytes)?)),
                    (None, Some(late)) => Step::Compare(cell, late),
                    _ => Step::Done(None),
                })
            })?;
            match step {
                Step::Done(stored) => break stored,
                Step::Compare(cell, late) => old.compare(cell, late)?,
                Step::Build => estate::or_after_sweep(context, || long.build([bytes]))?,
            }
        };
        drop(old);
        match stored {
            Some(stored) => tidy(context, stored).map(|()| true),
            None => Ok(false),
        }
    }
}

/// Words that a replacement saves at most.
const SET_WORDS: usize = cell::REPLACE_WORDS + allocator::TAKE_WORDS + allocator::GIVE_WORDS;

/// How a value was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// In its cell.
    Inline,
    /// By a change, which may have taken and freed blocks.
    Changed,
}

/// Replaces `old` by a value. The turn is held and no change is open.
#[inline]
pub(crate) fn store(held: &Held<'_>, words: &CellWords, old: Cell, bytes: &[u8]) -> Result<Stored> {
    if let (None, Some(new)) = (old.block(), Cell::inline(bytes)) {
        cell::exchange(held, words, old, new)?;
        return Ok(Stored::Inline);
    }
    store_block(held, words, old, bytes)
}

/// As [`store`], for a value that has or gets a block.
#[inline]
fn store_block(held: &Held<'_>, words: &CellWords, old: Cell, bytes: &[u8]) -> Result<Stored> {
    let context = held.context();
    if bytes.is_empty() || !cell::fits(context.region(), old, bytes)? {
        cell::ensure(context, bytes)?;
    }
    let mut change = Change::begin(held, SET_WORDS)?;
    cell::replace(&mut change, words, bytes)?;
    change.commit();
    Ok(Stored::Changed)
}

/// Adds to the integer in a cell and returns the sum. The turn is held and no change is open.
#[inline]
pub(crate) fn add(held: &Held<'_>, words: &CellWords, more: i64) -> Result<i64> {
    let old = Cell::load(words);
    let Some(before) = old.as_integer() else { return Err(Error::NotAnInteger) };
    let Some(sum) = before.checked_add(more) else { return Err(Error::Overflow) };
    cell::exchange(held, words, old, Cell::integer(sum)).map(|()| sum)
}

/// Tidies up after a change.
#[inline]
fn tidy(context: &Context, stored: Stored) -> Result<()> {
    match stored {
        Stored::Inline => Ok(()),
        Stored::Changed => allocator::tidy(context),
    }
}
