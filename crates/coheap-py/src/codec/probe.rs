//! The codec without a heap, for tests.
//!
//! What always holds: these functions encode and decode exactly as the objects of a heap do.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::Rules;

/// The largest value here, in bytes.
const MOST: u64 = 1 << 30;

/// Return the bytes of a value.
#[pyfunction]
#[pyo3(signature = (value, *, pickle=true))]
pub(crate) fn _encode<'py>(
    value: &Bound<'py, PyAny>,
    pickle: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::new();
    super::encode(value, Rules { pickle, max_bytes: MOST, copies: false }, &mut out)?;
    Ok(PyBytes::new(value.py(), &out))
}

/// Return the bytes of a key, in the form in which it is given.
#[pyfunction]
#[pyo3(signature = (key, *, pickle=true))]
pub(crate) fn _encode_key<'py>(
    key: &Bound<'py, PyAny>,
    pickle: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::new();
    super::encode_key(key, Rules { pickle, max_bytes: MOST, copies: false }, &mut out)?;
    Ok(PyBytes::new(key.py(), &out))
}

/// Return the canonical bytes of a key that is looked for, or None if no such key can have been stored.
#[pyfunction]
#[pyo3(signature = (key, *, pickle=true))]
pub(crate) fn _encode_wanted<'py>(
    key: &Bound<'py, PyAny>,
    pickle: bool,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let mut out = Vec::new();
    let rules = Rules { pickle, max_bytes: MOST, copies: false };
    let may_be_there = super::encode_wanted(key, rules, &mut out)?;
    Ok(may_be_there.then(|| PyBytes::new(key.py(), &out)))
}

/// Return the object that the bytes encode.
#[pyfunction]
#[pyo3(signature = (data, *, pickle=true))]
pub(crate) fn _decode<'py>(
    py: Python<'py>,
    data: &[u8],
    pickle: bool,
) -> PyResult<Bound<'py, PyAny>> {
    super::decode(py, data, Rules { pickle, max_bytes: MOST, copies: false })
}
