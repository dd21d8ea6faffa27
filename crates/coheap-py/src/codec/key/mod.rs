//! The encoding of keys: equal keys have equal bytes, whichever type and language they come from.
//!
//! A key has one canonical form at every depth, which `docs/values.md` lists: numbers are what they are
//! worth, whatever their types, and an object of any other type is the name of its type and its parts. Where
//! the canonical bytes do not tell how the key was given, its own form stands beside them.
//!
//! What always holds: who only looks for a key gets an error from the key itself (its `__hash__`), and none
//! because the key could not be stored: then it is not there.
//!
//! | file | what is encoded |
//! |---|---|
//! | `number` | numbers of other types than Python's own |
//! | `named` | dates and times, UUIDs, enum members, paths and the like |
//! | `reduced` | the rest |

mod named;
mod number;
mod reduced;

use coheap_core::wire::{
    KEY_NAN, MAX_DEPTH, TWO_TO_63, Tag, put_bytes, put_complex, put_float, put_formed, put_head,
    put_int, put_tag,
};
use pyo3::exceptions::{PyException, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyBytes, PyComplex, PyFloat, PyFrozenSet, PyInt, PyString, PyTuple, PyType,
};

use super::{Rules, encode, text};
pub(super) use named::load;

/// Appends the bytes of a key that is to be stored, in the form in which it was given.
#[inline]
pub(crate) fn encode_key(
    object: &Bound<'_, PyAny>,
    rules: Rules,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    if put_quickly(object, out)? {
        return Ok(());
    }
    let start = out.len();
    let done = put_stored(object, rules, out);
    if done.is_err() {
        out.truncate(start);
    }
    done.map_err(Refusal::into_error)
}

/// Appends the canonical bytes of a key that is looked for. `false`: no such key can have been stored.
#[inline]
pub(crate) fn encode_wanted(
    object: &Bound<'_, PyAny>,
    rules: Rules,
    out: &mut Vec<u8>,
) -> PyResult<bool> {
    if put_quickly(object, out)? {
        return Ok(true);
    }
    let start = out.len();
    match Canonical::new(rules, out).put(object, MAX_DEPTH) {
        Ok(()) => Ok(true),
        Err(refusal) => {
            out.truncate(start);
            refusal.of_wanted(object.py())
        }
    }
}

