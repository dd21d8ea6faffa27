//! Iteration in a block of `atomic`.
//!
//! Entries are read in batches. Only the block itself writes to the dict: the iterator raises what `dict`
//! raises if the size changed, reads each value again before it returns it, and ends after as many entries
//! as there were when it began. From the last key back it does not care about the size: keys that are
//! added are not in its way, and one that is removed may come or not.
//!
//! What always holds: the first entry costs the same in a large dict as in a small one.

use coheap_core::Pairs;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::super::Dict;
use super::Next;
use crate::access::read;
use crate::atomic;
use crate::scratch::Scratch;

/// Entries of the first batch and of the largest.
const FIRST: u64 = 16;
const MOST: u64 = 512;

/// An iterator's state in a block.
pub(super) struct InBlock {
    block: u64,
    is_backward: bool,
    batch: Pairs,
    /// The index of the next entry in the batch.
    number: usize,
    /// The position where the next batch begins; `None` after the last one.
    next: Option<u64>,
    most: u64,
    len: u64,
    given: u64,
}

impl InBlock {
    pub(super) fn new(block: u64, len: u64, is_backward: bool) -> Self {
        Self {
            block,
            is_backward,
            batch: Pairs::default(),
            number: 0,
            next: Some(if is_backward { u64::MAX } else { 0 }),
            most: FIRST,
            len,
            given: 0,
        }
    }

    /// How many entries there are still to come.
    pub(super) fn left(&self) -> u64 {
        self.len.saturating_sub(self.given)
    }

    pub(super) fn next(&mut self, py: Python<'_>, dict: &Dict) -> PyResult<Option<Next>> {
        if Some(self.block) != atomic::current(py)? {
            return Err(self.stop("the block in which the iteration began is over"));
        }
        if !self.is_backward
            && read!(dict.object, py, |access| access.map_len(&dict.map))? != self.len
        {
            return Err(self.stop("dictionary changed size during iteration"));
        }
        if self.left() == 0 {
            return Ok(None);
        }
        if let Some(next) = self.take() {
            return Ok(Some(next));
        }
        let Some(from) = self.next else { return Ok(None) };
        let most = self.most;
        let batch = read!(dict.object, py, |access| match self.is_backward {
            false => access.map_scan(&dict.map, from, most),
            true => access.map_scan_back(&dict.map, from, most),
        })?;
        (self.batch, self.number, self.next) = (batch.entries, 0, batch.next);
        self.most = (most * 2).min(MOST);
        Ok(self.take())
    }

    /// Returns a copy of the next entry of the batch. Decoding it may run Python code, which may call
    /// the iterator again.
    fn take(&mut self) -> Option<Next> {
        let (key, value) = self.batch.get(self.number)?;
        let next = Next::Stale(Scratch::copy(key), Scratch::copy(value));
        self.number += 1;
        self.given += 1;
        Some(next)
    }

    #[cold]
    fn stop(&mut self, message: &'static str) -> PyErr {
        (self.next, self.batch, self.given) = (None, Pairs::default(), self.len);
        PyRuntimeError::new_err(format!("{message}; iterate over copy(), which does not change"))
    }
}

/// Replaces `value` by the current value of a key.
pub(super) fn read_again(
    py: Python<'_>,
    dict: &Dict,
    key: &[u8],
    value: &mut Vec<u8>,
) -> PyResult<()> {
    if read!(dict.object, py, |access| access.map_get(&dict.map, key, value))? {
        return Ok(());
    }
    let message =
        "dictionary keys changed during iteration; iterate over copy(), which does not change";
    Err(PyRuntimeError::new_err(message))
}
