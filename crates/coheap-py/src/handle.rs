//! The common methods of handles: equality, copies, pickles and names.
//!
//! What always holds: two handles are equal exactly if they refer to the same object of the same
//! heap. A copy of a handle is the handle itself, because the shared object is not copied.
//!
//! An instance of a class that users have derived is pickled with its class and its attributes.
//!
//! Not here: a Dict compares and copies its entries instead (`dict`).

use std::borrow::Cow;
use std::cell::RefCell;

use pyo3::PyClass;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::heap::pickling;
use crate::object::Object;

/// A class whose instances are handles.
pub(crate) trait Handle:
    PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Sync
{
    /// Returns the object that the handle refers to.
    fn object(&self) -> &Object;

    /// Returns the extra text in its pickle.
    fn more(&self) -> Cow<'static, str> {
        Cow::Borrowed("")
    }
}

/// Pickles a handle as an instance of its class, which may be one of users.
pub(crate) fn reduce<'py, T: Handle>(handle: &Bound<'py, T>) -> PyResult<Bound<'py, PyTuple>> {
    let py = handle.py();
    let own = handle.get();
    let (function, which) = pickling::reduce(py, own.object(), &own.more())?;
    let handle = handle.as_any();
    if handle.get_type().is(py.get_type::<T>()) {
        return (function, which).into_pyobject(py);
    }
    let function = py.import("coheap._native")?.getattr("_open_as")?;
    let which = (handle.get_type(), which).into_pyobject(py)?;
    match handle.getattr_opt("__dict__")?.filter(|state| state.is_truthy().unwrap_or(false)) {
        Some(state) => (function, which, state).into_pyobject(py),
        None => (function, which).into_pyobject(py),
    }
}

thread_local! {
    /// The handle that the next new instance of a class of users stands for.
    static ADOPTED: RefCell<Option<Py<PyAny>>> = const { RefCell::new(None) };
}

/// Makes a new instance, which stands for the object of a handle.
pub(crate) fn adopting<T>(handle: &Bound<'_, PyAny>, make: impl FnOnce() -> T) -> T {
    ADOPTED.set(Some(handle.clone().unbind()));
    let made = make();
    ADOPTED.take();
    made
}

/// The handle that a new instance stands for, if it is opened and not created.
pub(crate) fn adopted<'py, T: Handle>(py: Python<'py>) -> Option<Bound<'py, T>> {
    let handle = ADOPTED.take()?;
    handle.into_bound(py).cast_into().ok()
}

/// Gives a class of handles its pickles and its name.
macro_rules! name_and_pickle {
    ($class:ident) => {
        #[pyo3::pymethods]
        impl $class {
            fn __reduce__<'py>(
                slf: &pyo3::Bound<'py, Self>,
            ) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::types::PyTuple>> {
                $crate::handle::reduce(slf)
            }

            /// The name of the object in its heap, or None.
            #[getter]
            fn name(&self) -> Option<&str> {
                $crate::handle::Handle::object(self).name()
            }
        }
    };
}

/// Gives a class of handles copies that are the same handle.
macro_rules! same_when_copied {
    ($class:ident) => {
        #[pyo3::pymethods]
        impl $class {
            fn __copy__(slf: pyo3::Py<Self>) -> pyo3::Py<Self> {
                slf
            }

            fn __deepcopy__(
                slf: pyo3::Py<Self>,
                _memo: &pyo3::Bound<'_, pyo3::PyAny>,
            ) -> pyo3::Py<Self> {
                slf
            }

            fn __hash__(&self) -> u64 {
                $crate::handle::Handle::object(self).handle().at
            }
        }
    };
}

/// Gives a class of handles equality by object, and copies that are the same handle.
macro_rules! identity {
    ($class:ident) => {
        $crate::handle::same_when_copied!($class);

        #[pyo3::pymethods]
        impl $class {
            fn __eq__(&self, other: &pyo3::Bound<'_, Self>) -> bool {
                let own = $crate::handle::Handle::object(self);
                own.is_same($crate::handle::Handle::object(other.get()))
            }
        }
    };
}

pub(crate) use {identity, name_and_pickle, same_when_copied};
