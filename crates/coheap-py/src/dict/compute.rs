//! `get_or_compute`: one caller computes a value, and the others wait for that key only.
//!
//! Who computes holds a lock with a name that follows from the dict and the key. The lock ends with the
//! computation: those who wait for it look at the dict again, and they do so from time to time before that.
//! After a death the next one gets the lock.
//!
//! What always holds: nobody computes a key that is there, and two compute the same key at once only if
//! somebody removed it, or set it, meanwhile. What somebody else has set is not replaced.

use coheap_core::wire::canonical;
use coheap_core::{Acquired, Context, Directory, Error, Mutex, MutexRecipe, Typed as _};
use pyo3::prelude::*;
use xxhash_rust::xxh3::xxh3_128;

use super::Dict;
use crate::access::change;
use crate::atomic::{self, Awaited};
use crate::object::Object;
use crate::scratch::Scratch;
use crate::waiting::Slice;

pub(super) fn get_or_compute<'py>(
    dict: &Dict,
    key: &Bound<'py, PyAny>,
    compute: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = key.py();
    if let Some(value) = dict.find(key)? {
        return Ok(value);
    }
    let bytes = Scratch::key(key, dict.rules())?;
    if atomic::current(py)?.is_some() {
        return store(py, dict, &bytes, compute);
    }
    let name = name_of(dict, &bytes);
    loop {
        let turn = Turn::wait(py, dict, &bytes, &name)?;
        let found = dict.load(py, &bytes, &mut Scratch::new()).transpose();
        let Some(turn) = turn else {
            match found {
                Some(value) => return value,
                None => continue,
            }
        };
        let value = found.unwrap_or_else(|| store(py, dict, &bytes, compute));
        let ended = turn.end(py, &name);
        return value.and_then(|value| ended.map(|()| value));
    }
}

/// Computes the value of a key and sets it, unless somebody else has done so meanwhile.
fn store<'py>(
    py: Python<'py>,
    dict: &Dict,
    bytes: &[u8],
    compute: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let value = compute.call0()?;
    let encoded = Scratch::dict_value(&value, &dict.object.heap)?;
    let mut other = Scratch::new();
    let is_new = change!(dict.object, py, |access| {
        access.map_set_default(&dict.map, bytes, &encoded, &mut other)
    })?;
    dict.value(py, if is_new { &encoded } else { &other })
}

/// The name of the lock for a key: equal keys have the same one.
fn name_of(dict: &Dict, key: &[u8]) -> String {
    let (handle, digest) = (dict.map.handle(), xxh3_128(canonical(key)));
    format!("coheap: compute {:x}.{:x} {digest:032x}", handle.at, handle.generation)
}

/// The right to compute.
struct Turn {
    mutex: Mutex,
    object: Object,
}

impl Turn {
    /// Waits until it is this caller's turn. `None`: somebody has just computed, or the key was set
    /// meanwhile, or the dict removed.
    fn wait(py: Python<'_>, dict: &Dict, key: &[u8], name: &str) -> PyResult<Option<Self>> {
        let (mutex, object) = dict.object.heap.object(py, Some(name), &MutexRecipe::default())?;
        let lock = |context: &Context, slice: Slice| match dict.map.contains(context, key)? {
            true => Ok(None),
            false => mutex.lock_until(context, slice.started, slice.until).map(Some),
        };
        match object.wait_beside(py, None, Awaited::Lock(mutex), lock)? {
            Ok(Some(Acquired::Clean | Acquired::OwnerDied(_))) => Ok(Some(Self { mutex, object })),
            Ok(None) | Err(Error::ObjectGone) => Ok(None),
            Err(error) => Err(dict.object.explain(py, &error)),
        }
    }

    /// Ends it for this caller, and for all who wait: they look again.
    fn end(self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.object.run(py, |context| {
            match self.mutex.unlock(context) {
                // Somebody else removed the name, or the lock was taken away with the heap.
                Ok(()) | Err(Error::ObjectGone | Error::NotOwner) => {}
                Err(error) => return Err(error),
            }
            Directory.remove_only(context, name, &self.mutex).map(|_| ())
        })
    }
}
