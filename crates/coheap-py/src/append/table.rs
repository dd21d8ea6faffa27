//! Columns of frames and tables as text, without an object for each cell.
//!
//! What always holds: a cell is written as pandas writes it, whoever made the frame; a date column
//! without times of day is written without them, and all of its moments have the same number of
//! digits, unless they have a time zone. Formatting needs no interpreter, unless `float_format` or
//! `date_format` do.
//!
//! Not here: which frames come here at all (`python/coheap/_append/frames.py`).

use std::fmt::Write as _;

use arrow_array::cast::AsArray;
use arrow_array::types as arrow;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, RecordBatch};
use arrow_schema::{ArrowError, DataType, SchemaRef, TimeUnit};
use coheap_append::csv::Rows;
use coheap_append::csv::number::{self, Precision};
use coheap_core::system;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use super::cells::{Format, bad};
use super::stream::columns_of;

/// The columns of a frame.
#[pyclass(module = "coheap._native", name = "_Table", frozen)]
pub(crate) struct Table {
    pub(super) batches: Vec<RecordBatch>,
    schema: SchemaRef,
}

#[pymethods]
impl Table {
    /// Takes what exports a stream of Arrow; with `columns` these only, in this order.
    #[new]
    fn new(data: &Bound<'_, PyAny>, columns: Option<Vec<String>>) -> PyResult<Self> {
        let (batches, schema) = columns_of(data)?;
        let Some(columns) = columns else { return Ok(Self { batches, schema }) };
        let missing: Vec<&str> = columns
            .iter()
            .filter(|name| schema.index_of(name).is_err())
            .map(String::as_str)
            .collect();
        if !missing.is_empty() {
            return Err(PyValueError::new_err(format!(
                "the frame has no columns {}; nothing was changed",
                missing.join(", ")
            )));
        }
        let places: Vec<usize> =
            columns.iter().filter_map(|name| schema.index_of(name).ok()).collect();
        let failed = |error: ArrowError| PyValueError::new_err(error.to_string());
        let chosen = batches.iter().map(|batch| batch.project(&places));
        Ok(Self {
            batches: chosen.collect::<Result<_, _>>().map_err(failed)?,
            schema: schema.project(&places).map_err(failed)?.into(),
        })
    }

    /// The names of the columns.
    #[getter]
    fn names(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }
}

/// Writes the cell of a column in a row.
type Cell<'a> = Box<dyn Fn(&mut Rows<'_>, usize) -> PyResult<()> + 'a>;

/// Writes all rows. `order` says which column is the first, and so on; the precision of moments is
/// chosen anew for each `chunk` rows.
pub(crate) fn write_table(
    Table { batches, schema }: &Table,
    out: &mut Rows<'_>,
    format: &Format,
    order: Option<&[usize]>,
    chunk: usize,
) -> PyResult<()> {
    let all: Vec<usize> = (0..schema.fields().len()).collect();
    let order = order.unwrap_or(&all);
    for pieces in chunks_of(batches, chunk) {
        let precisions: Vec<Precision> =
            order.iter().map(|column| precision_of(&pieces, *column)).collect();
        for batch in &pieces {
            let cells = order.iter().zip(&precisions);
            let cells = cells.map(|(column, precision)| {
                let field = batch.schema_ref().field(*column);
                cell_of(batch.column(*column), field.name(), format, *precision)
            });
            let cells = cells.collect::<PyResult<Vec<Cell<'_>>>>()?;
            out.reserve(batch.num_rows() * order.len() * 8);
            for row in 0..batch.num_rows() {
                cells.iter().try_for_each(|cell| cell(out, row))?;
                out.end_row().map_err(bad)?;
            }
        }
    }
    Ok(())
}

/// The rows in chunks, each of which is one or more pieces of batches.
fn chunks_of(batches: &[RecordBatch], chunk: usize) -> Vec<Vec<RecordBatch>> {
    let (mut chunks, mut room) = (Vec::<Vec<RecordBatch>>::new(), 0);
    for batch in batches {
        let mut at = 0;
        while at < batch.num_rows() {
            if room == 0 {
                chunks.push(Vec::new());
                room = chunk;
            }
            let count = room.min(batch.num_rows() - at);
            if let Some(last) = chunks.last_mut() {
                last.push(batch.slice(at, count));
            }
            (at, room) = (at + count, room - count);
        }
    }
    chunks
}

