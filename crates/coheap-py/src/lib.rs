//! The native half of the Python face: the module `coheap._native`.
//!
//! All that Python can see is listed in the one block below. So far that is the version, enough
//! to build, install and import the package; the containers follow with the Python face.
//!
//! What always holds: nothing here blocks while it is attached to the interpreter, and all
//! classes are safe without the GIL, which is why the module says `gil_used = false`.
//!
//! Not here: anything that works on plain Python objects only (`python/coheap`).

#![deny(unsafe_code)]

use pyo3::prelude::*;

/// Native half of coheap; use the package `coheap` instead.
#[pymodule(gil_used = false)]
mod _native {
    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
