//! The decoder: from the bytes of a value to a Python object.
//!
//! What always holds: any bytes decode to an object or to an error. They are a copy of the bytes in
//! the heap, so they do not change while they are read.

use coheap_core::parcel;
use coheap_core::system::LONG;
use coheap_core::wire::{Broken, MAX_DEPTH, Reader, Tag, form};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyComplex, PyDict, PyFloat, PyFrozenSet, PyList, PySet, PyString, PyTuple,
};
use smallvec::SmallVec;

use super::encode::FEW;
use super::{Rules, Unreadable, key, number, pickle, text};
use crate::{apart, errors};

/// Why a tag without a Python type cannot be decoded.
const UNKNOWN: Unreadable = "its type is unknown to this version of coheap";

type Items<'py> = SmallVec<[Bound<'py, PyAny>; FEW]>;

/// The object that the bytes say.
#[inline]
pub(crate) fn decode<'py>(
    py: Python<'py>,
    bytes: &[u8],
    rules: Rules,
) -> PyResult<Bound<'py, PyAny>> {
    let mut reader = Reader::new(form(parcel::value_in(bytes)));
    let decoded = value(py, &mut reader, rules, MAX_DEPTH)
        .and_then(|object| reader.end().map_err(Failure::from).map(|()| object));
    match decoded {
        Ok(object) => Ok(object),
        Err(Failure::Unreadable(what)) => Err(errors::unreadable(py, what)),
        Err(Failure::Python(error)) => Err(error),
    }
}

/// Why there is no object.
enum Failure {
    Unreadable(Unreadable),
    Python(PyErr),
}

impl From<Unreadable> for Failure {
    #[cold]
    fn from(what: Unreadable) -> Self {
        Self::Unreadable(what)
    }
}

impl From<Broken> for Failure {
    #[cold]
    fn from(broken: Broken) -> Self {
        Self::Unreadable(match broken {
            Broken::CutOff { .. } => "its bytes end too early",
            Broken::TooFewItems { .. } => "it has fewer items than its count says",
            Broken::LongLength => "a length does not fit in 64 bits",
            Broken::UnknownTag(_) => UNKNOWN,
            Broken::NotUtf8 => "a str is not UTF-8",
            Broken::Trailing { .. } => "it has extra bytes at the end",
        })
    }
}

impl From<PyErr> for Failure {
    #[cold]
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

/// The object that the bytes say, if it is one of those that are made without running Python code, and
/// not long.
#[inline]
pub(crate) fn decode_scalar<'py>(py: Python<'py>, bytes: &[u8]) -> Option<Bound<'py, PyAny>> {
    if bytes.len() >= LONG {
        return None;
    }
    if let Some(([tag], number)) = bytes.split_first_chunk() {
        if let (true, Ok(number)) = (*tag == Tag::Int as u8, number.try_into()) {
            return Some(int(py, i64::from_le_bytes(number)));
        }
    }
    let mut reader = Reader::new(bytes);
    let tag = reader.tag().ok()?;
    let object = scalar(py, tag, &mut reader).ok()??;
    reader.end().is_ok().then_some(object)
}

/// The object of this tag, if no Python code runs to make it.
#[inline]
fn scalar<'py>(
    py: Python<'py>,
    tag: Tag,
    reader: &mut Reader<'_>,
) -> Result<Option<Bound<'py, PyAny>>, Failure> {
    Ok(Some(match tag {
        Tag::Int => int(py, reader.int()?),
        Tag::Str => PyString::new(py, reader.str()?).into_any(),
        Tag::Float => PyFloat::new(py, reader.float()?).into_any(),
        Tag::None => py.None().into_bound(py),
        Tag::False => PyBool::new(py, false).to_owned().into_any(),
        Tag::True => PyBool::new(py, true).to_owned().into_any(),
        Tag::Bytes => apart::bytes(py, reader.bytes()?)?.into_any(),
        _ => return Ok(None),
    }))
}

fn int(py: Python<'_>, number: i64) -> Bound<'_, PyAny> {
    let Ok(int) = number.into_pyobject(py);
    int.into_any()
}

fn value<'py>(
    py: Python<'py>,
    reader: &mut Reader<'_>,
    rules: Rules,
    depth: u32,
) -> Result<Bound<'py, PyAny>, Failure> {
    let tag = reader.tag()?;
    if let Some(object) = scalar(py, tag, reader)? {
        return Ok(object);
    }
    Ok(match tag {
        Tag::Tuple => PyTuple::new(py, items(py, reader, rules, depth)?)?.into_any(),
        Tag::List => PyList::new(py, items(py, reader, rules, depth)?)?.into_any(),
        Tag::Dict => dict(py, reader, rules, depth)?,
        Tag::Set => PySet::new(py, items(py, reader, rules, depth)?)?.into_any(),
        Tag::FrozenSet => PyFrozenSet::new(py, items(py, reader, rules, depth)?)?.into_any(),
        other => rare(py, other, reader, rules)?,
    })
}

#[cold]
fn rare<'py>(
    py: Python<'py>,
    found: Tag,
    reader: &mut Reader<'_>,
    rules: Rules,
) -> Result<Bound<'py, PyAny>, Failure> {
    Ok(match found {
        Tag::BigInt => number::big(py, reader.bytes()?)??,
        Tag::Complex => {
            let (real, imag) = (reader.float()?, reader.float()?);
            PyComplex::from_doubles(py, real, imag).into_any()
        }
        Tag::StrSurrogates => text::surrogates(py, reader.bytes()?)?,
        Tag::ByteArray => PyByteArray::new(py, reader.bytes()?).into_any(),
        Tag::Pickle => pickle::load(py, reader.bytes()?, rules)?,
        found if found.is_of_keys() => key::load(py, found, reader.bytes()?)??,
        _ => return Err(Failure::Unreadable(UNKNOWN)),
    })
}

fn deeper(depth: u32) -> Result<u32, Unreadable> {
    depth.checked_sub(1).ok_or("it has more than 64 levels of containers")
}

fn items<'py>(
    py: Python<'py>,
    reader: &mut Reader<'_>,
    rules: Rules,
    depth: u32,
) -> Result<Items<'py>, Failure> {
    let depth = deeper(depth)?;
    let count = reader.count()?;
    let mut items = Items::with_capacity(count as usize);
    for _ in 0..count {
        items.push(value(py, reader, rules, depth)?);
    }
    Ok(items)
}

fn dict<'py>(
    py: Python<'py>,
    reader: &mut Reader<'_>,
    rules: Rules,
    depth: u32,
) -> Result<Bound<'py, PyAny>, Failure> {
    let depth = deeper(depth)?;
    let count = reader.count_pairs()?;
    let dict = PyDict::new(py);
    for _ in 0..count {
        let key = value(py, reader, rules, depth)?;
        dict.set_item(key, value(py, reader, rules, depth)?)?;
    }
    Ok(dict.into_any())
}
