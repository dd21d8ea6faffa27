//! A Value where a number is expected.
//!
//! What always holds: nothing that looks at the handle in place of the number is silent about it.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyComplex, PyFloat, PyInt, PyString};

use super::Value;
use crate::handle::Handle;

#[cold]
fn no_number(what: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "a coheap.Value is not {what}; write v.value, which is its number"
    ))
}

#[pymethods]
impl Value {
    fn __int__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.get_type::<PyInt>().call1((self.get(py)?,))
    }

    fn __float__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.get_type::<PyFloat>().call1((self.get(py)?,))
    }

    fn __format__<'py>(
        &self,
        py: Python<'py>,
        spec: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.get(py)?.call_method1("__format__", (spec,))
    }

    fn __bool__(&self) -> PyResult<bool> {
        Err(no_number("true or false"))
    }

    /// Two handles are equal if they refer to the same object.
    fn __eq__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let py = other.py();
        if let Ok(other) = other.cast::<Self>() {
            let is_same = self.object().is_same(other.get().object());
            return Ok(is_same.into_pyobject(py)?.to_owned().into_any().unbind());
        }
        let is_number = other.is_instance_of::<PyInt>()
            || other.is_instance_of::<PyFloat>()
            || other.is_instance_of::<PyComplex>()
            || other.get_type().hasattr("__float__")?;
        if is_number {
            return Err(no_number("compared with a number"));
        }
        Ok(py.NotImplemented())
    }
}
