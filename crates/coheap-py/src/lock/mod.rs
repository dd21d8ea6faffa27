//! Locks: the common part of the classes `Lock` and `RLock`.
//!
//! What always holds: a caller acquires a free lock without releasing the interpreter lock, and
//! waits without it. `on_death` is chosen when a lock is created and stored with it, so all processes
//! agree on it: after a death, either the next caller acquires the lock with a warning, or every
//! caller is refused until the lock is recovered. If the warning is raised as an exception, the
//! caller does not hold the lock, and the next caller is warned again.
//!
//! # Files
//!
//! | file | what it is |
//! |---|---|
//! | `plain` | `Lock`, which any thread or process may release |
//! | `recursive` | `RLock`, which its holder may acquire again, and which only its holder may release |

mod plain;
mod recursive;

use std::ffi::CString;

use coheap_core::Acquired;
use coheap_core::Context;
use coheap_core::{Error, system};
use coheap_core::{Mutex, MutexRecipe, RecursiveMutexRecipe};
use pyo3::exceptions::{PyAssertionError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyType;

pub(crate) use plain::Lock;
pub(crate) use recursive::RLock;

use crate::atomic::Awaited;
use crate::object::{Object, OpenHeap};
use crate::waiting::{self, Slice};

/// The result of `holder`: process, thread, seconds.
type Holder = (u32, Option<u32>, Option<f64>);

/// The extra text in the pickle of the lock beside a value.
pub(crate) const BESIDE: &str = "lock";

/// A lock that user code holds. Its holder may acquire it again if it is recursive.
struct LongLock<const RECURSIVE: bool> {
    object: Object,
    mutex: Mutex,
}

impl<const RECURSIVE: bool> LongLock<RECURSIVE> {
    /// Returns the lock with this name, created if there is none; without a name, a new one.
    fn make(py: Python<'_>, heap: &OpenHeap, name: Option<&str>, on_death: &str) -> PyResult<Self> {
        let is_strict = match on_death {
            "warn" => false,
            "raise" => true,
            other => {
                return Err(PyValueError::new_err(format!(
                    "on_death must be \"warn\" or \"raise\", not {other:?}; nothing was changed"
                )));
            }
        };
        let recipe = MutexRecipe { is_strict, ..Default::default() };
        let (mutex, object) = if RECURSIVE {
            let (lock, object) = heap.object(py, name, &RecursiveMutexRecipe(recipe))?;
            (lock.mutex(), object)
        } else {
            heap.object(py, name, &recipe)?
        };
        let lock = Self { object, mutex };
        if is_strict && !lock.is_strict(py)? {
            return Err(PyValueError::new_err(format!(
                "{} was created with on_death=\"warn\"; nothing was changed; choose another name, or \
                 open it with on_death=\"warn\"",
                lock.object.subject()
            )));
        }
        Ok(lock)
    }

    fn is_strict(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.object.run(py, |context| self.mutex.traits(context))?.is_strict)
    }

    fn on_death(&self, py: Python<'_>) -> PyResult<&'static str> {
        Ok(if self.is_strict(py)? { "raise" } else { "warn" })
    }

    /// Acquires the lock if it is free, or if the caller may acquire it again. If the caller is not
    /// going to wait, this also checks whether the holder is dead.
    #[inline]
    fn try_acquire(&self, py: Python<'_>, would_wait: bool) -> PyResult<bool> {
        if self.object.acquire_again(py)? {
            return Ok(true);
        }
        let tried = self.object.heap.engine.with(|context| {
            if RECURSIVE && self.mutex.lock_again(context)? {
                return Ok(Some(Acquired::Clean));
            }
            match would_wait {
                true => self.mutex.lock_soon(context, system::now_roughly()),
                false => self.mutex.try_lock_at(context, system::now_roughly()),
            }
        });
        match tried {
            Ok(Some(Acquired::Clean)) => self.acquired(py).map(|()| true),
            Ok(None) => Ok(false),
            Ok(Some(Acquired::OwnerDied(pid))) => {
                self.warn(py, pid)?;
                self.acquired(py).map(|()| true)
            }
            Err(error) => Err(self.object.explain(py, &error)),
        }
    }

    #[inline]
    fn acquire(&self, py: Python<'_>, block: bool, timeout: Option<f64>) -> PyResult<bool> {
        match self.try_acquire(py, block)? {
            true => Ok(true),
            false => self.acquire_later(py, block, timeout),
        }
    }

    #[cold]
    fn acquire_later(&self, py: Python<'_>, block: bool, timeout: Option<f64>) -> PyResult<bool> {
        match timeout {
            _ if !block => Ok(false),
            None => self.wait(py, None),
            Some(seconds) if seconds.is_nan() => {
                Err(PyValueError::new_err("'timeout' must be a number of seconds"))
            }
            Some(seconds) if seconds <= 0.0 => self.wait(py, Some(system::now())),
            Some(seconds) => self.wait(py, waiting::after(seconds)),
        }
    }

    #[inline]
    fn enter(&self, py: Python<'_>) -> PyResult<bool> {
        if self.try_acquire(py, true)? { Ok(true) } else { self.wait(py, None) }
    }

    #[cold]
    fn wait(&self, py: Python<'_>, deadline: Option<u64>) -> PyResult<bool> {
        let mutex = self.mutex;
        let lock = |context: &Context, slice: Slice| {
            let acquired = match deadline {
                // Waits without an end look for deadlocks.
                None => mutex.lock_until(context, slice.started, slice.until),
                Some(_) => mutex.lock(context, Some(slice.until)),
            }?;
            mutex.note_time(context)?;
            Ok(acquired)
        };
        let acquired = self.object.wait_beside(py, deadline, Awaited::Lock(mutex), lock)?;
        match acquired {
            Ok(Acquired::Clean) => self.acquired(py).map(|()| true),
            Ok(Acquired::OwnerDied(pid)) => {
                self.warn(py, pid)?;
                self.acquired(py).map(|()| true)
            }
            Err(Error::TimedOut) => Ok(false),
            Err(error) => Err(self.object.explain(py, &error)),
        }
    }

    /// Notes the acquisition in the caller's block of `atomic`, if there is one.
    #[inline]
    fn acquired(&self, py: Python<'_>) -> PyResult<()> {
        self.object.note_acquired(py, self.mutex, RECURSIVE)
    }

    /// Emits the warning about a dead holder.
    #[cold]
    fn warn(&self, py: Python<'_>, pid: u32) -> PyResult<()> {
        if system::OTHERS_ARE_FROZEN.is_raised() {
            // The holder may be a frozen thread of this process, and what warns is taken apart.
            return Ok(());
        }
        system::sleep_when_ended();
        let subject = self.object.subject();
        let message = CString::new(format!(
            "{subject}: process {pid} died while it held the lock, so the data it guards may be \
             incomplete; the lock was acquired; check the data"
        ))?;
        let category = py.import("coheap._errors")?.getattr("OwnerDiedWarning")?;
        let warned = PyErr::warn(py, category.cast::<PyType>()?, &message, 1);
        if warned.is_err() {
            // Code that ran for the warning may have released the lock or closed the heap.
            let engine = &self.object.heap.engine;
            let _ = engine.with(|context| self.mutex.unlock_marked(context, pid));
        }
        warned
    }

    /// Releases the lock.
    #[inline]
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(kept) = self.object.release_inside(py, self.mutex, RECURSIVE)? {
            return kept.map_err(|error| self.explain_release(py, &error));
        }
        let released = self.object.heap.engine.with(|context| match RECURSIVE {
            true => self.mutex.leave(context),
            false => self.mutex.unlock(context),
        });
        match released {
            Ok(()) => Ok(()),
            Err(error) => self.release_anothers(py, error),
        }
    }

    /// Releases a lock that another thread holds, or explains why not.
    #[cold]
    fn release_anothers(&self, py: Python<'_>, error: Error) -> PyResult<()> {
        let mutex = self.mutex;
        let released = match error {
            Error::NotOwner if !RECURSIVE => {
                self.object.heap.write(py, false, |context| mutex.unlock_for_another(context))?
            }
            other => Err(other),
        };
        released.map_err(|error| self.explain_release(py, &error))
    }

    #[cold]
    fn explain_release(&self, py: Python<'_>, error: &Error) -> PyErr {
        match error {
            Error::NotOwner if RECURSIVE => {
                PyAssertionError::new_err("attempt to release recursive lock not owned by thread")
            }
            Error::NotOwner => PyValueError::new_err("semaphore or lock released too many times"),
            error => self.object.explain(py, error),
        }
    }

    fn recover(&self, py: Python<'_>) -> PyResult<bool> {
        self.object.run(py, |context| self.mutex.recover(context))
    }

    fn holder(&self, py: Python<'_>) -> PyResult<Option<Holder>> {
        let holder = self.object.run(py, |context| self.mutex.holder(context))?;
        Ok(holder.map(|holder| {
            let seconds = |since| system::now().saturating_sub(since) as f64 / 1e9;
            (holder.pid, holder.thread, holder.since.map(seconds))
        }))
    }

    #[inline]
    fn is_held(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.object.run(py, |context| self.mutex.holder(context))?.is_some())
    }

    fn describe(&self, py: Python<'_>) -> PyResult<String> {
        let state = self.holder(py).map(|holder| match holder {
            Some((pid, ..)) => format!(", held by process {pid}"),
            None => ", free".to_owned(),
        });
        self.object.shown(py, state)
    }
}

