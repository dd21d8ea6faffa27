//! Dates and times, UUIDs, enum members, paths, and what else has a canonical form of its own.
//!
//! What always holds: a payload that is a text is one that types of Rust read: ISO 8601, the 36 characters of
//! a UUID.

use coheap_core::wire::{Reader, Tag, put_bytes};
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMemoryView, PyRange, PyString};

use super::super::Unreadable;
use super::super::number::big;
use super::number::{decimal, fraction};
use super::reduced::name_of;
use super::{Canonical, Done, Refusal, has_equality_of, refuse_type};
use crate::late::{Late, is_a};

static DATE: Late = Late::new("datetime", "date");
static DATETIME: Late = Late::new("datetime", "datetime");
static TIME: Late = Late::new("datetime", "time");
static TIMEDELTA: Late = Late::new("datetime", "timedelta");
static TIMEZONE: Late = Late::new("datetime", "timezone");
static UUID: Late = Late::new("uuid", "UUID");
static ENUM: Late = Late::new("enum", "Enum");
static FLAG: Late = Late::new("enum", "Flag");
static POSIX_PATH: Late = Late::new("pathlib", "PurePosixPath");
static WINDOWS_PATH: Late = Late::new("pathlib", "PureWindowsPath");
static PATH: Late = Late::new("pathlib", "PosixPath");

