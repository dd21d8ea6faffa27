//! The class `Dict`: a map of the engine with the interface of `dict`.
//!
//! What always holds: keys and values are encoded before the engine is called, and decoded after it
//! has returned. A call is one operation: it happens completely or not at all, whoever else writes.
//!
//! | file | what it is |
//! |---|---|
//! | `compute` | values that one caller computes for all |
//! | `entries` | many pairs at once: `update`, `increment_many` |
//! | `exchange` | changes that depend on the current value |
//! | `extra` | the methods that a plain dict does not have |
//! | `iterator` | iteration over keys, values and items |
//! | `merge` | `dict(d)`, `{**d}`: one moment, although the interpreter reads each value |
//! | `numbers` | additions |
//! | `plain` | copies as plain dicts, comparison, repr |

mod compute;
mod entries;
mod exchange;
mod extra;
mod iterator;
mod merge;
mod numbers;
mod plain;

use coheap_core::system;
use coheap_core::{Map, NotedMapRecipe};
use pyo3::exceptions::PyKeyError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::access::{End, change, read};
use crate::codec::{self, Rules};
use crate::differs;
use crate::handle::{self, Handle, name_and_pickle};
use crate::heap::default;
use crate::object::{Object, OpenHeap};
use crate::scratch::Scratch;

pub(crate) use iterator::DictIterator;
use iterator::What;
use merge::Place;
use plain::{LOOKS, until_claimed};

/// A key and its value.
type Entry<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// The note of a map whose dict stores copies of mutable containers.
const COPIES: u8 = 1;
/// The note of one that refuses them. A map that was made from Rust has neither.
const NO_COPIES: u8 = 2;

/// A dict in a heap.
///
/// `Dict(...)` creates one in the default heap, with the entries that `dict(...)` would have.
/// `Heap.dict` creates or finds one in any heap.
///
/// `d.copy()` returns all entries as they are at one moment, as a plain dict. Iteration, the views, `==`,
/// `|`, `dict(d)` and `{**d}` show one moment, too, and never raise because others write.
///
/// It behaves as `dict` does, with these differences:
///
/// - Keys of types that coheap does not know are equal if their types and their parts are, as pickling has
///   them, and not by `__eq__`. With `pickle=False` they are refused. Every NaN is one key.
/// - Values are copies. What is changed in place is refused, because changes to a copy would be lost: a list,
///   dict, set, bytearray, deque, `array.array` or `SimpleNamespace`, also in tuples. Store a tuple, or make
///   the dict with `heap.dict(name, copies=True)`. Arrays of numpy come back read-only; `copy_of` returns
///   one that can be changed. Objects of other classes, such as dataclasses, are stored as they are, and
///   come back as pickling makes them, with what is inside of them.
/// - A loop shows the dict as it was at its first step: what is written after that, by the loop itself too,
///   does not show and raises nothing. In a block of `atomic` a loop behaves as with `dict`.
/// - `copy()`, `copy.copy`, `copy.deepcopy` and `|` return plain dicts. Pickles are handles to the same dict.
/// - It is no subclass of `dict`: what asks for one, such as `json.dumps`, wants `d.copy()`.
/// - `repr` shows its name, and the first 20 entries.
/// - `popitem(last=False)`, `first`, `last` and `move_to_end` are as quick as `popitem()`; `get_many`,
///   `increment`, `increment_many`, `update_with` and `compare_and_set` are whole, whoever else writes.
///
/// Source: the contract of `dict`.
#[pyclass(frozen, subclass, mapping, generic, weakref, module = "coheap")]
pub(crate) struct Dict {
    pub(crate) object: Object,
    pub(crate) map: Map,
}

impl Dict {
    pub(crate) fn new(map: Map, object: Object) -> Self {
        Self { object, map }
    }

    /// Returns a dict that stores copies if its map was made so, or, of a map that was made from Rust, if
    /// that is asked for.
    pub(crate) fn open(
        py: Python<'_>,
        map: Map,
        mut object: Object,
        asked: Option<bool>,
    ) -> PyResult<Self> {
        let made = match object.run(py, |context| map.note(context))? {
            COPIES => Some(true),
            NO_COPIES => Some(false),
            _ => None,
        };
        object.heap.rules.copies = made.or(asked).unwrap_or(false);
        if let (Some(made), Some(asked)) = (made, asked) {
            if made != asked {
                let (made, asked) = (differs::truth(made), differs::truth(asked));
                differs::warn(py, &object.subject(), "copies", made, asked, differs::KEPT)?;
            }
        }
        Ok(Self::new(map, object))
    }

