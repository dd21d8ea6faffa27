//! A process at work: its threads, how it leaves the heap and comes back, its children, its end.
//!
//! What always holds: the books know before the heap does that the process leaves or dies. A child
//! uses nothing of its parent but the heap: another thread may have held the parent's locks.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coheap_core::error::Error;
use coheap_core::heap::{Address, Heap, Options};

use crate::answers;
use crate::books::{Books, State, THREADS};
use crate::hand::{Hand, Leased, Referred};
use crate::item::Home;
use crate::settings::{Class, Settings};
use crate::support::child::{self, die, exit_now};
use crate::support::random::Random;
use crate::threads::Thread;

/// No process of a round works longer than this, in seconds.
const WATCHDOG: u32 = 60;

/// What leaving and attaching may take, in nanoseconds.
const LONG: u64 = 5_000_000_000;

/// Where the heap is found again.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    At(Address),
    Named(Options),
}

/// What all threads of a process use.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) books: Books,
    pub(crate) settings: Settings,
    pub(crate) place: Place,
    /// Number of the process in the books.
    pub(crate) process: usize,
    /// How many ancestors it has beside the conductor.
    pub(crate) depth: u32,
    heap: Mutex<(Heap, u64)>,
}

/// What a child takes over from the thread that forked it.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    pub(crate) leases: Vec<Leased>,
    pub(crate) references: Vec<Referred>,
}

impl Site {
    pub(crate) fn new(
        books: &Books,
        settings: Settings,
        place: &Place,
        process: usize,
        depth: u32,
        heap: Heap,
    ) -> Self {
        let (books, place) = (books.clone(), place.clone());
        Self { books, settings, place, process, depth, heap: Mutex::new((heap, 0)) }
    }

    /// The heap as the process has it now, and how often it has left.
    pub(crate) fn attached(&self) -> (Heap, u64) {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, (Heap, u64)> {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves the heap and attaches again, whatever the other threads are doing. Where the machine
    /// or the heap has no room for that, the process ends.
    pub(crate) fn attach_again(&self, hand: &Hand<'_>) {
        // Another thread may attach again at the same time: then there is nothing to do here.
        let Ok(mut heap) = self.heap.try_lock() else { return };
        let epoch = self.books.begin_leaving(self.process);
        let close = || heap.0.close();
        // Whatever it answers, the process has left.
        let _ = hand.judge("close", Home::default(), LONG, answers::NONE, close);
        if let Ok(new) = self.attach(hand) {
            *heap = (new, epoch);
        }
    }

    fn attach(&self, hand: &Hand<'_>) -> Result<Heap, Error> {
        let open = || match &self.place {
            Place::At(address) => Heap::at(address),
            Place::Named(options) => Heap::open(options),
        };
        let attached = hand.judge("attach", Home::default(), LONG, answers::NONE, open);
        if attached.is_err() {
            self.books.set_state(self.process, State::Going);
            exit_now(0);
        }
        attached
    }

    /// The process is there; it does not stay for ever, and what it says in a panic is a finding.
    pub(crate) fn arrive(&self) {
        self.books.arrive(self.process);
        child::alarm(WATCHDOG);
        let books = self.books.clone();
        child::note_panics(move |text| books.find(&format!("a panic: {text}")));
    }

    /// Works until the round is over, with some threads, and ends somehow.
    pub(crate) fn work(&self, inherited: &Inherited, mut dice: Random) -> i32 {
        self.arrive();
        self.plan_end(&mut dice);
        let more = if self.settings.has(Class::Threads) { dice.below(THREADS as u64) } else { 0 };
        let mut others = dice.clone();
        let start = |number| {
            let dice = others.split();
            Thread::start(move || Hand::new(self, number, dice).work())
        };
        let threads: Vec<_> = (1..=more as usize).map(start).collect();
        let mut hand = Hand::new(self, 0, dice.split());
        hand.take_over(inherited);
        hand.work();
        drop((hand, threads));
        self.end(&mut dice);
        self.books.set_state(self.process, State::Ended);
        0
    }

    /// Some processes die at a moment that has nothing to do with what they do then.
    fn plan_end(&self, dice: &mut Random) {
        let is_killed = self.settings.has(Class::Kill) && dice.one_in(3);
        let ends = self.settings.has(Class::Exit) && dice.one_in(6);
        if !is_killed && !ends {
            return;
        }
        let pause = Duration::from_micros(dice.below(400_000));
        let (books, process) = (self.books.clone(), self.process);
        let end = Thread::start(move || {
            std::thread::sleep(pause);
            books.set_state(process, State::Going);
            if is_killed { die() } else { exit_now(0) }
        });
        // It borrows nothing, and nobody waits for it.
        std::mem::forget(end);
    }

    /// The end of a process that nobody killed: it leaves, or just ends.
    fn end(&self, dice: &mut Random) {
        let (heap, _) = self.attached();
        if self.settings.has(Class::Exit) && dice.one_in(3) {
            self.books.set_state(self.process, State::Going);
            exit_now(0);
        }
        self.books.begin_leaving(self.process);
        let hand = Hand::new(self, 0, dice.split());
        let full = answers::HEAP_FULL;
        let _ = hand.judge("last close", Home::default(), LONG, full, || heap.close());
    }
}
