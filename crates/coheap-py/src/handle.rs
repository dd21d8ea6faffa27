//! What handles have in common: which object they are, their copies, their pickles and their names.
//!
//! What always holds: handles are equal exactly if they are the same object of the same heap, and
//! a copy of a handle is that handle: what they share cannot be copied along with them.
//!
//! Not here: the equality and the copies of a Dict, which are those of its entries (`dict`).

use std::borrow::Cow;

use pyo3::PyClass;

use crate::object::Object;

/// A class whose instances are handles.
pub(crate) trait Handle: PyClass {
    /// What it stands on.
    fn object(&self) -> &Object;

    /// What its pickle says besides.
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

            /// The name under which the heap has it, or None.
            #[getter]
            fn name(&self) -> Option<&str> {
                $crate::handle::Handle::object(self).name()
            }
        }
    };
}

/// Gives a class of handles the equality of the objects, and copies that are the same handle.
macro_rules! identity {
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

            fn __eq__(&self, other: &pyo3::Bound<'_, Self>) -> bool {
                let own = $crate::handle::Handle::object(self);
                own.is_same($crate::handle::Handle::object(other.get()))
            }

            fn __hash__(&self) -> u64 {
                $crate::handle::Handle::object(self).handle().at
            }
        }
    };
}

pub(crate) use {identity, name_and_pickle};
