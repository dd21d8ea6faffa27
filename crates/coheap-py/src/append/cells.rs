//! Rows of Python objects as text.
//!
//! What always holds: a cell is written as `csv.writer` does, but for what is missing: `None`, NaN,
//! `pandas.NA` and `NaT` are all written as `na_rep`. Bytes are refused: nobody could read them back.
//!
//! Not here: the columns of frames (`table`).

use std::fmt::Write as _;

use coheap_append::Error;
use coheap_append::csv::number::{self, Precision};
use coheap_append::csv::{Quoting, Rows};
use coheap_core::system;
use pyo3::exceptions::{PyTypeError, PyUnicodeEncodeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple,
};

use super::failure;
use crate::late::Late;

static DATETIME: Late = Late::new("datetime", "datetime");

/// How floats and dates are written.
#[derive(Debug, Default)]
pub(crate) struct Format {
    /// What `float_format` is.
    pub(crate) float: FloatFormat,
    /// What `date_format` is.
    pub(crate) date: Option<String>,
}

/// How floats are written.
#[derive(Debug, Default)]
pub(crate) enum FloatFormat {
    /// With the fewest digits that give them back.
    #[default]
    Shortest,
    /// With so many digits after the point: `"%.2f"`.
    Fixed(usize),
    /// As Python says: any other format, or a function.
    Python(Py<PyAny>),
}

impl FloatFormat {
    /// Reads what the user gives.
    pub(crate) fn of(given: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let Some(given) = given else { return Ok(Self::Shortest) };
        if !given.is_callable() && !given.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err(
                "'float_format' is a text such as '%.2f', or a function; nothing was changed",
            ));
        }
        let text: Option<String> = given.extract().ok();
        let digits = text.as_deref().and_then(|text| text.strip_prefix("%."));
        let digits = digits.and_then(|text| text.strip_suffix('f')?.parse().ok());
        Ok(match digits.filter(|digits| *digits < 100) {
            Some(digits) => Self::Fixed(digits),
            None => Self::Python(given.clone().unbind()),
        })
    }

    /// Writes a float that is not missing.
    pub(crate) fn write(&self, rows: &mut Rows<'_>, value: f64) -> PyResult<()> {
        let written = match self {
            Self::Shortest => rows.number(|out| number::write_f64(out, value)),
            Self::Fixed(digits) if value.is_finite() => rows.number(|out| {
                let _ = write!(out, "{value:.digits$}");
            }),
            Self::Fixed(_) => rows.number(|out| number::write_f64(out, value)),
            Self::Python(format) => {
                system::sleep_when_ended();
                let said: String = Python::attach(|py| {
                    let format = format.bind(py);
                    if format.is_callable() {
                        format.call1((value,))?.str()?.extract()
                    } else {
                        format.call_method1("__mod__", (value,))?.extract()
                    }
                })?;
                rows.number(|out| out.push_str(&said))
            }
        };
        written.map_err(bad)
    }
}

