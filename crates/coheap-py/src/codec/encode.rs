//! The encoder: from a Python object to the bytes of a value.
//!
//! What always holds: the items of a container are counted before they are written. Python code that
//! runs meanwhile (for a pickled item) cannot change what is written: the items were copied first;
//! for a list, the count is compared at the end.
//!
//! A value that is nested too deeply, or contains itself, is pickled as a whole.

use std::collections::HashSet;

use coheap_core::parcel;
use coheap_core::wire::{MAX_DEPTH, Tag, put_bytes, put_complex, put_float, put_head, put_tag};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyComplex, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet,
    PyString, PyTuple,
};
use smallvec::SmallVec;

use super::{Rules, number, pickle, text, type_name};
use crate::late::{Late, is_a};
use crate::{apart, errors};

/// Items that are taken out of a container without asking for memory.
pub(super) const FEW: usize = 8;

/// Appends the bytes of a value.
#[inline]
pub(crate) fn encode(object: &Bound<'_, PyAny>, rules: Rules, out: &mut Vec<u8>) -> PyResult<()> {
    let start = out.len();
    match put(object, rules, MAX_DEPTH, out) {
        Ok(()) => Ok(()),
        Err(refusal) => after_refusal(object, rules, refusal, start, out),
    }
}

/// As [`encode`], for the value of a dict, which must not be a mutable container, unless the dict
/// keeps copies.
#[inline]
pub(crate) fn encode_for_dict(
    object: &Bound<'_, PyAny>,
    rules: Rules,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    if put_plain(object, out)? {
        return Ok(());
    }
    if !rules.copies {
        refuse_mutable(object)?;
    }
    encode(object, rules, out)
}

/// Why encoding stopped.
pub(super) enum Refusal {
    /// Too many levels, perhaps without an end.
    TooDeep,
    /// More bytes than the heap has.
    TooLarge,
    /// Python said so.
    Python(PyErr),
}

