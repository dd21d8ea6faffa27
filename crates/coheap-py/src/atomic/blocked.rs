//! The wait for which a block was given up with `WouldBlock`, so that a decorated function can wait
//! outside of the block and then run again.
//!
//! What always holds: the wait takes nothing. Another process may take the lock, the job or the room
//! before the function runs again.

use coheap_core::Context;
use coheap_core::{Error, Result, system};
use coheap_core::{Mutex, Queue};
use pyo3::prelude::*;

use super::{block, join};
use crate::object::Object;
use crate::waiting::{self, Deadline, Slice};

/// Something that a call may wait for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Awaited {
    /// An item in a queue.
    Item(Queue),
    /// A free place in a queue.
    Place(Queue),
    /// The moment when everything in a queue is done.
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
    /// Returns the error when the timeout expires.
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
    /// Waits outside of all blocks. Returns whether there was anything to wait for.
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

/// Raise `WouldBlock` inside a block that holds something. A decorated function then waits outside of
/// the block by calling `wait`. `what` names the awaited thing in the message.
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