/// Returns the exception for rows that make no sense.
#[cold]
pub(crate) fn bad(error: Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// Writes rows, each of which is a sequence of cells. `order`: which cell is the first, and so on.
pub(crate) fn write_rows(
    rows: &Bound<'_, PyList>,
    out: &mut Rows<'_>,
    format: &Format,
    order: Option<&[usize]>,
) -> PyResult<()> {
    for (number, row) in rows.iter().enumerate() {
        let cells = cells_of(&row, number)?;
        match order {
            None => cells.iter().enumerate().try_for_each(|(column, cell)| {
                write(cell, out, format).map_err(|error| placed(error, cell, number, column))
            })?,
            Some(order) => {
                if cells.len() != order.len() {
                    return Err(PyValueError::new_err(format!(
                        "row {number} has {} cells, not {}; nothing was changed",
                        cells.len(),
                        order.len()
                    )));
                }
                order.iter().try_for_each(|column| {
                    let cell = &cells[*column];
                    write(cell, out, format).map_err(|error| placed(error, cell, number, *column))
                })?;
            }
        }
        out.end_row().map_err(bad)?;
    }
    Ok(())
}

/// The cells of a row.
fn cells_of<'py>(row: &Bound<'py, PyAny>, number: usize) -> PyResult<Vec<Bound<'py, PyAny>>> {
    if let Ok(row) = row.cast::<PyList>() {
        return Ok(row.iter().collect());
    }
    if let Ok(row) = row.cast::<PyTuple>() {
        return Ok(row.iter().collect());
    }
    system::sleep_when_ended();
    let is_text = row.is_instance_of::<PyString>() || row.is_instance_of::<PyBytes>();
    if is_text || row.is_instance_of::<PyMapping>() {
        return Err(PyTypeError::new_err(format!(
            "row {number} is a {}, not a list of cells; nothing was changed; give all rows as \
             lists, or all as dicts",
            row.get_type().name()?
        )));
    }
    let cells = row.try_iter().map_err(|_| {
        PyTypeError::new_err(format!("row {number} is no list of cells; nothing was changed"))
    })?;
    cells.collect()
}

