//! The operations of objects, each written once for use alone and inside a block.
//!
//! Alone, an operation is one change of its own, and waits while a transaction holds the object. In
//! a block of `atomic` it runs in the block's transaction, which holds the object from then on. A
//! class calls `read!`, `change!` or `wait` with a closure that gets an [`Access`].
//!
//! What always holds: while no block is open in the process, an operation does not check whether
//! its caller is in one. Only the engine runs here, so an operation can run again after a signal.
//!
//! | file | what it is |
//! |---|---|
//! | `map` `value` `queue` | the operations of each kind |
//!
//! Not here: what a block is, and how it takes an object (`atomic`).

mod map;
mod queue;
mod value;

use coheap_core::Context;
use coheap_core::Transaction;
use coheap_core::parcel;
use coheap_core::{Error, Result, system};
use pyo3::prelude::*;

use crate::atomic::{self, Awaited};
use crate::object::Object;
use crate::waiting::{self, Deadline, Slice};

/// The way in which an operation reaches its object.
pub(crate) enum Access<'a> {
    /// By itself.
    Alone(&'a Context),
    /// As a part of the block that the caller is in.
    Inside(&'a mut Transaction),
}

impl Access<'_> {
    /// Whether the caller is in a block.
    #[inline(always)]
    pub(crate) fn is_inside(&self) -> bool {
        matches!(self, Self::Inside(_))
    }
}

/// Runs a short operation that changes nothing, or nothing that a transaction could have.
///
/// A macro, as [`change!`] is: what is written once is compiled once for each use, and neither
/// costs more than if it were the only one.
macro_rules! read {
    ($object:expr, $py:expr, |$access:ident| $operation:expr) => {
        match $object.inside($py, |block| {
            let $access = $crate::access::Access::Inside(block);
            $operation
        }) {
            Ok(Some(done)) => Ok(done),
            Ok(None) => $object.run($py, |context| {
                let $access = $crate::access::Access::Alone(context);
                $operation
            }),
            Err(error) => Err(error),
        }
    };
}

/// Runs an operation that waits while a transaction has the object: then without the interpreter.
macro_rules! change {
    ($object:expr, $py:expr, |$access:ident| $operation:expr) => {
        match $object.inside($py, |block| {
            let $access = $crate::access::Access::Inside(block);
            $operation
        }) {
            Ok(Some(done)) => Ok(done),
            Ok(None) => $object.write($py, |context| {
                let $access = $crate::access::Access::Alone(context);
                $operation
            }),
            Err(error) => Err(error),
        }
    };
}

pub(crate) use map::End;
pub(crate) use {change, read};

impl Object {
    /// Runs an operation in the block that the caller is in. `None`: it is in none.
    #[inline(always)]
    pub(crate) fn inside<T>(
        &self,
        py: Python<'_>,
        // Not a reference: what the fast path has in registers need not go to memory for it.
        operation: impl FnMut(&mut Transaction) -> Result<T>,
    ) -> PyResult<Option<T>> {
        if !atomic::is_any_open() {
            return Ok(None);
        }
        self.join(py, operation)
    }

    /// Runs a write alone, again after signals.
    #[inline]
    pub(crate) fn write<T: Send>(
        &self,
        py: Python<'_>,
        mut operation: impl FnMut(&Context) -> Result<T> + Send,
    ) -> PyResult<T> {
        let done = self.heap.write(py, false, |context| {
            let done = operation(context)?;
            // What a damaged heap keeps is as lost as the rest.
            let _ = parcel::let_go(context);
            Ok(done)
        })?;
        done.map_err(|error| self.explain(py, &error))
    }