/// What the moments of a column need.
fn precision_of(pieces: &[RecordBatch], column: usize) -> Precision {
    let mut needed = Precision::Day;
    for piece in pieces {
        let array = piece.column(column);
        if let DataType::Timestamp(unit, None) = array.data_type() {
            for row in (0..array.len()).filter(|row| array.is_valid(*row)) {
                let (second, nanosecond) = moment(array, *unit, row);
                needed = needed.max(Precision::of(second, nanosecond));
            }
        }
    }
    needed
}

/// A moment of a column, as seconds since 1970 and nanoseconds beyond.
fn moment(array: &ArrayRef, unit: TimeUnit, row: usize) -> (i64, u32) {
    let (value, per_second) = match unit {
        TimeUnit::Second => (array.as_primitive::<arrow::TimestampSecondType>().value(row), 1),
        TimeUnit::Millisecond => {
            (array.as_primitive::<arrow::TimestampMillisecondType>().value(row), 1_000)
        }
        TimeUnit::Microsecond => {
            (array.as_primitive::<arrow::TimestampMicrosecondType>().value(row), 1_000_000)
        }
        TimeUnit::Nanosecond => {
            (array.as_primitive::<arrow::TimestampNanosecondType>().value(row), 1_000_000_000)
        }
    };
    let beyond = value.rem_euclid(per_second) * (1_000_000_000 / per_second);
    (value.div_euclid(per_second), beyond as u32)
}

/// Writes the numbers of a column.
fn numbers<'a, T: ArrowPrimitiveType>(
    array: &'a ArrayRef,
    write: impl Fn(&mut String, T::Native) + 'a,
) -> Cell<'a> {
    let values = array.as_primitive::<T>();
    Box::new(move |out, row| out.number(|out| write(out, values.value(row))).map_err(bad))
}

/// Writes the floats of a column that `float_format` is for.
fn floats<'a, T: ArrowPrimitiveType>(
    array: &'a ArrayRef,
    format: &'a Format,
    wide: impl Fn(T::Native) -> f64 + 'a,
    narrow: Option<fn(&mut String, T::Native)>,
) -> Cell<'a> {
    let values = array.as_primitive::<T>();
    Box::new(move |out, row| {
        let value = values.value(row);
        let number = wide(value);
        match (&format.float, narrow) {
            _ if number.is_nan() => out.missing().map_err(bad),
            (super::cells::FloatFormat::Shortest, Some(write)) => {
                out.number(|out| write(out, value)).map_err(bad)
            }
            (format, _) => format.write(out, number),
        }
    })
}

/// How the cells of a column are written.
fn cell_of<'a>(
    array: &'a ArrayRef,
    name: &str,
    format: &'a Format,
    precision: Precision,
) -> PyResult<Cell<'a>> {
    let write: Cell<'a> = match array.data_type() {
        DataType::Null => Box::new(|out, _| out.missing().map_err(bad)),
        DataType::Boolean => {
            let values = array.as_boolean();
            Box::new(move |out, row| {
                let said = if values.value(row) { "True" } else { "False" };
                out.number(|out| out.push_str(said)).map_err(bad)
            })
        }
        kind if kind.is_integer() => integers(array),
        DataType::Float64 => floats::<arrow::Float64Type>(array, format, |value| value, None),
        DataType::Float32 => {
            floats::<arrow::Float32Type>(array, format, f64::from, Some(number::write_f32))
        }
        DataType::Utf8 => {
            let values = array.as_string::<i32>();
            Box::new(move |out, row| out.text(values.value(row)).map_err(bad))
        }
        DataType::LargeUtf8 => {
            let values = array.as_string::<i64>();
            Box::new(move |out, row| out.text(values.value(row)).map_err(bad))
        }
        DataType::Utf8View => {
            let values = array.as_string_view();
            Box::new(move |out, row| out.text(values.value(row)).map_err(bad))
        }
        DataType::Decimal128(..) => {
            let values = array.as_primitive::<arrow::Decimal128Type>();
            Box::new(move |out, row| {
                out.number(|out| out.push_str(&values.value_as_string(row))).map_err(bad)
            })
        }
        DataType::Date32
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Timestamp(..) => moments(array, name, format, precision)?,
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            if dictionary.values().is_empty() {
                return Ok(Box::new(|out, _| out.missing().map_err(bad)));
            }
            let keys = dictionary.normalized_keys();
            let value = cell_of(dictionary.values(), name, format, precision)?;
            Box::new(move |out, row| value(out, keys[row]))
        }
        other => {
            return Err(PyTypeError::new_err(format!(
                "column {name:?} has cells of the type {other}, which have no text in a CSV; \
                 nothing was changed; convert the column first"
            )));
        }
    };
    if array.null_count() == 0 {
        return Ok(write);
    }
    Ok(Box::new(
        move |out, row| {
            if array.is_null(row) { out.missing().map_err(bad) } else { write(out, row) }
        },
    ))
}

