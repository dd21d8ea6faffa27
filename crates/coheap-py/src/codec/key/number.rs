//! Numbers of other types than Python's own, by their exact value.
//!
//! What always holds: a number that an int or a float is equal to has the bytes of that int or float.
//! Decimals of more than [`MOST_DIGITS`] digits before or after the point are equal to each other only.

use coheap_core::wire::{KEY_NAN, Tag, put_bytes, put_float};
use pyo3::exceptions::PyOverflowError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyComplex, PyInt, PyTuple};

use super::super::number::put_int;
use super::{Canonical, Done, Refusal};
use crate::late::{Late, is_a};

const MOST_DIGITS: i64 = 5000;

static DECIMAL: Late = Late::new("decimal", "Decimal");
static FRACTION: Late = Late::new("fractions", "Fraction");
static GENERIC: Late = Late::new("numpy", "generic");
static BOOL: Late = Late::new("numpy", "bool_");
static INTEGER: Late = Late::new("numpy", "integer");
static FLOATING: Late = Late::new("numpy", "floating");
static COMPLEX: Late = Late::new("numpy", "complexfloating");
static TIMEDELTA: Late = Late::new("numpy", "timedelta64");

/// Whether it is a scalar of numpy.
pub(super) fn is_of_numpy(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    is_a(object, &GENERIC)
}

impl Canonical<'_> {
    /// Writes a number. `false`: it is none, and nothing was written.
    pub(super) fn put_number(&mut self, object: &Bound<'_, PyAny>) -> Done<bool> {
        if is_of_numpy(object)? {
            return self.put_scalar(object);
        }
        if is_a(object, &FRACTION)? {
            self.put_fraction(object)?;
        } else if is_a(object, &DECIMAL)? {
            self.put_decimal(object)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Writes a scalar of numpy that is a number.
    fn put_scalar(&mut self, object: &Bound<'_, PyAny>) -> Done<bool> {
        let py = object.py();
        if is_a(object, &BOOL)? {
            self.put_integer(&PyInt::new(py, i64::from(object.is_truthy()?)))?;
        } else if is_a(object, &INTEGER)? && !is_a(object, &TIMEDELTA)? {
            let int = object.call_method0(intern!(py, "__index__"))?;
            self.put_integer(int.cast::<PyInt>().map_err(PyErr::from)?)?;
        } else if is_a(object, &FLOATING)? {
            let float = object.call_method0(intern!(py, "__float__"))?;
            self.is_exact = false;
            match float.eq(object)? || float.ne(&float)? {
                true => self.float(py, float.extract()?)?,
                false => self.put_ratio_of(object)?,
            }
        } else if is_a(object, &COMPLEX)? {
            self.is_exact = false;
            let complex = object.call_method0(intern!(py, "__complex__"))?;
            self.complex(complex.cast::<PyComplex>().map_err(PyErr::from)?)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn put_integer(&mut self, int: &Bound<'_, PyInt>) -> Done {
        self.is_exact = false;
        Ok(put_int(int, self.out)?)
    }

    fn put_fraction(&mut self, object: &Bound<'_, PyAny>) -> Done {
        let py = object.py();
        let [numerator, denominator] = [intern!(py, "numerator"), intern!(py, "denominator")];
        let is_plain = object.get_type().is(&FRACTION.get(py)?);
        let (above, below) = (object.getattr(numerator)?, object.getattr(denominator)?);
        if !self.put_ratio(&above, &below)? || !is_plain {
            self.is_exact = false;
        }
        Ok(())
    }

    fn put_ratio_of(&mut self, object: &Bound<'_, PyAny>) -> Done {
        self.is_exact = false;
        let ratio = object.call_method0(intern!(object.py(), "as_integer_ratio"))?;
        let (above, below) = ratio.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
        self.put_ratio(&above, &below).map(|_| ())
    }

    /// Writes a fraction in lowest terms. Returns `false` if an int or a float has its value.
    fn put_ratio(&mut self, above: &Bound<'_, PyAny>, below: &Bound<'_, PyAny>) -> Done<bool> {
        let py = above.py();
        let [above, below] = [above, below].map(|int| int.cast::<PyInt>());
        let (above, below) = (above.map_err(PyErr::from)?, below.map_err(PyErr::from)?);
        if below.as_any().eq(1)? {
            put_int(above, self.out)?;
            return Ok(false);
        }
        match above.div(below) {
            Ok(float) => {
                let value: f64 = float.extract()?;
                let ratio = float.call_method0(intern!(py, "as_integer_ratio"))?;
                if ratio.eq((above, below))? {
                    put_float(self.out, value);
                    return Ok(false);
                }
            }
            Err(error) if error.is_instance_of::<PyOverflowError>(py) => {}
            Err(error) => return Err(error.into()),
        }
        self.with_payload(Tag::Ratio, |payload| {
            put_int(above, payload.out)?;
            Ok(put_int(below, payload.out)?)
        })?;
        Ok(true)
    }

    fn put_decimal(&mut self, object: &Bound<'_, PyAny>) -> Done {
        let py = object.py();
        self.is_exact = false;
        object.hash().map_err(Refusal::ByKey)?;
        let parts = object.call_method0(intern!(py, "as_tuple"))?;
        let (sign, digits, exponent) =
            parts.extract::<(i64, Bound<'_, PyTuple>, Bound<'_, PyAny>)>()?;
        let Ok(exponent) = exponent.extract::<i64>() else {
            // The exponent says what it is instead of a number.
            let is_infinite = exponent.eq("F")?;
            let infinite = if sign == 0 { f64::INFINITY } else { f64::NEG_INFINITY };
            put_float(self.out, if is_infinite { infinite } else { KEY_NAN });
            return Ok(());
        };
        let digits =
            digits.iter().map(|digit| digit.extract::<u8>()).collect::<PyResult<Vec<_>>>()?;
        let first = digits.iter().position(|digit| *digit != 0).unwrap_or(digits.len());
        let end = digits.iter().rposition(|digit| *digit != 0).map_or(first, |last| last + 1);
        let exponent = exponent + (digits.len() - end) as i64;
        let before = (end - first) as i64 + exponent;
        if first == end || before <= MOST_DIGITS && -exponent <= MOST_DIGITS {
            return self.put_ratio_of(object);
        }
        let sign = if sign == 0 { "" } else { "-" };
        let digits: String =
            digits[first..end].iter().map(|digit| char::from(b'0' + digit)).collect();
        put_bytes(self.out, Tag::Decimal, format!("{sign}{digits}E{exponent}").as_bytes());
        Ok(())
    }
}

/// Returns the number with this payload.
pub(super) fn fraction<'py>(
    above: &Bound<'py, PyAny>,
    below: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    FRACTION.get(above.py())?.call1((above, below))
}

/// Returns the decimal that a text says.
pub(super) fn decimal<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    DECIMAL.get(py)?.call1((text,))
}
