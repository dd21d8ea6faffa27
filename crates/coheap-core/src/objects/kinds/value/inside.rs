//! A value inside a transaction: its overlay, and the commit of it.
//!
//! What always holds: a value that the transaction has touched is locked.

use super::{Value, cell_words};
use crate::error::{Error, Result};
use crate::journal::{Change, Context, Held};
use crate::memory::Region;
use crate::objects::cell::{self, Cell, Overwrite, decode_integer};
use crate::objects::overlay::{
    Inside, Lockable, Locking, Needs, Overlaid, Overlay, Transactional, Turns, Wakes, charge,
    locked, recount, replacement_words,
};
use crate::wire::int_bytes;

/// The new value that a transaction sets.
#[derive(Debug)]
pub(crate) struct NewValue {
    value: Value,
    /// `None` if the value is unchanged.
    new: Option<Vec<u8>>,
    /// Words that the commit saves for it at most.
    words: usize,
    /// What it was at marks after which it was set, and its words.
    before: Vec<(Option<Vec<u8>>, usize)>,
    /// It was not set since the last mark.
    is_marked: bool,
}

impl Transactional for Value {
    fn lockable(&self) -> Lockable {
        Lockable::new(self.handle, |handle, _| {
            let (value, before) = (Value { handle }, Vec::new());
            Overlay::Value(NewValue { value, new: None, words: 0, before, is_marked: false })
        })
    }
}

impl Inside<'_, Value> {
    /// As [`Value::get`], including the transaction's own writes.
    ///
    /// # Errors
    ///
    /// As [`Value::get`]; [`Error::Deadlock`].
    pub fn get(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let (overlay, context) = self.overlay()?;
        match &overlay.new {
            Some(new) => {
                out.clone_from(new);
                Ok(())
            }
            None => overlay.value.get(context, out),
        }
    }

    /// As [`Value::set`], when the transaction commits.
    ///
    /// # Errors
    ///
    /// [`Error::Deadlock`], [`Error::ObjectGone`].
    pub fn set(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Err(Error::BadArgument("a value needs at least one byte"));
        }
        let (overlay, context) = self.overlay()?;
        overlay.set(context, bytes)
    }

    /// As [`Value::add`], when the transaction commits.
    ///
    /// # Errors
    ///
    /// As [`Value::add`]; [`Error::Deadlock`].
    pub fn add(&mut self, more: i64) -> Result<i64> {
        let mut old = Vec::with_capacity(16);
        self.get(&mut old)?;
        let sum = decode_integer(&old)?.checked_add(more).ok_or(Error::Overflow)?;
        self.set(&int_bytes(sum))?;
        Ok(sum)
    }

    fn overlay(&mut self) -> Result<(&mut NewValue, &Context)> {
        match self.intent.overlay(&self.object.lockable(), Locking::Now)? {
            (Overlay::Value(overlay), context) => Ok((overlay, context)),
            // The header serves another object by now: one of the two handles is stale.
            _ => Err(Error::ObjectGone),
        }
    }
}

impl NewValue {
    fn set(&mut self, context: &Context, bytes: &[u8]) -> Result<()> {
        let region = context.region();
        let old = Cell::load(cell_words(self.value.handle.object(region)?));
        let words = replacement_words(region, old, bytes, Overwrite::IfItFits)?;
        charge(context, words, self.words)?;
        let before = (self.new.replace(bytes.to_vec()), self.words);
        self.words = words;
        if std::mem::take(&mut self.is_marked) {
            self.before.push(before);
        }
        Ok(())
    }
}

impl Overlaid for NewValue {
    fn holds_nothing(&self) -> bool {
        false
    }

    fn needs_lock(&self) -> bool {
        self.new.is_some()
    }

    fn mark(&mut self) -> usize {
        self.is_marked = true;
        self.before.len()
    }

    fn roll_back(&mut self, context: &Context, mark: Option<usize>) -> Result<()> {
        let was = self.words;
        match mark {
            Some(mark) => {
                if let Some(before) = self.before.drain(mark..).next() {
                    (self.new, self.words) = before;
                }
            }
            None => {
                self.before.clear();
                (self.new, self.words) = (None, 0);
            }
        }
        recount(context, self.words, was);
        self.is_marked = false;
        Ok(())
    }

    fn turns(&self, _: &Context, turns: &mut Turns) {
        if self.new.is_some() {
            turns.push(self.value.handle.turn);
        }
    }

    fn build_long(&self, build: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.new.as_deref().into_iter().filter(|new| cell::is_long(new)).try_for_each(build)
    }

    fn prepare(&mut self, held: &Held<'_>, needs: &mut Needs) -> Result<()> {
        let Some(new) = &self.new else { return Ok(()) };
        let object = locked(held, &self.value.handle)?;
        let old = Cell::load(cell_words(object));
        needs.replacement(held.context().region(), old, new, Overwrite::IfItFits)
    }

    fn apply(&self, change: &mut Change<'_>) -> Result<()> {
        let Some(new) = &self.new else { return Ok(()) };
        let object = self.value.handle.object(change.region())?;
        cell::replace(change, cell_words(object), new)
    }

    fn wakes(&self, _: &Region, _: &mut Wakes) {}
}
