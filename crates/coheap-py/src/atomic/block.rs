//! The block that is open in a thread: its transaction, its levels, its locks and its leases.
//!
//! What always holds:
//!
//! - A thread has at most one block. A block inside it is a level of it, with a savepoint.
//! - No Python code runs while the block is borrowed, so it is never borrowed twice.
//! - A block that ends without a commit leaves nothing behind: no change, no lock, no lease.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use coheap_core::Heap as Engine;
use coheap_core::{Error, Result, system};
use coheap_core::{Savepoint, Transaction};
use pyo3::prelude::*;
use smallvec::{SmallVec, smallvec};

use super::blocked::Blocked;
use super::locks::UserLocks;
use super::outside;
use crate::lease;
use crate::object::Object;

/// The number of blocks that are open in this process.
static OPEN: AtomicUsize = AtomicUsize::new(0);
static NUMBERS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// The number of the block that is open in this thread; 0 if none is.
    static NUMBER: Cell<u64> = const { Cell::new(0) };
    static BLOCK: RefCell<Option<Box<Block>>> = const { RefCell::new(None) };
}

/// Levels that were left in another thread than their block, and whether there are any.
static LEFT: Mutex<Vec<u64>> = Mutex::new(Vec::new());
static HAS_LEFT: AtomicBool = AtomicBool::new(false);

/// A block, which begins with its outermost `with`.
pub(super) struct Block {
    /// Fork generation of the process that entered.
    generation: u64,
    transaction: Option<(Engine, Transaction)>,
    levels: SmallVec<[Level; 1]>,
    /// Why the block was given up, and the exception that reported it first.
    doom: Option<Error>,
    pub(super) first: Option<PyErr>,
    /// The wait that gave the block up.
    pub(super) blocked: Option<Blocked>,
    /// Its age, if this is not the first attempt.
    age: Option<u64>,
    pub(super) locks: UserLocks,
    pub(super) leases: Vec<lease::InBlock>,
    /// Objects that must outlive the transaction, in the order of their offsets.
    kept: Vec<Object>,
    mark: Py<PyAny>,
}

/// One `with` of a block.
struct Level {
    number: u64,
    savepoint: Savepoint,
    locks: UserLocks,
    leases: usize,
    /// Nanoseconds that may still be spent with waiting.
    budget: Option<u64>,
    /// Whether an event loop runs it.
    is_watched: bool,
}

/// Where a level is among the levels of this thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nesting {
    /// Not in this thread.
    Elsewhere,
    /// There are levels inside it.
    Covered,
    /// It is the innermost one, inside others.
    Inner,
    /// It is the only one.
    Outermost,
}

/// What a new level is given.
pub(super) struct Entry {
    pub(super) budget: Option<u64>,
    pub(super) age: Option<u64>,
}

/// Whether a block is open in this process, perhaps in another thread.
#[inline(always)]
pub(crate) fn is_any_open() -> bool {
    OPEN.load(Ordering::Relaxed) != 0
}

/// The number of the block that the caller is in.
pub(crate) fn current(py: Python<'_>) -> PyResult<Option<u64>> {
    let number = NUMBER.with(Cell::get);
    let is_inside = number != 0 && !outside::is_collecting() && outside::is_marked(py, number)?;
    Ok(is_inside.then_some(number))
}

/// Whether the caller is in a block.
#[inline(always)]
pub(crate) fn is_inside(py: Python<'_>) -> PyResult<bool> {
    Ok(is_any_open() && current(py)?.is_some())
}

/// The number of the block that is open in this thread.
pub(super) fn number() -> u64 {
    NUMBER.with(Cell::get)
}

/// Does something with the block of this thread, whoever asks.
pub(super) fn with_any<T>(work: impl FnOnce(&mut Block) -> T) -> Option<T> {
    BLOCK.try_with(|block| block.try_borrow_mut().ok()?.as_deref_mut().map(work)).ok().flatten()
}

/// Does something with the block that the caller is known to be in.
pub(super) fn with<T>(work: impl FnOnce(&mut Block) -> Result<T>) -> Result<T> {
    with_any(work).unwrap_or(Err(Error::BadArgument("the block of coheap.atomic is over")))
}

