//! Keys as bytes: equal keys are equal bytes, whichever type and language they come from.
//!
//! Python holds that `1 == 1.0 == True` and `0.0 == -0.0`; a map holds besides that a NaN is
//! itself. So a key has one form at every depth: bools and whole floats are ints, every NaN is
//! one, the items of a frozenset lie in the order of their bytes. A subclass of int, float or str
//! counts as its base.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyFrozenSet, PyInt, PyString, PyTuple};

use super::wire::{MAX_DEPTH, put_bytes, put_head, put_word, tag};
use super::{number, text, type_name};

/// The one NaN that keys have.
const NAN: u64 = 0x7ff8_0000_0000_0000;
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// Appends the bytes of a key.
#[inline]
pub(crate) fn encode_key(object: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
    if object.is_exact_instance_of::<PyString>() {
        return text::put_str(object.cast_exact()?, out);
    }
    if object.is_exact_instance_of::<PyInt>() {
        return number::put_int(object.cast_exact()?, out);
    }
    let start = out.len();
    let done = put(object, MAX_DEPTH, out);
    if done.is_err() {
        out.truncate(start);
    }
    done
}

fn put(object: &Bound<'_, PyAny>, depth: u32, out: &mut Vec<u8>) -> PyResult<()> {
    if object.is_exact_instance_of::<PyTuple>() {
        let tuple = object.cast_exact::<PyTuple>()?;
        let depth = deeper(depth)?;
        put_head(out, tag::TUPLE, tuple.len());
        tuple.iter().try_for_each(|item| put(&item, depth, out))
    } else if object.is_exact_instance_of::<PyBytes>() {
        put_bytes(out, tag::BYTES, object.cast_exact::<PyBytes>()?.as_bytes());
        Ok(())
    } else if object.is_none() {
        out.push(tag::NONE);
        Ok(())
    } else if object.is_exact_instance_of::<PyBool>() {
        let value = i64::from(object.cast_exact::<PyBool>()?.is_true());
        put_word(out, tag::INT, value.to_le_bytes());
        Ok(())
    } else if let Ok(text) = object.cast::<PyString>() {
        text::put_str(text, out)
    } else if let Ok(int) = object.cast::<PyInt>() {
        number::put_int(int, out)
    } else if let Ok(float) = object.cast::<PyFloat>() {
        put_float(object.py(), float.value(), out)
    } else if object.is_exact_instance_of::<PyFrozenSet>() {
        put_frozenset(object.cast_exact()?, deeper(depth)?, out)
    } else {
        Err(PyTypeError::new_err(format!(
            "a key cannot be of type {}; nothing was changed; keys are None, bool, int, float, \
             str, bytes, and tuples and frozensets of these",
            type_name(object)
        )))
    }
}

fn deeper(depth: u32) -> PyResult<u32> {
    depth.checked_sub(1).ok_or_else(|| {
        PyValueError::new_err("a key may have 64 levels of tuples and frozensets at most")
    })
}

fn put_float(py: Python<'_>, value: f64, out: &mut Vec<u8>) -> PyResult<()> {
    if value.is_nan() {
        put_word(out, tag::FLOAT, NAN.to_le_bytes());
    } else if !value.is_finite() || value.fract() != 0.0 {
        put_word(out, tag::FLOAT, value.to_le_bytes());
    } else if (-TWO_TO_63..TWO_TO_63).contains(&value) {
        put_word(out, tag::INT, (value as i64).to_le_bytes());
    } else {
        let int = PyFloat::new(py, value).call_method0(intern!(py, "__int__"))?;
        number::put_int(int.cast()?, out)?;
    }
    Ok(())
}

fn put_frozenset(set: &Bound<'_, PyFrozenSet>, depth: u32, out: &mut Vec<u8>) -> PyResult<()> {
    let mut items = Vec::with_capacity(set.len());
    for item in set.iter() {
        let mut bytes = Vec::new();
        put(&item, depth, &mut bytes)?;
        items.push(bytes);
    }
    items.sort_unstable();
    items.dedup();
    put_head(out, tag::FROZENSET, items.len());
    items.iter().for_each(|bytes| out.extend_from_slice(bytes));
    Ok(())
}
