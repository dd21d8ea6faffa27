//! Handles out of pickles: the heap is found, and the object of it that is meant.
//!
//! What always holds: a pickle that comes too late finds nothing, never something else: heaps are
//! told apart by their uuids, objects by their generations.
//!
//! Not here: how a handle becomes a pickle, and who keeps its object meanwhile (`pickling`).

use std::path::Path;

use coheap_core::heap::{Address, Heap as Engine, Options};
use coheap_core::journal::Context;
use coheap_core::objects::{Handle, Kind, ledger};
use coheap_core::{Error, Result};
use pyo3::prelude::*;

use super::pickling::Whereabouts;
use super::{Heap, default};
use crate::codec::Rules;
use crate::dict::Dict;
use crate::errors;
use crate::lock::{self, Lock, RLock};
use crate::object::{Object, OpenHeap};
use crate::queue::WorkQueue;
use crate::value::{Typecode, Value};

/// The heap at a place.
fn find(py: Python<'_>, place: Whereabouts) -> PyResult<OpenHeap> {
    let (path, uuid, pid, descriptors, inodes, is_default, pickle) = place;
    let found = py.detach(|| {
        let address = Address { uuid, pid, descriptors, inodes };
        match path.map(|path| open_named(Path::new(&path), uuid)) {
            // The name is gone, but whoever pickled the handle may have the heap open.
            Some(Err(Error::ObjectGone)) => Engine::at(&address).map_err(|_| Error::ObjectGone),
            Some(opened) => opened,
            None => Engine::at(&address),
        }
    });
    let engine = found.map_err(|error| errors::to_python(py, &error, "a pickled handle"))?;
    let max_bytes = engine.region().header().max_bytes.get();
    let heap = OpenHeap { engine, rules: Rules { pickle, max_bytes, copies: false } };
    if is_default {
        default::adopt(py, &heap)?;
    }
    Ok(heap)
}

fn open_named(path: &Path, uuid: [u64; 2]) -> Result<Engine> {
    if let Some(engine) = Engine::attached(uuid) {
        return Ok(engine);
    }
    let gone = || Error::NoSuchHeap { pid: 0 };
    let file = path.file_name().and_then(|file| file.to_str()).ok_or_else(gone)?;
    let name = file.strip_prefix("coheap.").ok_or_else(gone)?;
    let folder = path.parent().map(Path::to_path_buf);
    let engine = Engine::open(&Options { folder, create: false, ..Options::new(name) });
    match engine {
        Ok(engine) if engine.uuid() == uuid => Ok(engine),
        Ok(_) | Err(Error::NoSuchName) => Err(Error::ObjectGone),
        Err(other) => Err(other),
    }
}

/// Offset, generation, name and what the class needs besides.
type Which = (u64, u64, Option<String>, String);

#[pyfunction]
pub(crate) fn _open_object(
    py: Python<'_>,
    place: Whereabouts,
    which: Which,
) -> PyResult<Py<PyAny>> {
    let heap = find(py, place)?;
    let (at, generation, name, more) = which;
    let subject =
        || name.as_ref().map_or("a pickled handle".to_owned(), |name| format!("object {name:?}"));
    let (object, kind) = match &name {
        Some(name) => {
            let find = |context: &Context| Handle::any(context.region(), at, generation);
            let (handle, kind) = heap.run(py, subject, find)?;
            (Object::named(heap, name, handle, kind), kind)
        }
        None => {
            let claim = |context: &Context| ledger::claim(context, at, generation);
            let reference = heap.run(py, subject, claim)?;
            (Object::referred(heap, reference), reference.kind)
        }
    };
    Ok(match kind {
        Kind::Map => Py::new(py, Dict::with_more(object, &more))?.into_any(),
        Kind::Queue => Py::new(py, WorkQueue::new(object))?.into_any(),
        Kind::Mutex => Py::new(py, Lock::new(object))?.into_any(),
        Kind::RecursiveMutex => Py::new(py, RLock::new(object))?.into_any(),
        Kind::Value if more == lock::BESIDE => Py::new(py, RLock::beside(object))?.into_any(),
        Kind::Value => Py::new(py, Value::new(py, object, Typecode::of(&more)?)?)?.into_any(),
    })
}

#[pyfunction]
pub(crate) fn _open_heap(py: Python<'_>, place: Whereabouts) -> PyResult<Heap> {
    Ok(Heap { heap: find(py, place)? })
}
