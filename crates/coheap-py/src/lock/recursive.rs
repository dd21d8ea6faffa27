//! The class `RLock`: a lock that its holder may acquire again.
//!
//! What always holds: its holder is a thread, and nobody else releases it; a forked child is
//! another thread. The heir of a dead holder has it once, however often that one had it.
//!
//! Not here: how it is acquired, and what a death means, which it shares with `Lock` (`mod`).

use std::borrow::Cow;

use coheap_core::{RecursiveMutex, Value};
use pyo3::prelude::*;

use super::{BESIDE, LongLock, lock_methods};
use crate::handle::{Handle, identity, name_and_pickle};
use crate::heap::default;
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
    pub(crate) fn new(lock: RecursiveMutex, object: Object) -> Self {
        Self { lock: LongLock { object, mutex: lock.mutex() } }
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
    pub(crate) fn beside(value: Value, object: Object) -> Self {
        let lock = value.lock_beside();
        Self::new(lock, object.lock_beside(lock))
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
}

impl Handle for RLock {
    fn object(&self) -> &Object {
        &self.lock.object
    }

    fn more(&self) -> Cow<'static, str> {
        Cow::Borrowed(BESIDE)
    }
}

lock_methods!(RLock);
name_and_pickle!(RLock);
identity!(RLock);
