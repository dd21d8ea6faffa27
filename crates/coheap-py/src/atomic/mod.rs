//! The function `atomic` and its blocks: changes to many objects that happen together or not at all.
//!
//! What always holds: a block belongs to the thread and the context that entered it. It commits in
//! one call that runs no Python code: every exception before that call undoes the block, and code
//! after it sees all of the changes.
//!
//! Not here: running a function again (`python/coheap/_atomic.py`).
//!
//! # Files
//!
//! | file | what it is |
//! |---|---|
//! | `block` | the block of a thread: levels, transaction, end |
//! | `join` | operations of objects inside a block |
//! | `blocked` | waits that a block could not do |
//! | `named` | objects that a block names, and locks that are held around it |
//! | `outside` | code that runs on the thread of a block, but outside of the block |
//! | `locks` | locks that are acquired and released inside a block |

mod block;
mod blocked;
mod join;
mod locks;
mod named;
mod outside;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use coheap_core::{Error, system};
use pyo3::exceptions::{PyException, PyGeneratorExit, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use block::{Block, Entry, Nesting};
use blocked::Blocked;
use named::Named;

use crate::waiting::Rounds;

pub(crate) use block::{current, is_any_open, is_inside};
pub(crate) use blocked::{_before_waiting, Awaited};
pub(crate) use join::{bind, refuse_inside};

/// Why a block that was left in another thread or context is given up.
const LEFT_ELSEWHERE: Error = Error::BadArgument(
    "a block of coheap.atomic was left in another thread or context than it was entered in; \
     leave it where it was entered",
);

/// A block whose changes happen together or not at all. `coheap.atomic` returns one.
#[pyclass(frozen, module = "coheap")]
pub(crate) struct Atomic {
    named: Named,
    timeout: Option<f64>,
    retries: Option<i64>,
    /// Its current level; 0 while it is not open.
    level: AtomicU64,
    age: AtomicU64,
    blocked: Mutex<Option<Blocked>>,
}

/// Apply all changes of a block at its end, or none of them.
///
///     with coheap.atomic():
///         accounts["a"] -= 5
///         accounts["b"] += 5
///
/// Nothing is changed if the block ends with an exception, `KeyboardInterrupt` included, or if the
/// process dies.
///
/// Inside the block, reads see the writes of the block. The block locks a dict or a value when it
/// first touches it, for reading, too, until its end. Other writers wait; other readers see the
/// object as it was before the block. A job from `WorkQueue.get` is acked at the end of the block. If
/// the block is undone, the job returns to the queue, and the attempt does not count. A job that the
/// block puts becomes visible at its end. A lock that the block releases is released at its end; a
/// lock that it acquired is released if the block is undone. A block inside a block undoes only its
/// own changes.
///
/// As a decorator, `@coheap.atomic` or `@coheap.atomic(retries=10)`, it runs the function in a
/// block. After a `DeadlockError` it waits for a moment and runs the function again; the block keeps
/// the age of its first attempt. After a `WouldBlock` it waits outside of the block, where other
/// processes can use the objects of the block, and then runs the function again. If the timeout of
/// the refused call expires meanwhile, it raises what that call would have raised: `Empty`, `Full`
/// or `TimeoutError`.
///
/// A block belongs to its thread and its context. Other threads, other tasks of an event loop, and
/// finalizers that the garbage collector runs are outside of it. Their writes to an object that the
/// block holds wait in another thread, and raise `RuntimeError` in the same thread. A signal
/// handler, and a finalizer that runs because the block dropped the last reference, run in the
/// context of the block and count as its code; to run one outside, use
/// `contextvars.Context().run(...)`. In a child that is forked inside a block, every operation
/// raises until the block is left. An `await` that suspends the block is refused; an `await` whose
/// result is ready does not suspend it.
///
/// Args:
///     objects: Dicts and values to lock when the block is entered, in a fixed order, so that blocks
///         that name their objects cannot deadlock. A named `Lock` or `RLock` is held around the
///         block. A work queue has no lock. All objects of a block must belong to one heap.
///     retries: How often the decorator runs the function again after a `DeadlockError`.
///     timeout: The number of seconds to wait for locks at most, in total; None is no limit.
///
/// Raises:
///     DeadlockError: Blocks wait for each other in a cycle, and this block is the one to give up.
///     WouldBlock: The block holds something, and would wait for a lock, a job or room in a queue.
///     TimeoutError: The timeout expired before the locks were free.
///     HeapFull: The heap has no room for the changes.
///     LeaseLost: A lease that the block acked was lost meanwhile.
///     ValueError: The objects belong to different heaps; or the block changes too much: at least
///         32,000 entries can be added, removed or replaced, of long values that replace others of
///         their length 7,000. The operation that would be too much raises it. `clear` counts as
///         one change, and 50,000 entries or more can be added after it. Or the block creates or
///         removes an object; or `retries` or `timeout` is negative.
///
/// The first three give the block up: every later operation in it, and its end, raise them again.
/// After any exception nothing was changed.
#[pyfunction]
#[pyo3(signature = (*objects, retries=None, timeout=None))]
#[pyo3(text_signature = "(*objects, retries=10, timeout=None)")]
pub(crate) fn atomic<'py>(
    py: Python<'py>,
    objects: &Bound<'py, PyTuple>,
    retries: Option<i64>,
    timeout: Option<f64>,
) -> PyResult<Bound<'py, PyAny>> {
    if retries.is_some_and(|retries| retries < 0) {
        return Err(PyValueError::new_err("'retries' must be 0 or more"));
    }
    if timeout.is_some_and(|seconds| seconds.is_nan() || seconds < 0.0) {
        return Err(PyValueError::new_err("'timeout' must be a non-negative number"));
    }
    outside::listen_to_collector(py)?;
    let is_function = objects.len() == 1 && !named::is_ours(&objects.get_item(0)?);
    let function =
        is_function.then(|| objects.get_item(0)).transpose()?.filter(|it| it.is_callable());
    let named = match function {
        Some(_) => Named::default(),
        None => Named::new(objects.iter())?,
    };
    let block = Bound::new(py, Atomic::new(named, timeout, retries))?;
    match function {
        Some(function) => decorate(&block, &function),
        None => Ok(block.into_any()),
    }
}