/// How integers are written.
fn integers(array: &ArrayRef) -> Cell<'_> {
    match array.data_type() {
        DataType::Int8 => numbers::<arrow::Int8Type>(array, number::write_integer),
        DataType::Int16 => numbers::<arrow::Int16Type>(array, number::write_integer),
        DataType::Int32 => numbers::<arrow::Int32Type>(array, number::write_integer),
        DataType::Int64 => numbers::<arrow::Int64Type>(array, number::write_integer),
        DataType::UInt8 => numbers::<arrow::UInt8Type>(array, number::write_integer),
        DataType::UInt16 => numbers::<arrow::UInt16Type>(array, number::write_integer),
        DataType::UInt32 => numbers::<arrow::UInt32Type>(array, number::write_integer),
        _ => numbers::<arrow::UInt64Type>(array, number::write_integer),
    }
}

/// How dates and times are written.
fn moments<'a>(
    array: &'a ArrayRef,
    name: &str,
    format: &'a Format,
    precision: Precision,
) -> PyResult<Cell<'a>> {
    if let Some(format) = &format.date {
        return Ok(formatted(array, format, zone_of(array.data_type(), name)?));
    }
    Ok(match array.data_type() {
        DataType::Timestamp(unit, None) => {
            let unit = *unit;
            Box::new(move |out, row| {
                let (second, nanosecond) = moment(array, unit, row);
                write_text(out, |said| number::write_moment(said, second, nanosecond, precision))
            })
        }
        DataType::Timestamp(unit, Some(_)) => {
            let unit = *unit;
            let zone = zone_of(array.data_type(), name)?.unwrap_or(Zone::Fixed(0));
            Box::new(move |out, row| {
                let (second, nanosecond) = moment(array, unit, row);
                let offset = zone.at(second)?;
                write_text(out, |said| write_zoned(said, offset, second, nanosecond))
            })
        }
        DataType::Date32 => {
            let values = array.as_primitive::<arrow::Date32Type>();
            Box::new(move |out, row| {
                write_text(out, |said| number::write_date(said, i64::from(values.value(row))))
            })
        }
        DataType::Date64 => {
            let values = array.as_primitive::<arrow::Date64Type>();
            Box::new(move |out, row| {
                let days = values.value(row).div_euclid(86_400_000);
                write_text(out, |said| number::write_date(said, days))
            })
        }
        _ => Box::new(move |out, row| {
            let (second, nanosecond) = time_of_day(array, row);
            let precision =
                if nanosecond == 0 { Precision::Second } else { Precision::Microsecond };
            write_text(out, |said| number::write_time(said, second, nanosecond, precision))
        }),
    })
}

/// A time of day, as seconds and nanoseconds beyond.
fn time_of_day(array: &ArrayRef, row: usize) -> (i64, u32) {
    let (value, per_second) = match array.data_type() {
        DataType::Time32(TimeUnit::Second) => {
            (i64::from(array.as_primitive::<arrow::Time32SecondType>().value(row)), 1)
        }
        DataType::Time32(_) => {
            (i64::from(array.as_primitive::<arrow::Time32MillisecondType>().value(row)), 1_000)
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            (array.as_primitive::<arrow::Time64MicrosecondType>().value(row), 1_000_000)
        }
        _ => (array.as_primitive::<arrow::Time64NanosecondType>().value(row), 1_000_000_000),
    };
    let beyond = value.rem_euclid(per_second) * (1_000_000_000 / per_second);
    (value.div_euclid(per_second), beyond as u32)
}

/// Writes a cell that counts as text.
#[inline]
fn write_text(out: &mut Rows<'_>, write: impl FnOnce(&mut String)) -> PyResult<()> {
    out.plain_text(write).map_err(bad)
}