    /// Returns the dict with this name, created if there is none; without a name, a new one.
    pub(crate) fn make(
        py: Python<'_>,
        heap: &OpenHeap,
        name: Option<&str>,
        copies: Option<bool>,
    ) -> PyResult<Self> {
        let note = if copies == Some(true) { COPIES } else { NO_COPIES };
        let (map, object) = heap.object(py, name, &NotedMapRecipe(note))?;
        Self::open(py, map, object, copies)
    }

    #[inline]
    fn rules(&self) -> Rules {
        self.object.heap.rules
    }

    #[inline]
    fn decode<'py>(&self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        codec::decode(py, bytes, self.rules())
    }

    /// Returns a value that was read, whose arrays cannot be changed: the dict would not see it.
    #[inline]
    fn value<'py>(&self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        let value = self.decode(py, bytes)?;
        self.freeze(&value, bytes)?;
        Ok(value)
    }

    #[inline]
    fn freeze(&self, value: &Bound<'_, PyAny>, bytes: &[u8]) -> PyResult<()> {
        match self.rules().copies || !codec::may_hold_arrays(bytes) {
            true => Ok(()),
            false => codec::freeze_arrays(value),
        }
    }

    /// Returns the value of a key.
    #[inline]
    fn find<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match Scratch::wanted(key, self.rules())? {
            Some(key_bytes) => self.load(key.py(), &key_bytes, &mut Scratch::new()),
            None => Ok(None),
        }
    }

    /// Returns the value of a key, and replaces `out` by its bytes.
    #[inline]
    fn load<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
        out: &mut Vec<u8>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let found = self.load_own(py, key, out)?;
        if let Some(value) = &found {
            self.freeze(value, out)?;
        }
        Ok(found)
    }

    /// As [`load`](Self::load); the value can be changed.
    #[inline]
    fn load_own<'py>(
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

    /// Replaces `out` by the bytes of the value of a key. Returns `false` if the key is missing.
    #[inline]
    fn read(&self, py: Python<'_>, key: &[u8], out: &mut Vec<u8>) -> PyResult<bool> {
        read!(self.object, py, |access| access.map_get(&self.map, key, out))
    }
}

#[cold]
fn missing(key: &Bound<'_, PyAny>) -> PyErr {
    PyKeyError::new_err((key.clone().unbind(),))
}

#[pymethods]
impl Dict {
    #[new]
    #[pyo3(signature = (*_others, **_entries))]
    fn create(
        _others: &Bound<'_, PyTuple>,
        _entries: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let py = _others.py();
        if let Some(handle) = handle::adopted::<Self>(py) {
            return Ok(Self::new(handle.get().map, handle.get().object.clone()));
        }
        Self::make(py, &default::open_heap(py)?, None, None)
    }

    #[pyo3(signature = (*others, **entries))]
    fn __init__(
        &self,
        others: &Bound<'_, PyTuple>,
        entries: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        if others.is_empty() && entries.is_none() {
            return Ok(());
        }
        entries::update(self, others, entries)
    }