fn decorate<'py>(
    block: &Bound<'py, Atomic>,
    function: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    system::sleep_when_ended();
    let module = block.py().import("coheap._atomic")?;
    module.getattr("retrying")?.call1((block, function, block.get().retries.unwrap_or(10)))
}

/// Runs something in a block of its own that holds an object.
pub(crate) fn with_locked<T>(
    object: &Bound<'_, PyAny>,
    work: impl FnOnce() -> PyResult<T>,
) -> PyResult<T> {
    let py = object.py();
    outside::listen_to_collector(py)?;
    let block = Atomic::new(Named::new([object.clone()])?, None, None);
    block.enter(py)?;
    let done = work();
    let level = block.level.swap(0, Ordering::AcqRel);
    block.leave(py, level, done.as_ref().err())?;
    done
}

impl Atomic {
    fn new(named: Named, timeout: Option<f64>, retries: Option<i64>) -> Self {
        Self {
            named,
            timeout,
            retries,
            level: AtomicU64::new(0),
            age: AtomicU64::new(0),
            blocked: Mutex::default(),
        }
    }

    /// Keeps the wait that gave the block up, and returns the one that was kept before.
    fn keep_blocked(&self, blocked: Option<Blocked>) -> Option<Blocked> {
        let mut kept = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *kept, blocked)
    }

    /// Ends the outermost level.
    fn end(&self, py: Python<'_>, passing: Option<&PyErr>) -> PyResult<()> {
        let Some(mut block) = block::take() else { return Ok(()) };
        if !block.unmark(py) {
            drop(block);
            return Err(misused(py, LEFT_ELSEWHERE, passing));
        }
        if block.is_forked() {
            drop(block);
            return match passing {
                Some(_) => Ok(()),
                None => Err(crate::errors::to_python(py, &Error::ForkedInside, "coheap.atomic")),
            };
        }
        // The rest of the block is released before its end is reported.
        let doom = block.check().err().and_then(|_| block.doom());
        if let Some(why) = doom {
            let first = block.first.take();
            let age = block.next_age();
            self.keep_blocked(block.blocked.take());
            drop(block);
            self.age.store(age.unwrap_or(0), Ordering::Relaxed);
            return again(py, why, first, passing);
        }
        if passing.is_some() {
            drop(block);
            return Ok(());
        }
        let done = commit(py, &mut block);
        drop(block);
        done
    }
}

