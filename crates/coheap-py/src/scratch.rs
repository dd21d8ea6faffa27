//! Bytes of values and keys, in buffers that a thread uses again and again.
//!
//! What always holds: a buffer is empty when it is handed out and goes back to the thread that
//! drops it; a very large one is let go. Buffers are taken out, so that Python code which runs
//! meanwhile and calls back takes others.

use std::cell::{Cell, RefCell};
use std::ops::{Deref, DerefMut};

use coheap_core::objects::map::Pairs;
use pyo3::prelude::*;

use crate::codec::{self, Rules};

/// Buffers kept, and the most bytes that one may keep.
const KEPT: usize = 8;
const KEPT_BYTES: usize = 1 << 20;

thread_local! {
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static FREE_PAIRS: Cell<Option<Pairs>> = const { Cell::new(None) };
}

/// A buffer that goes back to its thread.
#[derive(Debug)]
pub(crate) struct Scratch(Vec<u8>);

impl Scratch {
    #[inline]
    pub(crate) fn new() -> Self {
        let free = FREE.try_with(|free| free.try_borrow_mut().ok()?.pop());
        Self(free.ok().flatten().unwrap_or_default())
    }

    /// A copy of some bytes.
    #[inline]
    pub(crate) fn copy(bytes: &[u8]) -> Self {
        let mut scratch = Self::new();
        scratch.0.extend_from_slice(bytes);
        scratch
    }

    /// A key's canonical bytes.
    #[inline]
    pub(crate) fn key(key: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut scratch = Self::new();
        codec::encode_key(key, &mut scratch.0)?;
        Ok(scratch)
    }

    /// A value's bytes.
    #[inline]
    pub(crate) fn value(value: &Bound<'_, PyAny>, rules: Rules) -> PyResult<Self> {
        let mut scratch = Self::new();
        codec::encode(value, rules, &mut scratch.0)?;
        Ok(scratch)
    }

    /// The bytes of a dict's value.
    #[inline]
    pub(crate) fn dict_value(value: &Bound<'_, PyAny>, rules: Rules) -> PyResult<Self> {
        let mut scratch = Self::new();
        codec::encode_for_dict(value, rules, &mut scratch.0)?;
        Ok(scratch)
    }
}

impl Deref for Scratch {
    type Target = Vec<u8>;

    #[inline]
    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Scratch {
    #[inline]
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Scratch {
    #[inline]
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0);
        if bytes.capacity() > KEPT_BYTES {
            return;
        }
        bytes.clear();
        let _ = FREE.try_with(|free| {
            if let Ok(mut free) = free.try_borrow_mut() {
                if free.len() < KEPT {
                    free.push(bytes);
                }
            }
        });
    }
}

/// Entries that go back to their thread.
#[derive(Debug)]
pub(crate) struct ScratchPairs(Pairs);

impl ScratchPairs {
    pub(crate) fn new() -> Self {
        Self(FREE_PAIRS.try_with(Cell::take).ok().flatten().unwrap_or_default())
    }
}

impl Deref for ScratchPairs {
    type Target = Pairs;

    #[inline]
    fn deref(&self) -> &Pairs {
        &self.0
    }
}

impl DerefMut for ScratchPairs {
    #[inline]
    fn deref_mut(&mut self) -> &mut Pairs {
        &mut self.0
    }
}

impl Drop for ScratchPairs {
    fn drop(&mut self) {
        let mut pairs = std::mem::take(&mut self.0);
        if pairs.memory_bytes() <= KEPT_BYTES {
            pairs.truncate(0);
            let _ = FREE_PAIRS.try_with(|free| free.set(Some(pairs)));
        }
    }
}
