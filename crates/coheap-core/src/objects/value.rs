//! One value: a cell in the object's header.
//!
//! Root words 0 and 1 are the cell.
//!
//! What always holds: reads take no turn unless writers keep them from finishing.

use crate::error::{Error, Result};
use crate::journal::{Change, Context};
use crate::memory::layout::Object;
use crate::memory::{Region, Word};
use crate::objects::cell::{self, Cell};
use crate::objects::header::Handle;
use crate::sync::turn;

/// Looks without the turn before a reader takes it.
pub(crate) const LOOKS: u32 = 8;

/// A handle to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// Where it is.
    pub handle: Handle,
}

pub(crate) fn cell_words(object: &Object) -> &[Word] {
    &object.root[0..2]
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
            let read = self.read(region, out);
            if turn::is_unchanged(turn, sequence) {
                return read;
            }
        }
        let _held = context.hold(self.handle.turn)?;
        self.read(region, out)
    }

    /// The value, if it is an integer.
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

    fn read(&self, region: &Region, out: &mut Vec<u8>) -> Result<()> {
        Ok(Cell::load(cell_words(self.handle.object(region)?)).read(region, out)?)
    }

    /// Replaces the value.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`], [`Error::ObjectGone`]; nothing was changed.
    pub fn set(&self, context: &Context, bytes: &[u8]) -> Result<()> {
        let (held, object) = self.handle.hold(context)?;
        let words = cell_words(object);
        let old = Cell::load(words);
        if let (None, Some(new)) = (old.block(), Cell::inline(bytes)) {
            return cell::exchange(&held, words, old, new);
        }
        prepare(context, old, bytes)?;
        let mut change = Change::begin(&held, SET_WORDS)?;
        cell::replace(&mut change, words, bytes)?;
        change.commit();
        drop(held);
        crate::allocator::tidy(context)
    }

    /// Adds to an integer and answers the sum.
    ///
    /// # Errors
    ///
    /// [`Error::NotAnInteger`], [`Error::Overflow`], [`Error::ObjectGone`]; nothing was changed.
    pub fn add(&self, context: &Context, more: i64) -> Result<i64> {
        let (held, object) = self.handle.hold(context)?;
        let words = cell_words(object);
        let old = Cell::load(words);
        let before = old.as_integer().ok_or(Error::NotAnInteger)?;
        let sum = before.checked_add(more).ok_or(Error::Overflow)?;
        cell::exchange(&held, words, old, Cell::integer(sum))?;
        Ok(sum)
    }

    /// Replaces the value if it is exactly `expected`. Answers whether it did.
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
        let (held, object) = self.handle.hold(context)?;
        let words = cell_words(object);
        let old = Cell::load(words);
        if !old.is(context.region(), expected, Cell::inline(expected))? {
            return Ok(false);
        }
        if let (None, Some(new)) = (old.block(), Cell::inline(bytes)) {
            return cell::exchange(&held, words, old, new).map(|()| true);
        }
        prepare(context, old, bytes)?;
        let mut change = Change::begin(&held, SET_WORDS)?;
        cell::replace(&mut change, words, bytes)?;
        change.commit();
        drop(held);
        crate::allocator::tidy(context)?;
        Ok(true)
    }
}

/// Words that a replacement saves at most.
pub(crate) const SET_WORDS: usize =
    cell::REPLACE_WORDS + crate::allocator::TAKE_WORDS + crate::allocator::GIVE_WORDS;

/// Makes sure that `cell::replace` will find what it needs.
pub(crate) fn prepare(context: &Context, old: Cell, bytes: &[u8]) -> Result<()> {
    if cell::fits(context.region(), old, bytes)? && !bytes.is_empty() {
        return Ok(());
    }
    cell::ensure(context, bytes)
}
