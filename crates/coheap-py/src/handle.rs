//! The common methods of handles: equality, copies, pickles and names.
//!
//! What always holds: two handles are equal exactly if they refer to the same object of the same
//! heap. A copy of a handle is the handle itself, because the shared object is not copied.
//!
//! Not here: a Dict compares and copies its entries instead (`dict`).

use std::borrow::Cow;

use pyo3::PyClass;

use crate::object::Object;

/// A class whose instances are handles.
pub(crate) trait Handle: PyClass {
    /// Returns the object that the handle refers to.
    fn object(&self) -> &Object;

    /// Returns the extra text in its pickle.
    fn more(&self) -> Cow<'static, str> {
        Cow::Borrowed("")
    }
}

/// Gives a class of handles its pickles and its name.
macro_rules! name_and_pickle {
    ($class:ident) => {
        #[pyo3::pymethods]
        impl $class {
            fn __reduce__<'py>(
                &self,
                py: pyo3::Python<'py>,
            ) -> pyo3::PyResult<$crate::heap::pickling::Reduced<'py>> {
                let object = $crate::handle::Handle::object(self);
                let more = $crate::handle::Handle::more(self);
                $crate::heap::pickling::reduce(py, object, &more)
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
