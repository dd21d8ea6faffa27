//! Strs: UTF-8. A str with lone surrogates, which UTF-8 cannot encode, has a tag of its own.
//!
//! What always holds: only the methods of `str` itself are called, never those of a subclass.

use coheap_core::wire::{Tag, put_bytes};
use pyo3::exceptions::PyUnicodeEncodeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::Unreadable;
use crate::apart;

/// Appends a str (or the base of a subclass of it).
#[inline]
pub(super) fn put_str(object: &Bound<'_, PyString>, out: &mut Vec<u8>) -> PyResult<()> {
    match object.to_str() {
        Ok(text) => {
            apart::put(object.py(), out, Tag::Str, text.as_bytes());
            Ok(())
        }
        Err(error) => put_surrogates(object, out, error),
    }
}

#[cold]
fn put_surrogates(object: &Bound<'_, PyString>, out: &mut Vec<u8>, error: PyErr) -> PyResult<()> {
    let py = object.py();
    if !error.is_instance_of::<PyUnicodeEncodeError>(py) {
        return Err(error);
    }
    let args = (object, intern!(py, "utf-8"), intern!(py, "surrogatepass"));
    let bytes = py.get_type::<PyString>().call_method1(intern!(py, "encode"), args)?;
    put_bytes(out, Tag::StrSurrogates, bytes.cast::<PyBytes>()?.as_bytes());
    Ok(())
}

/// The str in the payload of a `STR_SURROGATES`.
#[cold]
pub(super) fn surrogates<'py>(
    py: Python<'py>,
    bytes: &[u8],
) -> Result<Bound<'py, PyAny>, Unreadable> {
    let args = (intern!(py, "utf-8"), intern!(py, "surrogatepass"));
    let text = PyBytes::new(py, bytes).call_method1(intern!(py, "decode"), args);
    text.map_err(|_| "a str is not UTF-8 with surrogates")
}
