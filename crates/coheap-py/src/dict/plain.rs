//! A Dict as a plain dict: copies, comparison, `|`, and the repr.
//!
//! What always holds: a copy holds the entries of one moment.

use std::cell::RefCell;

use coheap_core::Pairs;
use coheap_core::system;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping};

use super::{Dict, Entry, LOOKS, until_claimed};
use crate::access::{change, read};
use crate::late::Late;
use crate::object::Object;
use crate::{atomic, errors};

/// A type of Python 3.15: it is not a `dict`, but has the operators of one.
static FROZENDICT: Late = Late::new("builtins", "frozendict");

/// How often all of a dict is read before it is locked.
const LOOKS_AT_ALL: u32 = 3;
/// The number of entries that a repr shows.
const SHOWN: u64 = 20;

/// All entries as they are at one moment.
fn pairs(py: Python<'_>, dict: &Dict) -> PyResult<Pairs> {
    system::sleep_when_ended();
    change!(dict.object, py, |access| access.map_entries(&dict.map))
}

pub(super) fn snapshot<'py>(py: Python<'py>, dict: &Dict) -> PyResult<Bound<'py, PyDict>> {
    match until_claimed(py, LOOKS_AT_ALL, || load(py, dict)) {
        Err(gone) if errors::is_gone(py, &gone) => {
            // With the dict locked, nobody replaces anything meanwhile.
            let own = Bound::new(py, Dict::new(dict.map, dict.object.clone()))?;
            atomic::with_locked(own.as_any(), || load(py, dict))
        }
        loaded => loaded,
    }
}

fn load<'py>(py: Python<'py>, dict: &Dict) -> PyResult<Bound<'py, PyDict>> {
    let plain = PyDict::new(py);
    for (key, value) in pairs(py, dict)?.iter() {
        plain.set_item(dict.decode(py, key)?, dict.decode(py, value)?)?;
    }
    Ok(plain)
}

pub(super) fn keys<'py>(py: Python<'py>, dict: &Dict) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let pairs = pairs(py, dict)?;
    pairs.iter().map(|(key, _)| dict.decode(py, key)).collect()
}

pub(super) fn equals<'py>(dict: &Dict, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = other.py();
    let other = if let Ok(other) = other.cast::<Dict>() {
        if dict.object.is_same(&other.get().object) {
            return Ok(true.into_pyobject(py)?.to_owned().into_any());
        }
        snapshot(py, other.get())?.into_any()
    } else if other.is_instance_of::<PyDict>() {
        other.clone()
    } else if other.is_instance_of::<PyMapping>() {
        let plain = PyDict::new(py);
        plain.update(other.cast()?)?;
        plain.into_any()
    } else {
        return Ok(py.NotImplemented().into_bound(py));
    };
    let is_equal = snapshot(py, dict)?.eq(other)?;
    Ok(is_equal.into_pyobject(py)?.to_owned().into_any())
}

/// `dict | other`, or the other way round.
pub(super) fn merge<'py>(
    dict: &Dict,
    other: &Bound<'py, PyAny>,
    is_other_first: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = other.py();
    let other = if let Ok(other) = other.cast::<Dict>() {
        snapshot(py, other.get())?
    } else if let Ok(other) = other.cast::<PyDict>() {
        other.copy()?
    } else if FROZENDICT.get(py).is_ok_and(|class| other.is_instance(&class).unwrap_or(false)) {
        let own = snapshot(py, dict)?.into_any();
        return if is_other_first { other.bitor(own) } else { own.bitor(other) };
    } else {
        return Ok(py.NotImplemented().into_bound(py));
    };
    let own = snapshot(py, dict)?;
    let (first, second) = if is_other_first { (other, own) } else { (own, other) };
    first.update(second.as_mapping())?;
    Ok(first.into_any())
}

/// Its name, its size, and the first few entries.
pub(super) fn repr(py: Python<'_>, dict: &Dict) -> PyResult<String> {
    let Some(_mark) = Showing::begin(&dict.object) else { return Ok("{...}".to_owned()) };
    let (len, first) = match until_claimed(py, LOOKS, || first(py, dict)) {
        Ok(first) => first,
        Err(error) => return dict.object.shown(py, Err(error)),
    };
    let mut shown = Vec::new();
    for (key, value) in first {
        shown.push(format!("{}: {}", key.repr()?, value.repr()?));
    }
    let rest = len.saturating_sub(shown.len() as u64);
    if rest > 0 {
        shown.push(format!("... and {rest} more"));
    }
    let name = dict.object.name().map_or_else(String::new, |name| format!("{name:?}, "));
    Ok(format!("coheap.Dict({name}{{{}}})", shown.join(", ")))
}

/// How many entries there are, and the first few of them.
fn first<'py>(py: Python<'py>, dict: &Dict) -> PyResult<(u64, Vec<Entry<'py>>)> {
    system::sleep_when_ended();
    let (len, first) = read!(dict.object, py, |access| access.map_first(&dict.map, SHOWN))?;
    let load = |(key, value): (&[u8], &[u8])| Ok((dict.decode(py, key)?, dict.decode(py, value)?));
    let first: PyResult<_> = first.iter().take(SHOWN as usize).map(load).collect();
    Ok((len, first?))
}

thread_local! {
    /// The dicts of which this thread makes a repr, one within the other.
    static SHOWING: RefCell<Vec<Object>> = const { RefCell::new(Vec::new()) };
}

/// A repr that is being made.
struct Showing;

impl Showing {
    /// `None`: it is being made already, so the dict is inside itself.
    fn begin(object: &Object) -> Option<Self> {
        SHOWING.with_borrow_mut(|showing| {
            let is_inside = showing.iter().any(|other| other.is_same(object));
            (!is_inside).then(|| {
                showing.push(object.clone());
                Self
            })
        })
    }
}

impl Drop for Showing {
    fn drop(&mut self) {
        let last = SHOWING.with_borrow_mut(Vec::pop);
        drop(last);
    }
}
