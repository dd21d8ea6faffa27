//! Waiting without blocking other Python threads.
//!
//! What always holds: a wait sleeps without the interpreter lock, handles Ctrl-C when a signal
//! interrupts its sleep, and keeps its deadline, which is absolute.
//!
//! A signal between two sleeps interrupts neither, so a wait wakes up every half second to check.

use coheap_core::Context;
use coheap_core::Heap as Engine;
use coheap_core::{Error, Result, system};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The longest sleep between two checks for signals, in nanoseconds.
pub(crate) const SLICE: u64 = 500_000_000;

/// Returns the truth value of an argument, as Python defines it.
pub(crate) fn truth(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    object.is_truthy()
}

/// When a wait ends: in nanoseconds of `system::now`, or never.
pub(crate) type Deadline = Option<u64>;

/// Returns the deadline of a timeout in seconds. `None`, or a timeout too long to count, is never.
pub(crate) fn deadline(timeout: Option<f64>) -> PyResult<Deadline> {
    match timeout {
        None => Ok(None),
        Some(seconds) if seconds >= 0.0 => Ok(after(seconds)),
        Some(_) => Err(PyValueError::new_err("'timeout' must be a non-negative number")),
    }
}

/// As [`deadline`], for seconds that are known not to be negative.
pub(crate) fn after(seconds: f64) -> Deadline {
    let wait = std::time::Duration::try_from_secs_f64(seconds).ok()?;
    system::now().checked_add(u64::try_from(wait.as_nanos()).ok()?)
}

/// One of the slices that a wait is made of, in nanoseconds of `system::now`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slice {
    /// When the whole wait began.
    pub(crate) started: u64,
    /// When it is time to check for signals.
    pub(crate) until: u64,
    /// Whether `until` is the deadline.
    pub(crate) is_last: bool,
}

/// Runs an operation that waits, slice after slice, until it is done or `deadline` passes. The
/// operation returns `late` when a slice is over.
pub(crate) fn wait<T: Send>(
    py: Python<'_>,
    engine: &Engine,
    deadline: Deadline,
    late: &Error,
    mut operation: impl FnMut(&Context, Slice) -> Result<T> + Send,
) -> PyResult<Result<T>> {
    wait_for(py, deadline, late, |slice| engine.with(|context| operation(context, slice)))
}

/// As [`wait`], for an operation that has its context already.
pub(crate) fn wait_for<T: Send>(
    py: Python<'_>,
    deadline: Deadline,
    late: &Error,
    mut operation: impl FnMut(Slice) -> Result<T> + Send,
) -> PyResult<Result<T>> {
    let started = system::now();
    let mut now = started;
    loop {
        let until = deadline.unwrap_or(u64::MAX).min(now.saturating_add(SLICE));
        let slice = Slice { started, until, is_last: deadline == Some(until) };
        let answer = py.detach(|| operation(slice));
        now = system::now();
        match answer {
            Err(Error::Interrupted) => py.check_signals()?,
            Err(error) if error == *late && deadline.is_none_or(|end| now < end) => {
                py.check_signals()?;
            }
            other => return Ok(other),
        }
    }
}
