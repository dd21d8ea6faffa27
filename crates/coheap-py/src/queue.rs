//! The class `WorkQueue`: a queue of the engine that hands out jobs on lease.
//!
//! What always holds: an item is encoded before the queue is called. A call first tries without
//! waiting; then it waits without the interpreter lock.

use std::sync::Arc;

use coheap_core::Context;
use coheap_core::ReturnReason;
use coheap_core::{Error, system};
use coheap_core::{Queue, QueueRecipe};
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::access::{Access, read};
use crate::atomic::{self, Awaited};
use crate::codec;
use crate::differs;
use crate::handle::{self, Handle, identity, name_and_pickle};
use crate::heap::default;
use crate::lease::Lease;
use crate::object::{Object, OpenHeap};
use crate::scratch::Scratch;
use crate::waiting::{self, Deadline, Slice};

/// A queue that does not lose a job when the worker that holds it dies.
///
/// `WorkQueue()` creates one in the default heap; `Heap.work_queue` creates or finds one in any heap.
///
/// `get` hands out a job on lease. A job whose lease is acked is done, and is never handed out
/// again. A job whose worker dies, calls `nack` or drops the lease returns to the queue, and the next
/// `get` takes it before all other jobs.
///
/// Args:
///     maxsize: The number of jobs that the queue holds; 0 or less is no limit.
///     max_attempts: The number of attempts after which a job is given up; None is no limit.
///
/// Raises:
///     ValueError: `max_attempts` is less than 1 or does not fit in 31 bits.
///     HeapFull: There is no room for the queue.
///
/// Source: the names are those of `queue.Queue`; leases work as in hosted message queues.
#[pyclass(frozen, subclass, generic, weakref, module = "coheap")]
pub(crate) struct WorkQueue {
    pub(crate) object: Arc<Object>,
    pub(crate) queue: Queue,
}

impl WorkQueue {
    pub(crate) fn new(queue: Queue, object: Object) -> Self {
        Self { queue, object: Arc::new(object) }
    }

    /// Returns the work queue with this name, created if there is none; without a name, a new one.
    pub(crate) fn make(
        py: Python<'_>,
        heap: &OpenHeap,
        name: Option<&str>,
        maxsize: Option<i64>,
        max_attempts: Option<i64>,
    ) -> PyResult<Self> {
        let asked = (maxsize.is_some(), max_attempts.is_some());
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
        let limit = u64::try_from(maxsize.unwrap_or(0)).unwrap_or(0);
        let recipe = QueueRecipe { limit, max_attempts };
        let (queue, object) = heap.object(py, name, &recipe)?;
        let made = Self::new(queue, object);
        if name.is_some() && asked != (false, false) {
            made.compare(py, &recipe, asked)?;
        }
        Ok(made)
    }

    /// Warns if the queue was created with other limits than were asked for.
    fn compare(&self, py: Python<'_>, recipe: &QueueRecipe, asked: (bool, bool)) -> PyResult<()> {
        let has = self.object.run(py, |context| self.queue.limits(context))?;
        let subject = self.object.subject();
        if asked.0 && has.limit != recipe.limit {
            let (has, asked) = (has.limit.to_string(), recipe.limit.to_string());
            differs::warn(py, &subject, "maxsize", &has, &asked, differs::KEPT)?;
        }
        if asked.1 && has.max_attempts != recipe.max_attempts {
            let number = |attempts: u64| match attempts {
                0 => "None".to_owned(),
                attempts => attempts.to_string(),
            };
            let (has, asked) = (number(has.max_attempts), number(recipe.max_attempts));
            differs::warn(py, &subject, "max_attempts", &has, &asked, differs::KEPT)?;
        }
        Ok(())
    }

    fn put_before(&self, py: Python<'_>, item: &[u8], deadline: Deadline) -> PyResult<()> {
        let queue = &self.queue;
        self.object.wait(py, deadline, Awaited::Place(*queue), |access, slice| {
            access.queue_put(queue, item, slice)
        })
    }

    /// Takes a job on lease, and waits for one until the deadline.
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

/// Returns the deadline that `block` and `timeout`, as in the standard library, stand for.
fn deadline(block: bool, timeout: Option<f64>) -> PyResult<Deadline> {
    if block { waiting::deadline(timeout) } else { Ok(Some(system::now())) }
}

#[pymethods]
impl WorkQueue {
    #[new]
    #[pyo3(signature = (maxsize=0, *, max_attempts=None))]
    fn create(py: Python<'_>, maxsize: i64, max_attempts: Option<i64>) -> PyResult<Self> {
        if let Some(handle) = handle::adopted::<Self>(py) {
            let handle = handle.get();
            return Ok(Self { queue: handle.queue, object: Arc::clone(&handle.object) });
        }
        Self::make(py, &default::open_heap(py)?, None, Some(maxsize), max_attempts)
    }

    /// All is done when it is created: a class that is derived from this one may call it.
    #[pyo3(signature = (*_arguments, **_named))]
    fn __init__(&self, _arguments: &Bound<'_, PyTuple>, _named: Option<&Bound<'_, PyDict>>) {}