impl From<PyErr> for Refusal {
    #[cold]
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

#[cold]
fn after_refusal(
    object: &Bound<'_, PyAny>,
    rules: Rules,
    refusal: Refusal,
    start: usize,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    let written = out.len() - start;
    out.truncate(start);
    match refusal {
        Refusal::Python(error) => Err(error),
        Refusal::TooLarge => Err(errors::heap_full(object.py(), written as u64, rules.max_bytes)),
        Refusal::TooDeep if rules.pickle => pickle::put(object, rules, out),
        Refusal::TooDeep => Err(PyValueError::new_err(
            "the value has more than 64 levels of containers, or contains itself, and this heap \
             was opened with pickle=False; nothing was changed; use fewer levels",
        )),
    }
}

static DEQUE: Late = Late::new("collections", "deque");
static ARRAY: Late = Late::new("array", "array");
static NAMESPACE: Late = Late::new("types", "SimpleNamespace");
static NDARRAY: Late = Late::new("numpy", "ndarray");

fn is_mutable(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    if object.is_instance_of::<PyList>()
        || object.is_instance_of::<PyDict>()
        || object.is_instance_of::<PySet>()
        || object.is_instance_of::<PyByteArray>()
    {
        return Ok(true);
    }
    for kind in [&DEQUE, &ARRAY, &NAMESPACE] {
        if is_a(object, kind)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuses what is changed in place, also inside of tuples.
#[cold]
fn refuse_mutable(object: &Bound<'_, PyAny>) -> PyResult<()> {
    let Ok(tuple) = object.cast::<PyTuple>() else { return refuse_if_mutable(object, "") };
    // Each tuple once, however often it is in others.
    let mut left = vec![tuple.clone()];
    let mut seen = HashSet::from([tuple.as_ptr()]);
    while let Some(tuple) = left.pop() {
        for item in tuple.iter().filter(|item| !is_plain(item)) {
            match item.cast::<PyTuple>() {
                Ok(inner) if seen.insert(inner.as_ptr()) => left.push(inner.clone()),
                Ok(_) => {}
                Err(_) => refuse_if_mutable(&item, ", also inside of a tuple")?,
            }
        }
    }
    Ok(())
}

fn refuse_if_mutable(object: &Bound<'_, PyAny>, place: &str) -> PyResult<()> {
    if !is_mutable(object)? {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!(
        "a {} cannot be a value of a Dict{place}: a Dict stores a copy, and changes to the original would \
         be lost; nothing was changed; store a tuple (or bytes, frozenset), or make the dict with \
         heap.dict(name, copies=True), which stores copies as the dict of a multiprocessing.Manager does",
        type_name(object)
    )))
}

/// Whether the bytes may be those of an array, or of a tuple with arrays.
#[inline]
pub(crate) fn may_hold_arrays(bytes: &[u8]) -> bool {
    let tag = parcel::value_in(bytes).first().copied();
    tag == Some(Tag::Pickle as u8) || tag == Some(Tag::Tuple as u8)
}

/// Has arrays refuse changes, also inside of tuples.
#[cold]
pub(crate) fn freeze_arrays(value: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Ok(tuple) = value.cast::<PyTuple>() {
        // A value that was decoded has few levels.
        return tuple
            .iter()
            .filter(|item| !is_plain(item))
            .try_for_each(|item| freeze_arrays(&item));
    }
    if is_a(value, &NDARRAY)? {
        value.call_method1(intern!(value.py(), "setflags"), (false,))?;
    }
    Ok(())
}

/// Whether encoding it, as a key or a value, runs no code but that of built-in types.
#[inline]
pub(crate) fn is_plain(object: &Bound<'_, PyAny>) -> bool {
    object.is_exact_instance_of::<PyInt>()
        || object.is_exact_instance_of::<PyString>()
        || object.is_exact_instance_of::<PyFloat>()
        || object.is_none()
        || object.is_exact_instance_of::<PyBool>()
        || object.is_exact_instance_of::<PyBytes>()
}

/// Appends what is no container. `false`: it is something else, and nothing was appended.
#[inline]
fn put_plain(object: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<bool> {
    if object.is_exact_instance_of::<PyInt>() {
        number::put_int(object.cast_exact()?, out)?;
    } else if object.is_exact_instance_of::<PyString>() {
        text::put_str(object.cast_exact()?, out)?;
    } else if object.is_exact_instance_of::<PyFloat>() {
        put_float(out, object.cast_exact::<PyFloat>()?.value());
    } else if object.is_none() {
        put_tag(out, Tag::None);
    } else if object.is_exact_instance_of::<PyBool>() {
        let is_true = object.cast_exact::<PyBool>()?.is_true();
        put_tag(out, if is_true { Tag::True } else { Tag::False });
    } else if object.is_exact_instance_of::<PyBytes>() {
        apart::put(object.py(), out, Tag::Bytes, object.cast_exact::<PyBytes>()?.as_bytes());
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// Appends a value that may have `depth` more levels.
fn put(
    object: &Bound<'_, PyAny>,
    rules: Rules,
    depth: u32,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    if put_plain(object, out)? {
        Ok(())
    } else if object.is_exact_instance_of::<PyTuple>() {
        let tuple = object.cast_exact::<PyTuple>().map_err(PyErr::from)?;
        put_head(out, Tag::Tuple, tuple.len() as u64);
        put_all(tuple.iter(), rules, deeper(rules, depth, out)?, out)
    } else if object.is_exact_instance_of::<PyList>() {
        put_list(object.cast_exact().map_err(PyErr::from)?, rules, deeper(rules, depth, out)?, out)
    } else if object.is_exact_instance_of::<PyDict>() {
        put_dict(object.cast_exact().map_err(PyErr::from)?, rules, deeper(rules, depth, out)?, out)
    } else if object.is_exact_instance_of::<PySet>() {
        let set = object.cast_exact::<PySet>().map_err(PyErr::from)?;
        let items: SmallVec<[Bound<'_, PyAny>; FEW]> = set.iter().collect();
        put_head(out, Tag::Set, items.len() as u64);
        put_all(items, rules, deeper(rules, depth, out)?, out)
    } else if object.is_exact_instance_of::<PyFrozenSet>() {
        let set = object.cast_exact::<PyFrozenSet>().map_err(PyErr::from)?;
        put_head(out, Tag::FrozenSet, set.len() as u64);
        put_all(set.iter(), rules, deeper(rules, depth, out)?, out)
    } else {
        put_rare(object, rules, out).map_err(Refusal::Python)
    }
}

#[cold]
fn put_rare(object: &Bound<'_, PyAny>, rules: Rules, out: &mut Vec<u8>) -> PyResult<()> {
    if object.is_exact_instance_of::<PyComplex>() {
        let value = object.cast_exact::<PyComplex>()?;
        put_complex(out, value.real(), value.imag());
        Ok(())
    } else if object.is_exact_instance_of::<PyByteArray>() {
        put_bytes(out, Tag::ByteArray, &object.cast_exact::<PyByteArray>()?.to_vec());
        Ok(())
    } else {
        pickle::put(object, rules, out)
    }
}

/// The levels left inside of a container.
#[inline]
fn deeper(rules: Rules, depth: u32, out: &[u8]) -> Result<u32, Refusal> {
    if out.len() as u64 > rules.max_bytes {
        return Err(Refusal::TooLarge);
    }
    depth.checked_sub(1).ok_or(Refusal::TooDeep)
}

fn put_all<'py>(
    items: impl IntoIterator<Item = Bound<'py, PyAny>>,
    rules: Rules,
    depth: u32,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    for item in items {
        put(&item, rules, depth, out)?;
    }
    Ok(())
}

fn put_list(
    list: &Bound<'_, PyList>,
    rules: Rules,
    depth: u32,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let len = list.len();
    put_head(out, Tag::List, len as u64);
    for index in 0..len {
        let Ok(item) = list.get_item(index) else { return Err(changed_meanwhile()) };
        put(&item, rules, depth, out)?;
    }
    if list.len() != len {
        return Err(changed_meanwhile());
    }
    Ok(())
}

fn put_dict(
    dict: &Bound<'_, PyDict>,
    rules: Rules,
    depth: u32,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let pairs: SmallVec<[(Bound<'_, PyAny>, Bound<'_, PyAny>); FEW]> = dict.iter().collect();
    put_head(out, Tag::Dict, pairs.len() as u64);
    for (key, value) in pairs {
        put(&key, rules, depth, out)?;
        put(&value, rules, depth, out)?;
    }
    Ok(())
}

#[cold]
fn changed_meanwhile() -> Refusal {
    Refusal::Python(PyRuntimeError::new_err(
        "the list changed its size while it was being stored; nothing was changed in the heap; \
         store it again",
    ))
}
