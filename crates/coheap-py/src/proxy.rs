//! The base of `DictProxy`: what is used most of the dict of a manager without a server.
//!
//! What always holds: each call asks first whether the manager is open. Its lock is free as long as it is.
//!
//! Not here: the other methods, which need no speed (`coheap._shared`).

use pyo3::exceptions::PyBrokenPipeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::dict::Dict;
use crate::lock::Lock;

/// The number of the error: a pipe without another end.
const EPIPE: i32 = 32;

/// The base of `DictProxy`.
#[pyclass(frozen, subclass, generic, weakref, module = "coheap._native", name = "_DictProxy")]
pub(crate) struct DictProxy {
    end: Py<Lock>,
    dict: Py<Dict>,
}

impl DictProxy {
    /// The dict, while the manager is open.
    #[inline]
    fn open(&self, py: Python<'_>) -> PyResult<&Dict> {
        if self.end.get().is_held(py)? { Err(gone()) } else { Ok(self.dict.get()) }
    }
}

#[cold]
fn gone() -> PyErr {
    let message = "the manager was shut down; nothing was changed; keep it open while its objects are \
                   in use";
    PyBrokenPipeError::new_err((EPIPE, message))
}

#[pymethods]
impl DictProxy {
    #[new]
    fn new(end: Py<Lock>, dict: Py<Dict>) -> Self {
        Self { end, dict }
    }

    /// The lock that is free while the manager is open.
    #[getter]
    fn _end(&self, py: Python<'_>) -> Py<Lock> {
        self.end.clone_ref(py)
    }

    /// The dict, whether the manager is open or not.
    #[getter]
    fn _dict(&self, py: Python<'_>) -> Py<Dict> {
        self.dict.clone_ref(py)
    }

    /// The dict, while the manager is open.
    #[getter]
    fn _open(&self, py: Python<'_>) -> PyResult<Py<Dict>> {
        self.open(py).map(|_| self.dict.clone_ref(py))
    }

    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.open(key.py())?.__getitem__(key)
    }

    fn __setitem__(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.open(key.py())?.__setitem__(key, value)
    }

    fn __delitem__(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        self.open(key.py())?.__delitem__(key)
    }

    fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.open(key.py())?.__contains__(key)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.open(py)?.__len__(py)
    }

    /// Return a copy of the value of a key, or `default` if the key is missing.
    #[pyo3(signature = (key, default=None, /))]
    fn get<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.open(key.py())?.get(key, default)
    }

    /// Remove a key and return its value; return `default` if the key is missing.
    #[pyo3(signature = (key, /, *default))]
    fn pop<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.open(key.py())?.pop(key, default)
    }

    /// Return the value of a key; set it to `default` first if the key is missing.
    #[pyo3(signature = (key, default=None, /))]
    fn setdefault<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.open(key.py())?.setdefault(key, default)
    }
}
