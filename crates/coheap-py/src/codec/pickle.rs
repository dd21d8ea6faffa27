//! Pickle, protocol 5, for the types that the format does not know, where the heap allows it.
//!
//! What always holds: a heap opened with `pickle=False` neither writes nor loads a pickle. Pickling
//! runs code of the object, which may do anything, also to the heap.

use coheap_core::system;
use coheap_core::wire::Tag;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::{Rules, type_name};
use crate::apart;
use crate::late::Late;

const PROTOCOL: u8 = 5;

static DUMPS: Late = Late::new("pickle", "dumps");
static LOADS: Late = Late::new("pickle", "loads");

/// Appends an object as a pickle.
#[cold]
pub(super) fn put(object: &Bound<'_, PyAny>, rules: Rules, out: &mut Vec<u8>) -> PyResult<()> {
    let py = object.py();
    if !rules.pickle {
        return Err(PyTypeError::new_err(format!(
            "a value of type {} would have to be pickled, and this heap was opened with \
             pickle=False; nothing was changed; without pickle, values are None, bool, int, float, \
             complex, str, bytes, bytearray, and up to 64 levels of tuple, list, dict, set and \
             frozenset",
            type_name(object)
        )));
    }
    system::sleep_when_ended();
    let bytes = DUMPS.get(py)?.call1((object, PROTOCOL))?;
    apart::put(py, out, Tag::Pickle, bytes.cast::<PyBytes>()?.as_bytes());
    Ok(())
}

/// Loads the object from the payload of a `PICKLE`.
#[cold]
pub(super) fn load<'py>(
    py: Python<'py>,
    bytes: &[u8],
    rules: Rules,
) -> PyResult<Bound<'py, PyAny>> {
    if !rules.pickle {
        let refused = py.import("pickle")?.getattr("UnpicklingError")?;
        let message = "the value is pickled, and this heap was opened with pickle=False; \
                       nothing was changed; open the heap with pickle=True if you trust its writers";
        return Err(PyErr::from_value(refused.call1((message,))?));
    }
    system::sleep_when_ended();
    LOADS.get(py)?.call1((apart::bytes(py, bytes)?,))
}
