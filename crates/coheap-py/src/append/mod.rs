//! Appending to files that several processes share: CSV rows and lines.
//!
//! What always holds: rows are formatted and encoded before the file's lock is taken. Waits for it
//! let other threads run and hear signals.
//!
//! Not here: what a call of `coheap.append_csv` may be given (`python/coheap/_append`), and the
//! mechanism (`coheap_append`).

mod cells;
mod charset;
mod failure;
pub(crate) mod lines;
#[expect(unsafe_code, reason = "takes over a stream of the Arrow C interface")]
mod stream;
pub(crate) mod table;

use std::path::PathBuf;

use coheap_append::csv::{CsvFile, Dialect, Header, Plan, Quoting, Request, Rows};
use coheap_append::{Charsets, Error, Found, Options};
use coheap_core::system;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;

use cells::{FloatFormat, Format};
use charset::Codecs;
use table::Table;

/// Returns the encoding that a user names.
fn encoding_of(name: Option<&str>) -> Result<Option<Found>, Error> {
    let Some(name) = name else { return Ok(None) };
    Codecs.find(name).map(Some).ok_or_else(|| Error::NoSuchEncoding(name.to_owned()))
}

/// Runs a call without the interpreter, again after each signal that it has to hear.
fn patiently<T: Send>(
    py: Python<'_>,
    mut call: impl FnMut() -> Result<T, Error> + Send,
) -> PyResult<T> {
    loop {
        match py.detach(&mut call) {
            Err(Error::Busy) => py.check_signals()?,
            Err(error) => return Err(failure::to_python(py, &error)),
            Ok(done) => return Ok(done),
        }
    }
}

/// One call of `append_csv`.
#[pyclass(module = "coheap._native", name = "_CsvCall")]
pub(crate) struct CsvCall {
    file: CsvFile,
    format: Format,
    columns: Option<Vec<String>>,
    plan: Option<Plan>,
    text: String,
}

#[pymethods]
impl CsvCall {
    #[new]
    #[pyo3(signature = (path, *, columns, encoding, header, separator, quoting, missing, line_end, float_format, date_format, fsync, atomic))]
    #[expect(clippy::too_many_arguments, reason = "those of `append_csv`, which names them")]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        columns: Option<Vec<String>>,
        encoding: Option<&str>,
        header: Option<bool>,
        separator: &str,
        quoting: u32,
        missing: &str,
        line_end: Option<&str>,
        float_format: Option<&Bound<'_, PyAny>>,
        date_format: Option<String>,
        fsync: bool,
        atomic: bool,
    ) -> PyResult<Self> {
        let failed = |error: Error| failure::to_python(py, &error);
        let quoting = match quoting {
            0 => Quoting::Minimal,
            1 => Quoting::All,
            2 => Quoting::NonNumeric,
            3 => Quoting::Never,
            other => {
                return Err(PyValueError::new_err(format!(
                    "'quoting' is csv.QUOTE_MINIMAL, QUOTE_ALL, QUOTE_NONNUMERIC or QUOTE_NONE, not \
                     {other}; nothing was changed"
                )));
            }
        };
        let line_end = match line_end {
            None => None,
            Some("\n") => Some("\n"),
            Some("\r\n") => Some("\r\n"),
            Some(other) => {
                return Err(PyValueError::new_err(format!(
                    "'lineterminator' is '\\n' or '\\r\\n', not {other:?}; nothing was changed"
                )));
            }
        };
        let request = Request {
            encoding: encoding_of(encoding).map_err(failed)?,
            header: match header {
                None => Header::Auto,
                Some(true) => Header::Always,
                Some(false) => Header::Never,
            },
            dialect: Dialect::new(separator, quoting, missing).map_err(failed)?,
            line_end,
        };
        let format = Format { float: FloatFormat::of(float_format)?, date: date_format };
        let file = CsvFile::new(&path, Options { atomic, fsync }, request);
        Ok(Self { file, format, columns, plan: None, text: String::new() })
    }

    /// Looks at the file, before the rows are formatted for it.
    fn plan(&mut self, py: Python<'_>) -> PyResult<()> {
        let Self { file, columns, .. } = self;
        self.plan = Some(patiently(py, || file.plan(columns.as_deref(), &Codecs))?);
        Ok(())
    }

    /// The line end of the file.
    #[getter]
    fn line_end(&self) -> PyResult<&'static str> {
        Ok(self.planned()?.line_end())
    }

    /// For each column of the file which of the given ones it is; `None`: the same order.
    #[getter]
    fn order(&self) -> PyResult<Option<Vec<usize>>> {
        Ok(self.planned()?.order().map(<[usize]>::to_vec))
    }

    /// Formats rows that are lists of cells, and returns how many there are.
    fn write_rows(&mut self, rows: &Bound<'_, PyList>) -> PyResult<u64> {
        self.write(|out, format, order| cells::write_rows(rows, out, format, order))
    }

    /// Formats rows that are dicts with these keys, and returns how many there are.
    fn write_records(
        &mut self,
        rows: &Bound<'_, PyList>,
        keys: Vec<Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        self.write(|out, format, order| {
            let keys = match order {
                None => keys,
                Some(order) => order.iter().map(|column| keys[*column].clone()).collect(),
            };
            cells::write_records(rows, out, format, &keys)
        })
    }

    /// Formats a table of Arrow, and returns how many rows it has. Moments have as many digits as
    /// those of the same `chunk` rows need.
    fn write_table(&mut self, py: Python<'_>, table: &Table, chunk: usize) -> PyResult<u64> {
        self.write(|out, format, order| {
            py.detach(|| table::write_table(table, out, format, order, chunk.max(1)))
        })
    }

    /// Takes rows that are formatted already.
    fn write_text(&mut self, text: String) {
        self.text = text;
    }

    /// Appends what was formatted. `False`: the file has changed since it was planned for; plan and
    /// format again.
    fn commit(&mut self, py: Python<'_>) -> PyResult<bool> {
        let Self { file, columns, text, .. } = self;
        let Some(plan) = &self.plan else { return Err(unplanned()) };
        patiently(py, || file.commit(plan, columns.as_deref(), text))
    }

    /// Warns of what was found in the file.
    fn warn(&mut self, py: Python<'_>) -> PyResult<()> {
        failure::warn(py, &self.file.take_events())
    }
}

