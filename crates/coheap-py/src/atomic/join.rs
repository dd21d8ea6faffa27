//! Operations of objects inside a block.
//!
//! What always holds: an operation waits for a lock without the interpreter lock, and Ctrl-C
//! interrupts it. The exception that gave a block up is remembered and raised again.

use coheap_core::Heap as Engine;
use coheap_core::Transaction;
use coheap_core::{Error, Result, system};
use coheap_core::{Lockable, Mutex};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::block::{self, Block};
use super::blocked::{Awaited, Blocked};
use crate::apart;
use crate::errors;
use crate::lease;
use crate::object::Object;
use crate::waiting::{self, Deadline, Rounds, SLICE, Slice};

impl Object {
    /// Runs an operation in the caller's block, which locks the object if it has a lock. Returns
    /// `None` if the caller is not in a block: the operation is one of its own then.
    #[cold]
    #[inline(never)]
    pub(crate) fn join<T>(
        &self,
        py: Python<'_>,
        mut operation: impl FnMut(&mut Transaction) -> Result<T>,
    ) -> PyResult<Option<T>> {
        if block::current(py)?.is_none() {
            return Ok(None);
        }
        let lockable = self.lockable();
        let mut rounds = Rounds::default();
        loop {
            let until = rounds.deadline();
            let done = block::with(|block| {
                block.touch(self)?.waiting_until(until, |transaction| match lockable {
                    Some(lockable) if !transaction.try_lock(lockable)? => Ok(None),
                    _ => operation(transaction).map(Some),
                })
            });
            match (done, lockable) {
                (Ok(None), Some(lockable)) => self.wait_for_lock(py, lockable)?,
                (Ok(done), _) => return Ok(done),
                (Err(Error::Busy { turn }), _) => self.wait_for_turn(py, &mut rounds, turn)?,
                (Err(Error::Interrupted), _) => py.check_signals()?,
                (Err(error), _) => return Err(self.refuse(py, error)),
            }
        }
    }

    /// Waits until another thread has ended a change, as long as the block may wait.
    #[cold]
    fn wait_for_turn(&self, py: Python<'_>, rounds: &mut Rounds, turn: u32) -> PyResult<()> {
        let budget = block::with_any(|block| block.budget()).flatten();
        if budget == Some(0) {
            return Err(self.refuse(py, Error::TimedOut));
        }
        let started = system::now();
        let waited = rounds.wait(py, &self.heap.engine, turn, budget);
        block::with_any(|block| block.spend(system::now() - started));
        waited
    }

    /// Makes an object part of the caller's block, and locks it if it has a lock.
    pub(super) fn lock_inside(&self, py: Python<'_>) -> PyResult<()> {
        self.join(py, |_| Ok(())).map(|_| ())
    }

    #[cold]
    fn wait_for_lock(&self, py: Python<'_>, lockable: Lockable) -> PyResult<()> {
        let began = system::now();
        loop {
            let started = system::now();
            let budget = block::with_any(|block| block.budget()).flatten();
            let until = started.saturating_add(budget.unwrap_or(SLICE).min(SLICE));
            let answer = apart::detached(py, || {
                block::with(|block| {
                    let answer = block.touch(self)?.lock_until(lockable, began, until);
                    block.spend(system::now() - started);
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

    /// As [`join`](Self::join), for what may wait: it does as long as the block has nothing. The
    /// operation returns that `awaited` is late when its time is up.
    #[cold]
    pub(crate) fn wait_inside<T: Send>(
        &self,
        py: Python<'_>,
        deadline: Deadline,
        awaited: Awaited,
        mut operation: impl FnMut(&mut Transaction, Slice) -> Result<T> + Send,
    ) -> PyResult<Result<T>> {
        let late = awaited.late();
        let waited = waiting::wait_for(py, deadline, &late, |slice| {
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
            Err(error) if error != late => {
                if error == Error::WouldBlock {
                    let blocked = Blocked::Object(self.clone(), awaited, deadline);
                    let _ = block::with_any(|block| block.blocked = Some(blocked));
                }
                return Err(self.refuse(py, error));
            }
            other => other,
        })
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
            let times = self.heap.engine.with(|context| match is_recursive {
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

/// Refuses an operation that a block could not undo. `what` says what is done outside of blocks only.
pub(crate) fn refuse_inside(
    py: Python<'_>,
    subject: impl FnOnce() -> String,
    what: &str,
) -> PyResult<()> {
    if !block::is_inside(py)? {
        return Ok(());
    }
    Err(PyRuntimeError::new_err(format!(
        "{}: {what} outside of blocks of coheap.atomic only; nothing was changed; leave the block \
         first",
        subject()
    )))
}

/// Returns the exception that a block raises again after it was given up.
pub(super) fn doomed(py: Python<'_>, why: Error) -> PyErr {
    errors::to_python(py, &Error::Doomed(Box::new(why)), "coheap.atomic")
}