/// Appends a str or an int. `false`: it is something else, and nothing was appended.
#[inline(always)]
fn put_quickly(object: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<bool> {
    if object.is_exact_instance_of::<PyString>() {
        text::put_str(object.cast_exact()?, out)?;
    } else if object.is_exact_instance_of::<PyInt>() {
        super::number::put_int(object.cast_exact()?, out)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// Why a key has no bytes.
enum Refusal {
    /// The key says so.
    ByKey(PyErr),
    /// It cannot be stored.
    NoForm(PyErr),
}

impl Refusal {
    fn into_error(self) -> PyErr {
        match self {
            Self::ByKey(error) | Self::NoForm(error) => error,
        }
    }

    #[cold]
    fn of_wanted(self, py: Python<'_>) -> PyResult<bool> {
        match self {
            Self::NoForm(error) if error.is_instance_of::<PyException>(py) => Ok(false),
            Self::ByKey(error) | Self::NoForm(error) => Err(error),
        }
    }
}

/// Errors of Python on the way to the bytes: a key without a form.
impl From<PyErr> for Refusal {
    #[cold]
    fn from(error: PyErr) -> Self {
        Self::NoForm(error)
    }
}

type Done<T = ()> = Result<T, Refusal>;

fn put_stored(object: &Bound<'_, PyAny>, rules: Rules, out: &mut Vec<u8>) -> Done {
    let start = out.len();
    let mut canonical = Canonical::new(rules, out);
    canonical.put(object, MAX_DEPTH)?;
    if canonical.is_exact {
        return Ok(());
    }
    let needs_form = canonical.needs_form;
    let mut form = Vec::new();
    match encode(object, rules, &mut form) {
        Ok(()) => {
            let bytes = out.split_off(start);
            put_formed(out, &bytes, &form);
            Ok(())
        }
        // It comes back as its canonical form says.
        Err(error) if !needs_form && error.is_instance_of::<PyException>(object.py()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Writes the canonical form of a key.
struct Canonical<'a> {
    rules: Rules,
    out: &'a mut Vec<u8>,
    /// Whether what is written is read back as what was given.
    is_exact: bool,
    /// Whether it can only be read back from a form of its own.
    needs_form: bool,
}

impl<'a> Canonical<'a> {
    fn new(rules: Rules, out: &'a mut Vec<u8>) -> Self {
        Self { rules, out, is_exact: true, needs_form: false }
    }

    /// Writes somewhere else for a while.
    fn aside(&mut self, write: impl FnOnce(&mut Canonical<'_>) -> Done) -> Done<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut aside = Canonical::new(self.rules, &mut bytes);
        write(&mut aside)?;
        self.is_exact &= aside.is_exact;
        self.needs_form |= aside.needs_form;
        Ok(bytes)
    }

    fn put(&mut self, object: &Bound<'_, PyAny>, depth: u32) -> Done {
        if put_quickly(object, self.out)? {
            return Ok(());
        }
        if object.is_exact_instance_of::<PyTuple>() {
            self.tuple(object.cast_exact::<PyTuple>().map_err(PyErr::from)?, depth)?;
        } else if object.is_exact_instance_of::<PyBytes>() {
            let bytes = object.cast_exact::<PyBytes>().map_err(PyErr::from)?;
            put_bytes(self.out, Tag::Bytes, bytes.as_bytes());
        } else if object.is_none() {
            put_tag(self.out, Tag::None);
        } else if object.is_exact_instance_of::<PyBool>() {
            let value = object.cast_exact::<PyBool>().map_err(PyErr::from)?.is_true();
            self.is_exact = false;
            put_int(self.out, i64::from(value));
        } else if object.is_exact_instance_of::<PyFloat>() {
            self.float(object.py(), object.extract()?)?;
        } else if object.is_exact_instance_of::<PyFrozenSet>() {
            self.frozenset(object.cast_exact::<PyFrozenSet>().map_err(PyErr::from)?, depth)?;
        } else {
            self.put_rare(object, depth)?;
        }
        Ok(())
    }

    #[cold]
    fn put_rare(&mut self, object: &Bound<'_, PyAny>, depth: u32) -> Done {
        let is_done = self.put_as_base(object, depth)?
            || self.put_number(object)?
            || self.put_named(object, depth)?;
        if is_done {
            return Ok(());
        }
        object.hash().map_err(Refusal::ByKey)?;
        self.put_reduced(object, depth)
    }

    /// Writes an instance of a subclass of a type of Python's own that is equal to what that type is.
    fn put_as_base(&mut self, object: &Bound<'_, PyAny>, depth: u32) -> Done<bool> {
        if let Ok(complex) = object.cast_exact::<PyComplex>() {
            return self.complex(complex).map(|()| true);
        }
        let before = std::mem::replace(&mut self.is_exact, false);
        if let Some(text) = as_base::<PyString>(object)? {
            text::put_str(text, self.out)?;
        } else if let Some(int) = as_base::<PyInt>(object)? {
            super::number::put_int(int, self.out)?;
        } else if let Some(float) = as_base::<PyFloat>(object)? {
            self.float(object.py(), float.value())?;
        } else if let Some(bytes) = as_base::<PyBytes>(object)? {
            put_bytes(self.out, Tag::Bytes, bytes.as_bytes());
        } else if let Some(tuple) = as_base::<PyTuple>(object)? {
            self.tuple(tuple, depth)?;
        } else if let Some(set) = as_base::<PyFrozenSet>(object)? {
            self.frozenset(set, depth)?;
        } else if let Some(complex) = as_base::<PyComplex>(object)? {
            self.complex(complex)?;
        } else {
            self.is_exact = before;
            return Ok(false);
        }
        Ok(true)
    }

    fn tuple(&mut self, tuple: &Bound<'_, PyTuple>, depth: u32) -> Done {
        let depth = deeper(depth)?;
        put_head(self.out, Tag::Tuple, tuple.len() as u64);
        tuple.iter().try_for_each(|item| self.put(&item, depth))
    }

    fn float(&mut self, py: Python<'_>, value: f64) -> Done {
        if value.is_nan() {
            put_float(self.out, KEY_NAN);
        } else if !value.is_finite() || value.fract() != 0.0 {
            put_float(self.out, value);
        } else {
            self.is_exact = false;
            if (-TWO_TO_63..TWO_TO_63).contains(&value) {
                put_int(self.out, value as i64);
            } else {
                let int = PyFloat::new(py, value).call_method0(intern!(py, "__int__"))?;
                super::number::put_int(int.cast::<PyInt>().map_err(PyErr::from)?, self.out)?;
            }
        }
        Ok(())
    }

    fn complex(&mut self, value: &Bound<'_, PyComplex>) -> Done {
        let (real, imag) = (value.real(), value.imag());
        if imag == 0.0 {
            self.is_exact = false;
            return self.float(value.py(), real);
        }
        // The two zeros are equal, and all that is no number is one.
        let plain = |part: f64| if part.is_nan() { KEY_NAN } else { part + 0.0 };
        let parts = [plain(real), plain(imag)];
        self.is_exact &= parts.map(f64::to_bits) == [real, imag].map(f64::to_bits);
        put_complex(self.out, parts[0], parts[1]);
        Ok(())
    }

    fn frozenset(&mut self, set: &Bound<'_, PyFrozenSet>, depth: u32) -> Done {
        let depth = deeper(depth)?;
        self.set(Tag::FrozenSet, set.iter(), |aside, item| aside.put(&item, depth))
    }

    /// Writes the items of a set, each once, in the order of their bytes.
    fn set<T>(
        &mut self,
        tag: Tag,
        items: impl Iterator<Item = T>,
        put: impl Fn(&mut Canonical<'_>, T) -> Done,
    ) -> Done {
        let mut items = self.sorted(items, put)?;
        items.dedup();
        self.append(tag, &items);
        Ok(())
    }

    /// Returns the bytes of items, in their order.
    fn sorted<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        put: impl Fn(&mut Canonical<'_>, T) -> Done,
    ) -> Done<Vec<Vec<u8>>> {
        let items = items.map(|item| self.aside(|aside| put(aside, item)));
        let mut items = items.collect::<Done<Vec<_>>>()?;
        items.sort_unstable();
        Ok(items)
    }

    fn append(&mut self, tag: Tag, items: &[Vec<u8>]) {
        put_head(self.out, tag, items.len() as u64);
        items.iter().for_each(|bytes| self.out.extend_from_slice(bytes));
    }

    /// Writes a value whose payload is what `write` writes.
    fn with_payload(&mut self, tag: Tag, write: impl FnOnce(&mut Canonical<'_>) -> Done) -> Done {
        let payload = self.aside(write)?;
        put_bytes(self.out, tag, &payload);
        Ok(())
    }
}

fn deeper(depth: u32) -> Done<u32> {
    depth.checked_sub(1).ok_or_else(|| {
        Refusal::NoForm(PyValueError::new_err(
            "a key has at most 64 levels of containers, or contains itself; nothing was changed",
        ))
    })
}

/// Returns the object as one of this type of Python's own, if it is equal to what that type is equal to.
fn as_base<'a, 'py, T: pyo3::PyTypeInfo>(
    object: &'a Bound<'py, PyAny>,
) -> PyResult<Option<&'a Bound<'py, T>>> {
    let Ok(own) = object.cast::<T>() else { return Ok(None) };
    let (kind, base) = (object.get_type(), object.py().get_type::<T>());
    let is_equal = has_equality_of(&kind, &base)? || number::is_of_numpy(object)?;
    Ok(is_equal.then_some(own))
}

/// Whether instances of a type are equal as those of its base are.
fn has_equality_of(kind: &Bound<'_, PyType>, base: &Bound<'_, PyType>) -> PyResult<bool> {
    let py = kind.py();
    for name in [intern!(py, "__eq__"), intern!(py, "__hash__")] {
        if !kind.getattr(name)?.is(&base.getattr(name)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Refuses a type that only a pickle could bring back.
#[cold]
fn refuse_type(object: &Bound<'_, PyAny>) -> Refusal {
    let name = reduced::name_of(object.get_type().as_any());
    let name = name.unwrap_or_else(|_| "object".to_owned());
    Refusal::NoForm(PyTypeError::new_err(format!(
        "a key of type {name} would have to be pickled, and this heap was opened with pickle=False; \
         nothing was changed; without pickle, keys are None, numbers, str, bytes, dates, times, UUIDs, \
         paths, and tuples and frozensets of these"
    )))
}