/// Writes rows that are dicts; `columns` are the keys, in the order of the file.
pub(crate) fn write_records(
    rows: &Bound<'_, PyList>,
    out: &mut Rows<'_>,
    format: &Format,
    columns: &[Bound<'_, PyAny>],
) -> PyResult<()> {
    for (number, row) in rows.iter().enumerate() {
        let complain = |what: &str, keys: String| {
            Err(PyValueError::new_err(format!(
                "row {number} {what} {keys}; nothing was changed; give each row the same keys, \
                 with None for what is missing"
            )))
        };
        if !row.is_instance_of::<PyDict>() && !row.is_instance_of::<PyMapping>() {
            return Err(PyTypeError::new_err(format!(
                "row {number} is a {}, not a dict; nothing was changed; give all rows as dicts, or \
                 all as lists",
                row.get_type().name()?
            )));
        }
        if row.len()? != columns.len() {
            system::sleep_when_ended();
            let known = PyList::new(row.py(), columns)?;
            let (mut extra, mut missing) = (Vec::new(), Vec::new());
            for key in row.try_iter()? {
                let key = key?;
                if !known.contains(&key)? {
                    extra.push(key.str()?.to_string());
                }
            }
            for column in columns {
                if !row.contains(column)? {
                    missing.push(column.str()?.to_string());
                }
            }
            return match (missing.is_empty(), extra.is_empty()) {
                (false, _) => complain("lacks", missing.join(", ")),
                _ => complain("has other keys:", extra.join(", ")),
            };
        }
        for (place, column) in columns.iter().enumerate() {
            let cell = match row.get_item(column) {
                Ok(cell) => cell,
                Err(_) => return complain("lacks", column.str()?.to_string()),
            };
            let written = write(&cell, out, format);
            written.map_err(|error| placed(error, &cell, number, place))?;
        }
        out.end_row().map_err(bad)?;
    }
    Ok(())
}

/// Writes one cell.
#[inline]
fn write(cell: &Bound<'_, PyAny>, out: &mut Rows<'_>, format: &Format) -> PyResult<()> {
    if let Ok(text) = cell.cast_exact::<PyString>() {
        return out.text(text.to_str()?).map_err(bad);
    }
    if let Ok(value) = cell.cast_exact::<PyFloat>() {
        return write_float(value.value(), out, format);
    }
    if cell.is_none() {
        return out.missing().map_err(bad);
    }
    if let Ok(value) = cell.cast_exact::<PyBool>() {
        let said = if value.is_true() { "True" } else { "False" };
        return out.number(|out| out.push_str(said)).map_err(bad);
    }
    if cell.is_exact_instance_of::<PyInt>() {
        if let Ok(value) = cell.extract::<i64>() {
            return out.number(|out| number::write_integer(out, value)).map_err(bad);
        }
    }
    write_other(cell, out, format)
}

fn write_float(value: f64, out: &mut Rows<'_>, format: &Format) -> PyResult<()> {
    if value.is_nan() { out.missing().map_err(bad) } else { format.float.write(out, value) }
}

/// Writes a moment without a time zone as `str` does, which takes longer. `None`: it has one.
fn write_moment(cell: &Bound<'_, PyAny>, out: &mut Rows<'_>) -> PyResult<Option<()>> {
    let py = cell.py();
    if !cell.getattr(intern!(py, "tzinfo"))?.is_none() {
        return Ok(None);
    }
    let part = |name: &Bound<'_, PyString>| cell.getattr(name)?.extract::<u32>();
    let date = [part(intern!(py, "year"))?, part(intern!(py, "month"))?, part(intern!(py, "day"))?];
    let second = part(intern!(py, "hour"))? * 3600
        + part(intern!(py, "minute"))? * 60
        + part(intern!(py, "second"))?;
    let nanosecond = part(intern!(py, "microsecond"))? * 1000;
    let precision = if nanosecond == 0 { Precision::Second } else { Precision::Microsecond };
    let written = out.plain_text(|out| {
        number::write_year_month_day(out, date);
        out.push(' ');
        number::write_time(out, i64::from(second), nanosecond, precision);
    });
    written.map_err(bad).map(Some)
}

/// Writes a cell of a type that is not one of the usual ones.
#[cold]
fn write_other(cell: &Bound<'_, PyAny>, out: &mut Rows<'_>, format: &Format) -> PyResult<()> {
    system::sleep_when_ended();
    if format.date.is_none() && cell.get_type().is(&DATETIME.get(cell.py())?) {
        if let Some(()) = write_moment(cell, out)? {
            return Ok(());
        }
    }
    if cell.is_instance_of::<PyBytes>() || cell.is_instance_of::<PyByteArray>() {
        return Err(PyTypeError::new_err("bytes are no text: decode them"));
    }
    if let Ok(value) = cell.cast::<PyFloat>() {
        return write_float(value.value(), out, format);
    }
    // What is not equal to itself is missing: NaN of any type, NaT. `pandas.NA` has no opinion.
    let is_missing = match cell.ne(cell) {
        Ok(is_missing) => is_missing,
        Err(_) => cell.get_type().name()?.to_cow()? == "NAType",
    };
    if is_missing {
        return out.missing().map_err(bad);
    }
    if let (Some(format), true) = (&format.date, cell.hasattr("strftime")?) {
        let said: String = cell.call_method1("strftime", (format,))?.extract()?;
        return out.text(&said).map_err(bad);
    }
    let said = cell.str()?;
    // Only then does it matter.
    let is_number = out.quoting() == Quoting::NonNumeric
        && !cell.is_instance_of::<PyString>()
        && (cell.hasattr("__float__")? || cell.hasattr("__index__")?);
    let said = said.to_str()?;
    match is_number {
        true => out.number(|out| out.push_str(said)),
        false => out.text(said),
    }
    .map_err(bad)
}

/// Adds to an error which cell it is about.
#[cold]
fn placed(error: PyErr, cell: &Bound<'_, PyAny>, row: usize, column: usize) -> PyErr {
    let py = cell.py();
    if error.is_instance_of::<PyUnicodeEncodeError>(py) {
        let value = error.value(py);
        let start = value.getattr("start").and_then(|start| start.extract::<usize>());
        let reason = format!(
            "row {row}, column {column} has a surrogate without its other half; nothing was \
             changed; leave it out"
        );
        return match value.getattr("object") {
            Ok(text) => failure::unencodable(py, "utf-8", text, start.unwrap_or(0), reason),
            Err(error) => error,
        };
    }
    if error.is_instance_of::<PyTypeError>(py) {
        return PyTypeError::new_err(format!(
            "row {row}, column {column}: {}; nothing was changed",
            error.value(py)
        ));
    }
    error
}
