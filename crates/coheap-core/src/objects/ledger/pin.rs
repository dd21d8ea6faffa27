//! Pins for everybody: a value without a name that has the buffer of another value.
//!
//! A process refers to it as to any object without a name: a forked child inherits it, and it comes
//! back from the dead (`ledger`).
//!
//! What always holds: the turn of a pin is that of its buffer, under which pins are counted.
//!
//! Not here: what a buffer counts (`allocator::buffer::pins`).

use crate::allocator::Room;
use crate::error::Result;
use crate::journal::{Change, Context};
use crate::memory::layout::Object;
use crate::objects::cell::{self, Late, Later};
use crate::objects::kinds::Recipe;
use crate::objects::ledger::{self, Reference};
use crate::objects::map::Map;
use crate::objects::value::{Value, cell_words};

impl Value {
    /// Pins the value, if it is long: a value without a name has the same buffer then, whatever becomes
    /// of this one. `None`: it is short, or refers to objects.
    ///
    /// # Errors
    ///
    /// [`HeapFull`](crate::Error::HeapFull), [`ObjectGone`](crate::Error::ObjectGone),
    /// [`BadArgument`](crate::Error::BadArgument) inside a transaction; nothing was pinned.
    pub fn pin(&self, context: &Context) -> Result<Option<(Self, Reference)>> {
        let late = context.retried(|| {
            let _held = context.hold(self.handle.turn)?;
            self.cell(context.region())?.late(context)
        })?;
        create(context, &late)
    }
}

impl Map {
    /// Pins the value of a key, as [`Value::pin`] does. `None` also for a key that is missing.
    ///
    /// # Errors
    ///
    /// As [`Value::pin`].
    pub fn pin(&self, context: &Context, key: &[u8]) -> Result<Option<(Value, Reference)>> {
        let late = self.late(context, key)?;
        create(context, &late)
    }
}

/// Creates the pin of a long value that is being read.
fn create(context: &Context, late: &Later<'_>) -> Result<Option<(Value, Reference)>> {
    let Some(late) = late.as_deref() else { return Ok(None) };
    let Some(turn) = late.turn() else { return Ok(None) };
    ledger::create(context, &Pin { late, turn }).map(Some)
}

/// How a pin is created.
struct Pin<'a> {
    late: &'a Late<'a>,
    turn: u32,
}

impl Recipe for Pin<'_> {
    type Object = Value;

    fn turn(&self) -> Option<u32> {
        Some(self.turn)
    }

    fn prepare(&self, _: &Context, _: &mut Vec<Room>) -> Result<()> {
        Ok(())
    }

    fn fill(&self, change: &mut Change<'_>, object: &Object) -> Result<()> {
        let cell = self.late.pin(change)?;
        cell::put(change, cell_words(object), cell);
        Ok(())
    }
}