/// Commits a block. A signal whose handler raises undoes it.
fn commit(py: Python<'_>, block: &mut Block) -> PyResult<()> {
    let mut rounds = Rounds::default();
    loop {
        match block.commit(rounds.deadline()) {
            Ok(()) => return block.release_locks(py),
            Err(Error::Busy { turn }) => {
                if let Some(engine) = block.engine() {
                    rounds.wait(py, engine, turn, None)?;
                }
            }
            Err(Error::Interrupted) => py.check_signals()?,
            Err(error) => return Err(crate::errors::to_python(py, &error, "coheap.atomic")),
        }
    }
}

/// Raises the reason why a block was given up once more.
fn again(
    py: Python<'_>,
    why: Error,
    first: Option<PyErr>,
    passing: Option<&PyErr>,
) -> PyResult<()> {
    let again = join::doomed(py, why);
    if let Some(passing) = passing {
        let is_it = passing.get_type(py).is(again.get_type(py));
        if is_it || !passing.is_instance_of::<PyException>(py) {
            return Ok(());
        }
    }
    again.set_cause(py, passing.map(|error| error.clone_ref(py)).or(first));
    Err(again)
}

fn misused(py: Python<'_>, why: Error, passing: Option<&PyErr>) -> PyErr {
    let raised = join::doomed(py, why);
    raised.set_cause(py, passing.map(|error| error.clone_ref(py)));
    raised
}

#[pymethods]
impl Atomic {
    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let (py, this) = (slf.py(), slf.get());
        if this.level.load(Ordering::Acquire) != 0 {
            return Err(PyRuntimeError::new_err(
                "this block is open already; nothing was changed; create another with coheap.atomic()",
            ));
        }
        if this.retries.is_some() {
            return Err(PyTypeError::new_err(
                "retries is for the decorator: a with-statement cannot run its block again; nothing \
                 was changed; decorate a function with coheap.atomic(retries=...)",
            ));
        }
        this.enter(py)?;
        Ok(slf.clone())
    }

    fn __exit__(
        &self,
        kind: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let py = value.py();
        let level = self.level.swap(0, Ordering::AcqRel);
        let passing = (!value.is_none()).then(|| PyErr::from_value(value.clone()));
        self.leave(py, level, passing.as_ref())?;
        if kind.is(py.get_type::<PyGeneratorExit>()) {
            // Who goes through a generator sees nothing of the block that it has left.
            py.import("coheap._atomic")?.getattr("warn_of_closed")?.call1((traceback,))?;
        }
        Ok(false)
    }

    /// The decorator with arguments.
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        function: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        decorate(slf, function)
    }

    /// Return a block with the same settings, for one call of a decorated function.
    fn _fresh(&self, py: Python<'_>) -> Self {
        Self::new(self.named.again(py), self.timeout, None)
    }

    /// Do the wait that the block could not do. Return whether there was anything to wait for, or
    /// None if the block was not given up because of a wait.
    fn _wait(&self, py: Python<'_>) -> PyResult<Option<bool>> {
        match self.keep_blocked(None) {
            Some(blocked) => blocked.wait(py).map(Some),
            None => Ok(None),
        }
    }

    /// Return whether it is open inside another block.
    fn _is_inner(&self) -> bool {
        block::nesting_of(self.level.load(Ordering::Acquire)) == Nesting::Inner
    }

    /// Undo the block if it is open. Python 3.14 may raise KeyboardInterrupt between `__enter__` and
    /// the body without calling `__exit__`.
    fn _abandon(&self) {
        self.abandon();
    }

    fn __aenter__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a block of coheap.atomic cannot contain an await; nothing was changed; use 'with' and \
             await before or after the block, or run the block in a thread (asyncio.to_thread)",
        ))
    }

    #[pyo3(signature = (*_exception))]
    fn __aexit__(&self, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.__aenter__()
    }

    fn __repr__(&self) -> String {
        let state = if self.level.load(Ordering::Acquire) != 0 { ", open" } else { "" };
        format!("<coheap.atomic of {} named objects{state}>", self.named.len())
    }
}