    /// As [`change!`], of something that may take long: then all of it runs without the interpreter.
    /// What the engine refuses outside of blocks is the caller's to explain.
    pub(crate) fn change_many<T: Send>(
        &self,
        py: Python<'_>,
        is_long: bool,
        mut operation: impl FnMut(Access<'_>) -> Result<T> + Send,
    ) -> PyResult<Result<T>> {
        if let Some(done) = self.inside(py, |block| operation(Access::Inside(block)))? {
            return Ok(Ok(done));
        }
        self.heap.write(py, is_long, |context| operation(Access::Alone(context)))
    }

    /// Runs an operation that may have to wait: first without a slice, and then, if `awaited` is
    /// not there yet, without the interpreter, slice after slice until the deadline. In a block it
    /// waits as long as the block has nothing.
    #[inline(always)]
    pub(crate) fn wait<T: Send>(
        &self,
        py: Python<'_>,
        deadline: Deadline,
        awaited: Awaited,
        mut operation: impl FnMut(Access<'_>, Option<Slice>) -> Result<T> + Send,
    ) -> PyResult<T> {
        if atomic::is_any_open() {
            return self.wait_joined(py, deadline, awaited, operation);
        }
        match self.at_once(&mut operation) {
            Ok(done) => Ok(done),
            Err(error) => self.wait_alone(py, deadline, awaited, error, operation),
        }
    }

    /// Runs an operation that may have to wait, but waits for nothing.
    #[inline(always)]
    fn at_once<T>(
        &self,
        operation: &mut impl FnMut(Access<'_>, Option<Slice>) -> Result<T>,
    ) -> Result<T> {
        self.heap.engine.with(|context| {
            context.waiting_until(0, |context| operation(Access::Alone(context), None))
        })
    }

    /// Goes on after an operation that could not be done at once.
    #[cold]
    #[inline(never)]
    fn wait_alone<T: Send>(
        &self,
        py: Python<'_>,
        deadline: Deadline,
        awaited: Awaited,
        error: Error,
        mut operation: impl FnMut(Access<'_>, Option<Slice>) -> Result<T> + Send,
    ) -> PyResult<T> {
        let late = awaited.late();
        if error != late && !matches!(error, Error::Interrupted | Error::Busy { .. }) {
            return Err(self.explain(py, &error));
        }
        waiting::wait(py, &self.heap.engine, deadline, &late, |context, slice| {
            operation(Access::Alone(context), Some(slice))
        })?
        .map_err(|error| self.explain(py, &error))
    }

    #[cold]
    #[inline(never)]
    fn wait_joined<T: Send>(
        &self,
        py: Python<'_>,
        deadline: Deadline,
        awaited: Awaited,
        mut operation: impl FnMut(Access<'_>, Option<Slice>) -> Result<T> + Send,
    ) -> PyResult<T> {
        let late = awaited.late();
        let first = self.join(py, |block| match operation(Access::Inside(block), None) {
            Err(error) if error == late => Ok(None),
            other => other.map(Some),
        })?;
        match first {
            None => match self.at_once(&mut operation) {
                Ok(done) => Ok(done),
                Err(error) => self.wait_alone(py, deadline, awaited, error, operation),
            },
            Some(Some(done)) => Ok(done),
            Some(None) if deadline.is_some_and(|end| end <= system::now()) => {
                Err(self.explain(py, &late))
            }
            Some(None) => self
                .wait_inside(py, deadline, awaited, |block, slice| {
                    operation(Access::Inside(block), Some(slice))
                })?
                .map_err(|error| self.explain(py, &error)),
        }
    }

    /// Waits for something in which the caller's block, if it is in one, has no part.
    #[cold]
    pub(crate) fn wait_beside<T: Send>(
        &self,
        py: Python<'_>,
        deadline: Deadline,
        awaited: Awaited,
        mut operation: impl FnMut(&Context, Slice) -> Result<T> + Send,
    ) -> PyResult<Result<T>> {
        if atomic::is_inside(py)? {
            return self.wait_inside(py, deadline, awaited, |block, slice| {
                block.beside(|context| operation(context, slice))
            });
        }
        waiting::wait(py, &self.heap.engine, deadline, &awaited.late(), operation)
    }
}
