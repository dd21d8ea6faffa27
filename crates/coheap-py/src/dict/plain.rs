//! A Dict as a plain dict: copies, comparison, `|`, and the repr.
//!
//! What always holds: a copy holds the entries of one moment.

use std::cell::RefCell;
use std::collections::BTreeMap;

use coheap_core::{Pairs, Take, parcel, system};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping};

use super::{Dict, Entry};
use crate::access::{Access, read};
use crate::late::Late;
use crate::object::Object;
use crate::scratch::{Scratch, ScratchPairs};
use crate::{atomic, errors};

/// A type of Python 3.15: it is not a `dict`, but has the operators of one.
static FROZENDICT: Late = Late::new("builtins", "frozendict");

/// How often a value is read that others keep replacing.
pub(super) const LOOKS: u32 = 100;
/// How often all of a dict is read before it is locked.
const LOOKS_AT_ALL: u32 = 3;
/// The number of entries that a repr shows.
const SHOWN: u64 = 20;

/// Entries that are looked at together.
const PART: u64 = 512;
/// Dicts of so many entries are copied without the interpreter: its other threads go on.
const MANY: u64 = 4096;

/// All entries as they were at one moment, or only their keys or their values.
pub(super) struct Copied {
    pub(super) pairs: Pairs,
    /// The values that refer to objects, by their numbers: these were claimed when the copy was made.
    pub(super) loaded: BTreeMap<usize, Py<PyAny>>,
}

impl Copied {
    pub(super) fn of(py: Python<'_>, dict: &Dict, take: Take) -> PyResult<Self> {
        all_claimed(py, dict, || Self::once(py, dict, take))
    }

    /// Returns the key of an entry.
    pub(super) fn key<'py>(
        &self,
        py: Python<'py>,
        dict: &Dict,
        number: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (bytes, _) = self.pairs.get(number).ok_or_else(no_entry)?;
        dict.decode(py, bytes)
    }

    /// Returns the value of an entry.
    pub(super) fn value<'py>(
        &self,
        py: Python<'py>,
        dict: &Dict,
        number: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        match (self.loaded.get(&number), self.pairs.get(number)) {
            (Some(loaded), _) => Ok(loaded.bind(py).clone()),
            (None, Some((_, bytes))) => dict.value(py, bytes),
            (None, None) => Err(no_entry()),
        }
    }

    fn once(py: Python<'_>, dict: &Dict, take: Take) -> PyResult<Self> {
        system::sleep_when_ended();
        let is_long = read!(dict.object, py, |access| access.map_len(&dict.map))? >= MANY;
        let copy = |access: Access<'_>| access.map_entries(&dict.map, take);
        let pairs = dict.object.change_many(py, is_long, copy)?;
        let pairs = pairs.map_err(|error| dict.object.explain(py, &error))?;
        let mut loaded = BTreeMap::new();
        if take != Take::Keys {
            for (number, (_, value)) in pairs.iter().enumerate() {
                if parcel::is_parcel(value) {
                    loaded.insert(number, dict.value(py, value)?.unbind());
                }
            }
        }
        Ok(Self { pairs, loaded })
    }
}

/// Reads and loads something. If an object that the value refers to ended before it was claimed, the
/// value was replaced meanwhile: reads again.
#[inline(always)]
pub(super) fn until_claimed<T>(
    py: Python<'_>,
    mut looks: u32,
    mut load: impl FnMut() -> PyResult<T>,
) -> PyResult<T> {
    loop {
        match load() {
            Ok(loaded) => return Ok(loaded),
            Err(gone) if looks > 1 && errors::is_gone(py, &gone) => looks -= 1,
            Err(error) => return Err(error),
        }
    }
}

/// As [`until_claimed`], of many entries. In the end the dict is locked, so that nobody replaces anything
/// meanwhile.
fn all_claimed<T>(
    py: Python<'_>,
    dict: &Dict,
    mut load: impl FnMut() -> PyResult<T>,
) -> PyResult<T> {
    match until_claimed(py, LOOKS_AT_ALL, &mut load) {
        Err(gone) if errors::is_gone(py, &gone) => with_locked(py, dict, load),
        loaded => loaded,
    }
}

/// Does something in a block that has locked the dict.
pub(super) fn with_locked<T>(
    py: Python<'_>,
    dict: &Dict,
    work: impl FnOnce() -> PyResult<T>,
) -> PyResult<T> {
    let own = Bound::new(py, Dict::new(dict.map, dict.object.clone()))?;
    atomic::with_locked(own.as_any(), work)
}

#[cold]
fn no_entry() -> PyErr {
    PyIndexError::new_err("entry of a copy")
}

pub(super) fn snapshot<'py>(py: Python<'py>, dict: &Dict) -> PyResult<Bound<'py, PyDict>> {
    let copied = Copied::of(py, dict, Take::Both)?;
    let plain = PyDict::new(py);
    for (number, (key, _)) in copied.pairs.iter().enumerate() {
        plain.set_item(dict.decode(py, key)?, copied.value(py, dict, number)?)?;
    }
    Ok(plain)
}

/// Those of some keys that are there, and their values, as they were at one moment.
pub(super) fn get_many<'py>(dict: &Dict, keys: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    let py = keys.py();
    system::sleep_when_ended();
    let (mut wanted, mut encoded) = (Vec::new(), ScratchPairs::new());
    for key in keys.try_iter()? {
        let key = key?;
        if let Some(bytes) = Scratch::wanted(&key, dict.rules())? {
            encoded.extend([(bytes.as_slice(), &[][..])]);
            wanted.push(key);
        }
    }
    let encoded: &Pairs = &encoded;
    all_claimed(py, dict, || {
        let get = |access: Access<'_>| access.map_get_many(&dict.map, encoded);
        let found = dict.object.change_many(py, wanted.len() as u64 >= MANY, get)?;
        let found = found.map_err(|error| dict.object.explain(py, &error))?;
        let plain = PyDict::new(py);
        for (number, (_, value)) in found.numbers.iter().zip(found.values.iter()) {
            plain.set_item(&wanted[*number], dict.value(py, value)?)?;
        }
        Ok(plain)
    })
}

/// Returns whether a value is there. It looks at part after part: what is stored or removed meanwhile may
/// be seen or not.
pub(super) fn has_value(dict: &Dict, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = value.py();
    system::sleep_when_ended();
    let (mut next, mut numbering) = (Some(0), None);
    while let Some(from) = next {
        let batch = read!(dict.object, py, |access| access.map_scan(&dict.map, from, PART))?;
        // Where entries were moved, what has yet to be looked at may lie before.
        let is_moved = numbering.replace(batch.numbering).is_some_and(|old| old != batch.numbering);
        if is_moved {
            next = Some(0);
            continue;
        }
        for (_, bytes) in batch.entries.iter() {
            match dict.decode(py, bytes) {
                Ok(own) if own.is(value) || own.eq(value)? => return Ok(true),
                Err(error) if !errors::is_gone(py, &error) => return Err(error),
                _ => {}
            }
        }
        next = batch.next;
        py.check_signals()?;
    }
    Ok(false)
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
    let len = read!(dict.object, py, |access| access.map_len(&dict.map))?;
    // Entries need not be copied to see that there is another number of them.
    let is_equal = len == other.len()? as u64 && snapshot(py, dict)?.eq(other)?;
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
    let (len, first) = read!(dict.object, py, |access| access.map_beginning(&dict.map, SHOWN))?;
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
