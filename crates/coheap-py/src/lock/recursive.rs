//! The class `RLock`: a lock that its holder may acquire again.
//!
//! What always holds: its holder is a thread, and only that thread releases it; a forked child is
//! another thread. The caller that acquires it after a death holds it once, however often the dead
//! holder had acquired it.
//!
//! Not here: how it is acquired, and what happens after a death, which `Lock` shares (`mod`).

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
/// `RLock()` creates one in the default heap; `Heap.rlock` creates or finds one in any heap, and
/// `Value.get_lock` returns the lock beside a number.
///
/// As with the lock of `multiprocessing`, it belongs to a thread, which releases it as often as it
/// acquired it. When the holder dies, the next caller acquires the lock once, with an
/// `OwnerDiedWarning`, which names the dead process. If that warning is raised as an exception, the
/// lock is not acquired, and the next caller is warned again. After a death, a lock created with
/// `on_death="raise"` refuses every caller with `OwnerDied`, until `recover` is called: repair the
/// data that the lock guards first.
///
/// Args:
///     on_death: `"warn"` or `"raise"`.
///
/// Raises:
///     ValueError: `on_death` is neither.
///     HeapFull: There is no room for the lock.
///
/// Source: the contract of `multiprocessing.RLock`.
#[pyclass(frozen, weakref, module = "coheap")]
pub(crate) struct RLock {
    lock: LongLock<true>,
}

impl RLock {
    /// Returns the lock of an object.
    pub(crate) fn new(lock: RecursiveMutex, object: Object) -> Self {
        Self { lock: LongLock { object, mutex: lock.mutex() } }
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

    /// Returns the lock beside a value.
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

    /// Acquire the lock, once more if the calling thread holds it already.
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
    ///     ValueError: `timeout` is NaN, or the caller holds the lock 4,096 times already.
    #[pyo3(signature = (block=true, timeout=None))]
    pub(crate) fn acquire(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = waiting::truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<bool> {
        self.lock.acquire(py, block, timeout)
    }

    /// Release the lock once. It is free when it was released as often as it was acquired.
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
