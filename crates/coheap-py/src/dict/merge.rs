//! `dict(d)`, `{**d}` and the like: the interpreter asks for the keys, and then for the value of each.
//!
//! These are many reads, but of one instruction of the program: nothing that the program does comes between.
//! So the iterator that this instruction gets of the keys copies the values, too, and they are the
//! answers to what it asks for next.
//!
//! What always holds: a value of a copy is returned only to the instruction for which it was made, for the
//! very object that was returned as the key, and in the order of the keys. Whatever else a thread does
//! ends that.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::intern;
use pyo3::prelude::*;

use super::Dict;
use super::plain::Copied;
use crate::late::Late;
use crate::object::Object;

static GET_FRAME: Late = Late::new("sys", "_getframe");

/// How many threads are at it.
static COUNT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static CURRENT: RefCell<Option<Merge>> = const { RefCell::new(None) };
}

/// An instruction of the program that is being executed: the address of its frame, and its place in that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) frame: usize,
    pub(super) instruction: isize,
}

/// The keys that an instruction has got, and what it will ask for.
struct Merge {
    place: Place,
    object: Object,
    copied: Arc<Copied>,
    keys: Vec<Py<PyAny>>,
    /// How many of them it has asked for.
    asked: usize,
}

impl Drop for Merge {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Place {
    /// The instruction that is being executed.
    pub(super) fn current(py: Python<'_>) -> PyResult<Self> {
        let frame = GET_FRAME.get(py)?.call0()?;
        let instruction = frame.getattr(intern!(py, "f_lasti"))?.extract()?;
        Ok(Self { frame: frame.as_ptr() as usize, instruction })
    }
}

/// Begins for the instruction that is being executed.
pub(super) fn begin(place: Place, dict: &Dict, copied: &Arc<Copied>) {
    let (object, copied) = (dict.object.clone(), Arc::clone(copied));
    COUNT.fetch_add(1, Ordering::Relaxed);
    replace(Some(Merge { place, object, copied, keys: Vec::new(), asked: 0 }));
}

/// Notes that a key of a copy is returned.
pub(super) fn note(copied: &Arc<Copied>, key: &Bound<'_, PyAny>) {
    CURRENT.with_borrow_mut(|current| {
        if let Some(merge) = current.as_mut().filter(|merge| Arc::ptr_eq(&merge.copied, copied)) {
            merge.keys.push(key.clone().unbind());
        }
    });
}

/// Returns the value of a key, if this is what the instruction asks for next.
#[inline(always)]
pub(super) fn value<'py>(
    dict: &Dict,
    key: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if COUNT.load(Ordering::Relaxed) == 0 { Ok(None) } else { find(dict, key) }
}

#[cold]
fn find<'py>(dict: &Dict, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = key.py();
    if CURRENT.with_borrow(Option::is_none) {
        return Ok(None);
    }
    let place = Place::current(py)?;
    let found = CURRENT.with_borrow_mut(|current| {
        let merge = current.as_mut()?;
        let is_next = merge.keys.get(merge.asked).is_some_and(|next| next.is(key));
        if !is_next || merge.place != place || !merge.object.is_same(&dict.object) {
            return None;
        }
        let number = merge.asked;
        merge.asked += 1;
        let is_last = merge.asked == merge.copied.pairs.len();
        Some((number, Arc::clone(&merge.copied), is_last))
    });
    let Some((number, copied, is_last)) = found else {
        replace(None);
        return Ok(None);
    };
    if is_last {
        replace(None);
    }
    copied.value(py, dict, number).map(Some)
}

/// Dropping what was there may run Python code.
fn replace(merge: Option<Merge>) {
    let before = CURRENT.with(|current| current.replace(merge));
    drop(before);
}
