//! The class `WorkQueue`: what Python sees of a queue with leases.
//!
//! What always holds: an item is bytes before the queue is asked. Who has to wait first tries
//! without waiting; then it waits without the interpreter.

use std::sync::Arc;

use coheap_core::Context;
use coheap_core::ReturnReason;
use coheap_core::{Error, system};
use coheap_core::{Queue, QueueRecipe};
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;

use crate::access::{Access, read};
use crate::atomic::{self, Awaited};
use crate::codec;
use crate::handle::{Handle, identity, name_and_pickle};
use crate::heap::default;
use crate::lease::Lease;
use crate::object::{Object, OpenHeap};
use crate::scratch::Scratch;
use crate::waiting::{self, Deadline, Slice};

/// Jobs that are not lost with the worker that has them.
///
/// `WorkQueue()` is a new one in the default heap; `Heap.work_queue` makes or finds one in others.
///
/// `get` gives a job out on lease. It is done when the lease is acked, and never given out again
/// then; if its worker dies, gives it back or drops it, it is given out again, before all others.
///
/// Source: the names are those of `queue.Queue`; leases as hosted message queues have them.
#[pyclass(frozen, generic, weakref, module = "coheap")]
pub(crate) struct WorkQueue {
    pub(crate) object: Arc<Object>,
    pub(crate) queue: Queue,
}

impl WorkQueue {
    pub(crate) fn new(queue: Queue, object: Object) -> Self {
        Self { queue, object: Arc::new(object) }
    }

    /// The work queue of this name, made if there is none; without a name a new one.
    pub(crate) fn make(
        py: Python<'_>,
        heap: &OpenHeap,
        name: Option<&str>,
        maxsize: i64,
        max_attempts: Option<i64>,
    ) -> PyResult<Self> {
        let max_attempts = match max_attempts {
            None => 0,
            Some(attempts) if (1..1 << 31).contains(&attempts) => attempts.unsigned_abs(),
            Some(attempts) => {
                let message =
                    format!("max_attempts must be from 1 to {}, or None, not {attempts}", i32::MAX);
                return Err(PyValueError::new_err(message));
            }
        };
        // As in the standard library, any size below 1 is no limit.
        let limit = u64::try_from(maxsize).unwrap_or(0);
        let (queue, object) = heap.object(py, name, &QueueRecipe { limit, max_attempts })?;
        Ok(Self::new(queue, object))
    }

    fn put_before(&self, py: Python<'_>, item: &[u8], deadline: Deadline) -> PyResult<()> {
        let queue = &self.queue;
        self.object.wait(py, deadline, Awaited::Place(*queue), |access, slice| {
            access.queue_put(queue, item, slice)
        })
    }

    /// A lease, waiting for it until the deadline.
    fn lease(&self, py: Python<'_>, deadline: Deadline) -> PyResult<Lease> {
        let (queue, mut out) = (&self.queue, Scratch::new());
        let bytes: &mut Vec<u8> = &mut out;
        let take = |access: Access<'_>, slice| {
            let is_inside = access.is_inside();
            Ok((access.queue_lease(queue, bytes, slice)?, is_inside))
        };
        let (token, is_inside) = self.object.wait(py, deadline, Awaited::Item(*queue), take)?;
        match codec::decode(py, &out, self.object.heap.rules) {
            Ok(value) if is_inside => Ok(Lease::new_inside(self, token, value.unbind())),
            Ok(value) => Ok(Lease::new(self, token, value.unbind())),
            // The end of the block gives it back.
            Err(error) if is_inside => Err(error),
            Err(error) => {
                self.object
                    .run(py, |context| queue.nack(context, &token, Some(ReturnReason::Nacked)))?;
                Err(error)
            }
        }
    }
}

/// What `block` and `timeout` of the standard library say.
fn deadline(block: bool, timeout: Option<f64>) -> PyResult<Deadline> {
    if block { waiting::deadline(timeout) } else { Ok(Some(system::now())) }
}

