//! The class `Lease`: a job that this process has, until it says that it is done.
//!
//! What always holds: a lease that is dropped without a word gives its job back and warns. A
//! forked child has no part in its parent's leases: it can neither ack nor give them back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use coheap_core::objects::queue::Why;
use coheap_core::objects::{Lease as Token, Queue};
use pyo3::PyTraverseError;
use pyo3::PyVisit;
use pyo3::exceptions::PyResourceWarning;
use pyo3::prelude::*;

use crate::door::Object;
use crate::errors;
use crate::queue::WorkQueue;

/// A job on lease. Comes from `WorkQueue.get`.
///
/// As a context manager it acks at the end, and gives the job back after an exception. A lease
/// that is dropped without a word gives its job back and emits a `ResourceWarning`.
#[pyclass(frozen, generic, module = "coheap")]
pub(crate) struct Lease {
    object: Arc<Object>,
    queue: Queue,
    token: Token,
    value: Py<PyAny>,
    is_over: AtomicBool,
}

impl Lease {
    pub(crate) fn new(queue: &WorkQueue, token: Token, value: Py<PyAny>) -> Self {
        let (object, queue) = (Arc::clone(&queue.object), queue.queue);
        Self { object, queue, token, value, is_over: AtomicBool::new(false) }
    }

    /// Says that the lease is over; whether it was before.
    fn end(&self) -> bool {
        self.is_over.swap(true, Ordering::AcqRel)
    }

    fn give_back(&self, py: Python<'_>, why: Why) -> PyResult<()> {
        self.object.run(py, |context| self.queue.nack(context, &self.token, Some(why)))
    }
}

#[pymethods]
impl Lease {
    /// The job.
    #[getter]
    fn value(&self, py: Python<'_>) -> Py<PyAny> {
        self.value.clone_ref(py)
    }

    /// Which attempt at the job this is, from 1.
    #[getter]
    fn attempt(&self) -> u32 {
        self.token.attempt
    }

    /// Says that the job is done: it will never be given out again.
    ///
    /// Raises:
    ///     LeaseLost: It was acked or given back before, or is another process's; nothing was
    ///         changed.
    fn ack(&self, py: Python<'_>) -> PyResult<()> {
        self.object.run(py, |context| self.queue.ack(context, &self.token))?;
        self.end();
        Ok(())
    }

    /// Gives the job back, to be tried again; the attempt counts.
    ///
    /// Raises:
    ///     LeaseLost: As `ack`.
    fn nack(&self, py: Python<'_>) -> PyResult<()> {
        self.give_back(py, Why::Nacked)?;
        self.end();
        Ok(())
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        kind: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = kind.py();
        if self.is_over.load(Ordering::Acquire) {
            return Ok(());
        }
        if kind.is_none() {
            return self.ack(py);
        }
        // The exception of the block is what the caller must see, also if the lease was lost.
        let _ = self.nack(py);
        Ok(())
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(errors::unpicklable(&format!("a lease of {}", self.object.subject())))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let state = if self.is_over.load(Ordering::Acquire) { ", over" } else { "" };
        let (subject, attempt) = (self.object.subject(), self.token.attempt);
        let value = self.value.bind(py).repr()?;
        Ok(format!("<coheap.Lease of {subject}, attempt {attempt}{state}: {value}>"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.value)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.end() {
            return;
        }
        // No interpreter, no warning: what a process has goes back when it ends.
        let _ = Python::try_attach(|py| {
            // An object may be dropped while an exception is on its way.
            let pending = PyErr::take(py);
            if self.give_back(py, Why::Dropped).is_ok() {
                warn(py, self);
            }
            if let Some(error) = pending {
                error.restore(py);
            }
        });
    }
}

fn warn(py: Python<'_>, lease: &Lease) {
    let message = format!(
        "a lease of the work queue{} was dropped without ack() or nack(): the job was given back",
        lease.object.spaced_name()
    );
    let Ok(message) = std::ffi::CString::new(message) else { return };
    let category = py.get_type::<PyResourceWarning>();
    if let Err(error) = PyErr::warn(py, &category, &message, 1) {
        error.write_unraisable(py, None);
    }
}
