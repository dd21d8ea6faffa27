//! Operations on many entries at once.
//!
//! What always holds: all entries are encoded first. Then the engine is called once for each change that it
//! takes, in a block once, without the interpreter lock if there are many entries.

use std::ops::Range;

use coheap_core::Pairs;
use coheap_core::map_parts;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyTuple};

use super::{Dict, numbers};
use crate::access::Access;
use crate::atomic;
use crate::codec;
use crate::late::Late;
use crate::object::OpenHeap;
use crate::scratch::{Scratch, ScratchPairs};

static COUNTER: Late = Late::new("collections", "Counter");

/// From this number of entries on, they are written without the interpreter lock.
const MANY: usize = 100;

/// Adds or replaces entries as `dict.update` does.
pub(super) fn update(
    dict: &Dict,
    others: &Bound<'_, PyTuple>,
    named: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    if others.len() > 1 {
        let message = format!("update expected at most 1 argument, got {}", others.len());
        return Err(PyTypeError::new_err(message));
    }
    let mut entries = Entries::new(&dict.object.heap);
    if let Ok(other) = others.get_item(0) {
        entries.gather(&other)?;
    }
    if let Some(named) = named {
        entries.gather(named)?;
    }
    let pairs: &Pairs = &entries.pairs;
    in_parts(others.py(), dict, pairs.len(), |access, numbers| {
        access.map_set_part(&dict.map, pairs, numbers)
    })
}

