//! Tells code in a block from other code on the same thread.
//!
//! A block stores its number in a context variable. Other tasks of an event loop have contexts of
//! their own and do not find it there. Callbacks of the garbage collector identify its finalizers.
//! An event loop that runs while a block is open shows that the block was suspended by an `await`.
//!
//! Two kinds of code cannot be told from the block, because Python does not report them: signal
//! handlers, and finalizers that run because the block's own code dropped the last reference. They
//! count as the block's code.

use std::cell::{Cell, RefCell};
use std::sync::OnceLock;

use coheap_core::{Error, system};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::block;
use crate::late::{first_of, imported};

static VARIABLE: OnceLock<Variable> = OnceLock::new();
static LISTENING: OnceLock<()> = OnceLock::new();

thread_local! {
    static IS_COLLECTING: Cell<bool> = const { Cell::new(false) };
    /// A weak reference to the event loop that will call `_look_at_block`.
    static WATCHED: RefCell<Option<Py<PyAny>>> = const { RefCell::new(None) };
}

/// Why a block that an `await` suspended is given up.
pub(super) const SUSPENDED: Error = Error::BadArgument(
    "the block of coheap.atomic was suspended by an await; await before or after the block, or run \
     the block in a thread (asyncio.to_thread)",
);

/// The context variable, as its three methods.
struct Variable {
    set: Py<PyAny>,
    get: Py<PyAny>,
    reset: Py<PyAny>,
}

fn variable(py: Python<'_>) -> PyResult<&Variable> {
    first_of(&VARIABLE, || {
        let keywords = PyDict::new(py);
        keywords.set_item("default", 0)?;
        let class = py.import("contextvars")?.getattr("ContextVar")?;
        let variable = class.call(("coheap.atomic",), Some(&keywords))?;
        let method = |name: &str| variable.getattr(name).map(Bound::unbind);
        Ok(Variable { set: method("set")?, get: method("get")?, reset: method("reset")? })
    })
}

/// Marks the caller's context as that of a block. The answer takes the mark away again.
pub(super) fn mark(py: Python<'_>, number: u64) -> PyResult<Py<PyAny>> {
    variable(py)?.set.call1(py, (number,))
}

/// Takes the mark away. `false`: the caller's context is another one than that which was marked.
pub(super) fn unmark(py: Python<'_>, mark: &Py<PyAny>) -> bool {
    variable(py).and_then(|variable| variable.reset.call1(py, (mark,))).is_ok()
}

/// Whether the caller's context is that of the block with this number. Fails near the limit of
/// recursion: then nobody knows.
pub(super) fn is_marked(py: Python<'_>, number: u64) -> PyResult<bool> {
    Ok(variable(py)?.get.call0(py)?.extract::<u64>(py)? == number)
}

/// Whether the caller was called by the collector.
pub(super) fn is_collecting() -> bool {
    IS_COLLECTING.with(Cell::get)
}

/// Has the collector say when it begins and ends.
pub(super) fn listen_to_collector(py: Python<'_>) -> PyResult<()> {
    if LISTENING.get().is_some() {
        return Ok(());
    }
    system::sleep_when_ended();
    let callbacks = py.import("gc")?.getattr("callbacks")?.cast_into::<PyList>()?;
    let note = wrap_pyfunction!(_note_collection, py)?;
    // No Python code runs between these two, so a child that is forked has both or neither.
    if LISTENING.set(()).is_ok() { callbacks.append(note) } else { Ok(()) }
}

/// Called by the collector: `phase` is "start" or "stop".
#[pyfunction]
#[pyo3(signature = (phase, _info, /))]
fn _note_collection(phase: &str, _info: &Bound<'_, PyAny>) {
    IS_COLLECTING.with(|is_collecting| is_collecting.set(phase == "start"));
}

/// Asks a running event loop to report when it continues: a block that is still open then was
/// suspended. Returns whether there is such a loop.
pub(super) fn watch_event_loop(py: Python<'_>) -> PyResult<bool> {
    let Some(asyncio) = imported(py, "asyncio")? else { return Ok(false) };
    // A module that is only half imported has no running loop.
    let Ok(running) = asyncio.call_method0(intern!(py, "get_running_loop")) else {
        return Ok(false);
    };
    system::sleep_when_ended();
    let watched = WATCHED.with(|watched| watched.borrow().as_ref().map(|it| it.clone_ref(py)));
    if let Some(watched) = watched {
        if watched.bind(py).call0()?.is(&running) {
            return Ok(true);
        }
    }
    let reference = py.import("weakref")?.call_method1("ref", (&running,))?.unbind();
    running.call_method1("call_soon", (wrap_pyfunction!(_look_at_block, py)?,))?;
    let before = WATCHED.with(|watched| watched.borrow_mut().replace(reference));
    drop(before);
    Ok(true)
}

/// Called by an event loop when it continues.
#[pyfunction]
fn _look_at_block() {
    let before = WATCHED.with(|watched| watched.borrow_mut().take());
    drop(before);
    block::with_any(|block| {
        if block.is_watched() {
            block.give_up(SUSPENDED);
        }
    });
}

/// Returns the error when another block is open in this thread.
#[cold]
pub(super) fn another_is_open() -> PyErr {
    PyRuntimeError::new_err(
        "another block of coheap.atomic is open in this thread: in another task, or around code \
         that the garbage collector interrupted; nothing was changed; wait until that block has \
         ended",
    )
}
