//! Encoded values and keys, in buffers that a thread reuses.
//!
//! What always holds: a new buffer is empty, and the thread that drops a buffer keeps it for reuse. A
//! value that refers to objects is packed when it is encoded; dropping its buffer releases those
//! references, unless the value was stored.
//!
//! Not here: how a thread keeps its buffers (`coheap_core::wire`).

use std::cell::Cell;
use std::ops::{Deref, DerefMut};

use coheap_core::Context;
use coheap_core::Heap as Engine;
use coheap_core::Pairs;
use coheap_core::parcel::{self, Parcel, Target};
use coheap_core::system;
use coheap_core::wire::{Buffer, KEPT_BYTES};
use pyo3::prelude::*;

use crate::codec::{self, Rules};
use crate::heap::pickling;
use crate::object::OpenHeap;

thread_local! {
    static FREE_PAIRS: Cell<Option<Pairs>> = const { Cell::new(None) };
}

/// A buffer of a thread that has none to use again.
#[cold]
fn first() -> Buffer {
    system::sleep_when_ended();
    Buffer::default()
}

/// Bytes of a value or key, and what they refer to.
#[derive(Debug)]
pub(crate) struct Scratch(Buffer, Option<Box<Packed>>);

/// A parcel, which is given up when this is dropped unless it was stored.
#[derive(Debug)]
struct Packed(Engine, Parcel);

impl Drop for Packed {
    fn drop(&mut self) {
        // In a closed or damaged heap there is nothing to give up.
        let _ = self.0.with(|context| parcel::discard(context, &self.1));
    }
}

impl Scratch {
    #[inline]
    pub(crate) fn new() -> Self {
        Self(Buffer::used().unwrap_or_else(first), None)
    }

    /// A copy of some bytes.
    #[inline]
    pub(crate) fn copy(bytes: &[u8]) -> Self {
        let mut scratch = Self::new();
        scratch.0.extend_from_slice(bytes);
        scratch
    }

    /// The bytes of a key that is to be stored if it is not there.
    #[inline]
    pub(crate) fn key(key: &Bound<'_, PyAny>, rules: Rules) -> PyResult<Self> {
        let mut scratch = Self::new();
        codec::encode_key(key, rules, &mut scratch.0)?;
        Ok(scratch)
    }

    /// The canonical bytes of a key that is looked for. `None`: no such key can be there.
    #[inline]
    pub(crate) fn wanted(key: &Bound<'_, PyAny>, rules: Rules) -> PyResult<Option<Self>> {
        let mut scratch = Self::new();
        let may_be_there = codec::encode_wanted(key, rules, &mut scratch.0)?;
        Ok(may_be_there.then_some(scratch))
    }

    /// A value's bytes.
    #[inline]
    pub(crate) fn value(value: &Bound<'_, PyAny>, heap: &OpenHeap) -> PyResult<Self> {
        Self::encoded(value, heap, codec::encode)
    }

    /// The bytes of a dict's value.
    #[inline]
    pub(crate) fn dict_value(value: &Bound<'_, PyAny>, heap: &OpenHeap) -> PyResult<Self> {
        Self::encoded(value, heap, codec::encode_for_dict)
    }

    #[inline]
    fn encoded(
        value: &Bound<'_, PyAny>,
        heap: &OpenHeap,
        encode: impl Fn(&Bound<'_, PyAny>, Rules, &mut Vec<u8>) -> PyResult<()>,
    ) -> PyResult<Self> {
        let mut scratch = Self::new();
        if codec::is_plain(value) {
            encode(value, heap.rules, &mut scratch.0)?;
            return Ok(scratch);
        }
        let engine = &heap.engine;
        let encode = || encode(value, heap.rules, &mut scratch.0);
        let (done, met) = pickling::meeting(engine, encode);
        done?;
        if !met.is_empty() {
            scratch.pack(value.py(), heap, &pickling::targets(&met))?;
        }
        Ok(scratch)
    }

    #[cold]
    fn pack(&mut self, py: Python<'_>, heap: &OpenHeap, targets: &[Target]) -> PyResult<()> {
        let bytes = &mut self.0;
        let pack = |context: &Context| parcel::pack(context, bytes, targets);
        let packed = heap.run(py, || "a value with handles".to_owned(), pack)?;
        self.1 = Some(Box::new(Packed(heap.engine.clone(), packed)));
        Ok(())
    }

    /// Whether the value refers to objects.
    pub(crate) fn is_packed(&self) -> bool {
        self.1.is_some()
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

/// Entries that go back to their thread.
#[derive(Debug)]
pub(crate) struct ScratchPairs(Pairs);

impl ScratchPairs {
    pub(crate) fn new() -> Self {
        system::sleep_when_ended();
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
