//! Many entries at once.
//!
//! What always holds: all entries are bytes before the first one is written, in one pass with the
//! interpreter let go where there are many.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::Dict;
use crate::codec::{self, Rules};
use crate::scratch::Scratch;

/// So many entries are written without the interpreter.
const MANY: usize = 100;

/// Takes over entries as `dict.update` does.
pub(super) fn update(
    dict: &Dict,
    others: &Bound<'_, PyTuple>,
    named: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    if others.len() > 1 {
        let message = format!("update expected at most 1 argument, got {}", others.len());
        return Err(PyTypeError::new_err(message));
    }
    let mut entries = Entries::new(dict.rules());
    if let Ok(other) = others.get_item(0) {
        entries.gather(&other)?;
    }
    if let Some(named) = named {
        entries.gather(named)?;
    }
    entries.write(others.py(), dict)
}

/// Adds to the ints under many keys.
pub(super) fn increment_many(dict: &Dict, counts: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = counts.py();
    let mut bytes = Scratch::new();
    let mut ends = Vec::new();
    let mut add = |key: &Bound<'_, PyAny>, by: &Bound<'_, PyAny>| {
        codec::encode_key(key, &mut bytes)?;
        ends.push((bytes.len(), by.extract::<i64>()?));
        Ok(())
    };
    for_each_pair(counts, &mut add)?;
    let (bytes, ends): (&[u8], &[_]) = (&bytes, &ends);
    run_all(py, dict, ends.len(), |context, index| {
        let start = index.checked_sub(1).map_or(0, |before| ends[before].0);
        let (end, by) = ends[index];
        dict.map.add(context, &bytes[start..end], by).map(|_| ())
    })
}

/// Encoded pairs, one behind the other.
struct Entries {
    rules: Rules,
    bytes: Scratch,
    /// Where each key and each value ends.
    ends: Vec<(usize, usize)>,
}

impl Entries {
    fn new(rules: Rules) -> Self {
        Self { rules, bytes: Scratch::new(), ends: Vec::new() }
    }

    /// Adds what `dict.update` would take from an object.
    fn gather(&mut self, other: &Bound<'_, PyAny>) -> PyResult<()> {
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

    fn add(&mut self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        codec::encode_key(key, &mut self.bytes)?;
        let key_end = self.bytes.len();
        codec::encode_for_dict(value, self.rules, &mut self.bytes)?;
        self.ends.push((key_end, self.bytes.len()));
        Ok(())
    }

    fn write(&self, py: Python<'_>, dict: &Dict) -> PyResult<()> {
        let (bytes, ends): (&[u8], &[_]) = (&self.bytes, &self.ends);
        run_all(py, dict, ends.len(), |context, index| {
            let start = index.checked_sub(1).map_or(0, |before| ends[before].1);
            let (key_end, end) = ends[index];
            dict.map.set(context, &bytes[start..key_end], &bytes[key_end..end]).map(|_| ())
        })
    }
}

/// Runs an operation for each of `count` entries, from the first to the one that fails.
fn run_all(
    py: Python<'_>,
    dict: &Dict,
    count: usize,
    operation: impl Fn(&coheap_core::journal::Context, usize) -> coheap_core::Result<()> + Sync,
) -> PyResult<()> {
    let mut done = 0;
    loop {
        let engine = &dict.object.door.engine;
        let mut all = || {
            engine.with(|context| {
                while done < count {
                    operation(context, done)?;
                    done += 1;
                }
                Ok(())
            })
        };
        let stays = count < MANY && !dict.object.is_in_transaction();
        let answer = if stays { all() } else { py.detach(all) };
        match answer {
            Ok(()) => return Ok(()),
            Err(coheap_core::Error::Interrupted) => py.check_signals()?,
            Err(error) => return Err(dict.object.explain(py, &error)),
        }
    }
}

/// What is done with a key and its value.
type Visit<'a> = dyn FnMut(&Bound<'_, PyAny>, &Bound<'_, PyAny>) -> PyResult<()> + 'a;

/// Goes through a mapping.
fn for_each_pair(mapping: &Bound<'_, PyAny>, visit: &mut Visit<'_>) -> PyResult<()> {
    if let Ok(dict) = mapping.cast_exact::<PyDict>() {
        // What is visited may run Python code, which may change the dict.
        let pairs: Vec<_> = dict.iter().collect();
        return pairs.iter().try_for_each(|(key, value)| visit(key, value));
    }
    if let Ok(dict) = mapping.cast::<Dict>() {
        return for_each_pair(dict.get().snapshot(mapping.py())?.as_any(), visit);
    }
    for key in mapping.call_method0(intern!(mapping.py(), "keys"))?.try_iter()? {
        let key = key?;
        visit(&key, &mapping.get_item(&key)?)?;
    }
    Ok(())
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
