//! Errors and events of appends as Python exceptions and warnings.
//!
//! What always holds: an exception that says that nothing was appended is the truth; a warning comes
//! after its call has appended what it was given.

use coheap_append::{Error, Event};
use coheap_core::system;
use pyo3::exceptions::{
    PyLookupError, PyOSError, PyRuntimeError, PyUnicodeEncodeError, PyValueError,
};
use pyo3::prelude::*;

/// The numbers of EINVAL and EOPNOTSUPP.
const INVALID: i32 = 22;
const NOT_SUPPORTED: i32 = 95;

/// Returns the exception for an error of an append.
#[cold]
pub(crate) fn to_python(py: Python<'_>, error: &Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::Os { error, .. } | Error::NoSidecar { error, .. } | Error::Torn { error, .. } => {
            match error.raw_os_error().or_else(|| number_of(error.kind())) {
                Some(number) => PyOSError::new_err((number, message)),
                None => PyOSError::new_err(message),
            }
        }
        Error::NotAFile(_) => PyOSError::new_err((INVALID, message)),
        Error::Network { .. } => PyOSError::new_err((NOT_SUPPORTED, message)),
        Error::NoSuchEncoding(_) => PyLookupError::new_err(message),
        Error::Unencodable(what) => {
            let reason = format!(
                "{} cannot be written in the encoding of the file; nothing was changed; leave the \
                 character out, or append to a file in UTF-8",
                what.place
            );
            unencodable(py, &what.encoding, &what.text, what.at, reason)
        }
        Error::Busy => PyRuntimeError::new_err(message),
        _ => PyValueError::new_err(message),
    }
}

/// Returns a `UnicodeEncodeError` for one character of a text.
#[cold]
pub(crate) fn unencodable<'py>(
    py: Python<'py>,
    encoding: &str,
    text: impl IntoPyObject<'py>,
    at: usize,
    reason: String,
) -> PyErr {
    system::sleep_when_ended();
    let class = py.get_type::<PyUnicodeEncodeError>();
    let raised = class.call1((encoding, text, at, at + 1, reason));
    raised.map_or_else(|error| error, PyErr::from_value)
}

fn number_of(kind: std::io::ErrorKind) -> Option<i32> {
    match kind {
        std::io::ErrorKind::IsADirectory => Some(21),
        std::io::ErrorKind::NotFound => Some(2),
        std::io::ErrorKind::FileTooLarge => Some(27),
        _ => None,
    }
}

/// Warns of what was found in a file.
pub(crate) fn warn(py: Python<'_>, events: &[Event]) -> PyResult<()> {
    if events.is_empty() {
        return Ok(());
    }
    system::sleep_when_ended();
    let classes = py.import("coheap._errors")?;
    for event in events {
        let class = match event {
            Event::Removed { .. } => classes.getattr("UnfinishedCallWarning")?,
            Event::Foreign { .. } => classes.getattr("ForeignWriterWarning")?,
        };
        py.import("warnings")?.call_method1("warn", (event.to_string(), class, 3))?;
    }
    Ok(())
}
