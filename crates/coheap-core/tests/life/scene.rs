//! One process that holds everything it can hold, and what the others may do about it.
//!
//! The holder has a lock, and inside it a turn with a change that is open and has garbled a value.
//! As long as it lives, in whatever shape, all of this is its own; once it is dead, the next one
//! gets the lock with the news, and the value as it was.

use std::time::{Duration, Instant};

use coheap_core::Typed as _;
use coheap_core::check::check;
use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::journal::Change;
use coheap_core::memory::layout::Object;
use coheap_core::objects::mutex::Acquired;
use coheap_core::objects::{Mutex, Value, estate};
use coheap_core::sync::Owner;
use coheap_core::sync::life::{State, StateWord};
use coheap_core::sync::row::RowWord;

use crate::support::child::{Child, fork};
use crate::support::objects::{heap, mutex, value};
use crate::support::page::Page;
use crate::support::{in_milliseconds, until};

/// Page: the holder holds.
pub(crate) const HOLDING: usize = 0;
/// Page: the holder shall finish.
pub(crate) const GO: usize = 1;
/// Page: a process id, for those who fork on.
pub(crate) const PID: usize = 2;
/// Page: for the test's own use, from here on.
pub(crate) const OWN: usize = 3;

/// What the value holds whenever nobody changes it.
const WHOLE: i64 = 5;

/// A heap with a lock and a value, and a page beside it.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) heap: Heap,
    pub(crate) lock: Mutex,
    pub(crate) value: Value,
    pub(crate) page: Page,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::on(heap(8))
    }

    /// A scene on a heap of the test's own.
    pub(crate) fn on(heap: Heap) -> Self {
        let (lock, value) = (mutex(&heap, "lock"), value(&heap, "value"));
        heap.with(|context| value.add(context, WHOLE)).expect("an integer");
        Self { heap, lock, value, page: Page::new(64) }
    }

    /// Holds everything, does `meanwhile`, waits for `GO`, and gives everything back.
    pub(crate) fn hold(&self, meanwhile: impl FnOnce()) -> i32 {
        self.hold_as(&self.heap, meanwhile).expect("the holder can finish");
        0
    }

    fn hold_as(&self, heap: &Heap, meanwhile: impl FnOnce()) -> Result<()> {
        heap.with(|context| {
            self.lock.lock(context, None)?;
            {
                let held = context.hold(self.value.handle().turn)?;
                let object: &Object = context.region().at(self.value.handle().at)?;
                let mut change = Change::begin(&held, 2)?;
                change.set(&object.root[0], 0xdead);
                change.set(&object.root[1], 0xbeef);
                self.page.set(HOLDING, 1);
                meanwhile();
                until("the word to go on", || self.page.get(GO) != 0);
                // The change is dropped here, which undoes it.
            }
            self.value.add(context, 1)?;
            self.value.add(context, -1)?;
            self.lock.unlock(context)
        })
    }

    /// A child that holds everything and does `meanwhile`.
    pub(crate) fn holder(&self, meanwhile: impl FnOnce()) -> Child {
        let child = fork(|| self.hold(meanwhile));
        self.await_holder();
        child
    }

    /// Waits until somebody holds everything.
    pub(crate) fn await_holder(&self) {
        until("somebody holds", || self.page.get(HOLDING) != 0);
    }

    /// Lets the holder finish.
    pub(crate) fn release(&self) {
        self.page.set(GO, 1);
    }

    /// Asserts that nobody takes anything from the holder, however hard they look.
    pub(crate) fn assert_not_robbed(&self, holder: &str) {
        self.assert_not_robbed_by(&self.heap, holder);
    }

    /// As seen by this process through `heap`.
    pub(crate) fn assert_not_robbed_by(&self, heap: &Heap, holder: &str) {
        heap.with(|context| {
            let turn = context.region().turn(self.value.handle().turn);
            let owner = Owner::of(turn.owner.get());
            let row = context.region().context(owner.row().expect("somebody has the turn"));
            let row = RowWord(row.state.get());
            assert!(row.is_named_by(owner), "{holder} lost its row");
            let slot = context.region().slot(row.slot().expect("a slot"));
            let epoch = StateWord(slot.state.get()).epoch();
            for _ in 0..3 {
                estate::sweep(context)?;
                let tried = self.lock.lock(context, Some(in_milliseconds(40)));
                assert_eq!(tried, Err(Error::TimedOut), "{holder} was robbed of its lock");
            }
            assert_eq!(Owner::of(turn.owner.get()), owner, "{holder} was robbed of its turn");
            let state = StateWord(slot.state.get());
            assert_eq!(state.state(), State::Live, "{holder} was recovered alive");
            assert_eq!(state.epoch(), epoch, "{holder} was recovered alive");
            Ok(())
        })
        .expect("looking is allowed");
    }

    /// Asserts that the lock comes with the news that process `pid` died, that the value is as
    /// before and that the heap is whole. Answers how long that took.
    pub(crate) fn assert_handed_over(&self, pid: u32) -> Duration {
        let begin = Instant::now();
        let limit = Some(in_milliseconds(5_000));
        self.heap
            .with(|context| {
                let acquired = self.lock.lock(context, limit)?;
                assert_eq!(acquired, Acquired::OwnerDied(pid));
                assert_eq!(self.value.add(context, 0)?, WHOLE, "the change was undone");
                self.lock.unlock(context)
            })
            .expect("the lock comes within five seconds");
        let taken = begin.elapsed();
        self.assert_whole();
        taken
    }

    /// Asserts that the heap is whole and the lock free and clean.
    pub(crate) fn assert_whole(&self) {
        self.heap
            .with(|context| {
                assert_eq!(self.lock.try_lock(context)?, Some(Acquired::Clean));
                assert_eq!(self.value.add(context, 0)?, WHOLE);
                self.lock.unlock(context)?;
                estate::sweep(context)?;
                check(context)
            })
            .expect("a whole heap");
    }
}
