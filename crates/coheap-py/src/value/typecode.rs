//! The typecodes: the range of each, and the encoding of its numbers.
//!
//! What always holds: a number outside the range of the typecode is refused, never truncated. A
//! number that is read back has the type of the typecode.

use coheap_core::wire;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt, PyString, PyType};

use crate::codec;
use crate::scratch::Scratch;

/// The numbers that a typecode holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Typecode {
    /// Ints, with the smallest and the largest.
    Int(char, i128, i128),
    /// Floats; whether they are rounded to 32 bits.
    Float(char, bool),
}

impl Typecode {
    pub(crate) fn of(typecode: &str) -> PyResult<Self> {
        let signed = |code, bits: u32| Self::Int(code, -(1 << (bits - 1)), (1 << (bits - 1)) - 1);
        let unsigned = |code, bits: u32| Self::Int(code, 0, (1 << bits) - 1);
        let mut letters = typecode.chars();
        Ok(match (letters.next(), letters.next()) {
            (Some(code @ 'b'), None) => signed(code, 8),
            (Some(code @ 'h'), None) => signed(code, 16),
            (Some(code @ 'i'), None) => signed(code, 32),
            (Some(code @ ('l' | 'q')), None) => signed(code, 64),
            (Some(code @ 'B'), None) => unsigned(code, 8),
            (Some(code @ 'H'), None) => unsigned(code, 16),
            (Some(code @ 'I'), None) => unsigned(code, 32),
            (Some(code @ ('L' | 'Q')), None) => unsigned(code, 64),
            (Some(code @ 'f'), None) => Self::Float(code, true),
            (Some(code @ 'd'), None) => Self::Float(code, false),
            _ => {
                return Err(PyTypeError::new_err(format!(
                    "typecode {typecode:?} is not one of b B h H i I l L q Q f d; nothing was \
                     changed"
                )));
            }
        })
    }

    /// Returns the typecode of a str, or of a `ctypes` type.
    pub(super) fn of_object(typecode: &Bound<'_, PyAny>) -> PyResult<Self> {
        let typecode = match typecode.cast::<PyType>() {
            Ok(class) => {
                class.getattr(intern!(class.py(), "_type_")).unwrap_or(class.clone().into_any())
            }
            Err(_) => typecode.clone(),
        };
        match typecode.cast::<PyString>() {
            Ok(code) => Self::of(&code.to_cow()?),
            Err(_) => Err(PyTypeError::new_err(format!(
                "a typecode is a str such as 'i' or a type of ctypes, not {}; nothing was changed",
                typecode.repr()?
            ))),
        }
    }

    pub(super) fn code(self) -> char {
        match self {
            Self::Int(code, ..) | Self::Float(code, _) => code,
        }
    }

    /// Returns the typecode as a heap stores it.
    pub(crate) fn letter(self) -> u8 {
        self.code() as u8
    }

    /// Returns whether it is for ints and holds this one.
    #[inline]
    pub(super) fn has_int(self, value: i64) -> bool {
        matches!(self, Self::Int(_, least, most) if (least..=most).contains(&value.into()))
    }

    /// Returns whether it holds this number, which must be exactly an int or a float.
    pub(super) fn has(self, number: &Bound<'_, PyAny>) -> bool {
        match self {
            Self::Int(_, least, most) => {
                number.is_exact_instance_of::<PyInt>()
                    && number.extract::<i128>().is_ok_and(|value| (least..=most).contains(&value))
            }
            Self::Float(..) => number.is_exact_instance_of::<PyFloat>(),
        }
    }

    /// Refuses an int outside the range of the typecode.
    #[inline]
    pub(super) fn check(self, value: i128) -> PyResult<()> {
        match self {
            Self::Int(code, least, most) if value < least || value > most => {
                Err(PyOverflowError::new_err(format!(
                    "{value} is outside the range of typecode {code:?}, {least} to {most}; nothing \
                     was changed; use a smaller number or a larger typecode"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Returns a number as an int of 64 bits. `None` if it is larger or not an int, or if the typecode
    /// is for floats.
    #[inline]
    pub(super) fn small(self, number: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
        if let Self::Float(..) = self {
            return Ok(None);
        }
        match number.extract::<i64>() {
            Ok(value) => Ok(Some(value)),
            Err(error) => pardon(number.py(), error).map(|()| None),
        }
    }

    /// Returns the bytes of a number, if the typecode holds it.
    pub(crate) fn encode(self, number: &Bound<'_, PyAny>) -> PyResult<Scratch> {
        let py = number.py();
        let mut out = Scratch::new();
        let rules = codec::Rules { pickle: false, max_bytes: u64::MAX, copies: false };
        match self {
            Self::Int(..) => match self.small(number)? {
                Some(value) => {
                    self.check(i128::from(value))?;
                    wire::put_int(&mut out, value);
                }
                None => {
                    let value = number.extract::<i128>().map_err(|error| self.refuse(py, error))?;
                    self.check(value)?;
                    codec::encode(value.into_pyobject(py)?.as_any(), rules, &mut out)?;
                }
            },
            Self::Float(_, is_short) => {
                let value: f64 = number.extract()?;
                let value = if is_short { f64::from(value as f32) } else { value };
                codec::encode(PyFloat::new(py, value).as_any(), rules, &mut out)?;
            }
        }
        Ok(out)
    }

    fn refuse(self, py: Python<'_>, error: PyErr) -> PyErr {
        if !error.is_instance_of::<PyOverflowError>(py) {
            return error;
        }
        let code = self.code();
        PyOverflowError::new_err(format!(
            "the int is outside the range of typecode {code:?}; nothing was changed; use a smaller \
             number or a larger typecode"
        ))
    }
}

/// Ignores the error that a number is not an int of 64 bits. Any other error of user code is final:
/// calling that code again could go on for ever.
#[cold]
fn pardon(py: Python<'_>, error: PyErr) -> PyResult<()> {
    let is_usual =
        error.is_instance_of::<PyTypeError>(py) || error.is_instance_of::<PyOverflowError>(py);
    if is_usual { Ok(()) } else { Err(error) }
}
