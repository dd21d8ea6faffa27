//! What is imported, or made, when an operation first needs it.
//!
//! What always holds: whoever imports something keeps others waiting for the import alone. Nobody
//! waits for another thread to make something: in a forked child that thread is not there.
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
        let found =
            first_of(&self.found, py, || Ok(py.import(self.module)?.getattr(self.name)?.unbind()))?;
        Ok(found.bind(py).clone())
    }
}

/// What is in the cell, made now if nothing is there. Several threads may make it at the same time,
/// and all get what was there first.
#[inline]
pub(crate) fn first_of<'a, T>(
    cell: &'a PyOnceLock<T>,
    py: Python<'_>,
    make: impl FnOnce() -> PyResult<T>,
) -> PyResult<&'a T> {
    match cell.get(py) {
        Some(found) => Ok(found),
        None => make_first(cell, py, make),
    }
}

#[cold]
fn make_first<'a, T>(
    cell: &'a PyOnceLock<T>,
    py: Python<'_>,
    make: impl FnOnce() -> PyResult<T>,
) -> PyResult<&'a T> {
    system::sleep_when_ended();
    let made = make()?;
    // The cell is busy for this call only, in which no other thread runs Python code.
    cell.get_or_try_init(py, || Ok(made))
}

/// Imports all of it now.
pub(crate) fn import_all(py: Python<'_>) {
    for module in MODULES {
        // Who needs it will be told.
        let _ = py.import(module);
    }
}
