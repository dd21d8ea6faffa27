//! Hooks for forks of a process with threads, and for the end of the interpreter.
//!
//! What always holds: neither a forked child nor the ending interpreter waits for a thread that no
//! longer runs.
//!
//! Not here: late imports (`late`).

use coheap_core::system;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::heap::default;
use crate::waiting;
use crate::{apart, late};

/// Registers hooks for forks and for the end of the interpreter, and imports the modules that the
/// first block needs: before Python 3.13, importing them in a thread is not safe while the
/// interpreter ends.
pub(crate) fn prepare(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    waiting::prepare(py)?;
    apart::prepare();
    let ends = wrap_pyfunction!(_threads_end, module)?;
    py.import("atexit")?.call_method1("register", (ends,))?;
    let when = PyDict::new(py);
    when.set_item("before", wrap_pyfunction!(_before_fork, module)?)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&when))?;
    ["contextvars", "gc"].iter().try_for_each(|name| py.import(*name).map(|_| ()))
}

/// Called before a fork: what another thread is importing would stay half imported in the child, and
/// who needs it there would wait for ever.
#[pyfunction]
fn _before_fork(py: Python<'_>) {
    if has_threads(py).unwrap_or(false) {
        late::import_all(py);
    }
}

fn has_threads(py: Python<'_>) -> PyResult<bool> {
    let modules = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?;
    match modules.get_item("threading")? {
        Some(threading) => Ok(threading.call_method0("active_count")?.extract::<usize>()? > 1),
        None => Ok(false),
    }
}

/// Called when the interpreter is about to end, and with it the threads that still run.
#[pyfunction]
fn _threads_end() {
    system::threads_end();
    default::forget();
}
