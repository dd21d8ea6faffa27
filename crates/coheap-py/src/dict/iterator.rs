//! The iterators over a dict.
//!
//! Entries are read in batches. While the turn's sequence is the same, nothing was written and the
//! batch is current. After a write, the iterator raises what `dict` raises if the size changed, and
//! reads each value again before it returns it. In a block of `atomic` it does so at each step,
//! because only the block itself writes to the dict then; it ends after as many entries as there were
//! when it began.
//!
//! In a block, an iterator from the last key back does not care about the size: keys that are added are
//! not in its way, and one that is removed may come or not.
//!
//! What always holds: no call waits for the state: a call that finds it locked raises an error.

use std::sync::{Mutex, TryLockError};

use coheap_core::Map;
use coheap_core::Pairs;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use super::{Dict, LOOKS, until_claimed};
use crate::access::{Access, read};
use crate::atomic;
use crate::codec;
use crate::object::Object;
use crate::scratch::Scratch;

/// Entries of the first batch and of the largest.
const FIRST: u64 = 16;
const MOST: u64 = 512;

/// What an iterator returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Keys,
    Values,
    Items,
}

/// An iterator over a dict.
#[pyclass(frozen, module = "coheap")]
pub(crate) struct DictIterator {
    object: Object,
    map: Map,
    what: What,
    /// The block of `atomic` in which it began.
    block: Option<u64>,
    /// From the last entry back, in a block.
    is_backward: bool,
    state: Mutex<State>,
}

struct State {
    batch: Pairs,
    /// The index of the next entry in the batch.
    number: usize,
    /// The position where the next batch begins; `None` after the last one.
    next: Option<u64>,
    most: u64,
    numbering: Option<u64>,
    /// The turn's sequence when the batch was read.
    sequence: Option<u64>,
    len: u64,
    given: u64,
    /// All entries were given.
    is_over: bool,
}

impl State {
    /// Returns a copy of the next entry of the batch. Decoding it may run Python code, which may call
    /// the iterator again.
    fn take(&mut self) -> Option<(Scratch, Scratch)> {
        let (key, value) = self.batch.get(self.number)?;
        let pair = (Scratch::copy(key), Scratch::copy(value));
        self.number += 1;
        self.given += 1;
        Some(pair)
    }
}

/// A view on a dict, of the Python class with this name.
pub(super) fn view<'py>(dict: &Bound<'py, Dict>, class: &str) -> PyResult<Bound<'py, PyAny>> {
    dict.py().import("coheap._views")?.getattr(class)?.call1((dict,))
}

impl DictIterator {
    pub(super) fn new(py: Python<'_>, dict: &Dict, what: What) -> PyResult<Self> {
        Self::begin(py, dict, what, false)
    }

    /// An iterator over the keys from the last one back. `None`: the caller is in no block.
    pub(super) fn backward(py: Python<'_>, dict: &Dict) -> PyResult<Option<Self>> {
        let iterator = Self::begin(py, dict, What::Keys, true)?;
        Ok(iterator.block.is_some().then_some(iterator))
    }

    fn begin(py: Python<'_>, dict: &Dict, what: What, is_backward: bool) -> PyResult<Self> {
        let (is_inside, len) = read!(dict.object, py, |access| {
            let is_inside = access.is_inside();
            access.map_len(&dict.map).map(|len| (is_inside, len))
        })?;
        let block = if is_inside { atomic::current(py)? } else { None };
        let state = State {
            batch: Pairs::default(),
            number: 0,
            next: Some(if is_backward { u64::MAX } else { 0 }),
            most: FIRST,
            numbering: None,
            sequence: None,
            len,
            given: 0,
            is_over: false,
        };
        let (object, map) = (dict.object.clone(), dict.map);
        Ok(Self { object, map, what, block, is_backward, state: Mutex::new(state) })
    }

