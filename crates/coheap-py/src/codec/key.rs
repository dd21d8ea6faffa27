//! The encoding of keys: equal keys have equal bytes, whichever type and language they come from.
//!
//! In Python, `1 == 1.0 == True` and `0.0 == -0.0`; a map also treats every NaN as one key. A key
//! therefore has one canonical form at every depth: bools and whole floats are ints, every NaN is
//! the same bytes, and the items of a frozenset are sorted by their bytes. An instance of a subclass
//! of int, float or str counts as one of its base.

use coheap_core::wire::{
    KEY_NAN, MAX_DEPTH, TWO_TO_63, Tag, put_bytes, put_float, put_head, put_int, put_tag,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyFrozenSet, PyInt, PyString, PyTuple};

use super::{number, text, type_name};

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
        put_head(out, Tag::Tuple, tuple.len() as u64);
        tuple.iter().try_for_each(|item| put(&item, depth, out))
    } else if object.is_exact_instance_of::<PyBytes>() {
        put_bytes(out, Tag::Bytes, object.cast_exact::<PyBytes>()?.as_bytes());
        Ok(())
    } else if object.is_none() {
        put_tag(out, Tag::None);
        Ok(())
    } else if object.is_exact_instance_of::<PyBool>() {
        let value = i64::from(object.cast_exact::<PyBool>()?.is_true());
        put_int(out, value);
        Ok(())
    } else if let Ok(text) = object.cast::<PyString>() {
        text::put_str(text, out)
    } else if let Ok(int) = object.cast::<PyInt>() {
        number::put_int(int, out)
    } else if let Ok(float) = object.cast::<PyFloat>() {
        put_as_float(object.py(), float.value(), out)
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
        PyValueError::new_err(
            "a key has at most 64 levels of tuples and frozensets; nothing was changed",
        )
    })
}

fn put_as_float(py: Python<'_>, value: f64, out: &mut Vec<u8>) -> PyResult<()> {
    if value.is_nan() {
        put_float(out, KEY_NAN);
    } else if !value.is_finite() || value.fract() != 0.0 {
        put_float(out, value);
    } else if (-TWO_TO_63..TWO_TO_63).contains(&value) {
        put_int(out, value as i64);
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
    put_head(out, Tag::FrozenSet, items.len() as u64);
    items.iter().for_each(|bytes| out.extend_from_slice(bytes));
    Ok(())
}
