//! The bytes of a value become a Python object.
//!
//! What always holds: any bytes give an object or an error. They were copied out of the heap
//! before, so nothing changes under the reader's hands.

use coheap_core::objects::parcel;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyComplex, PyDict, PyFloat, PyFrozenSet, PyList, PySet, PyTuple,
};
use smallvec::SmallVec;

use super::encode::FEW;
use super::wire::{Broken, MAX_DEPTH, Reader, tag};
use super::{Rules, number, pickle, text};
use crate::errors;

type Items<'py> = SmallVec<[Bound<'py, PyAny>; FEW]>;

/// The object that the bytes say.
#[inline]
pub(crate) fn decode<'py>(
    py: Python<'py>,
    bytes: &[u8],
    rules: Rules,
) -> PyResult<Bound<'py, PyAny>> {
    let mut reader = Reader::new(parcel::value_in(bytes));
    let decoded = value(py, &mut reader, rules, MAX_DEPTH)
        .and_then(|object| reader.end().map_err(Failure::Broken).map(|()| object));
    match decoded {
        Ok(object) => Ok(object),
        Err(Failure::Broken(what)) => Err(errors::unreadable(py, what)),
        Err(Failure::Python(error)) => Err(error),
    }
}

/// Why there is no object.
enum Failure {
    Broken(Broken),
    Python(PyErr),
}

impl From<Broken> for Failure {
    #[cold]
    fn from(what: Broken) -> Self {
        Self::Broken(what)
    }
}

impl From<PyErr> for Failure {
    #[cold]
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

fn value<'py>(
    py: Python<'py>,
    reader: &mut Reader<'_>,
    rules: Rules,
    depth: u32,
) -> Result<Bound<'py, PyAny>, Failure> {
    Ok(match reader.byte()? {
        tag::INT => {
            i64::from_le_bytes(reader.word()?).into_pyobject(py).map_err(PyErr::from)?.into_any()
        }
        tag::STR => text::text(py, reader.bytes()?)?,
        tag::FLOAT => PyFloat::new(py, f64::from_le_bytes(reader.word()?)).into_any(),
        tag::NONE => py.None().into_bound(py),
        tag::FALSE => PyBool::new(py, false).to_owned().into_any(),
        tag::TRUE => PyBool::new(py, true).to_owned().into_any(),
        tag::BYTES => PyBytes::new(py, reader.bytes()?).into_any(),
        tag::TUPLE => PyTuple::new(py, items(py, reader, rules, depth)?)?.into_any(),
        tag::LIST => PyList::new(py, items(py, reader, rules, depth)?)?.into_any(),
        tag::DICT => dict(py, reader, rules, depth)?,
        tag::SET => PySet::new(py, items(py, reader, rules, depth)?)?.into_any(),
        tag::FROZENSET => PyFrozenSet::new(py, items(py, reader, rules, depth)?)?.into_any(),
        other => rare(py, other, reader, rules)?,
    })
}

#[cold]
fn rare<'py>(
    py: Python<'py>,
    found: u8,
    reader: &mut Reader<'_>,
    rules: Rules,
) -> Result<Bound<'py, PyAny>, Failure> {
    Ok(match found {
        tag::BIG_INT => number::big(py, reader.bytes()?)??,
        tag::COMPLEX => {
            let (real, imag) = (reader.word()?, reader.word()?);
            let (real, imag) = (f64::from_le_bytes(real), f64::from_le_bytes(imag));
            PyComplex::from_doubles(py, real, imag).into_any()
        }
        tag::STR_SURROGATES => text::surrogates(py, reader.bytes()?)?,
        tag::BYTEARRAY => PyByteArray::new(py, reader.bytes()?).into_any(),
        tag::PICKLE => pickle::load(py, reader.bytes()?, rules)?,
        _ => return Err(Failure::Broken("a kind that this version does not know")),
    })
}

fn deeper(depth: u32) -> Result<u32, Broken> {
    depth.checked_sub(1).ok_or("more than 64 levels of containers")
}

fn items<'py>(
    py: Python<'py>,
    reader: &mut Reader<'_>,
    rules: Rules,
    depth: u32,
) -> Result<Items<'py>, Failure> {
    let depth = deeper(depth)?;
    let count = reader.count(1)?;
    let mut items = Items::with_capacity(count);
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
    let count = reader.count(2)?;
    let dict = PyDict::new(py);
    for _ in 0..count {
        let key = value(py, reader, rules, depth)?;
        dict.set_item(key, value(py, reader, rules, depth)?)?;
    }
    Ok(dict.into_any())
}
