//! Operations of objects inside a block.
//!
//! What always holds: whoever has to wait for a lock does it without the interpreter, and hears
//! Ctrl-C; what ends a block early is remembered as the exception that said so.

use coheap_core::heap::Heap as Engine;
use coheap_core::journal::Context;
use coheap_core::objects::{Lease as Token, Mutex, Queue};
use coheap_core::transaction::{Lockable, Transaction};
use coheap_core::{Error, Result, os};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::block::{self, Block};
use super::blocked::{Awaited, Blocked};
use crate::door::Object;
use crate::errors;
use crate::lease;
use crate::waiting::{self, Deadline, SLICE, Slice};

impl Object {
    /// Runs an operation in the block that the caller is in, with `thing` locked. `None`: the
    /// caller is in no block, so the operation is one of its own.
    #[inline(always)]
    pub(crate) fn inside<T>(
        &self,
        py: Python<'_>,
        thing: Lockable,
        operation: impl FnMut(&mut Transaction) -> Result<T>,
    ) -> PyResult<Option<T>> {
        if !block::is_any_open() {
            return Ok(None);
        }
        self.join(py, Some(thing), operation)
    }

    /// As [`inside`](Self::inside), for what has no lock of its own.
    #[inline(always)]
    pub(crate) fn inside_unlocked<T>(
        &self,
        py: Python<'_>,
        operation: impl FnMut(&mut Transaction) -> Result<T>,
    ) -> PyResult<Option<T>> {
        if !block::is_any_open() {
            return Ok(None);
        }
        self.join(py, None, operation)
    }

    #[cold]
    #[inline(never)]
    fn join<T>(
        &self,
        py: Python<'_>,
        thing: Option<Lockable>,
        // Not a reference: what the fast path has in registers need not go to memory for it.
        mut operation: impl FnMut(&mut Transaction) -> Result<T>,
    ) -> PyResult<Option<T>> {
        if block::current(py)?.is_none() {
            return Ok(None);
        }
        loop {
            let done = block::with(|block| {
                let transaction = block.touch(self)?;
                match thing {
                    Some(thing) if !transaction.try_lock(thing)? => Ok(None),
                    _ => operation(transaction).map(Some),
                }
            });
            match (done, thing) {
                (Ok(None), Some(thing)) => self.wait_for_lock(py, thing)?,
                (Ok(done), _) => return Ok(done),
                (Err(Error::Interrupted), _) => py.check_signals()?,
                (Err(error), _) => return Err(self.refuse(py, error)),
            }
        }
    }

    /// Makes an object part of the caller's block, and locks it.
    pub(super) fn lock_inside(&self, py: Python<'_>, thing: Lockable) -> PyResult<()> {
        match block::with(|block| block.try_lock(self, thing)) {
            Ok(true) => Ok(()),
            Ok(false) => self.wait_for_lock(py, thing),
            Err(error) => Err(self.refuse(py, error)),
        }
    }

    #[cold]
    fn wait_for_lock(&self, py: Python<'_>, thing: Lockable) -> PyResult<()> {
        let began = os::now();
        loop {
            let started = os::now();
            let budget = block::with_any(|block| block.budget()).flatten();
            let until = started.saturating_add(budget.unwrap_or(SLICE).min(SLICE));
            let answer = py.detach(|| {
                block::with(|block| {
                    let answer = block.touch(self)?.lock_until(thing, began, until);
                    block.spend(os::now() - started);
                    answer
                })
            });
            match answer {
                Ok(()) => return Ok(()),
                Err(Error::TimedOut) if budget.is_none_or(|budget| budget > SLICE) => {
                    py.check_signals()?;
                }
                Err(Error::Interrupted) => py.check_signals()?,
                Err(error) => return Err(self.refuse(py, error)),
            }
        }
    }

    /// The exception for an error inside a block, and the end of the block where it is one.
    #[cold]
    fn refuse(&self, py: Python<'_>, error: Error) -> PyErr {
        refuse(py, &self.subject(), error)
    }

    /// As [`inside_unlocked`](Self::inside_unlocked), for what may wait: it does as long as the
    /// block has nothing. `late` is what the operation answers when its time is up.
    #[cold]
    fn wait_inside<T: Send>(
        &self,
        py: Python<'_>,
        deadline: Deadline,
        late: &Error,
        awaited: Awaited,
        mut operation: impl FnMut(&mut Transaction, Slice) -> Result<T> + Send,
    ) -> PyResult<Result<T>> {
        let waited = waiting::wait_for(py, deadline, late, |slice| {
            block::with(|block| {
                let has_locks = !block.locks.is_empty();
                let transaction = block.touch(self)?;
                if has_locks {
                    return Err(Error::WouldBlock);
                }
                operation(transaction, slice)
            })
        })?;
        Ok(match waited {
            Err(error) if error != *late => {
                if error == Error::WouldBlock {
                    let blocked = Blocked::Object(self.clone(), awaited, deadline);
                    let _ = block::with_any(|block| block.blocked = Some(blocked));
                }
                return Err(self.refuse(py, error));
            }
            other => other,
        })
    }

    /// Waits for something beside the caller's block. `None`: the caller is in none.
    pub(crate) fn wait_beside<T: Send>(
        &self,
        py: Python<'_>,
        deadline: Deadline,
        late: &Error,
        awaited: Awaited,
        mut operation: impl FnMut(&Context, Slice) -> Result<T> + Send,
    ) -> PyResult<Option<Result<T>>> {
        if !block::is_inside(py)? {
            return Ok(None);
        }
        self.wait_inside(py, deadline, late, awaited, |transaction, slice| {
            transaction.beside(|context| operation(context, slice))
        })
        .map(Some)
    }

