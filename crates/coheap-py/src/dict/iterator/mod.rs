//! The iterators over a dict.
//!
//! The first step copies what the iterator shows, as it is at that moment, and each step decodes one entry
//! of the copy. So an iterator shows one moment, whoever writes meanwhile. In a block of `atomic` it reads
//! entries as it goes on, for only the block itself writes to the dict then (`block`).
//!
//! What always holds: no call waits for the state: a call that finds it in use raises an error.

mod block;

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use coheap_core::Take;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::merge::{self, Place};
use super::plain::Copied;
use super::{Dict, LOOKS, until_claimed};
use crate::access::read;
use crate::atomic;
use crate::codec;
use crate::scratch::Scratch;
use block::InBlock;

/// What an iterator returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Keys,
    Values,
    Items,
}

impl What {
    fn take(self) -> Take {
        match self {
            Self::Keys => Take::Keys,
            Self::Values => Take::Values,
            Self::Items => Take::Both,
        }
    }
}

/// An iterator over a dict.
#[pyclass(frozen, module = "coheap")]
pub(crate) struct DictIterator {
    dict: Py<Dict>,
    what: What,
    /// From the last entry back.
    is_backward: bool,
    /// The instruction that has asked for the keys, and may go on to ask for the value of each.
    asker: Option<Place>,
    state: Mutex<State>,
}

enum State {
    /// Nothing was read yet. The dict had so many entries when the iterator was made.
    New(u64),
    Copied(Left),
    InBlock(InBlock),
    /// Another call is at work.
    InUse,
    Over,
}

/// What is left of a copy.
struct Left {
    copied: Arc<Copied>,
    numbers: Range<usize>,
    /// The instruction that gets the keys may go on to ask for the values: each key is noted.
    is_noted: bool,
}

/// The next entry.
enum Next {
    /// A key and a value that are to be decoded; the value may have been replaced meanwhile.
    Stale(Scratch, Scratch),
    /// An entry of a copy, and whether its key is to be noted.
    Copied(Arc<Copied>, usize, bool),
}

impl Left {
    fn next(&mut self, is_backward: bool) -> Option<Next> {
        let number = step(&mut self.numbers, is_backward)?;
        Some(Next::Copied(Arc::clone(&self.copied), number, self.is_noted))
    }

    /// Returns the key and the value of the next entry, if what the iterator shows of them is made without
    /// running Python code.
    #[inline]
    fn next_scalars<'py>(
        &mut self,
        py: Python<'py>,
        what: What,
        is_backward: bool,
    ) -> Option<[Option<Bound<'py, PyAny>>; 2]> {
        let mut numbers = self.numbers.clone();
        let number = step(&mut numbers, is_backward)?;
        let (key, value) = self.copied.pairs.get(number)?;
        let scalars = match what {
            What::Keys => [Some(codec::decode_scalar(py, key)?), None],
            What::Values => [None, Some(codec::decode_scalar(py, value)?)],
            What::Items => {
                [Some(codec::decode_scalar(py, key)?), Some(codec::decode_scalar(py, value)?)]
            }
        };
        self.numbers = numbers;
        Some(scalars)
    }
}

/// Takes the next number.
#[inline]
fn step(numbers: &mut Range<usize>, is_backward: bool) -> Option<usize> {
    if is_backward { numbers.next_back() } else { numbers.next() }
}

/// A view on a dict, of the Python class with this name.
pub(super) fn view<'py>(dict: &Bound<'py, Dict>, class: &str) -> PyResult<Bound<'py, PyAny>> {
    dict.py().import("coheap._views")?.getattr(class)?.call1((dict,))
}

/// A view on the keys of a dict, which knows the instruction that has asked for it.
pub(super) fn keys<'py>(dict: &Bound<'py, Dict>) -> PyResult<Bound<'py, PyAny>> {
    let py = dict.py();
    let Place { frame, instruction } = Place::current(py)?;
    let class = py.import("coheap._views")?.getattr("DictKeys")?;
    class.call1((dict, (frame, instruction)))
}

impl DictIterator {
    pub(super) fn new(dict: &Bound<'_, Dict>, what: What, is_backward: bool) -> PyResult<Self> {
        Self::asked_by(dict, what, is_backward, None)
    }

    /// An iterator over the keys for an instruction.
    pub(super) fn keys_for(dict: &Bound<'_, Dict>, asker: Option<Place>) -> PyResult<Self> {
        Self::asked_by(dict, What::Keys, false, asker)
    }

