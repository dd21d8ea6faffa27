//! The class `Dict`: what Python sees of a map.
//!
//! What always holds: keys and values are bytes before the engine is asked, and become objects
//! after it has answered. A call is one operation: whole or not at all, whoever else writes.
//!
//! | file | what it is |
//! |---|---|
//! | `entries` | many pairs at once: `update`, `increment_many` |
//! | `exchange` | changes that depend on what is there |
//! | `iterator` | going through keys, values and items |
//! | `plain` | copies as plain dicts, comparison, repr |

mod entries;
mod exchange;
mod iterator;
mod plain;

use std::borrow::Cow;

use coheap_core::system;
use coheap_core::{Map, MapRecipe};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};

use crate::access::{change, read};
use crate::codec::{self, Rules};
use crate::errors;
use crate::handle::{Handle, name_and_pickle};
use crate::heap::default;
use crate::object::Object;
use crate::scratch::Scratch;

pub(crate) use iterator::DictIterator;
use iterator::What;

/// A key and its value.
type Entry<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// Looks at a value that is replaced again and again.
const LOOKS: u32 = 100;
/// What the pickle of a dict says besides.
const KEEPS_COPIES: &str = "copies";

/// A dict in a heap.
///
/// `Dict(...)` is a new one in the default heap, with the entries that `dict(...)` would have;
/// `Heap.dict` makes or finds one in others.
///
/// It behaves as `dict` does, with these differences:
///
/// - Keys are None, bool, int, float, str, bytes, and tuples and frozensets of these; `1`, `1.0`
///   and `True` are one key, which comes back as `1`. A NaN is found again.
/// - Values are copies. A mutable list, dict, set or bytearray is refused, for changes to the
///   copy would be lost: store a tuple, or use `Manager().dict()`.
/// - `copy()`, `copy.copy` and `|` give plain dicts.
///
/// Source: the contract of `dict`.
#[pyclass(frozen, mapping, generic, weakref, module = "coheap")]
pub(crate) struct Dict {
    pub(crate) object: Object,
    pub(crate) map: Map,
}

impl Dict {
    pub(crate) fn new(map: Map, object: Object) -> Self {
        Self { object, map }
    }

    /// A dict from a pickle, with what that says besides.
    pub(crate) fn with_more(map: Map, mut object: Object, more: &str) -> Self {
        object.heap.rules.copies = more == KEEPS_COPIES;
        Self::new(map, object)
    }

    #[inline]
    fn rules(&self) -> Rules {
        self.object.heap.rules
    }

    #[inline]
    fn decode<'py>(&self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        codec::decode(py, bytes, self.rules())
    }

    /// The value under a key.
    #[inline]
    fn find<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.load(key.py(), &Scratch::key(key)?, &mut Scratch::new())
    }

    /// The value under a key; replaces `out` by its bytes.
    #[inline]
    fn load<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
        out: &mut Vec<u8>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        until_claimed(py, LOOKS, || match self.read(py, key, out)? {
            true => self.decode(py, out).map(Some),
            false => Ok(None),
        })
    }

    /// Replaces `out` by the bytes of the value under a key. `false`: there is none.
    #[inline]
    fn read(&self, py: Python<'_>, key: &[u8], out: &mut Vec<u8>) -> PyResult<bool> {
        read!(self.object, py, |access| access.map_get(&self.map, key, out))
    }
}

/// Reads and loads something, again where what a value refers to ended before it was claimed: then
/// the value was replaced.
#[inline(always)]
fn until_claimed<T>(
    py: Python<'_>,
    mut looks: u32,
    mut load: impl FnMut() -> PyResult<T>,
) -> PyResult<T> {
    loop {
        match load() {
            Ok(loaded) => return Ok(loaded),
            Err(gone) if looks > 1 && errors::is_gone(py, &gone) => looks -= 1,
            Err(error) => return Err(error),
        }
    }
}

#[cold]
fn missing(key: &Bound<'_, PyAny>) -> PyErr {
    PyKeyError::new_err((key.clone().unbind(),))
}