#[pymethods]
impl WorkQueue {
    #[new]
    #[pyo3(signature = (maxsize=0, *, max_attempts=None))]
    fn create(py: Python<'_>, maxsize: i64, max_attempts: Option<i64>) -> PyResult<Self> {
        Self::make(py, &default::open_heap(py)?, None, maxsize, max_attempts)
    }

    /// Puts a job at the back, waiting while the queue is full.
    ///
    /// Args:
    ///     x: The job; it is copied.
    ///     block: Whether to wait for a place.
    ///     timeout: Most seconds to wait; None is for ever.
    ///
    /// Raises:
    ///     queue.Full: There was no place in time.
    ///     ShutDown: The queue is closed.
    ///     HeapFull: The heap itself has no room.
    #[pyo3(signature = (x, block=true, timeout=None))]
    fn put(
        &self,
        x: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = waiting::truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        let deadline = deadline(block, timeout)?;
        let bytes = Scratch::value(x, &self.object.heap)?;
        self.put_before(x.py(), &bytes, deadline)
    }

    /// As `put(x, False)`.
    fn put_nowait(&self, x: &Bound<'_, PyAny>) -> PyResult<()> {
        self.put(x, false, None)
    }

    /// Puts jobs at the back, in order, waiting for places as they are needed.
    ///
    /// All are looked at before the first is put: one that cannot be stored changes nothing.
    ///
    /// Raises:
    ///     ShutDown: The queue was closed before all were in; those before it stay.
    ///     HeapFull: The heap has no room for more; those that were put stay.
    fn put_many(&self, xs: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = xs.py();
        system::sleep_when_ended();
        let scratches: Vec<Scratch> = xs
            .try_iter()?
            .map(|item| Scratch::value(&item?, &self.object.heap))
            .collect::<PyResult<_>>()?;
        let slices: Vec<&[u8]> = scratches.iter().map(|scratch| scratch.as_slice()).collect();
        let mut done = 0;
        while let Some((next, _)) = slices[done..].split_first() {
            let rest = &slices[done..];
            let put = read!(self.object, py, |access| {
                match access.queue_put_many(&self.queue, rest) {
                    Err(Error::Full) => Ok(0),
                    other => other,
                }
            });
            match put? {
                0 => {
                    self.put_before(py, next, None)?;
                    done += 1;
                }
                count => done += count,
            }
        }
        Ok(())
    }

