//! Names that one process holds, for `coheap.single_instance` and `coheap.Slots`.
//!
//! What always holds: a wait lets other threads run and hears Ctrl-C. What is claimed by an object is
//! given back with it, at the latest.
//!
//! Not here: `with`, decorators and exceptions (`python/coheap/_single.py`).

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coheap_core::Error;
use coheap_core::claim::{self, Claim as Held, Holder, Name, Outcome, Request, Scope, Seconds};
use coheap_core::system::{self, PrivateMutex};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::errors::to_python;
use crate::waiting::{SLICE, deadline};

/// Who holds a name: process id, since when in seconds since 1970, command line, user, and all of it
/// in words.
type Described = (Option<u32>, Option<f64>, Vec<String>, Option<String>, String);

const HOLDS_ALREADY: &str = "this object holds a slot already; it keeps that one, and nothing was \
    changed; use an object for each thread";

/// A name, or a slot of it, that this process can hold.
#[pyclass(frozen, module = "coheap._native", name = "Claim")]
pub(crate) struct Claim {
    request: Request,
    held: PrivateMutex<Option<Held>>,
}

#[pymethods]
impl Claim {
    #[new]
    #[pyo3(signature = (name, scope, slots, inherit))]
    fn new(
        py: Python<'_>,
        name: &str,
        scope: &str,
        slots: Option<u32>,
        inherit: bool,
    ) -> PyResult<Self> {
        let scope = match scope {
            "user" => Scope::User,
            "machine" => Scope::Machine,
            other => {
                let text = format!("scope must be 'user' or 'machine', not {other:?}");
                return Err(PyValueError::new_err(text));
            }
        };
        let made = match slots {
            None => Name::single(name, scope),
            Some(count) => Name::with_slots(name, scope, count),
        };
        let made = made.map_err(|error| to_python(py, &error, &subject(name)))?;
        let request = Request { is_inherited: inherit, ..Request::new(made) };
        Ok(Self { request, held: PrivateMutex::new(None) })
    }

    /// Claim the name, waiting for at most `timeout` seconds; None waits for ever.
    ///
    /// Returns:
    ///     None, or who holds the name.
    fn acquire(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Described>> {
        let end = deadline(timeout)?;
        // A signal between two sleeps interrupts neither, so a wait is made of slices.
        loop {
            let until = end.unwrap_or(u64::MAX).min(system::now().saturating_add(SLICE));
            let is_last = Some(until) == end;
            let until = if timeout == Some(0.0) { 0 } else { until };
            // A first attempt needs no other thread, unless it waits.
            let outcome = if until == 0 {
                Held::acquire(&self.request, 0)
            } else {
                py.detach(|| Held::acquire(&self.request, until))
            };
            match outcome {
                Ok(Outcome::Held(claim)) => {
                    let mut held = self.held.lock();
                    if held.as_ref().is_some_and(Held::is_held) {
                        // Its user would lose that slot, and not know it.
                        drop((held, claim));
                        return Err(PyRuntimeError::new_err(HOLDS_ALREADY));
                    }
                    let before = held.replace(claim);
                    drop((held, before));
                    return Ok(None);
                }
                Ok(Outcome::Taken(holder)) if is_last => return Ok(Some(described(&holder))),
                Ok(Outcome::Taken(_)) | Err(Error::Interrupted) => py.check_signals()?,
                Err(error) => return Err(self.explain(py, &error)),
            }
        }
    }

    /// Give it back. Returns whether this process held it until now.
    fn release(&self, py: Python<'_>) -> PyResult<bool> {
        let held = self.held.lock().take();
        let released = held.map_or(Ok(false), Held::release);
        released.map_err(|error| self.explain(py, &error))
    }

    /// Whether this process holds it.
    #[getter]
    fn held(&self) -> bool {
        self.held.lock().as_ref().is_some_and(Held::is_held)
    }

    /// The number of the slot that was claimed last and not given back.
    #[getter]
    fn slot(&self) -> Option<u32> {
        self.held.lock().as_ref().map(Held::slot)
    }

    /// Ask the holder. Returns its answer, or None.
    fn ask(
        &self,
        py: Python<'_>,
        arguments: Vec<OsString>,
        folder: PathBuf,
    ) -> PyResult<Option<i32>> {
        match py.detach(|| claim::ask(&self.request.name, &arguments, &folder)) {
            // Arguments that are too long for a question are no reason to fail.
            Err(Error::BadArgument(_)) => Ok(None),
            answer => answer.map_err(|error| self.explain(py, &error)),
        }
    }

    /// Listen to those who come second.
    fn listen(&self, py: Python<'_>) -> PyResult<Listener> {
        let seconds = Seconds::listen(&self.request.name);
        Ok(Listener { seconds: seconds.map_err(|error| self.explain(py, &error))? })
    }
}

impl Claim {
    #[cold]
    fn explain(&self, py: Python<'_>, error: &Error) -> PyErr {
        to_python(py, error, &subject(self.request.name.text()))
    }
}

/// Where a holder hears of those who come second.
#[pyclass(frozen, module = "coheap._native", name = "Listener")]
pub(crate) struct Listener {
    seconds: Seconds,
}

#[pymethods]
impl Listener {
    /// Wait for the next one. None: nobody is heard any more.
    fn next(&self, py: Python<'_>) -> Option<Second> {
        system::sleep_when_ended();
        loop {
            match py.detach(|| self.seconds.next(Duration::from_nanos(SLICE))) {
                Ok(Some(second)) => return Some(Second(PrivateMutex::new(Some(second)))),
                Ok(None) => {}
                Err(_) => return None,
            }
        }
    }

    /// Stop listening: `next` returns None at once.
    fn stop(&self) {
        self.seconds.stop();
    }
}

/// A process that came second, and waits for an answer.
#[pyclass(frozen, module = "coheap._native", name = "Second")]
pub(crate) struct Second(PrivateMutex<Option<claim::Second>>);

#[pymethods]
impl Second {
    /// Its arguments, the program first.
    #[getter]
    fn arguments(&self) -> Vec<OsString> {
        self.0.lock().as_ref().map(|second| second.arguments.clone()).unwrap_or_default()
    }

    /// Its current folder.
    #[getter]
    fn folder(&self) -> OsString {
        self.0.lock().as_ref().map(|second| second.folder.clone().into()).unwrap_or_default()
    }

    /// Answer, once.
    fn answer(&self, number: i32) {
        if let Some(second) = self.0.lock().take() {
            second.answer(number);
        }
    }
}

fn subject(name: &str) -> String {
    format!("name {name:?}")
}

fn described(holder: &Holder) -> Described {
    let seconds = |since: SystemTime| since.duration_since(UNIX_EPOCH).ok();
    let since = holder.since.and_then(seconds).map(|since| since.as_secs_f64());
    (holder.pid, since, holder.command.clone(), holder.user_name(), holder.to_string())
}