/// Gives a class of locks the methods that do not depend on which thread may release it.
macro_rules! lock_methods {
    ($class:ident) => {
        #[pyo3::pymethods]
        impl $class {
            /// Clear the mark of a dead holder, and release the lock if a dead process holds it.
            ///
            /// A lock that a living process holds stays held.
            ///
            /// Returns:
            ///     Whether there was a death to clear.
            fn recover(&self, py: pyo3::Python<'_>) -> pyo3::PyResult<bool> {
                self.lock.recover(py)
            }

            /// Return whether a process, alive or dead, holds the lock.
            fn locked(&self, py: pyo3::Python<'_>) -> pyo3::PyResult<bool> {
                self.lock.is_held(py)
            }

            /// Return the holder, dead or alive, as `(pid, thread, seconds)`, or None if the lock is
            /// free.
            ///
            /// `thread` is the holder's `threading.get_native_id()`, or None if the holder died
            /// before it was stored. `seconds` is how long the lock has been held, to about 0.01;
            /// it is None if a program that is not Python holds the lock.
            fn holder(&self, py: pyo3::Python<'_>) -> pyo3::PyResult<Option<$crate::lock::Holder>> {
                self.lock.holder(py)
            }

            /// What happens when a holder dies: `"warn"` or `"raise"`.
            #[getter]
            fn on_death(&self, py: pyo3::Python<'_>) -> pyo3::PyResult<&'static str> {
                self.lock.on_death(py)
            }

            pub(crate) fn __enter__(&self, py: pyo3::Python<'_>) -> pyo3::PyResult<bool> {
                self.lock.enter(py)
            }

            fn __exit__(
                &self,
                py: pyo3::Python<'_>,
                _kind: &pyo3::Bound<'_, pyo3::PyAny>,
                _value: &pyo3::Bound<'_, pyo3::PyAny>,
                _traceback: &pyo3::Bound<'_, pyo3::PyAny>,
            ) -> pyo3::PyResult<()> {
                self.release(py)
            }

            fn __repr__(&self, py: pyo3::Python<'_>) -> pyo3::PyResult<String> {
                self.lock.describe(py)
            }
        }
    };
}
pub(crate) use lock_methods;
