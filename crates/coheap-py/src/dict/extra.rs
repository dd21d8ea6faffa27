//! The methods of a Dict that a plain dict does not have.
//!
//! What always holds: each is one operation, whoever else writes, or says of what it consists.
//!
//! Not here: what they do (the other files of the folder).

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{Dict, Entry, compute, entries, exchange, missing, numbers, plain};
use crate::access::End;
use crate::scratch::Scratch;

#[pymethods]
impl Dict {
    /// Return a copy of the value of a key that may be changed: its arrays of numpy are writable. The dict does
    /// not see the changes; store it again.
    ///
    /// Raises:
    ///     KeyError: The key is missing.
    #[pyo3(signature = (key, /))]
    fn copy_of<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        let found = match Scratch::wanted(key, self.rules())? {
            Some(bytes) => self.load_own(py, &bytes, &mut Scratch::new())?,
            None => None,
        };
        found.ok_or_else(|| missing(key))
    }

    /// Return the value of a key. If it is missing, set it to `fn()` first: one caller computes it, in
    /// whatever process, and those who ask for the same key meanwhile wait for that one, or until the key is
    /// set. If it dies, or if `fn` raises, the next one computes. A value that somebody else has set
    /// meanwhile stays, and is returned.
    ///
    /// In a block of `atomic`, nobody else can set the key, and nobody is waited for.
    ///
    /// Raises:
    ///     DeadlockError: `fn` asks for a key whose caller waits for this one, for a second.
    ///     HeapFull: There is no room. Nothing was changed.
    #[pyo3(signature = (key, r#fn, /))]
    fn get_or_compute<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        r#fn: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        compute::get_or_compute(self, key, r#fn)
    }

    /// Return a plain dict with those of the keys that exist, and their values as they were at one
    /// moment.
    fn get_many<'py>(&self, keys: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
        plain::get_many(self, keys)
    }

    /// Return the entry that was inserted first, as `(key, value)`.
    ///
    /// Raises:
    ///     KeyError: The dict is empty.
    fn first<'py>(&self, py: Python<'py>) -> PyResult<Entry<'py>> {
        let first = exchange::at_end(self, py, End::First)?;
        first.ok_or_else(|| PyKeyError::new_err("first(): dictionary is empty"))
    }

    /// Return the entry that was inserted last, as `(key, value)`.
    ///
    /// Raises:
    ///     KeyError: The dict is empty.
    fn last<'py>(&self, py: Python<'py>) -> PyResult<Entry<'py>> {
        let last = exchange::at_end(self, py, End::Last)?;
        last.ok_or_else(|| PyKeyError::new_err("last(): dictionary is empty"))
    }

    /// Move a key behind all others, as if it had been inserted last.
    ///
    /// Raises:
    ///     KeyError: The key is missing.
    ///     HeapFull: There is no room. Nothing was changed.
    #[pyo3(signature = (key, /))]
    fn move_to_end(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        if exchange::move_to_end(self, key)? { Ok(()) } else { Err(missing(key)) }
    }

    /// Add `by` to the int or float of a key and return the sum. A missing key counts as 0.
    ///
    /// Raises:
    ///     TypeError: The stored value is neither an int of 64 bits nor a float, or `by` is no number.
    ///     OverflowError: The sum of ints does not fit in 64 bits, or `by` does not.
    ///     HeapFull: There is no room for a new key.
    #[pyo3(signature = (key, by=None), text_signature = "($self, key, by=1)")]
    fn increment<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        by: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        numbers::increment(self, key, by)
    }

    /// Add to the ints of many keys, all at once or none; more than 32,768 in parts, as `update`.
    ///
    /// Args:
    ///     mapping: The number to add for each key, such as a `collections.Counter`. A missing key
    ///         counts as 0.
    ///
    /// Raises:
    ///     TypeError: A stored value is not an int of 64 bits. Nothing was changed, or only the parts
    ///         before; so with the others.
    ///     OverflowError: A sum does not fit in 64 bits.
    ///     HeapFull: There is no room.
    fn increment_many(&self, mapping: &Bound<'_, PyAny>) -> PyResult<()> {
        entries::increment_many(self, mapping)
    }

    /// Replace the value of a key by `fn(value)` and return the new value.
    ///
    /// If the key is missing, `fn` gets `default`. `fn` runs again if another caller writes to the
    /// key meanwhile, so it should have no side effects. After some tries it runs in a block of
    /// `atomic` that has locked the dict, so that others wait.
    #[pyo3(signature = (key, r#fn, default=None))]
    fn update_with<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        r#fn: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        exchange::update_with(self, key, r#fn, default)
    }

    /// Set a key to `new` if its value equals `expected`, and return whether it did.
    ///
    /// `coheap.ABSENT` stands for no value: as `expected`, the key must be missing; as `new`, the
    /// key is removed.
    fn compare_and_set(
        &self,
        key: &Bound<'_, PyAny>,
        expected: &Bound<'_, PyAny>,
        new: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        exchange::compare_and_set(self, key, expected, new)
    }
}
