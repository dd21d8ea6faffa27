//! The class `Lock`: the lock of `multiprocessing`, which no death can keep.
//!
//! What always holds: anybody may release it, as that of `multiprocessing`.
//!
//! Not here: how it is acquired, and what a death means, which it shares with `RLock` (`mod`).

use coheap_core::Mutex;
use pyo3::prelude::*;

use super::{LongLock, lock_methods};
use crate::handle::{Handle, identity, name_and_pickle};
use crate::heap::default;
use crate::object::{Object, OpenHeap};
use crate::waiting;

/// A lock that processes and threads share.
///
/// `Lock()` is a new one in the default heap; `Heap.lock` makes or finds one in others.
///
/// As that of `multiprocessing` it may be released by another than who acquired it. When its
/// holder dies, the next who acquires it has it, with an `OwnerDiedWarning` that names the dead
/// process. Where that warning is made an exception, the lock is not acquired and the next one is
/// warned again. A lock made with `on_death="raise"` refuses everybody with `OwnerDied` from then
/// on, until one who has seen to what it guards calls `recover`.
///
/// Source: the contract of `multiprocessing.Lock`.
#[pyclass(frozen, weakref, module = "coheap")]
pub(crate) struct Lock {
    lock: LongLock<false>,
}

impl Lock {
    /// The lock that an object is.
    pub(crate) fn new(mutex: Mutex, object: Object) -> Self {
        Self { lock: LongLock { object, mutex } }
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
}

#[pymethods]
impl Lock {
    #[new]
    #[pyo3(signature = (*, on_death="warn"))]
    fn create(py: Python<'_>, on_death: &str) -> PyResult<Self> {
        Self::make(py, &default::open_heap(py)?, None, on_death)
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
    ///     OwnerDied: A holder died, and the lock was made with `on_death="raise"`.
    #[pyo3(signature = (block=true, timeout=None))]
    fn acquire(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = waiting::truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<bool> {
        self.lock.acquire(py, block, timeout)
    }

    /// Lets the lock go, whoever holds it.
    ///
    /// Raises:
    ///     ValueError: Nobody does.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.lock.release(py)
    }
}

impl Handle for Lock {
    fn object(&self) -> &Object {
        &self.lock.object
    }
}

lock_methods!(Lock);
name_and_pickle!(Lock);
identity!(Lock);
