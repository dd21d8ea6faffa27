//! The class `Value`: one number that processes share.
//!
//! What always holds: a number that the typecode does not hold is refused, never cut off. What
//! depends on what is there (`add`, `compare_exchange`) is one operation, whoever else writes.

use coheap_core::objects::{Recipe, Value as Engine};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};

use crate::codec;
use crate::door::{Door, Object};
use crate::heap::default;
use crate::heap::pickling::{self, Reduced};
use crate::scratch::Scratch;

/// A number that processes share.
///
/// `Value(typecode, init)` is a new one in the default heap; `Heap.value` makes or finds one in
/// others.
///
/// Its typecode is one of `array.array`. `v += n` is atomic; `v.value += n` is two operations.
#[pyclass(frozen, module = "coheap")]
pub(crate) struct Value {
    object: Object,
    engine: Engine,
    kind: Kind,
}

/// What a typecode holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Ints from and to.
    Int(char, i128, i128),
    /// Floats; whether they are rounded to 32 bits.
    Float(char, bool),
}

impl Kind {
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
                    "typecode {typecode:?} is none of b B h H i I l L q Q f d"
                )));
            }
        })
    }

    fn code(self) -> char {
        match self {
            Self::Int(code, ..) | Self::Float(code, _) => code,
        }
    }

    /// The bytes of a number, if the typecode holds it.
    pub(crate) fn encode(self, number: &Bound<'_, PyAny>) -> PyResult<Scratch> {
        let py = number.py();
        let mut out = Scratch::new();
        let rules = codec::Rules { pickle: false, max_bytes: u64::MAX, copies: false };
        match self {
            Self::Int(code, least, most) => {
                let value = number.extract::<i128>().map_err(|error| self.refuse(py, error))?;
                if value < least || value > most {
                    return Err(PyOverflowError::new_err(format!(
                        "{value} is outside of {least} to {most}, which typecode {code:?} holds; \
                         nothing was changed"
                    )));
                }
                codec::encode(value.into_pyobject(py)?.as_any(), rules, &mut out)?;
            }
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
        PyOverflowError::new_err(format!("the int is larger than typecode {code:?} holds"))
    }
}

impl Value {
    pub(crate) fn new(object: Object, kind: Kind) -> Self {
        Self { engine: Engine { handle: object.handle }, object, kind }
    }

    /// The value of this name, made if there is none; without a name a new one.
    pub(crate) fn make(
        py: Python<'_>,
        door: &Door,
        name: Option<&str>,
        typecode: &str,
        init: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let kind = Kind::of(typecode)?;
        let init = match init {
            Some(init) => kind.encode(&init)?,
            None => kind.encode(0_i64.into_pyobject(py)?.as_any())?,
        };
        Ok(Self::new(door.object(py, "value", name, &Recipe::Value(&init))?, kind))
    }

    fn read<'py>(&self, py: Python<'py>, out: &mut Scratch) -> PyResult<Bound<'py, PyAny>> {
        self.object.run(py, |context| self.engine.get(context, out))?;
        let value = codec::decode(py, out, self.object.door.rules)?;
        let fits = match self.kind {
            Kind::Int(..) => value.is_exact_instance_of::<PyInt>(),
            Kind::Float(..) => value.is_exact_instance_of::<PyFloat>(),
        };
        if fits {
            return Ok(value);
        }
        Err(PyTypeError::new_err(format!(
            "{} is not a number of typecode {:?}: it was made with another one",
            self.object.subject(),
            self.kind.code()
        )))
    }

    /// Replaces what is there as long as `change` makes something of it, in one step.
    fn exchange<'py>(
        &self,
        py: Python<'py>,
        change: impl Fn(&Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut old = Scratch::new();
        loop {
            let before = self.read(py, &mut old)?;
            let Some(after) = change(&before)? else { return Ok(None) };
            let new = self.kind.encode(&after)?;
            let is_done = self
                .object
                .write(py, |context| self.engine.compare_and_set(context, &old, &new))?;
            if is_done {
                return codec::decode(py, &new, self.object.door.rules).map(Some);
            }
            py.check_signals()?;
        }
    }
}

#[pymethods]
impl Value {
    #[new]
    #[pyo3(signature = (typecode, init=None), text_signature = "(typecode, init=0)")]
    fn create(py: Python<'_>, typecode: &str, init: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        Self::make(py, &default::door(py)?, None, typecode, init)
    }

    /// The number.
    fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.read(py, &mut Scratch::new())
    }

    /// Replaces the number.
    ///
    /// Raises:
    ///     OverflowError: The typecode does not hold it.
    fn set(&self, number: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = self.kind.encode(number)?;
        self.object.write(number.py(), |context| self.engine.set(context, &bytes))
    }

    /// The number. Reading and writing it are one operation each.
    #[getter(value)]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.get(py)
    }

    #[setter(value)]
    fn set_value(&self, number: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set(number)
    }

    /// Adds a number and returns the sum.
    ///
    /// Raises:
    ///     OverflowError: The typecode does not hold the sum.
    fn add<'py>(&self, n: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = n.py();
        if let (Kind::Int('l' | 'q', ..), Ok(by)) = (self.kind, n.extract::<i64>()) {
            let sum = self.object.write(py, |context| self.engine.add(context, by))?;
            return Ok(sum.into_pyobject(py)?.into_any());
        }
        let sum =
            self.exchange(py, |old| old.call_method1(intern!(py, "__add__"), (n,)).map(Some))?;
        sum.ok_or_else(|| PyValueError::new_err("no sum"))
    }

    /// Replaces the number by `new` if it equals `expected`, and returns whether it did.
    fn compare_exchange<'py>(
        &self,
        expected: &Bound<'py, PyAny>,
        new: &Bound<'py, PyAny>,
    ) -> PyResult<bool> {
        self.kind.encode(new)?;
        let change = |old: &Bound<'py, PyAny>| Ok(old.eq(expected)?.then(|| new.clone()));
        Ok(self.exchange(new.py(), change)?.is_some())
    }

    fn __iadd__(&self, n: &Bound<'_, PyAny>) -> PyResult<()> {
        self.add(n).map(|_| ())
    }

    fn __isub__(&self, n: &Bound<'_, PyAny>) -> PyResult<()> {
        self.add(&n.neg()?).map(|_| ())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        pickling::reduce(py, &self.object, &self.kind.code().to_string())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (name, code) = (self.object.spaced_name(), self.kind.code());
        Ok(format!("<coheap.Value{name} of typecode {code:?}: {}>", self.get(py)?.repr()?))
    }

    /// The name under which the heap has it, or None.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.object.name()
    }
}
