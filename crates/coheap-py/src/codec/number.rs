//! Ints beyond 64 bits: two's complement, little endian, in as few bytes as hold the sign.
//!
//! What always holds: only the methods of `int` itself are called, never those of a subclass.

use coheap_core::wire::{self, Tag, put_bytes};
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt};
use pyo3::{intern, types::IntoPyDict as _};

use super::Unreadable;

/// Appends an int (or the base of a subclass of it) of any size.
#[inline]
pub(super) fn put_int(object: &Bound<'_, PyInt>, out: &mut Vec<u8>) -> PyResult<()> {
    match object.extract::<i64>() {
        Ok(value) => {
            wire::put_int(out, value);
            Ok(())
        }
        Err(error) => put_big(object, out, error),
    }
}

#[cold]
fn put_big(object: &Bound<'_, PyInt>, out: &mut Vec<u8>, error: PyErr) -> PyResult<()> {
    let py = object.py();
    if !error.is_instance_of::<PyOverflowError>(py) {
        return Err(error);
    }
    let int = py.get_type::<PyInt>();
    let bits: usize = int.call_method1(intern!(py, "bit_length"), (object,))?.extract()?;
    let args = (object, bits / 8 + 1, intern!(py, "little"));
    let bytes = int.call_method(intern!(py, "to_bytes"), args, Some(&signed(py)?))?;
    let bytes = bytes.cast::<PyBytes>()?.as_bytes();
    // A power of two below zero needs no bit for its sign.
    let len = match bytes {
        [.., before, 0xff] if before & 0x80 != 0 => bytes.len() - 1,
        _ => bytes.len(),
    };
    put_bytes(out, Tag::BigInt, &bytes[..len]);
    Ok(())
}

/// The int in the payload of a `BIG_INT`.
pub(super) fn big<'py>(
    py: Python<'py>,
    bytes: &[u8],
) -> PyResult<Result<Bound<'py, PyAny>, Unreadable>> {
    if !wire::is_minimal(bytes) {
        return Ok(Err("an int is not stored in its shortest form"));
    }
    let args = (PyBytes::new(py, bytes), intern!(py, "little"));
    let int = py.get_type::<PyInt>();
    int.call_method(intern!(py, "from_bytes"), args, Some(&signed(py)?)).map(Ok)
}

fn signed(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    [(intern!(py, "signed"), true)].into_py_dict(py)
}
