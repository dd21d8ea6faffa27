//! Additions to the numbers of a dict.
//!
//! What always holds: ints of 64 bits are added by one operation of the engine; other numbers replace
//! exactly the one to which they were added.

use coheap_core::Error;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt};

use super::{Dict, exchange};
use crate::access::Access;
use crate::scratch::Scratch;

/// Adds to the number of a key and returns the sum.
pub(super) fn increment<'py>(
    dict: &Dict,
    key: &Bound<'py, PyAny>,
    by: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = key.py();
    let bytes = Scratch::key(key, dict.rules())?;
    let by = match by {
        None => return small(dict, key, &bytes, 1),
        Some(by) => plain(key, by)?,
    };
    match by.cast::<PyFloat>() {
        Ok(_) => add(dict, key, &bytes, &by),
        Err(_) => match by.extract::<i64>() {
            Ok(by) => small(dict, key, &bytes, by),
            Err(error) if error.is_instance_of::<PyOverflowError>(py) => {
                Err(PyOverflowError::new_err(format!(
                    "{by} is added to key {}, and does not fit in 64 bits; nothing was changed",
                    key.repr()?
                )))
            }
            Err(error) => Err(error),
        },
    }
}

/// Returns a number as an int or a float of Python itself.
pub(super) fn plain<'py>(
    key: &Bound<'py, PyAny>,
    by: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = by.py();
    if by.is_exact_instance_of::<PyInt>() || by.is_exact_instance_of::<PyFloat>() {
        return Ok(by.clone());
    }
    if by.hasattr(intern!(py, "__index__"))? {
        return by.call_method0(intern!(py, "__index__"));
    }
    if by.is_instance_of::<PyFloat>() || is_number(by)? {
        return Ok(PyFloat::new(py, by.extract()?).into_any());
    }
    let (kind, key) = (by.get_type().qualname()?, key.repr()?);
    Err(PyTypeError::new_err(format!(
        "key {key} is increased by an int or a float, not {kind}; nothing was changed"
    )))
}

/// Returns whether this is a float of another library: it converts to one, and is no text.
fn is_number(by: &Bound<'_, PyAny>) -> PyResult<bool> {
    by.get_type().hasattr(intern!(by.py(), "__float__"))
}

/// Adds an int of 64 bits.
fn small<'py>(
    dict: &Dict,
    key: &Bound<'py, PyAny>,
    bytes: &[u8],
    by: i64,
) -> PyResult<Bound<'py, PyAny>> {
    let py = key.py();
    let addition = |access: Access<'_>| access.map_add(&dict.map, bytes, by);
    match dict.object.change_many(py, false, addition)? {
        Ok(sum) => Ok(sum.into_pyobject(py)?.into_any()),
        Err(Error::NotAnInteger) => add(dict, key, bytes, by.into_pyobject(py)?.as_any()),
        Err(Error::Overflow) => Err(PyOverflowError::new_err(format!(
            "the sum under key {} does not fit in 64 bits; nothing was changed",
            key.repr()?
        ))),
        Err(error) => Err(dict.object.explain(py, &error)),
    }
}

/// Adds to a float, or a float to an int.
fn add<'py>(
    dict: &Dict,
    key: &Bound<'py, PyAny>,
    bytes: &[u8],
    by: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = key.py();
    let mut old = Scratch::new();
    loop {
        let before = dict.load(py, bytes, &mut old)?;
        let sum = match &before {
            None => by.clone(),
            Some(before) if before.is_exact_instance_of::<PyFloat>() => before.add(by)?,
            Some(before)
                if before.is_instance_of::<PyInt>()
                    && !before.is_instance_of::<PyBool>()
                    && by.is_instance_of::<PyFloat>() =>
            {
                before.add(by)?
            }
            Some(before) => return Err(refused(key, before)?),
        };
        let new = Scratch::dict_value(&sum, &dict.object.heap)?;
        let expected = before.is_some().then_some(old.as_slice());
        if exchange::exchange(py, dict, bytes, expected, Some(&new))? {
            return Ok(sum);
        }
        py.check_signals()?;
    }
}

#[cold]
fn refused(key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let (kind, key) = (value.get_type().qualname()?, key.repr()?);
    let message = format!("the value under key {key} has type {kind}");
    if value.is_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>() {
        return Ok(PyTypeError::new_err(format!(
            "{message} and more than 64 bits; nothing was changed; use update_with"
        )));
    }
    Ok(PyTypeError::new_err(format!(
        "{message}, and is not an int or a float; nothing was changed; use update_with"
    )))
}
