//! What is imported when an operation first needs it.
//!
//! What always holds: who imports something keeps others waiting for the import alone.
//!
//! Not here: when all of it is imported at once (`interpreter`).

use coheap_core::system;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// Modules that operations import when they first need them.
const MODULES: [&str; 4] = ["pickle", "coheap._atomic", "coheap._ends", "coheap._views"];

/// Something that is imported when it is first needed.
pub(crate) struct Late {
    module: &'static str,
    name: &'static str,
    found: PyOnceLock<Py<PyAny>>,
}

impl Late {
    pub(crate) const fn new(module: &'static str, name: &'static str) -> Self {
        Self { module, name, found: PyOnceLock::new() }
    }

    #[inline]
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.found.get(py) {
            Some(found) => Ok(found.bind(py).clone()),
            None => self.import(py),
        }
    }

    #[cold]
    fn import<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        system::sleep_when_ended();
        let found = py.import(self.module)?.getattr(self.name)?;
        // Another thread may have been faster; it found the same.
        let _ = self.found.set(py, found.clone().unbind());
        Ok(found)
    }
}

/// Imports all of it now.
pub(crate) fn import_all(py: Python<'_>) {
    for module in MODULES {
        // Who needs it will be told.
        let _ = py.import(module);
    }
}
