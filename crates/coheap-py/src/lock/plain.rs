//! The class `Lock`: the lock of `multiprocessing`, which is released when its holder dies.
//!
//! What always holds: any thread or process may release it, as with the lock of `multiprocessing`.
//!
//! Not here: how it is acquired, and what happens after a death, which `RLock` shares (`mod`).

use coheap_core::Mutex;
use pyo3::prelude::*;

use super::{LongLock, lock_methods};
use crate::handle::{Handle, identity, name_and_pickle};
use crate::heap::default;
use crate::object::{Object, OpenHeap};
use crate::waiting;

/// A lock that processes and threads share.
///
/// `Lock()` creates one in the default heap; `Heap.lock` creates or finds one in any heap.
///
/// As with the lock of `multiprocessing`, any thread or process may release it. When the holder
/// dies, the next caller acquires the lock with an `OwnerDiedWarning`, which names the dead process.
/// If that warning is raised as an exception, the lock is not acquired, and the next caller is
/// warned again. After a death, a lock created with `on_death="raise"` refuses every caller with
/// `OwnerDied`, until `recover` is called: repair the data that the lock guards first.
///
/// Args:
///     on_death: `"warn"` or `"raise"`.
///
/// Raises:
///     ValueError: `on_death` is neither.
///     HeapFull: There is no room for the lock.
///
/// Source: the contract of `multiprocessing.Lock`.
#[pyclass(frozen, weakref, module = "coheap")]
pub(crate) struct Lock {
    lock: LongLock<false>,
}

impl Lock {
    /// Returns the lock of an object.
    pub(crate) fn new(mutex: Mutex, object: Object) -> Self {
        Self { lock: LongLock { object, mutex } }
    }

    /// Returns the lock with this name, created if there is none; without a name, a new one.
    pub(crate) fn make(
        py: Python<'_>,
        heap: &OpenHeap,
        name: Option<&str>,
        on_death: &str,
    ) -> PyResult<Self> {
        LongLock::make(py, heap, name, on_death).map(|lock| Self { lock })
    }

    /// Returns whether a process, alive or dead, holds it.
    #[inline]
    pub(crate) fn is_held(&self, py: Python<'_>) -> PyResult<bool> {
        self.lock.is_held(py)
    }
}

#[pymethods]
impl Lock {
    #[new]
    #[pyo3(signature = (*, on_death="warn"))]
    fn create(py: Python<'_>, on_death: &str) -> PyResult<Self> {
        Self::make(py, &default::open_heap(py)?, None, on_death)
    }

    /// Acquire the lock.
    ///
    /// Args:
    ///     block: Whether to wait until the lock is free.
    ///     timeout: The number of seconds to wait at most; None is no limit, a negative number is 0.
    ///
    /// Returns:
    ///     Whether the caller acquired the lock.
    ///
    /// Raises:
    ///     DeadlockError: The caller and the holders of other locks have waited for each other in a
    ///         cycle for a second. Only a wait without a timeout raises it.
    ///     OwnerDied: A holder died, and the lock was created with `on_death="raise"`.
    ///     WouldBlock: The caller is in a block of `atomic` that holds something, and would wait.
    ///     ValueError: `timeout` is NaN.
    #[pyo3(signature = (block=true, timeout=None))]
    fn acquire(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = waiting::truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<bool> {
        self.lock.acquire(py, block, timeout)
    }

    /// Release the lock, whichever thread or process holds it.
    ///
    /// Raises:
    ///     ValueError: The lock is free.
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
