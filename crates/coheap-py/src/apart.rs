//! What takes long, done without the interpreter lock: the other threads of the process go on meanwhile.
//!
//! What always holds: the bytes that are copied without the lock are of objects that never change, or
//! private.

#![expect(unsafe_code, reason = "makes bytes that are filled without the interpreter lock")]

use std::cell::Cell;

use coheap_core::system::{self, LONG};
use coheap_core::wire::{Tag, put_bytes};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

thread_local! {
    /// This thread runs the engine without the lock.
    static IS_DETACHED: Cell<bool> = const { Cell::new(false) };
}

/// Has the engine do without the lock what takes long.
pub(crate) fn prepare() {
    system::around_long_work(|work| {
        let is_detached = IS_DETACHED.get();
        // Nobody else runs when the interpreter has ended.
        if is_detached || Python::try_attach(|py| py.detach(&mut *work)).is_none() {
            work();
        }
    });
}

/// Runs the engine without the lock.
pub(crate) fn detached<T: Send>(py: Python<'_>, run: impl FnOnce() -> T + Send) -> T {
    py.detach(|| {
        let was_detached = IS_DETACHED.replace(true);
        let done = run();
        IS_DETACHED.set(was_detached);
        done
    })
}

/// Appends a tag, a length, and bytes that never change.
#[inline]
pub(crate) fn put(py: Python<'_>, out: &mut Vec<u8>, tag: Tag, bytes: &[u8]) {
    match bytes.len() {
        LONG.. => py.detach(|| put_bytes(out, tag, bytes)),
        _ => put_bytes(out, tag, bytes),
    }
}

/// Makes a `bytes` of private bytes.
#[inline]
pub(crate) fn bytes<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    if bytes.len() < LONG { Ok(PyBytes::new(py, bytes)) } else { long_bytes(py, bytes) }
}

#[cold]
fn long_bytes<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let len = bytes.len() as ffi::Py_ssize_t;
    // SAFETY: no contents are given, so none are read; the lock is held.
    let made = unsafe { ffi::PyBytes_FromStringAndSize(std::ptr::null(), len) };
    // SAFETY: a new reference, or null with an exception set.
    let made = unsafe { Bound::from_owned_ptr_or_err(py, made) }?.cast_into::<PyBytes>()?;
    // SAFETY: it is a `bytes`.
    let start = unsafe { ffi::PyBytes_AsString(made.as_ptr()) } as usize;
    py.detach(|| {
        // SAFETY: `len` bytes at `start` belong to a new object, which `made` keeps and nobody else knows.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start as *mut u8, bytes.len()) };
    });
    Ok(made)
}
