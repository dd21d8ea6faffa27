//! The common part of every Python object: its heap, its handle, and the keeper of the object.
//!
//! What always holds: a reference keeps an object without a name; it is released with the last
//! Python object that shares it. Inside `run` only the engine runs, which calls no Python code, so
//! no Python code runs while a turn is held. No operation sleeps with the interpreter lock: one that
//! would wait for another thread's change returns, waits without that lock, and runs again. After a
//! signal interrupts a wait, signals are handled and the operation runs again.
//!
//! Not here: operations that may run in a block of `atomic` (`access`).

use std::sync::Arc;

use coheap_core::Context;
use coheap_core::Heap as Engine;
use coheap_core::{
    AnyObject, Directory, Handle, Lockable, Recipe, RecursiveMutex, Reference, Typed,
};
use coheap_core::{Error, Result, system};
use coheap_core::{ledger, parcel};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

use crate::codec::Rules;
use crate::waiting::Rounds;
use crate::words::class_name;
use crate::{apart, atomic, errors, waiting};

/// A heap that this process has open, with the rules of this handle.
#[derive(Debug, Clone)]
pub(crate) struct OpenHeap {
    pub(crate) engine: Engine,
    pub(crate) rules: Rules,
}

impl OpenHeap {
    /// Runs a short operation of the engine. `subject` names the object in messages.
    #[inline]
    pub(crate) fn run<T>(
        &self,
        py: Python<'_>,
        subject: impl FnOnce() -> String,
        mut operation: impl FnMut(&Context) -> Result<T>,
    ) -> PyResult<T> {
        let mut rounds = Rounds::default();
        loop {
            let until = rounds.deadline();
            match self.engine.with(|context| context.waiting_until(until, &mut operation)) {
                Ok(done) => return Ok(done),
                Err(Error::Busy { turn }) => rounds.wait(py, &self.engine, turn, None)?,
                Err(Error::Interrupted) => py.check_signals()?,
                Err(error) => return Err(errors::to_python(py, &error, &subject())),
            }
        }
    }

    /// Runs a write, and repeats it after signals. A write that is long, or that waits for a
    /// transaction, runs without the interpreter lock, which the transaction may need to end. It
    /// checks for signals from time to time.
    #[inline]
    pub(crate) fn write<T: Send>(
        &self,
        py: Python<'_>,
        is_long: bool,
        mut operation: impl FnMut(&Context) -> Result<T> + Send,
    ) -> PyResult<Result<T>> {
        let mut is_detached = is_long;
        loop {
            let done = if is_detached {
                let until = system::now() + waiting::SLICE;
                let run = |context: &Context| context.waiting_until(until, &mut operation);
                apart::detached(py, || self.engine.with(run))
            } else {
                self.engine.with(|context| context.waiting_until(0, &mut operation))
            };
            match done {
                // First, in an arm of its own: the space of an error is not copied then.
                Ok(done) => return Ok(Ok(done)),
                Err(Error::Busy { .. } | Error::WouldBlock | Error::Interrupted) => {
                    is_detached = true;
                    waiting::note_frozen_threads(py);
                    py.check_signals()?;
                }
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// Returns the object with this name, created if there is none; without a name, a new one.
    pub(crate) fn object<R: Recipe>(
        &self,
        py: Python<'_>,
        name: Option<&str>,
        recipe: &R,
    ) -> PyResult<(R::Object, Object)> {
        let kind = R::Object::KIND;
        let subject = || match name {
            Some(name) => format!("{} {name:?}", class_name(kind)),
            None => format!("a new {}", class_name(kind)),
        };
        atomic::bind(py, &self.engine, subject)?;
        let Some(name) = name else {
            let make = |context: &Context| ledger::create(context, recipe);
            let (object, reference) = self.run(py, subject, make)?;
            return Ok((object, Object::referred(self.clone(), object, reference)));
        };
        let find = |context: &Context| match Directory.get_or_create(context, name, recipe) {
            Err(Error::WrongKind { found, .. }) => Ok(Err(found)),
            other => other.map(Ok),
        };
        match self.run(py, subject, find)? {
            Ok(object) => Ok((object, Object::named(self.clone(), name, object))),
            Err(found) => Err(errors::wrong_kind(&format!("`{name}`"), found, kind)),
        }
    }
}

/// An object of a heap.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) heap: OpenHeap,
    pub(crate) keeper: Arc<Keeper>,
    object: AnyObject,
    /// Its noun in messages.
    noun: &'static str,
}

/// The reason why an object stays in its heap.
#[derive(Debug)]
pub(crate) enum Keeper {
    /// Its name.
    Name(String),
    /// References of processes, this one among them.
    Reference(Engine, Reference),
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Self::Reference(engine, reference) = self {
            // In a closed or damaged heap there is nothing to release.
            let _ = engine.with(|context| ledger::release(context, reference));
        }
    }
}

impl Object {
    /// Returns an object with a name.
    pub(crate) fn named(heap: OpenHeap, name: &str, object: impl Into<AnyObject>) -> Self {
        Self::new(heap, Keeper::Name(name.to_owned()), object.into())
    }