impl Atomic {
    fn enter(&self, py: Python<'_>) -> PyResult<()> {
        let age = Some(self.age.load(Ordering::Relaxed)).filter(|age| *age != 0);
        let nanoseconds = |seconds: f64| (seconds * 1e9) as u64;
        let budget = self.timeout.map(nanoseconds);
        self.named.take_locks(py, self.timeout)?;
        let entered = block::enter(py, Entry { budget, age }).and_then(|entered| {
            entered.map_err(|error| crate::errors::to_python(py, &error, "coheap.atomic"))
        });
        let level = match entered {
            Ok(level) => level,
            Err(error) => return self.named.give_locks(py).and(Err(error)),
        };
        self.level.store(level, Ordering::Release);
        let locked = self.named.lock_all(py);
        if let Err(error) = &locked {
            self.level.store(0, Ordering::Release);
            self.leave(py, level, Some(error))?;
        }
        locked
    }

    /// Ends the level. The named locks are released after that, however it ended.
    fn leave(&self, py: Python<'_>, level: u64, passing: Option<&PyErr>) -> PyResult<()> {
        let left = self.leave_level(py, level, passing);
        let given = self.named.give_locks(py);
        left.and(given)
    }

    fn leave_level(&self, py: Python<'_>, level: u64, passing: Option<&PyErr>) -> PyResult<()> {
        match block::nesting_of(level) {
            Nesting::Elsewhere => {
                if level != 0 {
                    block::note_left(level);
                }
                Err(misused(py, LEFT_ELSEWHERE, passing))
            }
            Nesting::Covered => {
                drop(block::take());
                Err(misused(
                    py,
                    Error::BadArgument(
                        "a block of coheap.atomic was left while one inside it was open; \
                     leave the inner one first",
                    ),
                    passing,
                ))
            }
            Nesting::Inner => self.leave_inner(py, passing),
            Nesting::Outermost => self.end(py, passing),
        }
    }

    /// Undoes the level if it is open and can no longer be left.
    fn abandon(&self) {
        let level = self.level.swap(0, Ordering::AcqRel);
        match block::nesting_of(level) {
            _ if level == 0 => {}
            Nesting::Elsewhere => block::note_left(level),
            // The blocks around it go on.
            Nesting::Inner if block::with(|block| block.leave_level(true)).is_ok() => {}
            _ => drop(block::take()),
        }
        if self.named.has_locks() {
            // A lock that was removed meanwhile, or released by others, needs nothing.
            let _ = Python::attach(|py| self.named.give_locks(py));
        }
    }

    fn leave_inner(&self, py: Python<'_>, passing: Option<&PyErr>) -> PyResult<()> {
        if !outside::is_marked(py, block::number()).unwrap_or(false) {
            block::with_any(|block| block.give_up(LEFT_ELSEWHERE));
        }
        let left = block::with(|block| {
            block.leave_level(passing.is_some())?;
            if passing.is_none() { block.check() } else { Ok(()) }
        });
        left.map_err(|error| crate::errors::to_python(py, &error, "coheap.atomic"))
    }
}

impl Drop for Atomic {
    fn drop(&mut self) {
        self.abandon();
    }
}