impl CsvCall {
    fn planned(&self) -> PyResult<&Plan> {
        self.plan.as_ref().ok_or_else(unplanned)
    }

    fn write(
        &mut self,
        write: impl FnOnce(&mut Rows<'_>, &Format, Option<&[usize]>) -> PyResult<()>,
    ) -> PyResult<u64> {
        let plan = self.planned()?;
        let mut out = Rows::new(self.file.dialect(), plan.line_end(), plan.width());
        write(&mut out, &self.format, plan.order())?;
        let count = out.count();
        self.text = out.into_text();
        Ok(count)
    }
}

#[cold]
fn unplanned() -> PyErr {
    PyRuntimeError::new_err("the call is not planned yet; nothing was changed; call plan() first")
}

/// What a reader has to know of a file: length in bytes without an unfinished call, inode, device,
/// and the encoding with its mark, unless `is_binary`.
#[pyfunction]
pub(crate) fn _look(
    py: Python<'_>,
    path: PathBuf,
    encoding: Option<&str>,
    is_binary: bool,
) -> PyResult<(u64, u64, u64, Option<String>)> {
    let declared = encoding_of(encoding).map_err(|error| failure::to_python(py, &error))?;
    let seen = patiently(py, || {
        let look = coheap_append::look(&path)?;
        let encoding = match is_binary {
            true => None,
            false => coheap_append::encoding_of(&path, &look, declared.as_ref(), &Codecs)?,
        };
        Ok((look.len, look.id.0, look.id.1, encoding))
    })?;
    Ok(seen)
}

/// Returns the exception for a text with half a character.
fn surrogate(error: PyErr, place: &str, text: &Bound<'_, PyAny>) -> PyErr {
    let py = text.py();
    let start = error.value(py).getattr("start").and_then(|start| start.extract::<usize>());
    match start {
        Ok(start) => {
            let reason = format!(
                "{place} has a surrogate without its other half; nothing was changed; leave it out"
            );
            failure::unencodable(py, "utf-8", text.clone(), start, reason)
        }
        Err(_) => error,
    }
}

/// Returns the text of an argument.
fn text_of<'a>(text: &'a Bound<'_, PyAny>, place: &str) -> PyResult<&'a str> {
    system::sleep_when_ended();
    match text.cast::<pyo3::types::PyString>() {
        Ok(line) => line.to_str().map_err(|error| surrogate(error, place, text)),
        Err(_) => Err(PyTypeError::new_err(format!(
            "{place} is a {}, not a text; nothing was changed",
            text.get_type().name()?
        ))),
    }
}
