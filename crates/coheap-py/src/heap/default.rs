//! The default heap: the heap of objects that are created without a heap.
//!
//! What always holds: a process has at most one default heap at a time, created on first use. A
//! child has its parent's: a forked child inherits it, any other gets it with the first handle or
//! process argument.

use coheap_core::Heap as Engine;
use coheap_core::system::PrivateMutex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::Heap;
use crate::object::OpenHeap;

/// Names the environment variable with the limit of the default heap.
const LIMIT: &str = "COHEAP_MAX_BYTES";

static DEFAULT: PrivateMutex<Option<Py<Heap>>> = PrivateMutex::new(None);

/// Return the heap of objects that are created without a heap, such as `coheap.Dict()`.
///
/// It is created on first use, without a name. Its limit is the environment variable `COHEAP_MAX_BYTES`,
/// in bytes or with a suffix as in `8G` (K, M, G, T: powers of 1024), else half of the memory. All
/// processes that this process starts later share it. To share it with any other process, pass that
/// process the heap or one of its objects.
///
/// Raises:
///     HeapFull: The system has no memory for the heap.
///     ValueError: `COHEAP_MAX_BYTES` is no number of bytes.
#[pyfunction]
pub(crate) fn default_heap(py: Python<'_>) -> PyResult<Py<Heap>> {
    let mut default = DEFAULT.lock();
    if let Some(heap) = &*default {
        return Ok(heap.clone_ref(py));
    }
    let heap = Py::new(py, Heap::anonymous(py, limit_in_environment()?, true)?)?;
    *default = Some(heap.clone_ref(py));
    Ok(heap)
}

/// Returns the limit of the default heap that the user has set.
fn limit_in_environment() -> PyResult<Option<i64>> {
    let Some(text) = std::env::var_os(LIMIT) else { return Ok(None) };
    let text = text.to_string_lossy();
    match bytes_in(text.trim()) {
        Some(bytes) if bytes > 0 => Ok(Some(bytes)),
        _ => Err(PyValueError::new_err(format!(
            "the environment variable {LIMIT}={text:?} is no number of bytes; no heap was created; set \
             it to a number, or to one with a suffix as in 8G"
        ))),
    }
}

/// Reads a number of bytes, with a suffix for a power of 1024.
fn bytes_in(text: &str) -> Option<i64> {
    let (digits, power) = match text.char_indices().last()? {
        (at, 'K' | 'k') => (&text[..at], 10),
        (at, 'M' | 'm') => (&text[..at], 20),
        (at, 'G' | 'g') => (&text[..at], 30),
        (at, 'T' | 't') => (&text[..at], 40),
        _ => (text, 0),
    };
    digits.parse::<i64>().ok()?.checked_mul(1 << power)
}

/// Make a heap the default heap of this process and of all processes that it starts later.
///
/// Objects in the previous default heap stay there.
///
/// Raises:
///     HeapClosed: The heap is closed in this process.
#[pyfunction]
pub(crate) fn set_default_heap(py: Python<'_>, heap: Py<Heap>) -> PyResult<()> {
    heap.get().stats_now(py)?;
    let before = DEFAULT.lock().replace(heap);
    drop(before);
    Ok(())
}

/// Releases the default heap. Nothing else would when the interpreter ends.
pub(crate) fn forget() {
    let before = DEFAULT.lock().take();
    drop(before);
}

/// Returns the default heap, for objects that are created in it.
pub(crate) fn open_heap(py: Python<'_>) -> PyResult<OpenHeap> {
    Ok(default_heap(py)?.get().heap.clone())
}

pub(super) fn is_default(engine: &Engine) -> bool {
    DEFAULT.lock().as_ref().is_some_and(|heap| heap.get().heap.engine.is_same(engine))
}

/// Adopts the default heap of the process that a handle came from, if this process has no default
/// heap yet.
pub(super) fn adopt(py: Python<'_>, open: &OpenHeap) -> PyResult<()> {
    let heap = Py::new(py, Heap::of(open.clone()))?;
    let mut default = DEFAULT.lock();
    if default.is_none() {
        *default = Some(heap);
    }
    Ok(())
}
