//! The default heap: where objects live that are made without a heap.
//!
//! What always holds: a process has at most one at a time, made on first use. Children have their
//! parent's: forked ones by being copies, others by the first handle or process argument that
//! brings it along.

use coheap_core::Heap as Engine;
use coheap_core::system::PrivateMutex;
use pyo3::prelude::*;

use super::Heap;
use crate::object::OpenHeap;

static DEFAULT: PrivateMutex<Option<Py<Heap>>> = PrivateMutex::new(None);

/// The heap of objects that are made without one, such as `coheap.Dict()`.
///
/// It is made on first use, without a name, and shared with all processes that are started later
/// by this one; to share it with a process that is started by other means, pass it an object of
/// the heap, or the heap.
///
/// Raises:
///     HeapFull: The system has no memory for it.
#[pyfunction]
pub(crate) fn default_heap(py: Python<'_>) -> PyResult<Py<Heap>> {
    let mut default = DEFAULT.lock();
    if let Some(heap) = &*default {
        return Ok(heap.clone_ref(py));
    }
    let heap = Py::new(py, Heap::anonymous(py, None, true)?)?;
    *default = Some(heap.clone_ref(py));
    Ok(heap)
}

/// Makes a heap the default one of this process, and of those that it starts later.
///
/// Objects that were made in another one stay there.
///
/// Raises:
///     HeapClosed: It is closed in this process.
#[pyfunction]
pub(crate) fn set_default_heap(py: Python<'_>, heap: Py<Heap>) -> PyResult<()> {
    heap.get().stats_now(py)?;
    let before = DEFAULT.lock().replace(heap);
    drop(before);
    Ok(())
}

/// Lets go of the default heap: when the interpreter ends, nothing else would.
pub(crate) fn forget() {
    let before = DEFAULT.lock().take();
    drop(before);
}

/// The default heap, for objects that are made in it.
pub(crate) fn open_heap(py: Python<'_>) -> PyResult<OpenHeap> {
    Ok(default_heap(py)?.get().heap.clone())
}

pub(super) fn is_default(engine: &Engine) -> bool {
    DEFAULT.lock().as_ref().is_some_and(|heap| heap.get().heap.engine.is_same(engine))
}

/// Takes over what is the default heap of the process that a handle came from, if this one has
/// none yet.
pub(super) fn adopt(py: Python<'_>, open: &OpenHeap) -> PyResult<()> {
    let heap = Py::new(py, Heap { heap: open.clone() })?;
    let mut default = DEFAULT.lock();
    if default.is_none() {
        *default = Some(heap);
    }
    Ok(())
}
