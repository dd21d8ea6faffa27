//! Opens pickled handles: finds the heap, and the object in it.
//!
//! What always holds: a pickle whose object has ended finds nothing, and never another object. Heaps
//! are identified by their uuids, objects by their generations.
//!
//! Not here: how a handle is pickled, and what keeps its object meanwhile (`pickling`).

use std::path::Path;

use coheap_core::Context;
use coheap_core::{Address, Heap as Engine, Options};
use coheap_core::{AnyObject, ledger};
use coheap_core::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::pickling::Whereabouts;
use super::{Heap, default};
use crate::codec::Rules;
use crate::dict::Dict;
use crate::errors;
use crate::handle;
use crate::lock::{self, Lock, RLock};
use crate::object::{Object, OpenHeap};
use crate::queue::WorkQueue;
use crate::value::{Typecode, Value};
use crate::waiting;

/// Finds the heap that was pickled.
fn find(py: Python<'_>, whereabouts: Whereabouts) -> PyResult<OpenHeap> {
    let (path, uuid, pid, descriptors, inodes, is_default, pickle) = whereabouts;
    let address = Address { uuid, pid, descriptors, inodes };
    let named = |until| path.as_ref().map(|path| open_named(Path::new(path), uuid, until));
    let found = waiting::outside(py, |until| match named(until) {
        // The name is gone, but the process that pickled the handle may have the heap open.
        Some(Err(Error::ObjectGone)) => Engine::at(&address).map_err(|_| Error::ObjectGone),
        Some(opened) => opened,
        None => Engine::at(&address),
    })?;
    let engine = found.map_err(|error| errors::to_python(py, &error, "a pickled handle"))?;
    let max_bytes = engine.max_bytes();
    let heap = OpenHeap { engine, rules: Rules { pickle, max_bytes, copies: false } };
    if is_default {
        default::adopt(py, &heap)?;
    }
    Ok(heap)
}

fn open_named(path: &Path, uuid: [u64; 2], until: u64) -> Result<Engine> {
    if let Some(engine) = Engine::attached(uuid) {
        return Ok(engine);
    }
    let file = path.file_name().and_then(|file| file.to_str());
    let name = file.and_then(|file| file.strip_prefix("coheap.")).ok_or(Error::ObjectGone)?;
    let folder = path.parent().map(Path::to_path_buf);
    let options = Options { folder, create: false, ..Options::new(name) };
    match Engine::open_until(&options, until) {
        Ok(engine) if engine.uuid() == uuid => Ok(engine),
        Ok(_) | Err(Error::NoSuchName) => Err(Error::ObjectGone),
        Err(other) => Err(other),
    }
}

/// Offset, generation, name, and the extra text of the class.
type Which = (u64, u64, Option<String>, String);

#[pyfunction]
pub(crate) fn _open_object(
    py: Python<'_>,
    whereabouts: Whereabouts,
    which: Which,
) -> PyResult<Py<PyAny>> {
    let was_open = Engine::attached(whereabouts.1).is_some();
    let heap = find(py, whereabouts)?;
    if !was_open {
        // Nobody closes it under the handles that came without it.
        heap.engine.count_user();
    }
    let (at, generation, name, more) = which;
    let subject =
        || name.as_ref().map_or("a pickled handle".to_owned(), |name| format!("object {name:?}"));
    let (found, object) = match &name {
        Some(name) => {
            let find = |context: &Context| AnyObject::find(context, at, generation);
            let found = heap.run(py, subject, find)?;
            (found, Object::named(heap, name, found))
        }
        None => {
            let claim = |context: &Context| ledger::claim(context, at, generation);
            let (found, reference) = heap.run(py, subject, claim)?;
            (found, Object::referred(heap, found, reference))
        }
    };
    Ok(match found {
        AnyObject::Map(map) => Py::new(py, Dict::open(py, map, object, None)?)?.into_any(),
        AnyObject::Queue(queue) => Py::new(py, WorkQueue::new(queue, object))?.into_any(),
        AnyObject::Mutex(mutex) => Py::new(py, Lock::new(mutex, object))?.into_any(),
        AnyObject::RecursiveMutex(lock) => Py::new(py, RLock::new(lock, object))?.into_any(),
        AnyObject::Value(value) if more == lock::BESIDE => {
            Py::new(py, RLock::beside(value, object))?.into_any()
        }
        AnyObject::Value(value) => {
            Py::new(py, Value::new(py, value, object, Typecode::of(&more)?)?)?.into_any()
        }
    })
}

#[pyfunction]
pub(crate) fn _open_heap(py: Python<'_>, whereabouts: Whereabouts) -> PyResult<Heap> {
    let heap = find(py, whereabouts)?;
    Ok(Heap::new(heap.engine, heap.rules.pickle))
}

/// Opens a pickled handle as an instance of a class that is derived from that of the handle.
#[pyfunction]
pub(crate) fn _open_as<'py>(
    class: &Bound<'py, PyType>,
    which: (Whereabouts, Which),
) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    let handle = _open_object(py, which.0, which.1)?.into_bound(py);
    as_instance(class, &handle)
}

/// Returns an instance of a class that stands for the object of a handle. Its `__init__` is not called.
fn as_instance<'py>(
    class: &Bound<'py, PyType>,
    handle: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let new = handle.get_type().getattr("__new__")?;
    handle::adopting(handle, || match handle.is_instance_of::<Value>() {
        true => new.call1((class, "b")),
        false => new.call1((class,)),
    })
}
