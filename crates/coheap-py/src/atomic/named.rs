//! The objects that a block names: locks, which are held around it, and others, which it locks first.
//!
//! What always holds: they are locked in the order of their offsets, so blocks that name all their
//! objects cannot deadlock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use coheap_core::{Error, system};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::dict::Dict;
use crate::errors;
use crate::handle::Handle;
use crate::lock::{Lock, RLock};
use crate::object::Object;
use crate::queue::WorkQueue;
use crate::value::Value;
use crate::waiting;

/// The objects that a block names.
#[derive(Default)]
pub(super) struct Named {
    objects: Vec<Py<PyAny>>,
    /// The named locks that are held, while the block is open.
    held: Mutex<Vec<Py<PyAny>>>,
}

impl Named {
    /// Returns an error for anything that is not an object of a heap.
    pub(super) fn new<'py>(objects: impl IntoIterator<Item = Bound<'py, PyAny>>) -> PyResult<Self> {
        let objects = objects.into_iter().map(checked).collect::<PyResult<_>>()?;
        Ok(Self { objects, held: Mutex::default() })
    }

    /// Returns the same objects, for another block.
    pub(super) fn again(&self, py: Python<'_>) -> Self {
        let objects = self.objects.iter().map(|object| object.clone_ref(py)).collect();
        Self { objects, held: Mutex::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Acquires the locks, for which there are so many seconds in total.
    pub(super) fn take_locks(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        if self.objects.is_empty() {
            return Ok(());
        }
        let is_lock =
            |it: &Bound<'_, PyAny>| it.is_instance_of::<Lock>() || it.is_instance_of::<RLock>();
        let offset = |it: &Bound<'_, PyAny>| object_of(it).map(|object| object.handle().at);
        let mut locks: Vec<_> = self.objects.iter().map(|it| it.bind(py)).collect();
        locks.retain(|it| is_lock(it));
        locks.sort_by_key(|it| offset(it));
        locks.dedup_by_key(|it| offset(it));
        let deadline = timeout.and_then(waiting::after);
        for lock in locks {
            let left = deadline.map(|end| end.saturating_sub(system::now()) as f64 / 1e9);
            let acquire = || lock.call_method1("acquire", (true, left))?.extract::<bool>();
            let refused = match acquire() {
                Ok(true) => {
                    self.held().push(lock.clone().unbind());
                    continue;
                }
                Ok(false) => errors::to_python(py, &Error::TimedOut, "coheap.atomic"),
                Err(error) => error,
            };
            return self.give_locks(py).and(Err(refused));
        }
        Ok(())
    }

    /// Lets go of the locks.
    pub(super) fn give_locks(&self, py: Python<'_>) -> PyResult<()> {
        if self.objects.is_empty() {
            return Ok(());
        }
        let held = std::mem::take(&mut *self.held());
        let mut given = Ok(());
        for lock in held.iter().rev() {
            given = given.and(lock.call_method0(py, "release").map(|_| ()));
        }
        given
    }

    /// Whether locks are held.
    pub(super) fn has_locks(&self) -> bool {
        !self.objects.is_empty() && !self.held().is_empty()
    }

    fn held(&self) -> MutexGuard<'_, Vec<Py<PyAny>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes all of them part of the block that the caller is in.
    pub(super) fn lock_all(&self, py: Python<'_>) -> PyResult<()> {
        let mut all: Vec<_> = self.objects.iter().filter_map(|it| object_of(it.bind(py))).collect();
        all.sort_by_key(|object| object.handle().at);
        all.iter().try_for_each(|object| object.lock_inside(py))
    }
}

/// Returns whether a Python object is an object of a heap.
pub(super) fn is_ours(object: &Bound<'_, PyAny>) -> bool {
    object_of(object).is_some()
}

/// Returns the object of a Python handle.
fn object_of(object: &Bound<'_, PyAny>) -> Option<Object> {
    fn of<T: Handle>(object: &Bound<'_, PyAny>) -> Option<Object> {
        object.cast::<T>().ok().map(|object| object.borrow().object().clone())
    }
    let classes = [of::<Dict>, of::<Value>, of::<WorkQueue>, of::<Lock>, of::<RLock>];
    classes.iter().find_map(|of| of(object))
}

fn checked(object: Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    if is_ours(&object) {
        return Ok(object.unbind());
    }
    Err(PyTypeError::new_err(format!(
        "atomic takes objects of a heap, or one function to decorate, not {}; nothing was changed",
        object.get_type().name()?
    )))
}