    /// Create a dict in the default heap with the given keys, all with the same value.
    #[classmethod]
    #[pyo3(signature = (iterable, value=None, /))]
    fn fromkeys<'py>(
        class: &Bound<'py, PyType>,
        iterable: &Bound<'py, PyAny>,
        value: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = iterable.py();
        system::sleep_when_ended();
        let new = class.call0()?;
        if !class.is(py.get_type::<Self>()) {
            // A class of users may have a method of its own for that.
            for key in iterable.try_iter()? {
                new.set_item(key?, &value)?;
            }
            return Ok(new);
        }
        let pairs = PyDict::new(py);
        for key in iterable.try_iter()? {
            pairs.set_item(key?, &value)?;
        }
        new.call_method1(intern!(py, "update"), (pairs,))?;
        Ok(new)
    }

    pub(crate) fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(value) = merge::value(self, key)? {
            return Ok(value);
        }
        self.find(key)?.ok_or_else(|| missing(key))
    }

    pub(crate) fn __setitem__(
        &self,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let bytes = Scratch::key(key, self.rules())?;
        let value = Scratch::dict_value(value, &self.object.heap)?;
        change!(self.object, key.py(), |access| access.map_set(&self.map, &bytes, &value))
    }

    pub(crate) fn __delitem__(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let Some(bytes) = Scratch::wanted(key, self.rules())? else { return Err(missing(key)) };
        let mut out = Scratch::new();
        let py = key.py();
        let is_there =
            change!(self.object, py, |access| access.map_remove(&self.map, &bytes, &mut out))?;
        if is_there { Ok(()) } else { Err(missing(key)) }
    }

    pub(crate) fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Some(bytes) = Scratch::wanted(key, self.rules())? else { return Ok(false) };
        read!(self.object, key.py(), |access| access.map_contains(&self.map, &bytes))
    }

    pub(crate) fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(read!(self.object, py, |access| access.map_len(&self.map))? as usize)
    }

    fn __iter__(slf: &Bound<'_, Self>) -> PyResult<DictIterator> {
        DictIterator::new(slf, What::Keys, false)
    }

    fn __reversed__(slf: &Bound<'_, Self>) -> PyResult<DictIterator> {
        DictIterator::new(slf, What::Keys, true)
    }

    /// Return the value of a key, or `default` if the key is missing.
    #[pyo3(signature = (key, default=None, /))]
    pub(crate) fn get<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.find(key)?.or(default))
    }

    /// Remove a key and return its value; return `default` if the key is missing. An entry whose
    /// value cannot be loaded is not removed.
    ///
    /// Raises:
    ///     KeyError: The key is missing, and no default was given.
    #[pyo3(signature = (key, /, *default))]
    pub(crate) fn pop<'py>(
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

    /// Remove the entry that was inserted last, or with `last=False` the one that was inserted first,
    /// and return it as `(key, value)`. An entry whose value cannot be loaded is not removed.
    ///
    /// Raises:
    ///     KeyError: The dict is empty.
    #[pyo3(signature = (last=true))]
    fn popitem<'py>(&self, py: Python<'py>, last: bool) -> PyResult<Entry<'py>> {
        let popped = exchange::pop_end(self, py, if last { End::Last } else { End::First })?;
        popped.ok_or_else(|| PyKeyError::new_err("popitem(): dictionary is empty"))
    }

    /// Return the value of a key; set it to `default` first if the key is missing.
    #[pyo3(signature = (key, default=None, /))]
    pub(crate) fn setdefault<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        exchange::set_default(self, key, default)
    }

    /// Remove all entries.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        change!(self.object, py, |access| access.map_clear(&self.map))
    }

    /// Add or replace entries, as `dict.update`, all at once: no other process sees a part of them,
    /// and no death leaves a part of them.
    ///
    /// So it is with up to 32,768 entries, and in a block with as many as the block takes. Of more, parts
    /// are stored, in order, each all at once: others see some without the rest, and an error, a signal
    /// or a death leaves those before.
    ///
    /// Raises:
    ///     TypeError: A key or a value cannot be stored. Nothing was changed.
    ///     HeapFull: There is no room. Nothing was changed, or only the parts before.
    #[pyo3(signature = (*others, **entries))]
    fn update(
        &self,
        others: &Bound<'_, PyTuple>,
        entries: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        entries::update(self, others, entries)
    }

    /// Return all entries as they were at one moment, as a plain dict.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        plain::snapshot(py, self)
    }

    /// As `snapshot`.
    fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        plain::snapshot(py, self)
    }

    /// Return a view of the keys.
    fn keys<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        iterator::keys(slf)
    }

    /// Return a view of the values.
    fn values<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        iterator::view(slf, "DictValues")
    }

    /// Return a view of the entries.
    fn items<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        iterator::view(slf, "DictItems")
    }

    /// Create a dict in the default heap that stores copies of mutable containers.
    #[staticmethod]
    fn _with_copies(py: Python<'_>) -> PyResult<Self> {
        Self::make(py, &default::open_heap(py)?, None, Some(true))
    }

    /// Return whether a value is there now. The entries are looked at part by part, not copied.
    fn _has_value(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        plain::has_value(self, value)
    }

    /// Return an iterator over the keys for an instruction: the address of its frame, and its place.
    fn _iterate_keys(
        slf: &Bound<'_, Self>,
        asker: Option<(usize, isize)>,
    ) -> PyResult<DictIterator> {
        let place = asker.map(|(frame, instruction)| Place { frame, instruction });
        DictIterator::keys_for(slf, place)
    }

    #[pyo3(signature = (*, is_backward=false))]
    fn _iterate_values(slf: &Bound<'_, Self>, is_backward: bool) -> PyResult<DictIterator> {
        DictIterator::new(slf, What::Values, is_backward)
    }

    #[pyo3(signature = (*, is_backward=false))]
    fn _iterate_items(slf: &Bound<'_, Self>, is_backward: bool) -> PyResult<DictIterator> {
        DictIterator::new(slf, What::Items, is_backward)
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
}

name_and_pickle!(Dict);
