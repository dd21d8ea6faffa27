//! Pickles handles: how to find the heap, and which object of it.
//!
//! A value in a heap keeps the objects of that heap that it refers to. The destination of any other
//! pickle is unknown: the process that pickles a handle to an object without a name keeps the object
//! until it ends or closes the heap, or, for a child process, until the child ends. The process that
//! unpickles the handle keeps the object, too.
//!
//! Not here: how a pickled handle is opened (`opening`).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use coheap_core::Handle;
use coheap_core::parcel::Target;
use coheap_core::system::PrivateMutex;
use coheap_core::{Address, Heap as Engine};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::{default, luggage};
use crate::errors;
use crate::object::{Keeper, Object, OpenHeap};

/// The result of `__reduce__`: a function and its arguments.
pub(crate) type Reduced<'py> = (Bound<'py, PyAny>, Bound<'py, PyTuple>);

/// Path of a named heap, uuid; a member's process id, descriptors and inodes; whether it is the
/// default heap, and whether it takes pickles.
pub(super) type Whereabouts = (Option<String>, [u64; 2], u32, [u32; 3], [u64; 3], bool, bool);

/// The objects that this process keeps because it pickled handles to them, by the addresses of their
/// keepers.
static PICKLED: PrivateMutex<BTreeMap<usize, Arc<Keeper>>> = PrivateMutex::new(BTreeMap::new());

/// Pickles a handle. `more` is the extra text of the class.
pub(crate) fn reduce<'py>(py: Python<'py>, object: &Object, more: &str) -> PyResult<Reduced<'py>> {
    let whereabouts = whereabouts_of(py, &object.heap)?;
    if !meet(object) {
        keep(&object.keeper);
    }
    let function = py.import("coheap._native")?.getattr("_open_object")?;
    let Handle { at, generation, .. } = object.handle();
    let which = (at, generation, object.name(), more);
    Ok((function, (whereabouts, which).into_pyobject(py)?))
}

/// Pickles a heap.
pub(super) fn reduce_heap<'py>(py: Python<'py>, heap: &OpenHeap) -> PyResult<Reduced<'py>> {
    let function = py.import("coheap._native")?.getattr("_open_heap")?;
    Ok((function, (whereabouts_of(py, heap)?,).into_pyobject(py)?))
}

thread_local! {
    /// The values that this thread is encoding, the innermost last: the heap of each, and the objects
    /// without a name that the value refers to.
    static MEETINGS: RefCell<Vec<(Engine, Vec<Object>)>> = const { RefCell::new(Vec::new()) };
}

/// Runs `encode`, which encodes a value for a heap, and also returns the objects that it refers to.
pub(crate) fn meeting<T>(engine: &Engine, encode: impl FnOnce() -> T) -> (T, Vec<Object>) {
    let _ = MEETINGS.try_with(|meetings| {
        meetings.borrow_mut().push((engine.clone(), Vec::new()));
    });
    let done = encode();
    let met = MEETINGS.try_with(|meetings| meetings.borrow_mut().pop());
    (done, met.ok().flatten().map(|(_, met)| met).unwrap_or_default())
}

/// Returns the offsets and generations of the objects, each once.
pub(crate) fn targets(met: &[Object]) -> Vec<Target> {
    let mut targets: Vec<Target> =
        met.iter().map(|object| (object.handle().at, object.handle().generation)).collect();
    targets.sort_unstable();
    targets.dedup();
    targets
}

/// Notes an object without a name in the value that is being encoded for its heap, if there is one:
/// that value will keep the object. Returns whether it did.
fn meet(object: &Object) -> bool {
    let note = |meetings: &RefCell<Vec<(Engine, Vec<Object>)>>| {
        let mut meetings = meetings.try_borrow_mut().ok()?;
        let (engine, met) = meetings.last_mut()?;
        let is_kept = object.name().is_none() && engine.is_same(&object.heap.engine);
        is_kept.then(|| met.push(object.clone()))
    };
    MEETINGS.try_with(note).ok().flatten().is_some()
}

/// Keeps an object until this process ends, or the child that it is for.
fn keep(keeper: &Arc<Keeper>) {
    let is_named = matches!(**keeper, Keeper::Name(_));
    if !is_named && !luggage::pack(keeper) {
        PICKLED.lock().insert(Arc::as_ptr(keeper) as usize, Arc::clone(keeper));
    }
}

/// Releases the objects that were kept in a heap that this process closes.
pub(super) fn let_go(engine: &Engine) {
    let is_of_it = |keeper: &Arc<Keeper>| match &**keeper {
        Keeper::Reference(known, _) => known.is_same(engine),
        Keeper::Name(_) => true,
    };
    let mut going = Vec::new();
    PICKLED.lock().retain(|_, keeper| {
        let is_kept = !is_of_it(keeper);
        if !is_kept {
            going.push(Arc::clone(keeper));
        }
        is_kept
    });
}

fn whereabouts_of(py: Python<'_>, heap: &OpenHeap) -> PyResult<Whereabouts> {
    let engine = &heap.engine;
    let is_default = default::is_default(engine);
    let pickle = heap.rules.pickle;
    let path = engine.path().map(|path| path.to_string_lossy().into_owned());
    let found = engine.with(|_| engine.address());
    let address = found.map_err(|error| errors::to_python(py, &error, "the heap"))?;
    let Address { uuid, pid, descriptors, inodes } = address;
    Ok((path, uuid, pid, descriptors, inodes, is_default, pickle))
}