/// Adds to the ints of many keys.
pub(super) fn increment_many(dict: &Dict, counts: &Bound<'_, PyAny>) -> PyResult<()> {
    let mut bytes = Scratch::new();
    let mut ends = Vec::new();
    let mut add = |key: &Bound<'_, PyAny>, by: &Bound<'_, PyAny>| {
        codec::encode_key(key, dict.rules(), &mut bytes)?;
        let by = numbers::plain(key, by)?;
        match by.extract::<i64>() {
            Ok(by) => ends.push((bytes.len(), by)),
            Err(error) if by.is_instance_of::<PyFloat>() => {
                let message = format!(
                    "increment_many adds ints, not {by} to key {}; nothing was changed; use increment",
                    key.repr()?
                );
                let refused = PyTypeError::new_err(message);
                refused.set_cause(key.py(), Some(error));
                return Err(refused);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    };
    for_each_pair(counts, &mut add)?;
    let mut start = 0;
    let additions: Vec<(&[u8], i64)> = ends
        .iter()
        .map(|(end, by)| (&bytes[std::mem::replace(&mut start, *end)..*end], *by))
        .collect();
    let py = counts.py();
    in_parts(py, dict, additions.len(), |access, numbers| {
        access.map_add_part(&dict.map, &additions[numbers])
    })
}

/// Writes so many entries: in a block all at once, and else with one change, or as many as it takes.
fn in_parts(
    py: Python<'_>,
    dict: &Dict,
    count: usize,
    write: impl Fn(Access<'_>, Range<usize>) -> coheap_core::Result<()> + Sync,
) -> PyResult<()> {
    let is_long = count >= MANY;
    let each = |numbers: Range<usize>| {
        let part = |access: Access<'_>| write(access, numbers.clone());
        let done = dict.object.change_many(py, is_long, part)?;
        done.map_err(|error| dict.object.explain(py, &error))
    };
    match atomic::current(py)? {
        Some(_) => each(0..count),
        None => map_parts(count).try_for_each(each),
    }
}

/// Encoded pairs.
struct Entries<'a> {
    heap: &'a OpenHeap,
    pairs: ScratchPairs,
    /// Values that refer to objects, until they are stored.
    packed: Vec<Scratch>,
}

impl<'a> Entries<'a> {
    fn new(heap: &'a OpenHeap) -> Self {
        Self { heap, pairs: ScratchPairs::new(), packed: Vec::new() }
    }

    /// Adds what `dict.update` would take from an object.
    fn gather(&mut self, other: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(dict) = as_dict(other)? {
            if self.gather_plain(dict)? {
                return Ok(());
            }
        }
        let is_mapping =
            other.is_instance_of::<PyDict>() || other.hasattr(intern!(other.py(), "keys"))?;
        if is_mapping {
            return for_each_pair(other, &mut |key, value| self.add(key, value));
        }
        for (index, pair) in other.try_iter()?.enumerate() {
            let (key, value) = two_of(&pair?, index)?;
            self.add(&key, &value)?;
        }
        Ok(())
    }

    /// Adds the entries of a dict whose encoding runs no code that could change the dict. `false`:
    /// there are others, and none was added.
    fn gather_plain(&mut self, dict: &Bound<'_, PyDict>) -> PyResult<bool> {
        let before = self.pairs.len();
        self.pairs.reserve(dict.len());
        for (key, value) in dict.iter() {
            if !codec::is_plain(&key) || !codec::is_plain(&value) {
                self.pairs.truncate(before);
                return Ok(false);
            }
            self.add(&key, &value)?;
        }
        Ok(true)
    }

    #[inline]
    fn add(&mut self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let (heap, packed) = (self.heap, &mut self.packed);
        self.pairs.push_with(
            |bytes| codec::encode_key(key, heap.rules, bytes),
            |bytes| {
                if codec::is_plain(value) {
                    return codec::encode_for_dict(value, heap.rules, bytes);
                }
                let scratch = Scratch::dict_value(value, heap)?;
                bytes.extend_from_slice(&scratch);
                if scratch.is_packed() {
                    packed.push(scratch);
                }
                Ok(())
            },
        )
    }
}

/// What is done with a key and its value.
type Visit<'a> = dyn FnMut(&Bound<'_, PyAny>, &Bound<'_, PyAny>) -> PyResult<()> + 'a;

/// Goes through a mapping.
fn for_each_pair(mapping: &Bound<'_, PyAny>, visit: &mut Visit<'_>) -> PyResult<()> {
    if let Some(dict) = as_dict(mapping)? {
        // What is visited may run Python code, which may change the dict.
        let pairs: Vec<_> = dict.iter().collect();
        return pairs.iter().try_for_each(|(key, value)| visit(key, value));
    }
    if let Ok(dict) = mapping.cast::<Dict>() {
        return for_each_pair(dict.get().snapshot(mapping.py())?.as_any(), visit);
    }
    let Some(keys) = mapping.getattr_opt(intern!(mapping.py(), "keys"))? else {
        let name = mapping.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "increment_many takes a mapping, not {name}; nothing was changed"
        )));
    };
    for key in keys.call0()?.try_iter()? {
        let key = key?;
        visit(&key, &mapping.get_item(&key)?)?;
    }
    Ok(())
}

/// Returns a mapping that is exactly a `dict` or a `collections.Counter`: iterating over it runs no
/// user code.
fn as_dict<'a, 'py>(mapping: &'a Bound<'py, PyAny>) -> PyResult<Option<&'a Bound<'py, PyDict>>> {
    let Ok(dict) = mapping.cast::<PyDict>() else { return Ok(None) };
    let is_plain =
        dict.is_exact_instance_of::<PyDict>() || dict.get_type().is(&COUNTER.get(mapping.py())?);
    Ok(is_plain.then_some(dict))
}

fn two_of<'py>(
    pair: &Bound<'py, PyAny>,
    index: usize,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let Ok(items) = pair.try_iter() else {
        return Err(PyTypeError::new_err(format!(
            "cannot convert dictionary update sequence element #{index} to a sequence"
        )));
    };
    let mut items: Vec<_> = items.collect::<PyResult<_>>()?;
    match (items.pop(), items.pop(), items.len()) {
        (Some(value), Some(key), 0) => Ok((key, value)),
        (value, key, more) => Err(PyValueError::new_err(format!(
            "dictionary update sequence element #{index} has length {}; 2 is required",
            more + usize::from(value.is_some()) + usize::from(key.is_some())
        ))),
    }
}