    /// Takes the item at the front on lease, for the caller's block. `None`: it is in none.
    pub(crate) fn lease_inside(
        &self,
        py: Python<'_>,
        queue: &Queue,
        deadline: Deadline,
        out: &mut Vec<u8>,
    ) -> PyResult<Option<Token>> {
        let first =
            self.inside_unlocked(py, |transaction| match transaction.queue_get(queue, out) {
                Err(Error::Empty) => Ok(None),
                other => other.map(Some),
            })?;
        match first {
            None => return Ok(None),
            Some(Some(token)) => return Ok(Some(token)),
            Some(None) if deadline.is_some_and(|end| end <= os::now()) => {
                return Err(self.explain(py, &Error::Empty));
            }
            Some(None) => {}
        }
        let item = Awaited::Item(*queue);
        let waited =
            self.wait_inside(py, deadline, &Error::Empty, item, |transaction, slice| {
                transaction.queue_get_until(queue, slice.started, slice.until, out)
            })?;
        waited.map(Some).map_err(|error| self.explain(py, &error))
    }

    /// Puts an item at the back with the end of the caller's block. `false`: it is in none.
    pub(crate) fn put_inside(
        &self,
        py: Python<'_>,
        queue: &Queue,
        deadline: Deadline,
        item: &[u8],
    ) -> PyResult<bool> {
        let first =
            self.inside_unlocked(py, |transaction| match transaction.queue_put(queue, item) {
                Err(Error::Full) => Ok(false),
                other => other.map(|()| true),
            })?;
        match first {
            None => return Ok(false),
            Some(true) => return Ok(true),
            Some(false) if deadline.is_some_and(|end| end <= os::now()) => {
                return Err(self.explain(py, &Error::Full));
            }
            Some(false) => {}
        }
        let place = Awaited::Place(*queue);
        let waited =
            self.wait_inside(py, deadline, &Error::Full, place, |transaction, slice| {
                transaction.queue_put_until(queue, slice.started, slice.until, item)
            })?;
        waited.map(|()| true).map_err(|error| self.explain(py, &error))
    }

    /// Notes what the end of the caller's block makes of a lease.
    pub(crate) fn note_lease(&self, lease: lease::InBlock) {
        let _ = block::with_any(|block| block.leases.push(lease));
    }

    /// Acquires a lock again that the caller's block has acquired, and released for its end.
    #[inline]
    pub(crate) fn acquire_again(&self, py: Python<'_>) -> PyResult<bool> {
        self.with_locks(py, |block| Ok(block.locks.acquire_again(self)))
            .map(Option::unwrap_or_default)
    }

    /// Notes a lock that was acquired, if the caller is in a block.
    #[inline]
    pub(crate) fn note_acquired(
        &self,
        py: Python<'_>,
        mutex: Mutex,
        is_recursive: bool,
    ) -> PyResult<()> {
        let note = |block: &mut Block| {
            block.locks.note_acquired(self, mutex, is_recursive);
            Ok(())
        };
        self.with_locks(py, note).map(|_| ())
    }

    /// Keeps the release of a lock for the end of the caller's block. `None`: it is in none.
    #[inline]
    pub(crate) fn release_inside(
        &self,
        py: Python<'_>,
        mutex: Mutex,
        is_recursive: bool,
    ) -> PyResult<Option<Result<()>>> {
        self.with_locks(py, |block| {
            let times = self.door.engine.with(|context| match is_recursive {
                true => mutex.depth(context),
                false => Ok(u64::from(mutex.holder(context)?.is_some())),
            })?;
            Ok(block.locks.release(self, mutex, is_recursive, times))
        })
    }

    #[inline(always)]
    fn with_locks<T>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Block) -> Result<T>,
    ) -> PyResult<Option<T>> {
        if !block::is_inside(py)? {
            return Ok(None);
        }
        let done = block::with(|block| {
            block.touch(self)?;
            work(block)
        });
        done.map(Some).map_err(|error| self.refuse(py, error))
    }
}

/// The exception for an error inside a block, and the end of the block where it is one.
#[cold]
pub(super) fn refuse(py: Python<'_>, subject: &str, error: Error) -> PyErr {
    let ends = matches!(error, Error::Deadlock | Error::WouldBlock | Error::TimedOut);
    let raised = errors::to_python(py, &error, subject);
    if error == Error::Doomed(Box::new(super::LEFT_ELSEWHERE)) {
        // Nobody will end it any more; it was said once.
        drop(block::take());
    } else if ends {
        let kept = raised.clone_ref(py);
        let before = block::with_any(|block| {
            block.give_up(error);
            block.first.replace(kept)
        });
        drop(before);
    }
    raised
}

/// Makes a heap that of the block that the caller is in, if it is in one: then what makes and
/// removes objects is refused there.
pub(crate) fn bind(
    py: Python<'_>,
    engine: &Engine,
    subject: impl FnOnce() -> String,
) -> PyResult<()> {
    if !block::is_inside(py)? {
        return Ok(());
    }
    block::with(|block| block.bind(engine)).map_err(|error| refuse(py, &subject(), error))
}

/// Refuses what a block could not undo: `what` is done outside of blocks.
pub(crate) fn refuse_inside(
    py: Python<'_>,
    subject: impl FnOnce() -> String,
    what: &str,
) -> PyResult<()> {
    if !block::is_inside(py)? {
        return Ok(());
    }
    Err(PyRuntimeError::new_err(format!(
        "{}: {what} outside of blocks of coheap.atomic; nothing was changed",
        subject()
    )))
}

/// The exception that a block says again, after it was given up.
pub(super) fn doomed(py: Python<'_>, why: Error) -> PyErr {
    errors::to_python(py, &Error::Doomed(Box::new(why)), "coheap.atomic")
}