/// A time zone.
enum Zone {
    /// So many seconds ahead of UTC.
    Fixed(i64),
    /// One that Python knows by its name.
    Named(Py<PyAny>),
}

impl Zone {
    /// Seconds that the clocks of the zone are ahead of UTC at a moment.
    fn at(&self, second: i64) -> PyResult<i64> {
        let zone = match self {
            Self::Fixed(offset) => return Ok(*offset),
            Self::Named(zone) => zone,
        };
        system::sleep_when_ended();
        Python::attach(|py| {
            let class = py.import("datetime")?.getattr("datetime")?;
            let moment = class.call_method1("fromtimestamp", (second, zone))?;
            let ahead = moment.call_method0("utcoffset")?.call_method0("total_seconds")?;
            Ok(ahead.extract::<f64>()? as i64)
        })
    }
}

/// The time zone of a column.
fn zone_of(kind: &DataType, name: &str) -> PyResult<Option<Zone>> {
    let DataType::Timestamp(_, Some(zone)) = kind else { return Ok(None) };
    if let Some(offset) = fixed(zone) {
        return Ok(Some(Zone::Fixed(offset)));
    }
    system::sleep_when_ended();
    let found = Python::attach(|py| {
        py.import("zoneinfo")?.getattr("ZoneInfo")?.call1((&**zone,)).map(Bound::unbind)
    });
    found.map(|found| Some(Zone::Named(found))).map_err(|error| {
        PyTypeError::new_err(format!(
            "column {name:?} has the unknown time zone {zone:?} ({error}); nothing was changed; \
             convert the column to UTC"
        ))
    })
}

/// The seconds of a zone such as `UTC` or `+05:30`.
fn fixed(zone: &str) -> Option<i64> {
    if matches!(zone, "UTC" | "Z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone.strip_prefix(['+', '-'])?.split_once(':')?;
    Some(sign * (hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60))
}

/// Writes a moment of a zone as `str(pandas.Timestamp)` does.
fn write_zoned(said: &mut String, offset: i64, second: i64, nanosecond: u32) {
    let precision = match Precision::of(1, nanosecond) {
        Precision::Millisecond => Precision::Microsecond,
        other => other,
    };
    number::write_moment(said, second.saturating_add(offset), nanosecond, precision);
    let (sign, size) = (if offset < 0 { '-' } else { '+' }, offset.abs());
    let _ = write!(said, "{sign}{:02}:{:02}", size / 3600, size / 60 % 60);
    if size % 60 != 0 {
        let _ = write!(said, ":{:02}", size % 60);
    }
}

/// Writes moments by `strftime`, to the microsecond.
fn formatted<'a>(array: &'a ArrayRef, format: &'a str, zone: Option<Zone>) -> Cell<'a> {
    Box::new(move |out, row| {
        let (second, nanosecond) = match array.data_type() {
            DataType::Timestamp(unit, _) => moment(array, *unit, row),
            DataType::Date32 => {
                (i64::from(array.as_primitive::<arrow::Date32Type>().value(row)) * 86_400, 0)
            }
            DataType::Date64 => {
                (array.as_primitive::<arrow::Date64Type>().value(row).div_euclid(1000), 0)
            }
            _ => time_of_day(array, row),
        };
        system::sleep_when_ended();
        let said: String = Python::attach(|py| {
            let module = py.import("datetime")?;
            let offset = zone.as_ref().map_or(Ok(0), |zone| zone.at(second))?;
            let begin = module.getattr("datetime")?.call1((1970, 1, 1))?;
            let beyond = (0, second + offset, nanosecond / 1000);
            let moment =
                begin.call_method1("__add__", (module.getattr("timedelta")?.call1(beyond)?,))?;
            let moment = match &zone {
                None => moment,
                Some(_) => {
                    let ahead = module.getattr("timedelta")?.call1((0, offset))?;
                    let zone = module.getattr("timezone")?.call1((ahead,))?;
                    let with = pyo3::types::PyDict::new(py);
                    with.set_item("tzinfo", zone)?;
                    moment.call_method("replace", (), Some(&with))?
                }
            };
            moment.call_method1("strftime", (format,))?.extract()
        })?;
        out.text(&said).map_err(bad)
    })
}