    /// Returns the object of a reference.
    pub(crate) fn referred(
        heap: OpenHeap,
        object: impl Into<AnyObject>,
        reference: Reference,
    ) -> Self {
        let keeper = Keeper::Reference(heap.engine.clone(), reference);
        Self::new(heap, keeper, object.into())
    }

    fn new(heap: OpenHeap, keeper: Keeper, object: AnyObject) -> Self {
        Self { heap, keeper: Arc::new(keeper), object, noun: class_name(object.kind()) }
    }

    /// Returns the lock beside this value.
    pub(crate) fn lock_beside(self, lock: RecursiveMutex) -> Self {
        Self { object: lock.into(), noun: "lock of Value", ..self }
    }

    /// Returns the handle of the object.
    #[inline]
    pub(crate) fn handle(&self) -> Handle {
        self.object.handle()
    }

    /// Returns what a block of `atomic` locks of it.
    pub(crate) fn lockable(&self) -> Option<Lockable> {
        match &self.object {
            AnyObject::Map(map) => Some(Lockable::of(map)),
            AnyObject::Value(value) => Some(Lockable::of(value)),
            AnyObject::Queue(_) | AnyObject::Mutex(_) | AnyObject::RecursiveMutex(_) => None,
        }
    }

    /// Returns its name, if it has one.
    pub(crate) fn name(&self) -> Option<&str> {
        match &*self.keeper {
            Keeper::Name(name) => Some(name),
            Keeper::Reference(..) => None,
        }
    }

    /// Returns its name as part of a repr: `" 'counts'"`, or nothing.
    pub(crate) fn spaced_name(&self) -> String {
        self.name().map_or_else(String::new, |name| format!(" {name:?}"))
    }

    /// Runs a short operation of the engine outside of all blocks of `atomic`.
    #[inline]
    pub(crate) fn run<T>(
        &self,
        py: Python<'_>,
        operation: impl FnMut(&Context) -> Result<T>,
    ) -> PyResult<T> {
        self.heap.run(py, || self.subject(), operation)
    }

    /// Releases the references of values that were removed.
    pub(crate) fn let_go(&self) {
        let _ = self.heap.engine.with(parcel::let_go);
    }

    /// Returns the exception for an error.
    #[cold]
    pub(crate) fn explain(&self, py: Python<'_>, error: &Error) -> PyErr {
        errors::to_python(py, error, &self.subject())
    }

    /// Returns its name in messages.
    pub(crate) fn subject(&self) -> String {
        match self.name() {
            Some(name) => format!("{} {name:?}", self.noun),
            None => format!("the {}", self.noun),
        }
    }

    /// Returns its repr, with `state` after the name. If `state` is an error, its message stands there
    /// instead: a repr is often shown when something else has failed. What a signal handler raised is
    /// no state; where no stored Python object was loaded, only a handler leaves a traceback.
    pub(crate) fn shown(&self, py: Python<'_>, state: PyResult<String>) -> PyResult<String> {
        let has_values = matches!(self.object, AnyObject::Map(_) | AnyObject::Value(_));
        let state = match state {
            Err(error)
                if error.is_instance_of::<PyException>(py)
                    && (has_values || error.traceback(py).is_none()) =>
            {
                format!(": {}", error.value(py).str()?)
            }
            state => state?,
        };
        Ok(format!("<coheap.{}{}{state}>", class_name(self.object.kind()), self.spaced_name()))
    }

    /// Returns whether both are the same object.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.heap.engine.is_same(&other.heap.engine) && self.object == other.object
    }
}
