//! A map that many processes share.
//!
//! What always holds: keys are encoded in canonical form and values in exact form, both before any
//! turn is taken. Results are decoded after the turn is released.

use std::borrow::Borrow;
use std::marker::PhantomData;

use coheap_core::Map as Engine;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Heap;
use crate::buffer::{self, Buffer};
use crate::element;
use crate::error::Result;

/// A map from keys to values, in the order of insertion. [`Heap::map`] returns one.
///
/// Keys are equal if they are equal in Python: `1`, `1.0` and `true` are one key. Each method may
/// also return [`Error::Element`](crate::Error::Element) for a key or a value that cannot be
/// encoded; nothing was changed then.
#[derive(Debug, Clone)]
pub struct Map<K, V> {
    pub(crate) heap: Heap,
    pub(crate) engine: Engine,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Map<K, V>
where
    K: Serialize + DeserializeOwned,
    V: Serialize + DeserializeOwned,
{
    pub(crate) fn new(heap: &Heap, engine: Engine) -> Self {
        Self { heap: heap.clone(), engine, types: PhantomData }
    }

    /// Returns the value of a key, or `None` if the map does not contain the key.
    ///
    /// # Errors
    ///
    /// [`Error::Element`](crate::Error::Element) when the stored value is not a `V`;
    /// [`Error::Pickled`](crate::Error::Pickled) when Python has pickled it;
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the map was removed.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let ages = heap.map::<String, u32>("ages")?;
    /// assert_eq!(ages.get("Ada")?, None);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn get<Q>(&self, key: &Q) -> Result<Option<V>>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        buffer::look_up(key, |key, out| {
            self.heap.alone(|context| self.engine.get(context, key, out))
        })
    }

    /// Returns whether the map contains a key.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the map was removed.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// assert!(!heap.map::<u8, u8>("small")?.contains_key(&1)?);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn contains_key<Q>(&self, key: &Q) -> Result<bool>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        let key = Buffer::key(key)?;
        self.heap.with(|context| self.engine.contains(context, &key.0))
    }

    /// Sets the value of a key, and returns whether the key is new.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`](crate::Error::HeapFull) when there is no room for the entry;
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the map was removed.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let ages = heap.map::<String, u32>("ages")?;
    /// assert!(ages.set("Ada", &36)?);
    /// assert!(!ages.set("Ada", &37)?);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn set<Q>(&self, key: &Q, value: &V) -> Result<bool>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        let (key, value) = (Buffer::key(key)?, Buffer::value(value)?);
        self.heap.with(|context| self.engine.set(context, &key.0, &value.0))
    }

    /// Removes a key and returns its value, or `None` if the map does not contain the key.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get). After [`Error::Element`](crate::Error::Element) for the value, and
    /// after [`Error::Pickled`](crate::Error::Pickled), the key is removed all the same.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let ages = heap.map::<String, u32>("ages")?;
    /// ages.set("Ada", &36)?;
    /// assert_eq!(ages.remove("Ada")?, Some(36));
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn remove<Q>(&self, key: &Q) -> Result<Option<V>>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        buffer::look_up(key, |key, out| {
            self.heap.alone(|context| self.engine.remove(context, key, out))
        })
    }

    /// Adds `more` to the integer of a key and returns the sum. A missing key counts as 0.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) with `NotAnInteger` when the stored value is not an
    /// integer of 64 bits, or with `Overflow` when the sum does not fit in an `i64`; else as
    /// [`set`](Self::set).
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let hits = heap.map::<String, i64>("hits")?;
    /// hits.add("/", 2)?;
    /// assert_eq!(hits.add("/", 3)?, 5);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn add<Q>(&self, key: &Q, more: i64) -> Result<i64>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        let key = Buffer::key(key)?;
        self.heap.with(|context| self.engine.add(context, &key.0, more))
    }

    /// Sets a key to `new` if its value is `expected`, and returns whether it did.
    ///
    /// `None` stands for no value: as `expected`, the key must be missing; as `new`, the key is
    /// removed. Values are compared as encoded bytes.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let owner = heap.map::<String, String>("owner")?;
    /// let me = "me".to_owned();
    /// assert!(owner.compare_and_set("A1", None, Some(&me))?);
    /// assert!(!owner.compare_and_set("A1", None, Some(&me))?);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn compare_and_set<Q>(&self, key: &Q, expected: Option<&V>, new: Option<&V>) -> Result<bool>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        let key = Buffer::key(key)?;
        let expected = expected.map(Buffer::value).transpose()?;
        let new = new.map(Buffer::value).transpose()?;
        let (expected, new) =
            (expected.as_ref().map(AsRef::as_ref), new.as_ref().map(AsRef::as_ref));
        self.heap.with(|context| self.engine.compare_and_set(context, &key.0, expected, new))
    }

    /// Replaces the value of a key by the result of `change`, and returns the new value.
    ///
    /// `change` gets the current value, or `None` if the key is missing. It runs again if another
    /// caller writes to the key meanwhile.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get) and [`set`](Self::set).
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let lists = heap.map::<u8, Vec<u8>>("lists")?;
    /// lists.update_with(&1, |list| [list.unwrap_or_default(), vec![7]].concat())?;
    /// assert_eq!(lists.get(&1)?, Some(vec![7]));
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn update_with<Q>(&self, key: &Q, mut change: impl FnMut(Option<V>) -> V) -> Result<V>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        let key = Buffer::key(key)?;
        loop {
            let mut old = Buffer::new();
            let is_there =
                self.heap.with(|context| self.engine.get(context, &key.0, &mut old.0))?;
            let before = if is_there { Some(element::decode(&old.0)?) } else { None };
            let value = change(before);
            let new = Buffer::value(&value)?;
            let expected = is_there.then_some(old.0.as_slice());
            let done = self.heap.with(|context| {
                self.engine.compare_and_set(context, &key.0, expected, Some(&new.0))
            })?;
            if done {
                return Ok(value);
            }
        }
    }

    /// Removes the entry that was inserted last and returns it, or `None` if the map is empty.
    ///
    /// # Errors
    ///
    /// As [`remove`](Self::remove).
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let stack = heap.map::<u8, u8>("stack")?;
    /// stack.set(&1, &10)?;
    /// stack.set(&2, &20)?;
    /// assert_eq!(stack.pop_last()?, Some((2, 20)));
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn pop_last(&self) -> Result<Option<(K, V)>> {
        buffer::read_pair(|key, value| {
            self.heap.with(|context| self.engine.pop_last(context, key, value))
        })
    }

    /// Returns the number of entries.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the map was removed.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// assert_eq!(heap.map::<u8, u8>("small")?.len()?, 0);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn len(&self) -> Result<u64> {
        self.heap.with(|context| self.engine.len(context))
    }

    /// Returns whether the map has no entries.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the map was removed.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// assert!(heap.map::<u8, u8>("small")?.is_empty()?);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Returns all entries as they were at one moment, in the order of insertion.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), also when a key is not a `K`.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let ages = heap.map::<String, u32>("ages")?;
    /// ages.set("Ada", &36)?;
    /// assert_eq!(ages.snapshot()?, [("Ada".to_owned(), 36)]);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn snapshot(&self) -> Result<Vec<(K, V)>> {
        let pairs = self.heap.with(|context| self.engine.snapshot(context))?;
        let decode =
            |(key, value): (&[u8], &[u8])| Ok((element::decode(key)?, element::decode(value)?));
        pairs.iter().map(decode).collect()
    }

    /// Removes all entries.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`](crate::Error::HeapFull) when there is no room to note what has to be
    /// freed; [`Error::ObjectGone`](crate::Error::ObjectGone) when the map was removed.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let ages = heap.map::<String, u32>("ages")?;
    /// ages.set("Ada", &36)?;
    /// ages.clear()?;
    /// assert!(ages.is_empty()?);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn clear(&self) -> Result<()> {
        self.heap.with(|context| self.engine.clear(context))
    }
}
