//! Files of lines: the native half of `coheap.AppendFile`.
//!
//! What always holds: one thread of a process uses the file at a time; who waits for it lets others
//! run and hears signals. A child of a fork opens the file anew.
//!
//! Not here: parts of lines, JSON and logging (`python/coheap/_append`).

use std::path::PathBuf;
use std::time::Duration;

use coheap_append::{Error, LineFile, Options, Rotation};
use coheap_core::system::{self, PrivateMutex};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::charset::Codecs;
use super::{encoding_of, failure, text_of};

/// A file of lines that several processes append to.
#[pyclass(module = "coheap._native", name = "_LineFile", subclass, frozen)]
pub(crate) struct Lines {
    path: PathBuf,
    file: PrivateMutex<LineFile>,
}

#[pymethods]
impl Lines {
    #[new]
    #[pyo3(signature = (path, *, encoding=None, fsync=false, atomic=true))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        encoding: Option<&str>,
        fsync: bool,
        atomic: bool,
    ) -> PyResult<Self> {
        let declared = encoding_of(encoding).map_err(|error| failure::to_python(py, &error))?;
        let file = LineFile::new(&path, Options { atomic, fsync }, declared);
        Ok(Self { path, file: PrivateMutex::new(file) })
    }

    /// The path of the file.
    #[getter]
    fn name(&self) -> PathBuf {
        self.path.clone()
    }

    /// Append one line, without its end, whole.
    fn write_line(&self, py: Python<'_>, line: &Bound<'_, PyAny>) -> PyResult<()> {
        let text = text_of(line, "the line")?;
        if text.contains(['\n', '\r']) {
            return Err(PyValueError::new_err(
                "the line has a line end in it; nothing was changed; append its lines one by one, \
                 or all at once with write()",
            ));
        }
        let mut whole = String::with_capacity(text.len() + 1);
        whole.push_str(text);
        whole.push('\n');
        self.append(py, &whole, &Rotation::Never).map(|_| ())
    }

    /// Append lines that end with a line end each, all of them or none.
    fn _append(&self, py: Python<'_>, lines: &Bound<'_, PyAny>) -> PyResult<()> {
        let lines = text_of(lines, "the text")?;
        self.append(py, lines, &Rotation::Never).map(|_| ())
    }

    /// The same; the file is moved aside first if it would have more bytes than `max_bytes`.
    fn _append_by_size(
        &self,
        py: Python<'_>,
        lines: &Bound<'_, PyAny>,
        max_bytes: u64,
        backups: u32,
    ) -> PyResult<bool> {
        let lines = text_of(lines, "the text")?;
        self.append(py, lines, &Rotation::Size { max_bytes, backups })
    }

    /// The same; the file is moved aside first if it was last written to before the period that it
    /// is, which is `period` or what `renew` returns: begin and end, in seconds since 1970. `name`
    /// gives it its name, by when it was last written to.
    fn _append_by_age(
        &self,
        py: Python<'_>,
        lines: &Bound<'_, PyAny>,
        period: (i64, i64),
        renew: Py<PyAny>,
        name: Py<PyAny>,
    ) -> PyResult<bool> {
        let lines = text_of(lines, "the text")?;
        let renew = || asked(|py| renew.call0(py)?.extract(py)).map(|(begin, end)| begin..end);
        let name = |modified: i64| asked(|py| name.call1(py, (modified,))?.extract(py));
        let rotation = Rotation::Age { period: period.0..period.1, renew: &renew, name: &name };
        self.append(py, lines, &rotation)
    }

    /// Close the descriptors of this process; the next line opens the file again.
    fn _close(&self, py: Python<'_>) {
        py.detach(|| self.file.lock().close());
    }
}

/// Asks a function of Python's, from a thread that has let its lock go.
fn asked<T>(ask: impl Fn(Python<'_>) -> PyResult<T>) -> Result<T, Error> {
    system::sleep_when_ended();
    Python::attach(|py| ask(py).map_err(|error| Error::BadInput(error.to_string())))
}

impl Lines {
    fn append(&self, py: Python<'_>, lines: &str, rotation: &Rotation<'_>) -> PyResult<bool> {
        let (moved, events) = loop {
            let done = py.detach(|| {
                let mut looks = 0;
                let mut file = loop {
                    match self.file.try_lock() {
                        Some(file) => break file,
                        // Another thread has it, and may be waiting for another process.
                        None if looks > 200 => return None,
                        None => std::thread::sleep(Duration::from_micros(50)),
                    }
                    looks += 1;
                };
                match file.append(lines, &Codecs, rotation) {
                    Err(Error::Busy) => None,
                    other => Some((other, file.take_events())),
                }
            });
            match done {
                None => py.check_signals()?,
                Some((Ok(moved), events)) => break (moved, events),
                Some((Err(error), events)) => {
                    failure::warn(py, &events)?;
                    return Err(failure::to_python(py, &error));
                }
            }
        };
        failure::warn(py, &events)?;
        Ok(moved)
    }
}
