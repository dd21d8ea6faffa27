//! The class `Value`: one number that processes share.
//!
//! What always holds: a number outside the range of the typecode is refused, never truncated. `add`
//! and `compare_exchange` are one operation each, whoever else writes. The typecode is stored with
//! the number, so all processes agree on it.
//!
//! The lock is beside the number: reading and writing it by `value` takes the lock, all else ignores it.
//!
//! Not here: the range of each typecode (`typecode`), and what converts and compares (`conversion`).

mod conversion;
mod typecode;

use std::borrow::Cow;
use std::sync::OnceLock;

use coheap_core::wire;
use coheap_core::{Value as Engine, ValueRecipe};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple};

use crate::access::{change, read};
use crate::atomic;
use crate::codec;
use crate::handle::{self, Handle, name_and_pickle, same_when_copied};
use crate::heap::default;
use crate::late::first_of;
use crate::lock::RLock;
use crate::object::{Object, OpenHeap};
use crate::scratch::Scratch;
use crate::waiting;

pub(crate) use typecode::Typecode;

/// A number that processes share.
///
/// `Value(typecode, init)` creates one in the default heap; `Heap.value` creates or finds one in any
/// heap.
///
/// The typecode is one of `array.array`'s for numbers, or the type of `ctypes` that stands for one.
/// `v += n` is one atomic operation. `v.value += n` is two operations: do it in
/// `with v.get_lock():`, or `with v:` for short, wherever the number is changed that way.
///
/// `v.value` waits while another thread holds the lock, to be read and to be set, as with
/// `multiprocessing`; in a block of `atomic` it does not. `get`, `set`, `add` and `v += n` do not wait for
/// it. Every Value has the lock, whether `lock` is True or False; `multiprocessing` has that argument.
///
/// A Value is no number: `int(v)`, `float(v)` and `format(v, ...)` convert it, and `v == 5` and `if v` are
/// errors, which name `v.value`.
///
/// Args:
///     typecode: One of b B h H i I l L q Q f d, or a type of `ctypes`.
///     init: The first value.
///     lock: True or False; no other lock can be passed.
///
/// Raises:
///     TypeError: The typecode does not exist, `init` is not a number, or `lock` is not a bool.
///     OverflowError: `init` is outside the range of the typecode.
///     HeapFull: There is no room for the number.
///
/// Source: the contract of `multiprocessing.Value`.
#[pyclass(frozen, subclass, weakref, module = "coheap")]
pub(crate) struct Value {
    pub(crate) object: Object,
    pub(crate) engine: Engine,
    typecode: Typecode,
    lock: OnceLock<Py<RLock>>,
}

impl Value {
    /// Returns the number of an object, if it was created with the same typecode, or by a program
    /// without typecodes.
    pub(crate) fn new(
        py: Python<'_>,
        engine: Engine,
        object: Object,
        typecode: Typecode,
    ) -> PyResult<Self> {
        let mutex = engine.lock_beside().mutex();
        let made = object.run(py, |context| mutex.traits(context))?.typecode;
        if made != 0 && made != typecode.letter() {
            return Err(PyTypeError::new_err(format!(
                "{} has typecode {:?}, not {:?}; nothing was changed; choose another name",
                object.subject(),
                char::from(made),
                typecode.code()
            )));
        }
        Ok(Self { engine, object, typecode, lock: OnceLock::new() })
    }

    /// Returns the lock beside the number.
    fn lock<'a>(&'a self, py: Python<'_>) -> PyResult<&'a Py<RLock>> {
        first_of(&self.lock, || Py::new(py, RLock::beside(self.engine, self.object.clone())))
    }

    /// Does something with the lock held. In a block of `atomic`, the block keeps others away.
    fn with_lock<T>(&self, py: Python<'_>, work: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
        if atomic::is_inside(py)? {
            return work();
        }
        let lock = self.lock(py)?.get();
        lock.acquire(py, true, None)?;
        let done = work();
        lock.release(py)?;
        done
    }

    /// Returns the value with this name, created if there is none; without a name, a new one.
    pub(crate) fn make(
        py: Python<'_>,
        heap: &OpenHeap,
        name: Option<&str>,
        typecode: &Bound<'_, PyAny>,
        init: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let typecode = Typecode::of_object(typecode)?;
        let init = match init {
            Some(init) => typecode.encode(&init)?,
            None => typecode.encode(0_i64.into_pyobject(py)?.as_any())?,
        };
        let recipe = ValueRecipe { bytes: &init, typecode: typecode.letter() };
        let (engine, object) = heap.object(py, name, &recipe)?;
        Self::new(py, engine, object, typecode)
    }

