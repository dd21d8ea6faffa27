//! What a block was given up for with `WouldBlock`, so that a decorated function can wait for it
//! outside of the block and then run again.
//!
//! What always holds: who has waited keeps nothing of what it waited for; whether it is still
//! there when the function runs again is open.

use coheap_core::Context;
use coheap_core::{Error, Result, system};
use coheap_core::{Mutex, Queue};
use pyo3::prelude::*;

use super::{block, join};
use crate::object::Object;
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
pub(super) enum Blocked {
    /// For an object of ours.
    Object(Object, Awaited, Deadline),
    /// By calling this.
    Call(Py<PyAny>),
}

impl Awaited {
    /// What is answered when the time is up.
    pub(crate) fn late(self) -> Error {
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
        let (object, awaited, deadline) = match self {
            Self::Object(object, awaited, deadline) => (object, awaited, *deadline),
            Self::Call(wait) => return wait.call0(py).map(|_| true),
        };
        let (engine, late) = (&object.heap.engine, awaited.late());
        let wait = |context: &Context, slice| awaited.wait(context, slice);
        if waiting::wait(py, engine, Some(system::now()), &late, wait)?.is_ok() {
            return Ok(false);
        }
        let waited = waiting::wait(py, engine, deadline, &late, wait)?;
        waited.map(|()| true).map_err(|error| object.explain(py, &error))
    }
}

/// Refuses to wait inside a block that has something, which a decorated function then does outside
/// by calling `wait`. `what` is waited for, for the message.
#[pyfunction]
pub(crate) fn _before_waiting(py: Python<'_>, what: &str, wait: Py<PyAny>) -> PyResult<()> {
    if !block::is_inside(py)? {
        return Ok(());
    }
    block::with(|block| {
        block.check()?;
        if block.holds_nothing() {
            return Ok(());
        }
        block.blocked = Some(Blocked::Call(wait));
        Err(Error::WouldBlock)
    })
    .map_err(|error| join::refuse(py, what, error))
}
