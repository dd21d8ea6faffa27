//! What every object of this face stands on: a heap, a handle in it, and what keeps it there.
//!
//! What always holds: an object without a name is kept by a reference, which is given up when the
//! last Python object that shares it goes. What runs inside `run` is the engine alone, which knows
//! no Python, so no Python code runs while a turn is held. A signal that ends a wait is looked at,
//! then the operation runs again.
//!
//! Not here: operations that a block of `atomic` makes its own (`access`).

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
use crate::words::class_name;
use crate::{atomic, errors, waiting};

/// A heap that this process has open, as its objects see it.
#[derive(Debug, Clone)]
pub(crate) struct OpenHeap {
    pub(crate) engine: Engine,
    pub(crate) rules: Rules,
}

impl OpenHeap {
    /// Runs a short operation of the engine. `subject` names what is asked, for messages.
    #[inline]
    pub(crate) fn run<T>(
        &self,
        py: Python<'_>,
        subject: impl FnOnce() -> String,
        mut operation: impl FnMut(&Context) -> Result<T>,
    ) -> PyResult<T> {
        loop {
            match self.engine.with(&mut operation) {
                Ok(done) => return Ok(done),
                Err(Error::Interrupted) => py.check_signals()?,
                Err(error) => return Err(errors::to_python(py, &error, &subject())),
            }
        }
    }

    /// Runs a write, again after signals. One that is long, or has to wait for a transaction, runs
    /// without the interpreter, which that transaction may need to end, and looks at signals now and
    /// then.
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
                py.detach(|| self.engine.with(run))
            } else {
                self.engine.with(|context| context.waiting_until(0, &mut operation))
            };
            match done {
                // First and by itself, for then the room of an error is not copied about.
                Ok(done) => return Ok(Ok(done)),
                Err(Error::WouldBlock | Error::Interrupted) => {
                    is_detached = true;
                    py.check_signals()?;
                }
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// The object of this name, made if there is none; without a name a new one.
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
    /// What messages call it.
    noun: &'static str,
}

/// What keeps an object in its heap.
#[derive(Debug)]
pub(crate) enum Keeper {
    /// Its name.
    Name(String),
    /// The processes that refer to it, this one among them.
    Reference(Engine, Reference),
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Self::Reference(engine, reference) = self {
            // In a closed or damaged heap there is nothing to give up.
            let _ = engine.with(|context| ledger::release(context, reference));
        }
    }
}

impl Object {
    /// The object that has a name.
    pub(crate) fn named(heap: OpenHeap, name: &str, object: impl Into<AnyObject>) -> Self {
        Self::new(heap, Keeper::Name(name.to_owned()), object.into())
    }

    /// The object of a reference.
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

    /// The lock beside the value that this is.
    pub(crate) fn lock_beside(self, lock: RecursiveMutex) -> Self {
        Self { object: lock.into(), noun: "lock of Value", ..self }
    }

    /// Which object it is.
    #[inline]
    pub(crate) fn handle(&self) -> Handle {
        self.object.handle()
    }

    /// What of it a block of `atomic` locks.
    pub(crate) fn lockable(&self) -> Option<Lockable> {
        match &self.object {
            AnyObject::Map(map) => Some(Lockable::of(map)),
            AnyObject::Value(value) => Some(Lockable::of(value)),
            AnyObject::Queue(_) | AnyObject::Mutex(_) | AnyObject::RecursiveMutex(_) => None,
        }
    }

    /// Its name, if it has one.
    pub(crate) fn name(&self) -> Option<&str> {
        match &*self.keeper {
            Keeper::Name(name) => Some(name),
            Keeper::Reference(..) => None,
        }
    }

    /// Its name as part of a repr: `" 'counts'"`, or nothing.
    pub(crate) fn spaced_name(&self) -> String {
        self.name().map_or_else(String::new, |name| format!(" {name:?}"))
    }

    /// Runs a short operation of the engine, in which blocks of `atomic` have no part.
    #[inline]
    pub(crate) fn run<T>(
        &self,
        py: Python<'_>,
        operation: impl FnMut(&Context) -> Result<T>,
    ) -> PyResult<T> {
        self.heap.run(py, || self.subject(), operation)
    }

    /// Gives up what a value that was removed referred to.
    pub(crate) fn let_go(&self) {
        let _ = self.heap.engine.with(parcel::let_go);
    }

    /// The exception for an error.
    #[cold]
    pub(crate) fn explain(&self, py: Python<'_>, error: &Error) -> PyErr {
        errors::to_python(py, error, &self.subject())
    }

    /// How messages call it.
    pub(crate) fn subject(&self) -> String {
        match self.name() {
            Some(name) => format!("{} {name:?}", self.noun),
            None => format!("the {}", self.noun),
        }
    }

    /// Its repr, with `state` behind the name, or why there is none: a repr is shown where something
    /// else went wrong already.
    pub(crate) fn shown(&self, py: Python<'_>, state: PyResult<String>) -> PyResult<String> {
        let state = match state {
            Err(error) if error.is_instance_of::<PyException>(py) => {
                format!(": {}", error.value(py).str()?)
            }
            state => state?,
        };
        Ok(format!("<coheap.{}{}{state}>", class_name(self.object.kind()), self.spaced_name()))
    }

    /// Whether both are the same object.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.heap.engine.is_same(&other.heap.engine) && self.object == other.object
    }
}