    fn asked_by(
        dict: &Bound<'_, Dict>,
        what: What,
        is_backward: bool,
        asker: Option<Place>,
    ) -> PyResult<Self> {
        let py = dict.py();
        let own = dict.get();
        let (is_inside, len) = read!(own.object, py, |access| {
            let is_inside = access.is_inside();
            access.map_len(&own.map).map(|len| (is_inside, len))
        })?;
        let state = match if is_inside { atomic::current(py)? } else { None } {
            Some(block) => State::InBlock(InBlock::new(block, len, is_backward)),
            None => State::New(len),
        };
        let dict = dict.clone().unbind();
        Ok(Self { dict, what, is_backward, asker, state: Mutex::new(state) })
    }

    fn state(&self) -> PyResult<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(state) => Ok(state),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(in_use()),
        }
    }

    /// Returns the next entry.
    fn advance(&self, py: Python<'_>) -> PyResult<Option<Next>> {
        let mut state = self.state()?;
        let next = match &mut *state {
            State::New(_) => {
                drop(state);
                return self.begin(py);
            }
            State::Copied(left) => left.next(self.is_backward),
            State::InBlock(block) => block.next(py, self.dict.get())?,
            State::InUse => return Err(in_use()),
            State::Over => None,
        };
        if next.is_none() {
            *state = State::Over;
        }
        Ok(next)
    }

    /// Copies what the iterator shows, and returns the first entry. Whatever runs meanwhile may call it.
    fn begin(&self, py: Python<'_>) -> PyResult<Option<Next>> {
        let State::New(len) = std::mem::replace(&mut *self.state()?, State::InUse) else {
            return Err(in_use());
        };
        let copied = self.copy(py);
        let mut state = self.state()?;
        match copied {
            Ok((copied, is_noted)) => {
                let mut left = Left { numbers: 0..copied.pairs.len(), copied, is_noted };
                let next = left.next(self.is_backward);
                *state = State::Copied(left);
                Ok(next)
            }
            Err(error) => {
                *state = State::New(len);
                Err(error)
            }
        }
    }

    /// Returns the copy, and whether its keys are to be noted.
    fn copy(&self, py: Python<'_>) -> PyResult<(Arc<Copied>, bool)> {
        let dict = self.dict.get();
        match self.asker {
            Some(asker) if Place::current(py)? == asker => {
                let copied = Arc::new(Copied::of(py, dict, Take::Both)?);
                merge::begin(asker, dict, &copied);
                Ok((copied, true))
            }
            _ => Ok((Arc::new(Copied::of(py, dict, self.what.take())?), false)),
        }
    }
}

#[cold]
fn in_use() -> PyErr {
    PyValueError::new_err("another call is using this iterator")
}

#[pymethods]
impl DictIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let scalars = match &mut *self.state()? {
            State::Copied(left) if !left.is_noted => {
                left.next_scalars(py, self.what, self.is_backward)
            }
            _ => None,
        };
        match scalars {
            Some([Some(key), Some(value)]) => {
                return Ok(Some((key, value).into_pyobject(py)?.into_any()));
            }
            Some([Some(shown), None] | [None, Some(shown)]) => return Ok(Some(shown)),
            _ => {}
        }
        let Some(next) = self.advance(py)? else { return Ok(None) };
        let dict = self.dict.get();
        let (key, value) = match (next, self.what) {
            (Next::Stale(key, _), What::Keys) => return dict.decode(py, &key).map(Some),
            (Next::Stale(key, mut value), _) => {
                let loaded = until_claimed(py, LOOKS, || {
                    block::read_again(py, dict, &key, &mut value)?;
                    dict.decode(py, &value)
                })?;
                (key, loaded)
            }
            (Next::Copied(copied, number, _), What::Values) => {
                return copied.value(py, dict, number).map(Some);
            }
            (Next::Copied(copied, number, is_noted), what) => {
                let key = copied.key(py, dict, number)?;
                if what == What::Keys {
                    if is_noted {
                        merge::note(&copied, &key);
                    }
                    return Ok(Some(key));
                }
                let entry = (key, copied.value(py, dict, number)?);
                return Ok(Some(entry.into_pyobject(py)?.into_any()));
            }
        };
        if self.what == What::Values {
            return Ok(Some(value));
        }
        Ok(Some((dict.decode(py, &key)?, value).into_pyobject(py)?.into_any()))
    }

    fn __length_hint__(&self) -> u64 {
        match self.state.try_lock().as_deref() {
            Ok(State::New(len)) => *len,
            Ok(State::Copied(left)) => left.numbers.len() as u64,
            Ok(State::InBlock(block)) => block.left(),
            _ => 0,
        }
    }
}
