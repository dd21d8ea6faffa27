//! The class `Lock`: the lock of `multiprocessing`, which no death can keep.
//!
//! What always holds: who is free to take it takes it without letting the interpreter go; who has
//! to wait waits without it. A lock whose holder died is taken, and the taker is warned.

use std::ffi::CString;

use coheap_core::objects::mutex::Acquired;
use coheap_core::objects::{Mutex, Recipe};
use coheap_core::{Error, os};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::door::Object;
use crate::heap::default;
use crate::heap::pickling::{self, Reduced};
use crate::waiting;

/// A lock that processes and threads share.
///
/// `Lock()` is a new one in the default heap; `Heap.lock` makes or finds one in others.
///
/// As that of `multiprocessing` it may be released by another than who acquired it. When its
/// holder dies, the next who acquires it has it, with an `OwnerDiedWarning` that names the dead
/// process.
#[pyclass(frozen, module = "coheap")]
pub(crate) struct Lock {
    object: Object,
    mutex: Mutex,
}

impl Lock {
    pub(crate) fn new(object: Object) -> Self {
        Self { mutex: Mutex { handle: object.handle }, object }
    }

    /// Takes the lock if it is free.
    #[inline]
    fn try_acquire(&self, py: Python<'_>) -> PyResult<bool> {
        match self.object.run(py, |context| self.mutex.try_lock(context))? {
            Some(acquired) => self.acquired(py, acquired).map(|()| true),
            None => Ok(false),
        }
    }

    #[cold]
    fn wait(&self, py: Python<'_>, deadline: Option<u64>) -> PyResult<bool> {
        let engine = &self.object.door.engine;
        let started = os::now();
        let acquired = waiting::wait(py, engine, deadline, &Error::TimedOut, |context, until| {
            match deadline {
                // Waits without an end look for deadlocks.
                None => self.mutex.lock_until(context, started, until),
                Some(_) => self.mutex.lock(context, Some(until)),
            }
        })?;
        match acquired {
            Ok(acquired) => self.acquired(py, acquired).map(|()| true),
            Err(Error::TimedOut) => Ok(false),
            Err(error) => Err(self.object.explain(py, &error)),
        }
    }

    /// Warns of a holder that died. If the warning is an exception, the lock is free again.
    #[inline]
    fn acquired(&self, py: Python<'_>, acquired: Acquired) -> PyResult<()> {
        match acquired {
            Acquired::Clean => Ok(()),
            Acquired::OwnerDied(pid) => self.warn(py, pid),
        }
    }

    #[cold]
    fn warn(&self, py: Python<'_>, pid: u32) -> PyResult<()> {
        let subject = self.object.subject();
        let message = CString::new(format!(
            "{subject}: process {pid} died holding the lock: what it guards may be half done; \
             the lock is yours"
        ))?;
        let category = py.import("coheap._errors")?.getattr("OwnerDiedWarning")?;
        let warned = PyErr::warn(py, category.cast::<PyType>()?, &message, 1);
        if warned.is_err() {
            self.release(py)?;
        }
        warned
    }
}

#[pymethods]
impl Lock {
    #[new]
    fn create(py: Python<'_>) -> PyResult<Self> {
        Ok(Self::new(default::door(py)?.object(py, "lock", None, &Recipe::Mutex(&[0]))?))
    }

    /// Takes the lock.
    ///
    /// Args:
    ///     block: Whether to wait for it.
    ///     timeout: Most seconds to wait; None is for ever, less than 0 is 0.
    ///
    /// Returns:
    ///     Whether the caller has the lock now.
    ///
    /// Raises:
    ///     DeadlockError: All wait for each other in a circle, for a second by now.
    #[pyo3(signature = (block=true, timeout=None))]
    fn acquire(&self, py: Python<'_>, block: bool, timeout: Option<f64>) -> PyResult<bool> {
        if self.try_acquire(py)? {
            return Ok(true);
        }
        match timeout {
            _ if !block => Ok(false),
            None => self.wait(py, None),
            Some(seconds) if seconds.is_nan() => {
                Err(PyValueError::new_err("'timeout' must be a number of seconds"))
            }
            Some(seconds) if seconds <= 0.0 => self.wait(py, Some(os::now())),
            Some(seconds) => self.wait(py, waiting::after(seconds)),
        }
    }

    /// Lets the lock go, whoever holds it.
    ///
    /// Raises:
    ///     ValueError: Nobody does.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        let released = self.object.door.engine.with(|context| match self.mutex.unlock(context) {
            Err(Error::NotOwner) => self.mutex.unlock_for_another(context),
            other => other,
        });
        match released {
            Ok(()) => Ok(()),
            Err(Error::NotOwner) => {
                Err(PyValueError::new_err("semaphore or lock released too many times"))
            }
            Err(error) => Err(self.object.explain(py, &error)),
        }
    }

    /// Whether somebody, perhaps a dead process, holds it.
    fn locked(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.object.run(py, |context| self.mutex.holder(context))?.is_some())
    }

    /// Who holds it, dead or alive, as `(pid, thread, seconds)`; None: nobody.
    ///
    /// `thread` numbers the threads that use the heap; `seconds` is None for now.
    fn holder(&self, py: Python<'_>) -> PyResult<Option<(u32, u32, Option<f64>)>> {
        let holder = self.object.run(py, |context| self.mutex.holder(context))?;
        Ok(holder.map(|holder| (holder.pid, holder.context, None)))
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<bool> {
        if self.try_acquire(py)? { Ok(true) } else { self.wait(py, None) }
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.release(py)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        pickling::reduce(py, &self.object, "")
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let state = match self.holder(py)? {
            Some((pid, ..)) => format!("held by process {pid}"),
            None => "free".to_owned(),
        };
        Ok(format!("<coheap.Lock{}, {state}>", self.object.spaced_name()))
    }

    /// The name under which the heap has it, or None.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.object.name()
    }
}