    /// Put a job at the back of the queue, and wait while the queue is full.
    ///
    /// Args:
    ///     x: The job; the queue stores a copy.
    ///     block: Whether to wait for room.
    ///     timeout: The number of seconds to wait at most; None is no limit.
    ///
    /// Raises:
    ///     queue.Full: The queue was full, and the call did not wait or its timeout expired.
    ///     ShutDown: The queue is closed.
    ///     HeapFull: The heap has no room.
    ///     ValueError: `timeout` is negative or NaN.
    ///     WouldBlock: The caller is in a block of `atomic` that holds something, and would wait.
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

    /// Put a job as `put(x, False)` does.
    fn put_nowait(&self, x: &Bound<'_, PyAny>) -> PyResult<()> {
        self.put(x, false, None)
    }

    /// Put jobs at the back of the queue, in order, and wait for room when it is needed.
    ///
    /// All jobs are encoded before the first one is put: if one cannot be stored, nothing is put.
    ///
    /// Raises:
    ///     ShutDown: The queue was closed before all jobs were put. The jobs before that stay.
    ///     HeapFull: The heap has no room for more jobs. The jobs before that stay.
    ///     WouldBlock: As for `put`.
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

    /// Take the job at the front on lease, and wait until there is one.
    ///
    /// If a job cannot be loaded, `get` raises the exception of loading it. The job is back at the
    /// front of the queue then, as after `nack()`; without `max_attempts` it stays there for ever.
    ///
    /// Args:
    ///     block: Whether to wait.
    ///     timeout: The number of seconds to wait at most; None is no limit.
    ///
    /// Raises:
    ///     queue.Empty: No job was waiting, and the call did not wait or its timeout expired.
    ///     ShutDown: The queue is closed, and every job in it is done or given up.
    ///     ValueError: `timeout` is negative or NaN.
    ///     WouldBlock: The caller is in a block of `atomic` that holds something, and would wait.
    #[pyo3(signature = (block=true, timeout=None))]
    fn get(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = waiting::truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<Lease> {
        self.lease(py, deadline(block, timeout)?)
    }

    /// Take a job as `get(False)` does.
    fn get_nowait(&self, py: Python<'_>) -> PyResult<Lease> {
        self.get(py, false, None)
    }

    /// Take up to `n` jobs on lease: wait for the first one, and take the others that are there.
    ///
    /// Raises:
    ///     queue.Empty: As for `get`.
    ///     ShutDown: As for `get`.
    ///     ValueError: `n` is less than 1; or as for `get`.
    ///     WouldBlock: As for `get`.
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

    /// Return the number of jobs that wait in the queue.
    fn qsize(&self, py: Python<'_>) -> PyResult<u64> {
        self.object.run(py, |context| self.queue.len(context))
    }

    /// Return whether no job waits. Another process may have put or taken one meanwhile.
    fn empty(&self, py: Python<'_>) -> PyResult<bool> {
        self.object.run(py, |context| self.queue.is_empty(context))
    }

    /// Return whether the queue has no room for another job. Another process may have put or taken
    /// one meanwhile.
    fn full(&self, py: Python<'_>) -> PyResult<bool> {
        self.object.run(py, |context| match self.queue.check_room(context, 1) {
            Ok(()) | Err(Error::ShutDown) => Ok(false),
            Err(Error::Full) => Ok(true),
            Err(error) => Err(error),
        })
    }

    /// Return the number of jobs on lease.
    fn leased(&self, py: Python<'_>) -> PyResult<u64> {
        self.object.run(py, |context| self.queue.leased(context))
    }

    /// Return the jobs that were given up after `max_attempts`, the oldest first.
    ///
    /// Returns:
    ///     A list of `(value, attempts, why)`. `why` says how the last attempt ended: `"nacked"`,
    ///     `"died"` or `"dropped"`. If a value cannot be loaded, the exception of loading it stands
    ///     in its place.
    fn failed<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Vec<(Bound<'py, PyAny>, u32, &'static str)>> {
        let failed = self.object.run(py, |context| self.queue.failed(context))?;
        let rules = self.object.heap.rules;
        let show = |failed: coheap_core::Failed| {
            let reason = match failed.reason {
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
            Ok((value, failed.attempts, reason))
        };
        failed.into_iter().map(show).collect()
    }

    /// Close the queue: it accepts no more jobs. The jobs in it can still be taken.
    ///
    /// Raises:
    ///     RuntimeError: The call is inside a block of `atomic`, which could not undo it.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        atomic::refuse_inside(py, || self.object.subject(), "queues are closed")?;
        self.object.run(py, |context| self.queue.close(context))
    }

    /// Wait until every job is acked or given up.
    ///
    /// Args:
    ///     timeout: The number of seconds to wait at most; None is no limit.
    ///
    /// Raises:
    ///     TimeoutError: The timeout expired before all jobs were done.
    ///     ValueError: `timeout` is negative or NaN.
    ///     WouldBlock: The caller is in a block of `atomic` that holds something, and would wait.
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

    /// Returns the next lease. Ends when the queue is closed and every job in it is done or given up.
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