impl Canonical<'_> {
    /// Writes what has a canonical form of its own. `false`: it has none, and nothing was written.
    pub(super) fn put_named(&mut self, object: &Bound<'_, PyAny>, depth: u32) -> Done<bool> {
        if is_equal_as(object, &DATETIME)? {
            self.put_datetime(object)?;
        } else if is_equal_as(object, &DATE)? {
            let text = object.call_method0(intern!(object.py(), "isoformat"))?;
            self.put_text(Tag::Date, &text, is_exactly(object, &DATE)?)?;
        } else if is_equal_as(object, &TIME)? {
            self.put_time(object)?;
        } else if is_equal_as(object, &TIMEDELTA)? {
            self.put_timedelta(object)?;
        } else if is_equal_as(object, &UUID)? {
            self.put_text(Tag::Uuid, object.str()?.as_any(), is_exactly(object, &UUID)?)?;
        } else if is_a(object, &ENUM)? && has_equality(object, &ENUM)? {
            self.put_member(object, depth)?;
        } else if is_equal_as(object, &POSIX_PATH)? {
            self.put_text(Tag::Path, object.str()?.as_any(), is_exactly(object, &PATH)?)?;
        } else if is_equal_as(object, &WINDOWS_PATH)? {
            let text = object.str()?.call_method0(intern!(object.py(), "lower"))?;
            self.put_parts("pathlib.PureWindowsPath", |parts| parts.put(&text, depth))?;
        } else if is_equal_as(object, &TIMEZONE)? {
            let offset =
                object.call_method1(intern!(object.py(), "utcoffset"), (object.py().None(),))?;
            self.put_parts("datetime.timezone", |parts| parts.put_timedelta(&offset))?;
        } else if object.is_exact_instance_of::<PyRange>() {
            self.put_range(object, depth)?;
        } else if let Ok(view) = object.cast_exact::<PyMemoryView>() {
            view.hash().map_err(Refusal::ByKey)?;
            let bytes = view.call_method0(intern!(view.py(), "tobytes"))?;
            self.is_exact = false;
            put_bytes(
                self.out,
                Tag::Bytes,
                bytes.cast::<PyBytes>().map_err(PyErr::from)?.as_bytes(),
            );
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn put_text(&mut self, tag: Tag, text: &Bound<'_, PyAny>, is_exact: bool) -> Done {
        let py = text.py();
        let text = text.cast::<PyString>().map_err(PyErr::from)?;
        let arguments = (intern!(py, "utf-8"), intern!(py, "surrogatepass"));
        let bytes = text.call_method1(intern!(py, "encode"), arguments)?;
        put_bytes(self.out, tag, bytes.cast::<PyBytes>().map_err(PyErr::from)?.as_bytes());
        self.is_exact &= is_exact;
        Ok(())
    }

    /// A datetime with a time zone is its moment in UTC; one without is equal to none of these.
    fn put_datetime(&mut self, object: &Bound<'_, PyAny>) -> Done {
        let py = object.py();
        let zone = object.getattr(intern!(py, "tzinfo"))?;
        let offset = object.call_method0(intern!(py, "utcoffset"))?;
        let is_plain = is_exactly(object, &DATETIME)? && is_first(object)?;
        let local = without_zone(object)?;
        if offset.is_none() {
            return self.put_text(Tag::DateTime, &in_micros(&local)?, is_plain && zone.is_none());
        }
        let is_exact = is_plain && zone.is(&TIMEZONE.get(py)?.getattr(intern!(py, "utc"))?);
        match local.sub(&offset) {
            Ok(utc) => {
                let text = in_micros(&utc)?.add("+00:00")?;
                self.put_text(Tag::DateTime, &text, is_exact)
            }
            // A moment before the first year, or after the last.
            Err(_) => self.put_parts("datetime.datetime", |parts| {
                parts.put_text(Tag::DateTime, &in_micros(&local)?, false)?;
                parts.put_timedelta(&offset)
            }),
        }
    }

    fn put_time(&mut self, object: &Bound<'_, PyAny>) -> Done {
        let py = object.py();
        let offset = object.call_method0(intern!(py, "utcoffset"))?;
        let local = without_zone(object)?;
        let text = local.call_method1(intern!(py, "isoformat"), ("microseconds",))?;
        if offset.is_none() {
            let is_plain = is_exactly(object, &TIME)? && is_first(object)?;
            let is_exact = is_plain && object.getattr(intern!(py, "tzinfo"))?.is_none();
            return self.put_text(Tag::Time, &text, is_exact);
        }
        let part = |name: &str| local.getattr(name)?.extract::<i64>();
        let minutes = part("hour")? * 60 + part("minute")?;
        let micros = (minutes * 60 + part("second")?) * 1_000_000 + part("microsecond")?;
        let delta = TIMEDELTA.get(py)?.call1((0, 0, micros))?.sub(&offset)?;
        self.put_parts("datetime.time", |parts| parts.put_timedelta(&delta))
    }

    fn put_timedelta(&mut self, object: &Bound<'_, PyAny>) -> Done {
        let py = object.py();
        let part = |name: &Bound<'_, PyString>| object.getattr(name)?.extract::<i32>();
        let days = part(intern!(py, "days"))?;
        let (seconds, micros) = (part(intern!(py, "seconds"))?, part(intern!(py, "microseconds"))?);
        let mut payload = [0; 16];
        payload[..8].copy_from_slice(&i64::from(days).to_le_bytes());
        payload[8..12].copy_from_slice(&seconds.to_le_bytes());
        payload[12..].copy_from_slice(&micros.to_le_bytes());
        put_bytes(self.out, Tag::TimeDelta, &payload);
        self.is_exact &= is_exactly(object, &TIMEDELTA)?;
        Ok(())
    }

    /// Its class and its name; a combination of flags, which has no name of its own, is its value.
    fn put_member(&mut self, object: &Bound<'_, PyAny>, depth: u32) -> Done {
        let py = object.py();
        if !self.rules.pickle {
            return Err(refuse_type(object));
        }
        let class = name_of(object.get_type().as_any())?;
        if is_a(object, &FLAG)? {
            let value = object.getattr(intern!(py, "_value_"))?;
            return self.put_parts(&class, |parts| parts.put(&value, depth));
        }
        let name: String = object.getattr(intern!(py, "_name_"))?.extract()?;
        self.needs_form = true;
        self.put_text(Tag::Enum, PyString::new(py, &format!("{class}.{name}")).as_any(), false)
    }

    /// Ranges are equal if the same numbers are in them.
    fn put_range(&mut self, range: &Bound<'_, PyAny>, depth: u32) -> Done {
        let part = |name: &str| range.getattr(name).map_err(Refusal::from);
        self.put_parts("range", |parts| {
            if !range.is_truthy()? {
                return Ok(());
            }
            let (first, last) = (part("start")?, range.get_item(-1)?);
            parts.put(&first, depth)?;
            if first.eq(&last)? {
                return Ok(());
            }
            parts.put(&last, depth)?;
            parts.put(&part("step")?, depth)
        })
    }
}

/// Whether it is of this type, or of a subclass that is equal as this type is.
fn is_equal_as(object: &Bound<'_, PyAny>, kind: &Late) -> PyResult<bool> {
    Ok(is_a(object, kind)? && has_equality(object, kind)?)
}

fn has_equality(object: &Bound<'_, PyAny>, kind: &Late) -> PyResult<bool> {
    has_equality_of(&object.get_type(), kind.get(object.py())?.cast()?)
}

fn is_exactly(object: &Bound<'_, PyAny>, kind: &Late) -> PyResult<bool> {
    Ok(object.get_type().is(&kind.get(object.py())?))
}

fn in_micros<'py>(moment: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    moment.call_method1(intern!(moment.py(), "isoformat"), ("T", "microseconds"))
}

