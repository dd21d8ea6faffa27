//! The class `RLock`: a lock that its holder may acquire again.
//!
//! What always holds: its holder is a thread, and nobody else releases it; a forked child is
//! another thread. The heir of a dead holder has it once, however often that one had it.
//!
//! Not here: how it is acquired, and what a death means, which it shares with `Lock` (`mod`).

use pyo3::prelude::*;

use super::{Holder, LongLock};
use crate::heap::default;
use crate::heap::pickling::Reduced;
use crate::object::{Object, OpenHeap};
use crate::waiting;

/// A lock that processes and threads share and that its holder may acquire again.
///
/// `RLock()` is a new one in the default heap; `Heap.rlock` makes or finds one in others, and
/// `Value.get_lock` gives the one beside a number.
///
/// As that of `multiprocessing` it belongs to a thread, which releases it as often as it acquired
/// it. When its holder dies, the next who acquires it has it once, with an `OwnerDiedWarning` that
/// names the dead process. Where that warning is made an exception, the lock is not acquired and
/// the next one is warned again. A lock made with `on_death="raise"` refuses everybody with
/// `OwnerDied` from then on, until one who has seen to what it guards calls `recover`.
///
/// Source: the contract of `multiprocessing.RLock`.
#[pyclass(frozen, weakref, module = "coheap")]
pub(crate) struct RLock {
    lock: LongLock<true>,
}

impl RLock {
    /// The lock that an object is.
    pub(crate) fn new(object: Object) -> Self {
        Self { lock: LongLock::new(object) }
    }

    /// What it stands on.
    pub(crate) fn object(&self) -> &Object {
        &self.lock.object
    }

    /// The lock of this name, made if there is none; without a name a new one.
    pub(crate) fn make(
        py: Python<'_>,
        heap: &OpenHeap,
        name: Option<&str>,
        on_death: &str,
    ) -> PyResult<Self> {
        LongLock::make(py, heap, name, on_death).map(|lock| Self { lock })
    }

    /// The lock beside the value that an object is.
    pub(crate) fn beside(value: Object) -> Self {
        Self::new(value.lock_beside())
    }
}

#[pymethods]
impl RLock {
    #[new]
    #[pyo3(signature = (*, on_death="warn"))]
    fn create(py: Python<'_>, on_death: &str) -> PyResult<Self> {
        Self::make(py, &default::open_heap(py)?, None, on_death)
    }

    /// Takes the lock, once more if the calling thread has it.
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
    ///     OwnerDied: A holder died, and the lock was made with `on_death="raise"`.
    ///     ValueError: The caller has it a million times.
    #[pyo3(signature = (block=true, timeout=None))]
    pub(crate) fn acquire(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = waiting::truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<bool> {
        self.lock.acquire(py, block, timeout)
    }

    /// Lets the lock go once; it is free when it was released as often as it was acquired.
    ///
    /// Raises:
    ///     AssertionError: The calling thread does not hold it.
    pub(crate) fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.lock.release(py)
    }

    /// Forgets that a holder died, and frees the lock if a dead process holds it.
    ///
    /// A lock that a living process holds stays held.
    ///
    /// Returns:
    ///     Whether there was a death to forget.
    fn recover(&self, py: Python<'_>) -> PyResult<bool> {
        self.lock.recover(py)
    }

    /// Whether somebody, perhaps a dead process, holds it.
    fn locked(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.lock.holder(py)?.is_some())
    }

    /// Who holds it, dead or alive, as `(pid, thread, seconds)`; None: nobody.
    ///
    /// `thread` is what `threading.get_native_id` says there, or None if the holder died before it
    /// had written it down. `seconds` tells how long it has been held, to about 0.01; None if a
    /// program that is not Python holds it.
    fn holder(&self, py: Python<'_>) -> PyResult<Option<Holder>> {
        self.lock.holder(py)
    }

    /// What a holder's death means: `"warn"` or `"raise"`.
    #[getter]
    fn on_death(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.lock.on_death(py)
    }

    pub(crate) fn __enter__(&self, py: Python<'_>) -> PyResult<bool> {
        self.lock.enter(py)
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

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    fn __eq__(&self, other: &Bound<'_, Self>) -> bool {
        self.lock.object.is_same(&other.get().lock.object)
    }

    fn __hash__(&self) -> u64 {
        self.lock.object.handle.at
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        self.lock.reduce(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.lock.describe(py, "RLock")
    }

    /// The name under which the heap has it, or the value that it belongs to.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.lock.object.name()
    }
}
