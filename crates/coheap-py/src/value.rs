//! The class `Value`: one number that processes share.
//!
//! What always holds: a number that the typecode does not hold is refused, never cut off. What
//! depends on what is there (`add`, `compare_exchange`) is one operation, whoever else writes. The
//! typecode is stored with the number, so all processes agree on it.
//!
//! The lock is one beside the number, of which the number itself takes no notice.

use std::borrow::Cow;

use coheap_core::objects::{self, Mutex, Recipe, Value as Engine};
use coheap_core::wire;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString, PyType};

use crate::codec;
use crate::handle::{Handle, identity, name_and_pickle};
use crate::heap::default;
use crate::lock::RLock;
use crate::object::{Object, OpenHeap};
use crate::scratch::Scratch;
use crate::waiting;

/// A number that processes share.
///
/// `Value(typecode, init)` is a new one in the default heap; `Heap.value` makes or finds one in
/// others.
///
/// Its typecode is one of those for numbers in `array.array`, or the type of `ctypes` that has it.
/// `v += n` is atomic; `v.value += n` is two operations, which `with v.get_lock():`, or `with v:`
/// for short, makes one for all who do the same.
///
/// The lock excludes only those who take it, too: to read, set and add does not wait for it. It is
/// there whatever `lock` says, which `multiprocessing` asks for, and costs nothing until it is used.
///
/// Source: the contract of `multiprocessing.Value`.
#[pyclass(frozen, weakref, module = "coheap")]
pub(crate) struct Value {
    pub(crate) object: Object,
    pub(crate) engine: Engine,
    kind: Kind,
    lock: PyOnceLock<Py<RLock>>,
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

    /// What a typecode holds, or the `ctypes` type that has one.
    fn of_object(typecode: &Bound<'_, PyAny>) -> PyResult<Self> {
        let typecode = match typecode.cast::<PyType>() {
            Ok(class) => {
                class.getattr(intern!(class.py(), "_type_")).unwrap_or(class.clone().into_any())
            }
            Err(_) => typecode.clone(),
        };
        match typecode.cast::<PyString>() {
            Ok(code) => Self::of(&code.to_cow()?),
            Err(_) => Err(PyTypeError::new_err(format!(
                "a typecode is a str such as 'i', or a type of ctypes, not {}",
                typecode.repr()?
            ))),
        }
    }

    fn code(self) -> char {
        match self {
            Self::Int(code, ..) | Self::Float(code, _) => code,
        }
    }

    /// The typecode as a heap stores it.
    pub(crate) fn letter(self) -> u8 {
        self.code() as u8
    }

    /// Refuses an int that the typecode does not hold.
    #[inline]
    fn check(self, value: i128) -> PyResult<()> {
        match self {
            Self::Int(code, least, most) if value < least || value > most => {
                Err(PyOverflowError::new_err(format!(
                    "{value} is outside of {least} to {most}, which typecode {code:?} holds; \
                     nothing was changed"
                )))
            }
            _ => Ok(()),
        }
    }

    /// The int of 64 bits that a number is. `None`: it is larger, or no int, or the typecode is for
    /// floats.
    #[inline]
    fn small(self, number: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
        if let Self::Float(..) = self {
            return Ok(None);
        }
        match number.extract::<i64>() {
            Ok(value) => Ok(Some(value)),
            Err(error) => pardon(number.py(), error).map(|()| None),
        }
    }

    /// The bytes of a number, if the typecode holds it.
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
        PyOverflowError::new_err(format!("the int is larger than typecode {code:?} holds"))
    }
}

/// Lets pass that a number is no int of 64 bits. What else user code raised is final: to ask it again
/// could go on for ever.
#[cold]
fn pardon(py: Python<'_>, error: PyErr) -> PyResult<()> {
    let is_usual =
        error.is_instance_of::<PyTypeError>(py) || error.is_instance_of::<PyOverflowError>(py);
    if is_usual { Ok(()) } else { Err(error) }
}

impl Value {
    /// The number that an object is, if it was made with the same typecode, or by a program that
    /// has none.
    pub(crate) fn new(py: Python<'_>, object: Object, kind: Kind) -> PyResult<Self> {
        let mutex = Mutex { handle: object.handle };
        let made = object.run(py, |context| mutex.traits(context))?.typecode;
        if made != 0 && made != kind.letter() {
            return Err(PyTypeError::new_err(format!(
                "{} has typecode {:?}, not {:?}; nothing was changed; choose another name",
                object.subject(),
                char::from(made),
                kind.code()
            )));
        }
        let engine = Engine { handle: object.handle };
        Ok(Self { engine, object, kind, lock: PyOnceLock::new() })
    }

    /// The lock beside the number.
    fn lock<'a>(&'a self, py: Python<'_>) -> PyResult<&'a Py<RLock>> {
        self.lock.get_or_try_init(py, || Py::new(py, RLock::beside(self.object.clone())))
    }

    /// The value of this name, made if there is none; without a name a new one.
    pub(crate) fn make(
        py: Python<'_>,
        heap: &OpenHeap,
        name: Option<&str>,
        typecode: &Bound<'_, PyAny>,
        init: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let kind = Kind::of_object(typecode)?;
        let init = match init {
            Some(init) => kind.encode(&init)?,
            None => kind.encode(0_i64.into_pyobject(py)?.as_any())?,
        };
        let recipe = Recipe::Number { bytes: &init, typecode: kind.letter() };
        Self::new(py, heap.object(py, objects::Kind::Value, name, &recipe)?, kind)
    }