/// Opens a block, or a level in the one that is open.
pub(super) fn enter(py: Python<'_>, entry: Entry) -> PyResult<Result<u64>> {
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let is_watched = outside::watch_event_loop(py)?;
    let mut level = Level {
        number,
        savepoint: Savepoint::default(),
        locks: UserLocks::default(),
        leases: 0,
        budget: entry.budget,
        is_watched,
    };
    if with_any(|block| block.is_left()) == Some(true) {
        // Who left it was told; nobody else will end it.
        drop(take());
    }
    if current(py)?.is_some() {
        return Ok(with(|block| {
            block.check()?;
            if let Some((_, transaction)) = &mut block.transaction {
                level.savepoint = transaction.savepoint();
            }
            level.locks = block.locks.clone();
            level.leases = block.leases.len();
            block.levels.push(level);
            Ok(number)
        }));
    }
    if NUMBER.with(Cell::get) != 0 {
        return Err(outside::another_is_open());
    }
    let block = Box::new(Block {
        generation: system::generation(),
        transaction: None,
        levels: smallvec![level],
        doom: None,
        first: None,
        blocked: None,
        age: entry.age,
        locks: UserLocks::default(),
        leases: Vec::new(),
        kept: Vec::new(),
        mark: outside::mark(py, number)?,
    });
    BLOCK.set(Some(block));
    NUMBER.set(number);
    OPEN.fetch_add(1, Ordering::Relaxed);
    Ok(Ok(number))
}

/// Where a level is.
pub(super) fn nesting_of(number: u64) -> Nesting {
    let nesting = with_any(|block| {
        let at = block.levels.iter().position(|level| level.number == number);
        match at {
            None => Nesting::Elsewhere,
            Some(at) if at + 1 < block.levels.len() => Nesting::Covered,
            Some(0) => Nesting::Outermost,
            Some(_) => Nesting::Inner,
        }
    });
    nesting.unwrap_or(Nesting::Elsewhere)
}

/// Notes that a level was left, or that nobody will leave it, where its block is not.
#[cold]
pub(super) fn note_left(number: u64) {
    left().push(number);
    HAS_LEFT.store(true, Ordering::Release);
}

#[cold]
fn is_left(number: u64) -> bool {
    left().contains(&number)
}

fn left() -> MutexGuard<'static, Vec<u64>> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the block out of its thread: it is over.
pub(super) fn take() -> Option<Box<Block>> {
    let block = BLOCK.try_with(|block| block.try_borrow_mut().ok()?.take()).ok().flatten()?;
    NUMBER.with(|number| number.set(0));
    OPEN.fetch_sub(1, Ordering::Relaxed);
    Some(block)
}

/// The transaction of a block in a heap, which begins with the first use of one.
#[inline]
fn bind<'a>(
    transaction: &'a mut Option<(Engine, Transaction)>,
    engine: &Engine,
    age: Option<u64>,
) -> Result<&'a mut Transaction> {
    let (bound, transaction) = match transaction {
        Some(bound) => bound,
        unbound => {
            let transaction = Transaction::begin(engine.context()?, age)?;
            unbound.insert((engine.clone(), transaction))
        }
    };
    if bound.is_same(engine) { Ok(transaction) } else { Err(Error::OtherHeap) }
}

impl Block {
    /// Whether it may go on.
    pub(super) fn check(&mut self) -> Result<()> {
        if self.generation != system::generation() {
            return Err(Error::ForkedInside);
        }
        if self.is_left() && self.doom.is_none() {
            self.give_up(super::LEFT_ELSEWHERE);
        }
        match self.doom() {
            Some(why) => Err(Error::Doomed(Box::new(why))),
            None => Ok(()),
        }
    }

    /// Why it cannot go on.
    pub(super) fn doom(&self) -> Option<Error> {
        let engine = || self.transaction.as_ref().and_then(|(_, it)| it.doom().cloned());
        self.doom.clone().or_else(engine)
    }

    fn is_left(&self) -> bool {
        HAS_LEFT.load(Ordering::Acquire) && self.levels.iter().any(|level| is_left(level.number))
    }

    /// Whether an event loop runs it.
    pub(super) fn is_watched(&self) -> bool {
        self.levels.iter().any(|level| level.is_watched)
    }

