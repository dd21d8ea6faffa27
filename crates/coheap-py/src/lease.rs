//! The class `Lease`: a job that this process holds until it acks it or returns it.
//!
//! What always holds: a lease that is dropped without `ack` or `nack` returns its job to the queue
//! and warns. A forked child does not hold its parent's leases: it can neither ack nor return them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use coheap_core::ReturnReason;
use coheap_core::{Error, system};
use coheap_core::{Lease as Token, Queue};
use pyo3::PyTraverseError;
use pyo3::PyVisit;
use pyo3::exceptions::PyResourceWarning;
use pyo3::prelude::*;

use crate::access::read;
use crate::errors;
use crate::object::Object;
use crate::queue::WorkQueue;

/// A job on lease. `WorkQueue.get` returns one.
///
/// As a context manager it acks the job at the end, and returns it to the queue after an exception.
/// A lease that is dropped without `ack` or `nack` returns its job to the queue and emits a
/// `ResourceWarning`.
#[pyclass(frozen, generic, module = "coheap")]
pub(crate) struct Lease {
    object: Arc<Object>,
    queue: Queue,
    token: Token,
    value: Py<PyAny>,
    state: Arc<AtomicU8>,
}

/// This process holds the job.
const HELD: u8 = 0;
/// This process no longer holds the job.
const OVER: u8 = 1;
/// A block of `atomic` has taken the job; the end of the block acks it.
const TAKEN: u8 = 2;
/// A block of `atomic` has acked or returned the job; the end of the block applies that.
const DECIDED: u8 = 3;

/// As `DECIDED`, and the Python object is gone.
const DROPPED: u8 = 4;

/// A lease that a block of `atomic` has taken, acked or returned.
#[derive(Debug)]
pub(crate) struct InBlock {
    object: Arc<Object>,
    queue: Queue,
    token: Token,
    state: Arc<AtomicU8>,
    now: u8,
    /// The state to which the lease returns if the block is undone.
    before: u8,
}

impl InBlock {
    fn become_again(&self, state: u8) -> Result<u8, u8> {
        self.state.compare_exchange(self.now, state, Ordering::AcqRel, Ordering::Acquire)
    }

    /// The block is committed.
    pub(crate) fn commit(self) {
        let _ = self.become_again(OVER);
    }

    /// The block was undone. Leases are undone in reverse order.
    pub(crate) fn abort(self) {
        if self.become_again(self.before) == Err(DROPPED) && self.before == HELD {
            let engine = &self.object.heap.engine;
            // The lease may be lost by now; then nothing is left to do.
            let _ = engine
                .with(|context| self.queue.nack(context, &self.token, Some(ReturnReason::Dropped)));
        }
    }
}

impl Lease {
    pub(crate) fn new(queue: &WorkQueue, token: Token, value: Py<PyAny>) -> Self {
        let (object, queue) = (Arc::clone(&queue.object), queue.queue);
        Self { object, queue, token, value, state: Arc::new(AtomicU8::new(HELD)) }
    }

    /// Returns a lease that the caller's block has taken.
    pub(crate) fn new_inside(queue: &WorkQueue, token: Token, value: Py<PyAny>) -> Self {
        let lease = Self::new(queue, token, value);
        lease.decide(TAKEN, OVER);
        lease
    }

    fn state(&self) -> u8 {
        self.state.load(Ordering::Acquire)
    }

    /// Leaves the lease to the end of the caller's block.
    fn decide(&self, now: u8, before: u8) {
        self.state.store(now, Ordering::Release);
        let (object, state) = (Arc::clone(&self.object), Arc::clone(&self.state));
        let (queue, token) = (self.queue, self.token);
        self.object.note_lease(InBlock { object, queue, token, state, now, before });
    }

    /// Acks or returns the job: now, or at the end of the caller's block.
    fn end(&self, py: Python<'_>, is_done: bool) -> PyResult<()> {
        let state = self.state();
        let is_inside = read!(self.object, py, |access| {
            let is_inside = access.is_inside();
            match state {
                TAKEN if !is_inside => return Err(Error::InTransaction),
                DECIDED if is_inside => return Err(Error::LeaseLost),
                // The block acks it anyway.
                TAKEN if is_done => {}
                _ => access.queue_end(&self.queue, &self.token, is_done)?,
            }
            Ok(is_inside)
        })?;
        if is_inside {
            self.decide(DECIDED, state);
            return Ok(());
        }
        self.state.store(OVER, Ordering::Release);
        if is_done {
            self.object.let_go();
        }
        Ok(())
    }

    fn give_back(&self, py: Python<'_>, reason: ReturnReason) -> PyResult<()> {
        self.object.run(py, |context| self.queue.nack(context, &self.token, Some(reason)))
    }
}

#[pymethods]
impl Lease {
    /// The job.
    #[getter]
    fn value(&self, py: Python<'_>) -> Py<PyAny> {
        self.value.clone_ref(py)
    }

    /// The number of this attempt at the job; the first is 1.
    #[getter]
    fn attempt(&self) -> u32 {
        self.token.attempt
    }

    /// Mark the job as done. It is never handed out again.
    ///
    /// Raises:
    ///     LeaseLost: The job was acked or returned before, or another process holds the lease.
    ///         Nothing was changed.
    fn ack(&self, py: Python<'_>) -> PyResult<()> {
        self.end(py, true)
    }

    /// Return the job to the queue for another attempt. This attempt counts towards `max_attempts`.
    ///
    /// Raises:
    ///     LeaseLost: As for `ack`.
    fn nack(&self, py: Python<'_>) -> PyResult<()> {
        self.end(py, false)
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
        if matches!(self.state(), OVER | DECIDED) {
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
        let state = if matches!(self.state(), OVER | DECIDED) { ", over" } else { "" };
        let (subject, attempt) = (self.object.subject(), self.token.attempt);
        system::sleep_when_ended();
        let value = self.value.bind(py).repr()?;
        Ok(format!("<coheap.Lease of {subject}, attempt {attempt}{state}: {value}>"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.value)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A job that a block has taken is the block's.
        let replace = |state, new| {
            self.state.compare_exchange(state, new, Ordering::AcqRel, Ordering::Acquire).is_ok()
        };
        if replace(DECIDED, DROPPED) || !replace(HELD, OVER) {
            return;
        }
        // No interpreter, no warning: what a process has goes back when it ends.
        let _ = Python::try_attach(|py| {
            // An object may be dropped while an exception is on its way.
            let pending = PyErr::take(py);
            if self.give_back(py, ReturnReason::Dropped).is_ok() {
                warn(py, self);
            }
            if let Some(error) = pending {
                error.restore(py);
            }
        });
    }
}

fn warn(py: Python<'_>, lease: &Lease) {
    system::sleep_when_ended();
    let message = format!(
        "a lease of the work queue{} was dropped without ack() or nack(); its job was returned to \
         the queue; call ack() or nack(), or use the lease in a with-statement",
        lease.object.spaced_name()
    );
    let Ok(message) = std::ffi::CString::new(message) else { return };
    let category = py.get_type::<PyResourceWarning>();
    if let Err(error) = PyErr::warn(py, &category, &message, 1) {
        error.write_unraisable(py, None);
    }
}