    /// Returns the next entry, and whether its value may have been replaced since it was read.
    fn advance(&self, py: Python<'_>) -> PyResult<Option<(Scratch, Scratch, bool)>> {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Raising may run Python code, which may call the iterator again.
            Err(TryLockError::WouldBlock) => {
                return Err(PyValueError::new_err("another call is using this iterator"));
            }
        };
        if state.is_over {
            return Ok(None);
        }
        if self.block.is_some() && self.block != atomic::current(py)? {
            return Err(stop(&mut state, "the block in which the iteration began is over"));
        }
        let is_fresh = self.is_unchanged(&state);
        if !is_fresh && !self.is_backward && self.len(py)? != state.len {
            return Err(stop(&mut state, "dictionary changed size during iteration"));
        }
        if self.block.is_some() && state.given >= state.len {
            state.is_over = true;
            return Ok(None);
        }
        if let Some((key, value)) = state.take() {
            return Ok(Some((key, value, !is_fresh)));
        }
        let Some(from) = state.next else {
            state.is_over = true;
            return Ok(None);
        };
        // In a block, the sequence says nothing of what the block has written.
        state.sequence = if self.block.is_none() { self.sequence() } else { None };
        let most = state.most;
        let mut batch = self.look(py, |access| match self.is_backward {
            false => access.map_scan(&self.map, from, most),
            true => access.map_scan_back(&self.map, from, most),
        })?;
        if state.numbering.is_some_and(|numbering| numbering != batch.numbering) {
            // Entries were moved: the next one comes after that of the last key.
            let last = state.batch.len().checked_sub(1).and_then(|last| state.batch.get(last));
            let found = last.map(|(key, _)| {
                self.object.run(py, |context| self.map.scan_after(context, key, most))
            });
            match found.transpose()?.flatten() {
                Some(after) => batch = after,
                None => return Err(stop(&mut state, "dictionary keys changed during iteration")),
            }
        }
        state.numbering = Some(batch.numbering);
        (state.batch, state.number) = (batch.entries, 0);
        state.next = batch.next;
        state.most = (most * 2).min(MOST);
        let is_fresh = self.is_unchanged(&state);
        Ok(state.take().map(|(key, value)| (key, value, !is_fresh)))
    }

    fn len(&self, py: Python<'_>) -> PyResult<u64> {
        self.look(py, |access| access.map_len(&self.map))
    }

    /// Replaces `out` by the current value of a key. Returns `false` if the key is missing.
    fn read(&self, py: Python<'_>, key: &[u8], out: &mut Vec<u8>) -> PyResult<bool> {
        self.look(py, |access| access.map_get(&self.map, key, out))
    }

    /// Reads in the block in which the iterator began, or alone if it began outside of blocks.
    fn look<T>(
        &self,
        py: Python<'_>,
        mut operation: impl FnMut(Access<'_>) -> coheap_core::Result<T>,
    ) -> PyResult<T> {
        match self.block {
            Some(_) => read!(self.object, py, |access| operation(access)),
            None => self.object.run(py, |context| operation(Access::Alone(context))),
        }
    }

    /// Returns the sequence of the dict's turn, if nobody writes at the moment.
    fn sequence(&self) -> Option<u64> {
        self.object.heap.engine.sequence(&self.map)
    }

    fn is_unchanged(&self, state: &State) -> bool {
        let engine = &self.object.heap.engine;
        state.sequence.is_some_and(|sequence| engine.is_unchanged(&self.map, sequence))
    }
}

#[cold]
fn stop(state: &mut State, message: &'static str) -> PyErr {
    state.next = None;
    state.batch = Pairs::default();
    state.sequence = None;
    state.given = state.len;
    PyRuntimeError::new_err(format!("{message}; iterate over snapshot(), which does not change"))
}

#[pymethods]
impl DictIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some((key, mut value, mut is_stale)) = self.advance(py)? else { return Ok(None) };
        let rules = self.object.heap.rules;
        if self.what == What::Keys {
            return codec::decode(py, &key, rules).map(Some);
        }
        let value = until_claimed(py, LOOKS, || {
            if is_stale && !self.read(py, &key, &mut value)? {
                let message = "dictionary keys changed during iteration; \
                               iterate over snapshot(), which does not change";
                return Err(PyRuntimeError::new_err(message));
            }
            is_stale = true;
            codec::decode(py, &value, rules)
        })?;
        if self.what == What::Values {
            return Ok(Some(value));
        }
        Ok(Some((codec::decode(py, &key, rules)?, value).into_pyobject(py)?.into_any()))
    }

    fn __length_hint__(&self) -> u64 {
        self.state.try_lock().map_or(0, |state| state.len.saturating_sub(state.given))
    }
}