    /// Whether this process is a forked copy of the one that entered.
    pub(super) fn is_forked(&self) -> bool {
        self.generation != system::generation()
    }

    /// Gives everything back: from now on it says `why`.
    pub(super) fn give_up(&mut self, why: Error) {
        if self.is_forked() {
            return;
        }
        self.doom.get_or_insert(why.clone());
        if let Some((_, transaction)) = &mut self.transaction {
            transaction.give_up(why);
        }
        self.locks.roll_back_to(UserLocks::default());
        self.leases.drain(..).rev().for_each(lease::InBlock::abort);
    }

    /// Makes an object part of the block. Returns its transaction.
    pub(super) fn touch(&mut self, object: &Object) -> Result<&mut Transaction> {
        self.check()?;
        let transaction = bind(&mut self.transaction, &object.heap.engine, self.age)?;
        if let Err(index) = self.kept.binary_search_by_key(&object.handle().at, |it| it.handle().at)
        {
            self.kept.insert(index, object.clone());
        }
        Ok(transaction)
    }

    /// Makes a heap that of the block.
    pub(super) fn bind(&mut self, engine: &Engine) -> Result<()> {
        self.check()?;
        bind(&mut self.transaction, engine, self.age).map(|_| ())
    }

    /// Whether nobody waits for anything that the block has.
    pub(super) fn holds_nothing(&self) -> bool {
        let transaction = self.transaction.as_ref();
        self.locks.is_empty() && transaction.is_none_or(|(_, it)| it.holds_nothing())
    }

    /// Nanoseconds that may still be spent with waiting.
    pub(super) fn budget(&self) -> Option<u64> {
        self.levels.iter().filter_map(|level| level.budget).min()
    }

    /// So many nanoseconds were spent with waiting.
    pub(super) fn spend(&mut self, nanoseconds: u64) {
        for budget in self.levels.iter_mut().filter_map(|level| level.budget.as_mut()) {
            *budget = budget.saturating_sub(nanoseconds);
        }
    }

    /// Ends the innermost level; `undone`: with all that happened in it.
    pub(super) fn leave_level(&mut self, undone: bool) -> Result<()> {
        let Some(level) = self.levels.pop() else { return Ok(()) };
        if !undone || self.is_forked() || self.doom().is_some() {
            return Ok(());
        }
        self.locks.roll_back_to(level.locks);
        self.leases.drain(level.leases..).rev().for_each(lease::InBlock::abort);
        match &mut self.transaction {
            Some((_, transaction)) => transaction.roll_back_to(level.savepoint),
            None => Ok(()),
        }
    }

    /// Takes the mark of its context away. `false`: the caller's context is another one.
    pub(super) fn unmark(&self, py: Python<'_>) -> bool {
        outside::unmark(py, &self.mark)
    }

    /// Makes everything real but the releases of locks, or returns why not; then nothing was changed.
    /// Waits until `deadline`, and may be called again after `Busy` and `Interrupted`.
    pub(super) fn commit(&mut self, deadline: u64) -> Result<()> {
        if let Some((_, transaction)) = &mut self.transaction {
            transaction.waiting_until(deadline, Transaction::try_commit)?;
        }
        self.transaction = None;
        self.leases.drain(..).for_each(lease::InBlock::commit);
        Ok(())
    }

    /// Releases the locks, after the commit.
    pub(super) fn release_locks(&mut self, py: Python<'_>) -> PyResult<()> {
        std::mem::take(&mut self.locks).commit(py)
    }

    /// The heap that it has used.
    pub(super) fn engine(&self) -> Option<&Engine> {
        self.transaction.as_ref().map(|(engine, _)| engine)
    }

    /// How old it is, for the next attempt.
    pub(super) fn next_age(&self) -> Option<u64> {
        let (engine, _) = self.transaction.as_ref()?;
        let context = engine.context().ok()?;
        Transaction::last_age(&context)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if HAS_LEFT.load(Ordering::Acquire) {
            left().retain(|number| self.levels.iter().all(|level| level.number != *number));
        }
        if self.is_forked() {
            // Everything is the parent's.
            std::mem::take(&mut self.locks);
            return;
        }
        self.locks.roll_back_to(UserLocks::default());
        self.leases.drain(..).rev().for_each(lease::InBlock::abort);
    }
}
