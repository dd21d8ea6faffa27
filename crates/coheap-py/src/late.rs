//! Objects that are imported, or created, when an operation first needs them.
//!
//! What always holds: other threads wait for an import only, and for nothing else. No thread waits
//! for another one to create something: in a forked child that other thread does not exist.
//!
//! Not here: when all of them are imported at once (`interpreter`).

use std::sync::OnceLock;

use coheap_core::system;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Modules that operations import when they first need them.
const MODULES: [&str; 4] = ["pickle", "coheap._atomic", "coheap._ends", "coheap._views"];

/// An attribute of a module that is imported when it is first needed.
pub(crate) struct Late {
    module: &'static str,
    name: &'static str,
    found: OnceLock<Py<PyAny>>,
}

impl Late {
    pub(crate) const fn new(module: &'static str, name: &'static str) -> Self {
        Self { module, name, found: OnceLock::new() }
    }

    #[inline]
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.found.get() {
            Some(found) => Ok(found.bind(py).clone()),
            None => self.import(py),
        }
    }

    /// As [`get`](Self::get), without importing the module: nothing in a program that did not import it
    /// can be of a type that it has.
    pub(crate) fn if_imported<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if let Some(found) = self.found.get() {
            return Ok(Some(found.bind(py).clone()));
        }
        let Some(module) = imported(py, self.module)? else { return Ok(None) };
        // A module that is only half imported may not have it yet.
        let Some(found) = module.getattr_opt(self.name)? else { return Ok(None) };
        first_of(&self.found, || Ok(found.unbind())).map(|found| Some(found.bind(py).clone()))
    }

    #[cold]
    fn import<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let found =
            first_of(&self.found, || Ok(py.import(self.module)?.getattr(self.name)?.unbind()))?;
        Ok(found.bind(py).clone())
    }
}

/// Whether it is an instance of a type whose module was imported.
pub(crate) fn is_a(object: &Bound<'_, PyAny>, kind: &Late) -> PyResult<bool> {
    match kind.if_imported(object.py())? {
        Some(kind) => object.is_instance(&kind),
        None => Ok(false),
    }
}

static IMPORTED: OnceLock<Py<PyDict>> = OnceLock::new();

/// Returns a module that was imported, or is being imported.
pub(crate) fn imported<'py>(py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    let modules = first_of(&IMPORTED, || {
        Ok(py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?.unbind())
    })?;
    modules.bind(py).get_item(name)
}

/// Returns the content of the cell, which is created first if the cell is empty. Several threads may
/// create it at the same time; all of them get the first one.
#[inline]
pub(crate) fn first_of<T>(cell: &OnceLock<T>, make: impl FnOnce() -> PyResult<T>) -> PyResult<&T> {
    match cell.get() {
        Some(found) => Ok(found),
        None => make_first(cell, make),
    }
}

#[cold]
fn make_first<T>(cell: &OnceLock<T>, make: impl FnOnce() -> PyResult<T>) -> PyResult<&T> {
    system::sleep_when_ended();
    let made = make()?;
    // The cell is busy for one move only. That of PyO3 is busy while a thread waits for the interpreter
    // lock, and in a child that is forked meanwhile for ever.
    Ok(cell.get_or_init(|| made))
}

/// Imports all of these modules now.
pub(crate) fn import_all(py: Python<'_>) {
    for module in MODULES {
        // An operation that needs the module reports the error.
        let _ = py.import(module);
    }
}