    /// Takes the job at the front on lease, waiting until there is one.
    ///
    /// What loading a job raises, `get` raises; the job has gone back to the front then, as after
    /// `nack()`. Without `max_attempts` it stays there for ever.
    ///
    /// Args:
    ///     block: Whether to wait.
    ///     timeout: Most seconds to wait; None is for ever.
    ///
    /// Raises:
    ///     queue.Empty: There was none in time.
    ///     ShutDown: The queue is closed and everything in it is done.
    #[pyo3(signature = (block=true, timeout=None))]
    fn get(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = waiting::truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<Lease> {
        self.lease(py, deadline(block, timeout)?)
    }

    /// As `get(False)`.
    fn get_nowait(&self, py: Python<'_>) -> PyResult<Lease> {
        self.get(py, false, None)
    }

    /// Takes up to `n` jobs on lease: waits for the first, and takes what is there with it.
    ///
    /// Raises:
    ///     queue.Empty: There was none in time.
    ///     ShutDown: The queue is closed and everything in it is done.
    #[pyo3(signature = (n, block=true, timeout=None))]
    fn get_many(
        &self,
        py: Python<'_>,
        n: isize,
        #[pyo3(from_py_with = waiting::truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<Vec<Lease>> {
        if n < 1 {
            return Err(PyValueError::new_err(format!("n must be at least 1, not {n}")));
        }
        let mut leases = vec![self.lease(py, deadline(block, timeout)?)?];
        while leases.len() < n.unsigned_abs()
            && self.object.run(py, |context| self.queue.len(context))? > 0
        {
            match self.lease(py, Some(0)) {
                Ok(lease) => leases.push(lease),
                // Others were faster, or the next one cannot be loaded and waits for who asks.
                Err(error) if error.is_instance_of::<PyException>(py) => break,
                Err(interrupt) => return Err(interrupt),
            }
        }
        Ok(leases)
    }

    /// How many jobs wait.
    fn qsize(&self, py: Python<'_>) -> PyResult<u64> {
        self.object.run(py, |context| self.queue.len(context))
    }

    /// Whether no job waits. Others may have put or taken one before the answer is read.
    fn empty(&self, py: Python<'_>) -> PyResult<bool> {
        self.object.run(py, |context| self.queue.is_empty(context))
    }

    /// Whether there is no place for a job. Others may have made or taken one before the answer is
    /// read.
    fn full(&self, py: Python<'_>) -> PyResult<bool> {
        self.object.run(py, |context| match self.queue.check_room(context, 1) {
            Ok(()) | Err(Error::ShutDown) => Ok(false),
            Err(Error::Full) => Ok(true),
            Err(error) => Err(error),
        })
    }

    /// How many jobs are on lease.
    fn leased(&self, py: Python<'_>) -> PyResult<u64> {
        self.object.run(py, |context| self.queue.leased(context))
    }

    /// The jobs that were given up after `max_attempts`, oldest first.
    ///
    /// Returns:
    ///     A list of `(value, attempts, why)`; why is `"nacked"`, `"died"` or `"dropped"`. In place
    ///     of a value that cannot be loaded stands the exception that loading it raised.
    fn failed<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Vec<(Bound<'py, PyAny>, u32, &'static str)>> {
        let failed = self.object.run(py, |context| self.queue.failed(context))?;
        let rules = self.object.heap.rules;
        let show = |failed: coheap_core::Failed| {
            let why = match failed.why {
                ReturnReason::Nacked => "nacked",
                ReturnReason::Died => "died",
                ReturnReason::Dropped => "dropped",
            };
            let value = match codec::decode(py, &failed.value, rules) {
                Err(error) if error.is_instance_of::<PyException>(py) => {
                    error.into_value(py).into_bound(py).into_any()
                }
                loaded => loaded?,
            };
            Ok((value, failed.attempts, why))
        };
        failed.into_iter().map(show).collect()
    }

    /// Lets nothing more be put. What is there can still be got.
    ///
    /// Raises:
    ///     RuntimeError: Inside a block of `atomic`, with which it could not be undone.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        atomic::refuse_inside(py, || self.object.subject(), "queues are closed")?;
        self.object.run(py, |context| self.queue.close(context))
    }

    /// Waits until every job is acked or given up.
    ///
    /// Args:
    ///     timeout: Most seconds to wait; None is for ever.
    ///
    /// Raises:
    ///     TimeoutError: Some were not done in time.
    #[pyo3(signature = (timeout=None))]
    fn join(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let deadline = waiting::deadline(timeout)?;
        let queue = self.queue;
        let join = |context: &Context, slice: Slice| {
            if slice.is_last {
                return queue.join(context, deadline);
            }
            queue.join_until(context, slice.started, slice.until)
        };
        let joined = self.object.wait_beside(py, deadline, Awaited::Done(queue), join)?;
        joined.map_err(|error| self.object.explain(py, &error))
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// The next lease; ends when the queue is closed and everything in it is done.
    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Lease>> {
        match self.lease(py, None) {
            Ok(lease) => Ok(Some(lease)),
            Err(error) => {
                let shut_down = py.import("coheap._ends")?.getattr("ShutDown")?;
                if error.matches(py, shut_down)? { Ok(None) } else { Err(error) }
            }
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let counts = || Ok((self.qsize(py)?, self.leased(py)?));
        let state = counts().map(|(waits, leased)| format!(", {waits} waiting, {leased} on lease"));
        self.object.shown(py, state)
    }
}

impl Handle for WorkQueue {
    fn object(&self) -> &Object {
        &self.object
    }
}

name_and_pickle!(WorkQueue);
identity!(WorkQueue);
