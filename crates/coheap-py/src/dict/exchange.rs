//! Changes that depend on the current value.
//!
//! What always holds: the caller's code runs between two operations of the engine, never inside
//! one. The second operation checks that the value is still the one that the first operation read,
//! byte for byte.

use pyo3::prelude::*;

use super::{Dict, Entry, LOOKS, plain, until_claimed};
use crate::access::{Access, End, change, read};
use crate::late::Late;
use crate::scratch::Scratch;

/// How often a change is tried before the dict is locked.
const TRIES: u32 = 5;

static ABSENT: Late = Late::new("coheap._absent", "ABSENT");

pub(super) fn set_default<'py>(
    dict: &Dict,
    key: &Bound<'py, PyAny>,
    default: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = key.py();
    let default = default.unwrap_or_else(|| py.None().into_bound(py));
    let bytes = Scratch::key(key, dict.rules())?;
    let value = Scratch::dict_value(&default, &dict.object.heap)?;
    let mut out = Scratch::new();
    let is_new = change!(dict.object, py, |access| {
        access.map_set_default(&dict.map, &bytes, &value, &mut out)
    })?;
    dict.value(py, if is_new { &value } else { &out })
}

pub(super) fn update_with<'py>(
    dict: &Dict,
    key: &Bound<'py, PyAny>,
    change: &Bound<'py, PyAny>,
    default: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = key.py();
    let default = default.unwrap_or_else(|| py.None().into_bound(py));
    let key = Scratch::key(key, dict.rules())?;
    let mut old = Scratch::new();
    let mut once = || {
        let before = dict.load(py, &key, &mut old)?;
        let is_there = before.is_some();
        let value = change.call1((before.unwrap_or_else(|| default.clone()),))?;
        let new = Scratch::dict_value(&value, &dict.object.heap)?;
        let expected = is_there.then_some(old.as_slice());
        if exchange(py, dict, &key, expected, Some(&new))? {
            return dict.value(py, &new).map(Some);
        }
        py.check_signals().map(|()| None)
    };
    for _ in 0..TRIES {
        if let Some(new) = once()? {
            return Ok(new);
        }
    }
    // Others are faster than `change`: with the dict locked they wait.
    loop {
        if let Some(new) = plain::with_locked(py, dict, &mut once)? {
            return Ok(new);
        }
    }
}

/// Removes a key and returns its value. The value is loaded first: an entry whose value cannot be
/// loaded is not removed.
pub(super) fn pop<'py>(
    dict: &Dict,
    key: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = key.py();
    let Some(key) = Scratch::wanted(key, dict.rules())? else { return Ok(None) };
    let mut old = Scratch::new();
    while let Some(value) = dict.load_own(py, &key, &mut old)? {
        if exchange(py, dict, &key, Some(&old), None)? {
            return Ok(Some(value));
        }
        py.check_signals()?;
    }
    Ok(None)
}

/// Returns the entry at an end.
pub(super) fn at_end<'py>(dict: &Dict, py: Python<'py>, end: End) -> PyResult<Option<Entry<'py>>> {
    let (mut key, mut value) = (Scratch::new(), Scratch::new());
    until_claimed(py, LOOKS, || match read_end(dict, py, end, &mut key, &mut value)? {
        true => Ok(Some((dict.decode(py, &key)?, dict.value(py, &value)?))),
        false => Ok(None),
    })
}

fn read_end(
    dict: &Dict,
    py: Python<'_>,
    end: End,
    key: &mut Vec<u8>,
    value: &mut Vec<u8>,
) -> PyResult<bool> {
    read!(dict.object, py, |access| access.map_end(&dict.map, end, key, value))
}

/// As [`pop`], of the entry at an end.
pub(super) fn pop_end<'py>(dict: &Dict, py: Python<'py>, end: End) -> PyResult<Option<Entry<'py>>> {
    let (mut key, mut old) = (Scratch::new(), Scratch::new());
    while read_end(dict, py, end, &mut key, &mut old)? {
        // As long as it is there it can be loaded, or not be loaded.
        let Some(value) = dict.load_own(py, &key, &mut old)? else { continue };
        let is_done =
            change!(dict.object, py, |access| access.map_remove_end(&dict.map, end, &key, &old))?;
        if is_done {
            return Ok(Some((dict.decode(py, &key)?, value)));
        }
        py.check_signals()?;
    }
    Ok(None)
}

/// Moves a key behind all others. Returns `false` if it is missing.
pub(super) fn move_to_end(dict: &Dict, key: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = key.py();
    let Some(bytes) = Scratch::wanted(key, dict.rules())? else { return Ok(false) };
    let alone = |access: Access<'_>| match access {
        Access::Alone(context) => dict.map.move_to_end(context, &bytes).map(Some),
        Access::Inside(_) => Ok(None),
    };
    if let Some(is_there) = change!(dict.object, py, |access| alone(access))? {
        return Ok(is_there);
    }
    let mut old = Scratch::new();
    let Some(value) = dict.load(py, &bytes, &mut old)? else { return Ok(false) };
    // What it refers to is counted anew; that it is stored already says that it may be.
    let mut heap = dict.object.heap.clone();
    heap.rules.copies = true;
    let value = Scratch::dict_value(&value, &heap)?;
    change!(dict.object, py, |access| access.map_move_to_end(&dict.map, &bytes, &value))?;
    Ok(true)
}

/// Puts `new` under a key if what is there is exactly `expected`.
pub(super) fn exchange(
    py: Python<'_>,
    dict: &Dict,
    key: &[u8],
    expected: Option<&[u8]>,
    new: Option<&[u8]>,
) -> PyResult<bool> {
    change!(dict.object, py, |access| access.map_compare_and_set(&dict.map, key, expected, new))
}

pub(super) fn compare_and_set(
    dict: &Dict,
    key: &Bound<'_, PyAny>,
    expected: &Bound<'_, PyAny>,
    new: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    let py = key.py();
    let absent = ABSENT.get(py)?;
    let key = Scratch::key(key, dict.rules())?;
    let new = match new.is(&absent) {
        true => None,
        false => Some(Scratch::dict_value(new, &dict.object.heap)?),
    };
    let new = new.as_ref().map(|new| new.as_slice());
    if expected.is(&absent) {
        return exchange(py, dict, &key, None, new);
    }
    // Equal values may be different bytes: so what is there is compared as an object, and then
    // has to be there still.
    let mut old = Scratch::new();
    loop {
        match dict.load(py, &key, &mut old)? {
            Some(value) if value.eq(expected)? => {}
            _ => return Ok(false),
        }
        if exchange(py, dict, &key, Some(&old), new)? {
            return Ok(true);
        }
        py.check_signals()?;
    }
}
