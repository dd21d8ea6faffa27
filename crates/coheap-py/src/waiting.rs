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

use crate::apart;
use crate::late::Late;

static IS_FINALIZING: Late = Late::new("sys", "is_finalizing");

/// Finds what tells whether the interpreter ends: when it does, `sys` may have been taken apart.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    IS_FINALIZING.get(py).map(|_| ())
}

/// Called before a wait: when the interpreter ends, it freezes all threads but the one that runs its
/// last finalizers. These would wait for ever for a lock that a frozen thread holds.
pub(crate) fn note_frozen_threads(py: Python<'_>) {
    let answer = IS_FINALIZING.get(py).and_then(|asked| asked.call0()?.is_truthy());
    if answer.unwrap_or(false) {
        system::OTHERS_ARE_FROZEN.raise();
    }
}

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

/// The rounds of an operation that runs with the interpreter lock, and runs again when it needed
/// something that another thread was changing.
#[derive(Debug, Default)]
pub(crate) struct Rounds(u32);

impl Rounds {
    /// The rounds after which the operation may wait with the interpreter lock, and for how long, in
    /// nanoseconds: others could be faster for ever.
    const MANY: u32 = 8;
    const SHORT: u64 = 1_000_000;

    /// Returns how long the next round may wait, as an absolute time: mostly not at all.
    #[inline]
    pub(crate) fn deadline(&self) -> u64 {
        if self.0 < Self::MANY { 0 } else { system::now() + Self::SHORT }
    }

    /// Waits without the interpreter lock until another thread has ended its change, or for a slice
    /// of `budget` nanoseconds, and handles signals.
    #[cold]
    pub(crate) fn wait(
        &mut self,
        py: Python<'_>,
        engine: &Engine,
        turn: u32,
        budget: Option<u64>,
    ) -> PyResult<()> {
        self.0 += 1;
        let until = system::now().saturating_add(budget.unwrap_or(SLICE).min(SLICE));
        let wait = || engine.with(|context| context.wait_for_turn(turn, until));
        let waited = apart::detached(py, wait);
        // What else may be wrong, the operation says itself.
        drop(waited);
        py.check_signals()
    }
}

/// Runs a call outside of any heap that may wait until a time, again and again, and handles signals
/// meanwhile.
pub(crate) fn outside<T: Send>(
    py: Python<'_>,
    call: impl Fn(u64) -> Result<T> + Send + Sync,
) -> PyResult<Result<T>> {
    loop {
        let until = system::now().saturating_add(SLICE);
        match py.detach(|| call(until)) {
            Err(Error::Busy { .. } | Error::Interrupted) => py.check_signals()?,
            other => return Ok(other),
        }
    }
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
    wait_for(py, deadline, late, |slice| {
        let run = |context: &Context| operation(context, slice);
        engine.with(|context| context.waiting_until(slice.until, run))
    })
}

/// As [`wait`], for an operation that has its context already.
pub(crate) fn wait_for<T: Send>(
    py: Python<'_>,
    deadline: Deadline,
    late: &Error,
    mut operation: impl FnMut(Slice) -> Result<T> + Send,
) -> PyResult<Result<T>> {
    note_frozen_threads(py);
    let started = system::now();
    let mut now = started;
    loop {
        let until = deadline.unwrap_or(u64::MAX).min(now.saturating_add(SLICE));
        let slice = Slice { started, until, is_last: deadline == Some(until) };
        let answer = apart::detached(py, || operation(slice));
        now = system::now();
        match answer {
            Err(Error::Interrupted) => py.check_signals()?,
            Err(Error::Busy { .. }) if deadline.is_none_or(|end| now < end) => {
                py.check_signals()?;
            }
            Err(Error::Busy { .. }) => return Ok(Err(late.clone())),
            Err(error) if error == *late && deadline.is_none_or(|end| now < end) => {
                py.check_signals()?;
            }
            other => return Ok(other),
        }
    }
}