    /// Replaces the number by one that is within the range of the typecode.
    #[inline]
    fn store(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<()> {
        change!(self.object, py, |access| access.value_set(&self.engine, bytes))
    }

    /// Replaces `out` by the bytes of the number.
    #[inline]
    fn load(&self, py: Python<'_>, out: &mut Scratch) -> PyResult<()> {
        read!(self.object, py, |access| access.value_get(&self.engine, out))
    }

    /// Replaces the number by `new` if it is still `old`, and returns whether it was.
    fn replace(&self, py: Python<'_>, old: &[u8], new: &[u8]) -> PyResult<bool> {
        change!(self.object, py, |access| access.value_replace(&self.engine, old, new))
    }

    fn read<'py>(&self, py: Python<'py>, out: &mut Scratch) -> PyResult<Bound<'py, PyAny>> {
        self.load(py, out)?;
        if let Some(small) = wire::int_in(out).filter(|small| self.typecode.has_int(*small)) {
            return Ok(small.into_pyobject(py)?.into_any());
        }
        let value = codec::decode(py, out, self.object.heap.rules)?;
        if self.typecode.has(&value) {
            return Ok(value);
        }
        Err(PyTypeError::new_err(format!(
            "{} does not hold a number of typecode {:?}: a program without typecodes wrote to it; \
             nothing was changed; set a number first",
            self.object.subject(),
            self.typecode.code()
        )))
    }

    /// Adds to an int of 64 bits.
    #[inline]
    fn add_large(&self, py: Python<'_>, by: i64) -> PyResult<i64> {
        change!(self.object, py, |access| access.value_add(&self.engine, by))
    }

    /// Adds to an int of a typecode with less than 64 bits. Returns `None` if the numbers are too
    /// large.
    fn add_small(&self, py: Python<'_>, by: i64) -> PyResult<Option<i64>> {
        let (mut old, mut new) = (Scratch::new(), Scratch::new());
        loop {
            self.load(py, &mut old)?;
            let Some(sum) = wire::int_in(&old).and_then(|old| old.checked_add(by)) else {
                return Ok(None);
            };
            self.typecode.check(i128::from(sum))?;
            new.clear();
            wire::put_int(&mut new, sum);
            if self.replace(py, &old, &new)? {
                return Ok(Some(sum));
            }
            py.check_signals()?;
        }
    }

    /// Replaces the number by the result of `change`, in one step. Changes nothing if that is `None`.
    fn exchange<'py>(
        &self,
        py: Python<'py>,
        change: impl Fn(&Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut old = Scratch::new();
        loop {
            let before = self.read(py, &mut old)?;
            let Some(after) = change(&before)? else { return Ok(None) };
            let new = self.typecode.encode(&after)?;
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
        if let Some(handle) = handle::adopted::<Self>(py) {
            let handle = handle.get();
            return Self::new(py, handle.engine, handle.object.clone(), handle.typecode);
        }
        // Every value has its lock: it costs nothing until it is used.
        if let Some(other) = lock.filter(|lock| !lock.is_instance_of::<PyBool>()) {
            return Err(PyTypeError::new_err(format!(
                "lock must be True or False, not a {}: a Value has its own lock in the heap; \
                 nothing was changed; use get_lock()",
                other.get_type().name()?
            )));
        }
        Self::make(py, &default::open_heap(py)?, None, typecode, init)
    }

    /// All is done when it is created: a class that is derived from this one may call it.
    #[pyo3(signature = (*_arguments, **_named))]
    fn __init__(&self, _arguments: &Bound<'_, PyTuple>, _named: Option<&Bound<'_, PyDict>>) {}

    /// Return the number.
    ///
    /// Raises:
    ///     TypeError: A program without typecodes stored something else.
    fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Typecode::Int(..) = self.typecode {
            let number = read!(self.object, py, |access| access.value_integer(&self.engine))?;
            if let Some(number) = number.filter(|number| self.typecode.has_int(*number)) {
                return Ok(number.into_pyobject(py)?.into_any());
            }
        }
        self.read(py, &mut Scratch::new())
    }

    /// Replace the number.
    ///
    /// Raises:
    ///     OverflowError: `number` is outside the range of the typecode.
    ///     TypeError: `number` is not a number.
    fn set(&self, number: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(value) = self.typecode.small(number)? {
            self.typecode.check(i128::from(value))?;
            return self.store(number.py(), &wire::int_bytes(value));
        }
        self.store(number.py(), &self.typecode.encode(number)?)
    }

    /// The number. Reading it and setting it wait while another thread holds the lock.
    #[getter(value)]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.with_lock(py, || self.get(py))
    }

    #[setter(value)]
    fn set_value(&self, number: &Bound<'_, PyAny>) -> PyResult<()> {
        self.with_lock(number.py(), || self.set(number))
    }

    /// Add a number and return the sum.
    ///
    /// Raises:
    ///     OverflowError: The sum is outside the range of the typecode.
    ///     TypeError: `n` is not a number.
    fn add<'py>(&self, n: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = n.py();
        if let Some(by) = self.typecode.small(n)? {
            let sum = match self.typecode.code() {
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

    /// Replace the number by `new` if it equals `expected`, and return whether it did.
    ///
    /// Raises:
    ///     OverflowError: `new` is outside the range of the typecode.
    ///     TypeError: `new` is not a number.
    fn compare_exchange<'py>(
        &self,
        expected: &Bound<'py, PyAny>,
        new: &Bound<'py, PyAny>,
    ) -> PyResult<bool> {
        self.typecode.encode(new)?;
        let change = |old: &Bound<'py, PyAny>| Ok(old.eq(expected)?.then(|| new.clone()));
        Ok(self.exchange(new.py(), change)?.is_some())
    }

    fn __iadd__(&self, n: &Bound<'_, PyAny>) -> PyResult<()> {
        self.add(n).map(|_| ())
    }

    fn __isub__(&self, n: &Bound<'_, PyAny>) -> PyResult<()> {
        self.add(&n.neg()?).map(|_| ())
    }

    /// Return the lock beside the number: always the same `RLock`.
    ///
    /// `with v.get_lock(): v.value += 1` loses no update if every caller does the same.
    fn get_lock(&self, py: Python<'_>) -> PyResult<Py<RLock>> {
        Ok(self.lock(py)?.clone_ref(py))
    }

    /// Acquire the lock beside the number, as `RLock.acquire`.
    #[pyo3(signature = (block=true, timeout=None))]
    fn acquire(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = waiting::truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<bool> {
        self.lock(py)?.get().acquire(py, block, timeout)
    }

    /// Release the lock beside the number, as `RLock.release`.
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
        let code = self.typecode.code();
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
        Cow::Owned(self.typecode.code().to_string())
    }
}

name_and_pickle!(Value);
same_when_copied!(Value);
