//! Warnings about options that an existing heap or queue does not have.
//!
//! What always holds: a warning names the object, and both values. What the caller did not ask for
//! is not compared.

use std::ffi::CString;

use coheap_core::system;
use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;

/// Warns that an object was created with one value of an option and is opened with another.
#[cold]
pub(crate) fn warn(
    py: Python<'_>,
    subject: &str,
    option: &str,
    has: &str,
    asked: &str,
    outcome: &str,
) -> PyResult<()> {
    system::sleep_when_ended();
    let message = CString::new(format!(
        "{subject} was created with {option}={has}, and is opened with {option}={asked}; {outcome}"
    ))?;
    PyErr::warn(py, &py.get_type::<PyUserWarning>(), &message, 1)
}

/// What becomes of an option that an object has since it was created.
pub(crate) const KEPT: &str = "it keeps what it was created with";

/// How Python writes a truth value.
pub(crate) fn truth(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}
