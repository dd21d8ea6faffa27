//! The table that turns an error of the engine into a Python exception.
//!
//! Our own classes are written in Python (`coheap/_errors.py`), so that they read, document and
//! pickle like any others. They are imported when the first one is needed.
//!
//! What always holds: a message says whether anything changed. It begins with the name of the
//! object, which the engine does not know.

use coheap_core::{Error, Kind, system};
use pyo3::exceptions::{
    PyKeyError, PyMemoryError, PyOSError, PyOverflowError, PyPermissionError, PyRuntimeError,
    PyTimeoutError, PyTypeError, PyValueError,
};
use pyo3::prelude::*;

use crate::words::one_of;

/// Ends the message of a full heap: objects that name no heap are in the default one.
const LARGER_DEFAULT: &str = " (the default heap: set the environment variable COHEAP_MAX_BYTES, or \
                              call coheap.set_default_heap)";

/// Returns the exception for an error of the engine. `subject` names the object:
/// `"dict 'counts'"`.
#[cold]
pub(crate) fn to_python(py: Python<'_>, error: &Error, subject: &str) -> PyErr {
    let message = format!("{subject}: {error}");
    match error {
        Error::HeapFull { wanted, used, max, system } => {
            let more = if system.is_none() { LARGER_DEFAULT } else { "" };
            let full = own(py, "HeapFull", message + more);
            let value = full.value(py);
            let numbers = [("wanted", wanted), ("used", used), ("max_bytes", max)];
            let set = numbers.iter().try_for_each(|(name, number)| value.setattr(*name, **number));
            set.err().unwrap_or(full)
        }
        Error::NoMemory { .. } => PyMemoryError::new_err(message),
        Error::Doomed(why) => doomed(py, why, subject),
        Error::InTransaction => PyRuntimeError::new_err(format!(
            "{subject}: an open block of coheap.atomic in this thread holds it, and the caller is \
             outside of the block (another task, or a finalizer); nothing was changed; wait until \
             the block has ended"
        )),
        Error::Corrupt(_) | Error::NotAHeap(_) => own(py, "HeapCorrupt", message),
        Error::Closed => own(py, "HeapClosed", message),
        Error::ObjectGone | Error::NoSuchHeap { .. } => own(py, "ObjectGone", message),
        Error::Deadlock => own(py, "DeadlockError", message),
        Error::WouldBlock => own(py, "WouldBlock", message),
        Error::LeaseLost => own(py, "LeaseLost", message),
        Error::ShutDown => imported(py, "coheap._ends", "ShutDown", message),
        Error::OwnerDied { pid } => {
            let died = own(py, "OwnerDied", message);
            died.value(py).setattr("pid", *pid).err().unwrap_or(died)
        }
        Error::Empty => imported(py, "coheap._ends", "Empty", message),
        Error::Full => imported(py, "coheap._ends", "Full", message),
        Error::WrongKind { found, wanted } => wrong_kind(subject, *found, *wanted),
        Error::NotAnInteger => PyTypeError::new_err(message),
        Error::NoSuchName => PyKeyError::new_err(message),
        Error::TimedOut => PyTimeoutError::new_err(message),
        Error::Overflow => PyOverflowError::new_err(message),
        Error::NotYours { .. } | Error::NotPrivate { .. } | Error::UnusableFolder(_) => {
            PyPermissionError::new_err(message)
        }
        Error::OtherFormat { .. } => PyOSError::new_err(message),
        // The number of ENOMEM.
        Error::NoAddressSpace { .. } => PyOSError::new_err((12, message)),
        Error::Os { code, .. } => PyOSError::new_err((*code, message)),
        Error::BadName(_)
        | Error::BadArgument(_)
        | Error::NotOwner
        | Error::OtherHeap
        | Error::OtherSlots { .. }
        | Error::TransactionTooLarge { .. } => PyValueError::new_err(message),
        _ => PyRuntimeError::new_err(message),
    }
}

/// Returns the exception of a block of `coheap.atomic` that was given up before.
#[cold]
fn doomed(py: Python<'_>, why: &Error, subject: &str) -> PyErr {
    match why {
        // The block was misused. The exception is made at once: that works even after the
        // interpreter has ended.
        Error::BadArgument(how) => {
            let message = format!("{subject}: {how}; the block was given up; nothing was changed");
            let raised = py.get_type::<PyRuntimeError>().call1((message,));
            raised.map_or_else(|error| error, PyErr::from_value)
        }
        why => to_python(py, why, &format!("{subject}: the block was given up")),
    }
}

/// Returns whether an exception is an `ObjectGone`.
#[cold]
pub(crate) fn is_gone(py: Python<'_>, error: &PyErr) -> bool {
    system::sleep_when_ended();
    let class = py.import("coheap._errors").and_then(|module| module.getattr("ObjectGone"));
    class.is_ok_and(|class| error.matches(py, class).unwrap_or(false))
}

/// Returns the exception for an object that cannot be pickled.
#[cold]
pub(crate) fn unpicklable(what: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "{what} cannot be pickled: it belongs to this process; nothing was changed; pass the \
         queue or the value instead"
    ))
}

/// Returns the exception for an object of another kind than the caller asked for. `subject` names
/// the object.
#[cold]
pub(crate) fn wrong_kind(subject: &str, found: Kind, wanted: Kind) -> PyErr {
    PyTypeError::new_err(format!(
        "{subject} is {}, not {}; nothing was changed; choose another name",
        one_of(found),
        one_of(wanted)
    ))
}

/// Returns the exception for a value with more bytes than the heap.
#[cold]
pub(crate) fn heap_full(py: Python<'_>, wanted: u64, max: u64) -> PyErr {
    own(
        py,
        "HeapFull",
        format!(
            "the value has {wanted} bytes or more, and the heap holds {max}; nothing was changed; \
             store smaller values, or create the heap with a larger `max_bytes`"
        ),
    )
}

/// Returns the exception for bytes that coheap did not write.
#[cold]
pub(crate) fn unreadable(py: Python<'_>, what: &str) -> PyErr {
    own(
        py,
        "HeapCorrupt",
        format!("a stored value cannot be read: {what}; nothing was changed; replace or remove it"),
    )
}

/// Returns one of our own exceptions.
#[cold]
pub(crate) fn own(py: Python<'_>, class: &str, message: String) -> PyErr {
    imported(py, "coheap._errors", class, message)
}

#[cold]
fn imported(py: Python<'_>, module: &str, class: &str, message: String) -> PyErr {
    system::sleep_when_ended();
    let raised = py
        .import(module)
        .and_then(|module| module.getattr(class))
        .and_then(|class| class.call1((message,)));
    raised.map_or_else(|error| error, PyErr::from_value)
}
