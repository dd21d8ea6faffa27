//! What a block was given up for with `WouldBlock`, so that a decorated function can wait for it
//! outside of the block and then run again.
//!
//! What always holds: who has waited keeps nothing of what it waited for; whether it is still
//! there when the function runs again is open.

use coheap_core::journal::Context;
use coheap_core::objects::{Mutex, Queue};
use coheap_core::{Error, Result, os};
use pyo3::prelude::*;

use crate::door::Object;
use crate::waiting::{self, Deadline, Slice};

/// What may be waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Awaited {
    /// An item in a queue.
    Item(Queue),
    /// A place in a queue.
    Place(Queue),
    /// That everything in a queue is done.
    Done(Queue),
    /// A lock.
    Lock(Mutex),
}

/// A wait that a block could not do.
#[derive(Debug)]
pub(super) struct Blocked {
    pub(super) object: Object,
    pub(super) awaited: Awaited,
    pub(super) deadline: Deadline,
}

impl Awaited {
    /// What is answered when the time is up.
    fn late(self) -> Error {
        match self {
            Self::Item(_) => Error::Empty,
            Self::Place(_) => Error::Full,
            Self::Done(_) | Self::Lock(_) => Error::TimedOut,
        }
    }

    fn wait(self, context: &Context, slice: Slice) -> Result<()> {
        let Slice { started, until, .. } = slice;
        match self {
            Self::Item(queue) => queue.wait_until_ready(context, started, until),
            Self::Place(queue) => queue.wait_until_roomy(context, started, until),
            Self::Done(queue) => queue.join_until(context, started, until),
            Self::Lock(mutex) => mutex.wait_until_free(context, started, until),
        }
    }
}

impl Blocked {
    /// Waits, outside of all blocks. Answers whether there was anything to wait for.
    pub(super) fn wait(&self, py: Python<'_>) -> PyResult<bool> {
        let (engine, late) = (&self.object.door.engine, self.awaited.late());
        let wait = |context: &Context, slice| self.awaited.wait(context, slice);
        if waiting::wait(py, engine, Some(os::now()), &late, wait)?.is_ok() {
            return Ok(false);
        }
        let waited = waiting::wait(py, engine, self.deadline, &late, wait)?;
        waited.map(|()| true).map_err(|error| self.object.explain(py, &error))
    }
}
