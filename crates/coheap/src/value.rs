//! One value that many processes share.
//!
//! What always holds: a value is replaced completely or not at all. Readers never wait for a
//! transaction.

use std::marker::PhantomData;

use coheap_core::Value as Engine;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Heap;
use crate::buffer::{self, Buffer};
use crate::error::Result;

/// A value that many processes share. [`Heap::value`] returns one.
#[derive(Debug, Clone)]
pub struct Value<T> {
    pub(crate) heap: Heap,
    pub(crate) engine: Engine,
    types: PhantomData<fn(T) -> T>,
}

impl<T: Serialize + DeserializeOwned> Value<T> {
    pub(crate) fn new(heap: &Heap, engine: Engine) -> Self {
        Self { heap: heap.clone(), engine, types: PhantomData }
    }

    /// Returns the value.
    ///
    /// # Errors
    ///
    /// [`Error::Element`](crate::Error::Element) when the stored value is not a `T`;
    /// [`Error::Pickled`](crate::Error::Pickled) when Python has pickled it;
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the object was removed.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// assert_eq!(heap.value("answer", &42u8)?.get()?, 42);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn get(&self) -> Result<T> {
        buffer::read(|out| self.heap.with(|context| self.engine.get(context, out)))
    }

    /// Replaces the value.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`](crate::Error::HeapFull) when there is no room for the value;
    /// [`Error::Element`](crate::Error::Element) when it cannot be encoded;
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the object was removed.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let answer = heap.value("answer", &0u8)?;
    /// answer.set(&42)?;
    /// assert_eq!(answer.get()?, 42);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn set(&self, value: &T) -> Result<()> {
        let value = Buffer::value(value)?;
        self.heap.with(|context| self.engine.set(context, &value.0))
    }

    /// Adds `more` to an integer and returns the sum.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) with `NotAnInteger` when the stored value is not an
    /// integer of 64 bits, or with `Overflow` when the sum does not fit in an `i64`; else as
    /// [`set`](Self::set).
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// assert_eq!(heap.value("hits", &40i64)?.add(2)?, 42);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn add(&self, more: i64) -> Result<i64> {
        self.heap.with(|context| self.engine.add(context, more))
    }

    /// Replaces the value by `new` if it is `expected`, and returns whether it did. Values are
    /// compared as encoded bytes.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let state = heap.value("state", &"new".to_owned())?;
    /// assert!(state.compare_exchange(&"new".to_owned(), &"old".to_owned())?);
    /// assert!(!state.compare_exchange(&"new".to_owned(), &"old".to_owned())?);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn compare_exchange(&self, expected: &T, new: &T) -> Result<bool> {
        let (expected, new) = (Buffer::value(expected)?, Buffer::value(new)?);
        self.heap.with(|context| self.engine.compare_and_set(context, &expected.0, &new.0))
    }
}