#[pymethods]
impl Dict {
    #[new]
    #[pyo3(signature = (*others, **entries))]
    fn create(others: &Bound<'_, PyTuple>, entries: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let py = others.py();
        let (map, object) = default::open_heap(py)?.object(py, None, &MapRecipe)?;
        let new = Self::new(map, object);
        if !others.is_empty() || entries.is_some() {
            entries::update(&new, others, entries)?;
        }
        Ok(new)
    }

    /// A new dict in the default heap, with a value under each of the keys.
    #[classmethod]
    #[pyo3(signature = (iterable, value=None, /))]
    fn fromkeys<'py>(
        _class: &Bound<'py, PyType>,
        iterable: &Bound<'py, PyAny>,
        value: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        let py = iterable.py();
        system::sleep_when_ended();
        let pairs = PyDict::new(py);
        for key in iterable.try_iter()? {
            pairs.set_item(key?, &value)?;
        }
        Self::create(&PyTuple::new(py, [pairs])?, None)
    }

    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.find(key)?.ok_or_else(|| missing(key))
    }

    fn __setitem__(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = Scratch::key(key)?;
        let value = Scratch::dict_value(value, &self.object.heap)?;
        change!(self.object, key.py(), |access| access.map_set(&self.map, &bytes, &value))
    }

    fn __delitem__(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = Scratch::key(key)?;
        let mut out = Scratch::new();
        let py = key.py();
        let is_there =
            change!(self.object, py, |access| access.map_remove(&self.map, &bytes, &mut out))?;
        if is_there { Ok(()) } else { Err(missing(key)) }
    }

    fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let bytes = Scratch::key(key)?;
        read!(self.object, key.py(), |access| access.map_contains(&self.map, &bytes))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(read!(self.object, py, |access| access.map_len(&self.map))? as usize)
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<DictIterator> {
        DictIterator::new(py, self, What::Keys)
    }

    fn __reversed__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let keys = PyList::new(py, plain::keys(py, self)?)?;
        keys.reverse()?;
        Ok(keys.try_iter()?.into_any())
    }

    /// The value under a key, or `default` if there is none.
    #[pyo3(signature = (key, default=None, /))]
    fn get<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.find(key)?.or(default))
    }

    /// The values of those keys that are there, as a plain dict from key to value.
    ///
    /// Each key is looked up by itself.
    fn get_many<'py>(&self, keys: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
        system::sleep_when_ended();
        let found = PyDict::new(keys.py());
        for key in keys.try_iter()? {
            let key = key?;
            if let Some(value) = self.find(&key)? {
                found.set_item(key, value)?;
            }
        }
        Ok(found)
    }

    /// Removes a key and returns its value; `default` if there is none. An entry whose value cannot
    /// be loaded stays.
    ///
    /// Raises:
    ///     KeyError: There is no such key and no default.
    #[pyo3(signature = (key, /, *default))]
    fn pop<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if default.len() > 1 {
            let message = format!("pop expected at most 2 arguments, got {}", default.len() + 1);
            return Err(pyo3::exceptions::PyTypeError::new_err(message));
        }
        match exchange::pop(self, key)? {
            Some(value) => Ok(value),
            None => default.get_item(0).map_err(|_| missing(key)),
        }
    }

    /// Removes the entry that came last and returns it as `(key, value)`. One whose value cannot be
    /// loaded stays.
    ///
    /// Raises:
    ///     KeyError: The dict is empty.
    fn popitem<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let popped = exchange::pop_last(self, py)?;
        popped.ok_or_else(|| PyKeyError::new_err("popitem(): dictionary is empty"))
    }

    /// The value under a key, which is set to `default` first if there is none.
    #[pyo3(signature = (key, default=None, /))]
    fn setdefault<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        exchange::set_default(self, key, default)
    }

    /// Removes everything.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        change!(self.object, py, |access| access.map_clear(&self.map))
    }

    /// Takes over entries, as `dict.update`, all at once or none: nobody sees, and no death leaves,
    /// a part of them.
    ///
    /// Short new keys and values (of up to 15 bytes when stored, such as ints, floats and short
    /// strings) are never too many for that; of all others at least 50,000 fit. More are taken over
    /// in parts, in order, each of them all at once.
    ///
    /// Raises:
    ///     TypeError: A key or a value cannot be stored. Nothing was changed.
    ///     HeapFull: There is no room. Nothing was changed, or earlier parts were if they are too
    ///         many for one.
    #[pyo3(signature = (*others, **entries))]
    fn update(
        &self,
        others: &Bound<'_, PyTuple>,
        entries: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        entries::update(self, others, entries)
    }

    /// Adds `by` to the int under a key (0 where there is none) and returns the sum.
    ///
    /// Raises:
    ///     TypeError: What is there is no int of 64 bits.
    ///     OverflowError: The sum is none.
    #[pyo3(signature = (key, by=1))]
    fn increment(&self, key: &Bound<'_, PyAny>, by: i64) -> PyResult<i64> {
        let bytes = Scratch::key(key)?;
        change!(self.object, key.py(), |access| access.map_add(&self.map, &bytes, by))
    }

    /// Adds to the ints under many keys, all at once or none.
    ///
    /// Args:
    ///     mapping: From key to what is added, such as a `collections.Counter`. A key that
    ///         is not there counts as 0. At least 130,000 keys fit.
    ///
    /// Raises:
    ///     TypeError: What is under a key is no int of 64 bits. Nothing was changed.
    ///     OverflowError: A sum is none. Nothing was changed.
    ///     ValueError: These are too many keys for one change. Nothing was changed.
    ///     HeapFull: There is no room. Nothing was changed.
    fn increment_many(&self, mapping: &Bound<'_, PyAny>) -> PyResult<()> {
        entries::increment_many(self, mapping)
    }

    /// Replaces the value under a key by `fn(value)` and returns that.
    ///
    /// Where there is none, `fn` gets `default`. It runs again when somebody else writes to the
    /// key meanwhile, so it should do nothing but compute.
    #[pyo3(signature = (key, r#fn, default=None))]
    fn update_with<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        r#fn: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        exchange::update_with(self, key, r#fn, default)
    }

    /// Puts `new` under a key if what is there equals `expected`, and returns whether it did.
    ///
    /// `coheap.ABSENT` stands for no value: as `expected` the key must not be there, as `new` it
    /// is removed.
    fn compare_and_set(
        &self,
        key: &Bound<'_, PyAny>,
        expected: &Bound<'_, PyAny>,
        new: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        exchange::compare_and_set(self, key, expected, new)
    }

    /// All entries as they were at one moment, as a plain dict.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        plain::snapshot(py, self)
    }

    /// As `snapshot`.
    fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        plain::snapshot(py, self)
    }

    /// A view of the keys.
    fn keys<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        iterator::view(slf, "DictKeys")
    }

    /// A view of the values.
    fn values<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        iterator::view(slf, "DictValues")
    }

    /// A view of the entries.
    fn items<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        iterator::view(slf, "DictItems")
    }

    /// The same dict, but one that takes mutable containers and keeps copies of them.
    fn _keeping_copies(&self) -> Self {
        Self::with_more(self.map, self.object.clone(), KEEPS_COPIES)
    }

    fn _iterate_values(&self, py: Python<'_>) -> PyResult<DictIterator> {
        DictIterator::new(py, self, What::Values)
    }

    fn _iterate_items(&self, py: Python<'_>) -> PyResult<DictIterator> {
        DictIterator::new(py, self, What::Items)
    }

    fn __eq__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        plain::equals(self, other)
    }

    fn __or__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        plain::merge(self, other, false)
    }

    fn __ror__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        plain::merge(self, other, true)
    }

    fn __ior__(&self, other: &Bound<'_, PyAny>) -> PyResult<()> {
        entries::update(self, &PyTuple::new(other.py(), [other])?, None)
    }

    fn __copy__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        plain::snapshot(py, self)
    }

    fn __deepcopy__<'py>(&self, memo: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let plain = plain::snapshot(memo.py(), self)?;
        memo.py().import("copy")?.call_method1("deepcopy", (plain, memo))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        plain::repr(py, self)
    }
}

impl Handle for Dict {
    fn object(&self) -> &Object {
        &self.object
    }

    fn more(&self) -> Cow<'static, str> {
        Cow::Borrowed(if self.rules().copies { KEEPS_COPIES } else { "" })
    }
}

name_and_pickle!(Dict);