    /// Replaces the number by one that the typecode holds.
    #[inline]
    fn store(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<()> {
        self.object.write(py, |access| access.value_set(&self.engine, bytes))
    }

    /// Replaces `out` by the bytes of the number.
    #[inline]
    fn load(&self, py: Python<'_>, out: &mut Scratch) -> PyResult<()> {
        self.object.read(py, |access| access.value_get(&self.engine, out))
    }

    /// Replaces the number by `new` if it is still `old`. Answers whether it was.
    fn replace(&self, py: Python<'_>, old: &[u8], new: &[u8]) -> PyResult<bool> {
        self.object.write(py, |access| access.value_replace(&self.engine, old, new))
    }

    fn read<'py>(&self, py: Python<'py>, out: &mut Scratch) -> PyResult<Bound<'py, PyAny>> {
        self.load(py, out)?;
        if let (Kind::Int(_, least, most), Some(small)) = (self.kind, wire::int_in(out)) {
            if (least..=most).contains(&i128::from(small)) {
                return Ok(small.into_pyobject(py)?.into_any());
            }
        }
        let value = codec::decode(py, out, self.object.heap.rules)?;
        let fits = match self.kind {
            Kind::Int(_, least, most) => {
                value.is_exact_instance_of::<PyInt>()
                    && value.extract::<i128>().is_ok_and(|value| (least..=most).contains(&value))
            }
            Kind::Float(..) => value.is_exact_instance_of::<PyFloat>(),
        };
        if fits {
            return Ok(value);
        }
        Err(PyTypeError::new_err(format!(
            "{} holds what is not a number of typecode {:?}: a program without typecodes wrote it",
            self.object.subject(),
            self.kind.code()
        )))
    }

    /// Adds to an int of 64 bits.
    #[inline]
    fn add_large(&self, py: Python<'_>, by: i64) -> PyResult<i64> {
        self.object.write(py, |access| access.value_add(&self.engine, by))
    }

    /// Adds to an int of a typecode of less than 64 bits. `None`: the numbers are too large.
    fn add_small(&self, py: Python<'_>, by: i64) -> PyResult<Option<i64>> {
        let (mut old, mut new) = (Scratch::new(), Scratch::new());
        loop {
            self.load(py, &mut old)?;
            let Some(sum) = wire::int_in(&old).and_then(|old| old.checked_add(by)) else {
                return Ok(None);
            };
            self.kind.check(i128::from(sum))?;
            new.clear();
            wire::put_int(&mut new, sum);
            if self.replace(py, &old, &new)? {
                return Ok(Some(sum));
            }
            py.check_signals()?;
        }
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
            if self.replace(py, &old, &new)? {
                return codec::decode(py, &new, self.object.heap.rules).map(Some);
            }
            py.check_signals()?;
        }
    }
}

#[pymethods]
impl Value {
    #[new]
    #[pyo3(
        signature = (typecode, init=None, *, lock=None),
        text_signature = "(typecode, init=0, *, lock=True)"
    )]
    fn create(
        py: Python<'_>,
        typecode: &Bound<'_, PyAny>,
        init: Option<Bound<'_, PyAny>>,
        lock: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        // There is one in any case: it costs nothing while nobody asks for it.
        if let Some(other) = lock.filter(|lock| !lock.is_instance_of::<PyBool>()) {
            return Err(PyTypeError::new_err(format!(
                "lock must be True or False, not a {}: the lock of a Value is beside the number, in \
                 the heap",
                other.get_type().name()?
            )));
        }
        Self::make(py, &default::open_heap(py)?, None, typecode, init)
    }

    /// The number.
    fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Kind::Int(_, least, most) = self.kind {
            let number = self.object.read(py, |access| access.value_integer(&self.engine))?;
            if let Some(number) = number.filter(|number| (least..=most).contains(&(*number).into()))
            {
                return Ok(number.into_pyobject(py)?.into_any());
            }
        }
        self.read(py, &mut Scratch::new())
    }

    /// Replaces the number.
    ///
    /// Raises:
    ///     OverflowError: The typecode does not hold it.
    fn set(&self, number: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(value) = self.kind.small(number)? {
            self.kind.check(i128::from(value))?;
            return self.store(number.py(), &wire::int_bytes(value));
        }
        self.store(number.py(), &self.kind.encode(number)?)
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
        if let Some(by) = self.kind.small(n)? {
            let sum = match self.kind.code() {
                'l' | 'q' => Some(self.add_large(py, by)?),
                _ => self.add_small(py, by)?,
            };
            if let Some(sum) = sum {
                return Ok(sum.into_pyobject(py)?.into_any());
            }
        }
        let sum = self.exchange(py, |old| old.add(n).map(Some))?;
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

    /// The lock beside the number: always the same `RLock`.
    ///
    /// `with v.get_lock(): v.value += 1` is exact among all who do so.
    fn get_lock(&self, py: Python<'_>) -> PyResult<Py<RLock>> {
        Ok(self.lock(py)?.clone_ref(py))
    }

    /// As `RLock.acquire` of the lock beside the number.
    #[pyo3(signature = (block=true, timeout=None))]
    fn acquire(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = waiting::truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<bool> {
        self.lock(py)?.get().acquire(py, block, timeout)
    }

    /// As `RLock.release` of the lock beside the number.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.lock(py)?.get().release(py)
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<bool> {
        self.lock(py)?.get().__enter__(py)
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.release(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let code = self.kind.code();
        let number = self.get(py).and_then(|number| Ok(number.repr()?.to_string()));
        let state = number.map(|number| format!(" of typecode {code:?}: {number}"));
        self.object.shown(py, state)
    }
}

impl Handle for Value {
    fn object(&self) -> &Object {
        &self.object
    }

    fn more(&self) -> Cow<'static, str> {
        Cow::Owned(self.kind.code().to_string())
    }
}

name_and_pickle!(Value);
identity!(Value);