/// Returns what a clock at the place shows.
fn without_zone<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let parts = PyDict::new(py);
    parts.set_item(intern!(py, "tzinfo"), py.None())?;
    parts.set_item(intern!(py, "fold"), 0)?;
    object.call_method(intern!(py, "replace"), (), Some(&parts))
}

/// Whether it is not the second one of an hour that comes twice.
fn is_first(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    object.getattr(intern!(object.py(), "fold"))?.eq(0)
}

/// Returns the object that a payload says.
pub(in super::super) fn load<'py>(
    py: Python<'py>,
    tag: Tag,
    payload: &[u8],
) -> PyResult<Result<Bound<'py, PyAny>, Unreadable>> {
    match object_of(py, tag, payload) {
        Ok(Some(object)) => Ok(Ok(object)),
        Err(error) if !error.is_instance_of::<PyException>(py) => Err(error),
        _ => Ok(Err("its bytes are no key of the type that they name")),
    }
}

fn object_of<'py>(
    py: Python<'py>,
    tag: Tag,
    payload: &[u8],
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let text = || PyBytes::new(py, payload).call_method1("decode", ("utf-8", "surrogatepass"));
    let of_iso = |kind: &Late| kind.get(py)?.call_method1("fromisoformat", (text()?,));
    let of_text = |kind: &Late| kind.get(py)?.call1((text()?,));
    Ok(Some(match tag {
        Tag::Date => of_iso(&DATE)?,
        Tag::DateTime => of_iso(&DATETIME)?,
        Tag::Time => of_iso(&TIME)?,
        Tag::Uuid => of_text(&UUID)?,
        Tag::Path => of_text(&PATH)?,
        Tag::Decimal => decimal(py, text()?.extract()?)?,
        Tag::TimeDelta => {
            let (Some(days), Some((seconds, micros))) = (payload.first_chunk(), parts_of(payload))
            else {
                return Ok(None);
            };
            TIMEDELTA.get(py)?.call1((i64::from_le_bytes(*days), seconds, micros))?
        }
        Tag::Ratio => {
            let mut reader = Reader::new(payload);
            match (int(py, &mut reader)?, int(py, &mut reader)?) {
                (Some(above), Some(below)) => fraction(&above, &below)?,
                _ => return Ok(None),
            }
        }
        _ => return Ok(None),
    }))
}

/// Returns the seconds and microseconds in the payload of a timedelta.
fn parts_of(payload: &[u8]) -> Option<(i32, i32)> {
    let (seconds, micros) = payload.get(8..)?.split_first_chunk()?;
    Some((i32::from_le_bytes(*seconds), i32::from_le_bytes(micros.try_into().ok()?)))
}

fn int<'py>(py: Python<'py>, reader: &mut Reader<'_>) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(match reader.tag() {
        Ok(Tag::Int) => match reader.int() {
            Ok(int) => Some(int.into_pyobject(py)?.into_any()),
            Err(_) => None,
        },
        Ok(Tag::BigInt) => match reader.bytes() {
            Ok(bytes) => big(py, bytes)?.ok(),
            Err(_) => None,
        },
        _ => None,
    })
}
