//! A thread at work: its heap of now, what it holds, and the judgement of every answer.
//!
//! Each operation goes through [`Hand::call`], which writes down what is done, measures it, and
//! compares the answer with those that are possible. What cannot be ends the process as a finding.
//!
//! What always holds: when the process has left the heap, the hand forgets what it held there.

use coheap_core::Context;
use coheap_core::error::Result;
use coheap_core::heap::Heap;
use coheap_core::objects::{AnyObject, Lease, Mutex, Queue, Recipe, Reference, Typed};
use coheap_core::os;

use crate::accounts::Holder;
use crate::answers::{self, Answers};
use crate::books::{Books, Count, THREADS};
use crate::item::{self, Home};
use crate::settings::Class;
use crate::site::Site;
use crate::support::child::exit_now;
use crate::support::random::Random;

/// The longest wait that a thread asks for, in nanoseconds.
const LONGEST_WAIT: u64 = 50_000_000;
/// What an operation may take that waits for a turn or for a transaction without a deadline.
const PLAIN: u64 = 5_000_000_000;
/// What any operation may take beyond its deadline.
const GENEROUS: u64 = 1_000_000_000;
/// How often the conductor's lateness may delay one operation: each thread that it needs is as late.
const LATE_TIMES: u64 = 5;
/// Most handles that a thread remembers, also those of objects that ended.
const REMEMBERED: usize = 12;

/// An item on lease.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leased {
    pub(crate) queue: Queue,
    pub(crate) lease: Lease,
    pub(crate) serial: u64,
}

/// A reference of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Referred {
    pub(crate) object: AnyObject,
    pub(crate) reference: Reference,
    /// Whether the parent had it: a fork that had no room may have left it behind.
    pub(crate) is_inherited: bool,
}

/// An object to work on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<T> {
    pub(crate) object: T,
    pub(crate) home: Home,
    /// Whether it cannot end now, because this process has a reference.
    pub(crate) is_kept: bool,
}

/// The state of a thread.
pub(crate) struct Hand<'a> {
    pub(crate) site: &'a Site,
    /// Number of the thread in the books.
    pub(crate) thread: usize,
    pub(crate) dice: Random,
    pub(crate) heap: Heap,
    pub(crate) epoch: u64,
    pub(crate) leases: Vec<Leased>,
    pub(crate) locks: Vec<Mutex>,
    pub(crate) references: Vec<Referred>,
    handles: Vec<AnyObject>,
}

impl<'a> Hand<'a> {
    pub(crate) fn new(site: &'a Site, number: usize, dice: Random) -> Self {
        let (heap, epoch) = site.attached();
        Self {
            site,
            thread: site.process * THREADS + number,
            dice,
            heap,
            epoch,
            leases: Vec::new(),
            locks: Vec::new(),
            references: Vec::new(),
            handles: Vec::new(),
        }
    }

    pub(crate) fn books(&self) -> &'a Books {
        &self.site.books
    }

    pub(crate) fn has(&self, class: Class) -> bool {
        self.site.settings.has(class)
    }

    /// Whether what this hand got in its heap is still its own.
    pub(crate) fn is_attached(&self) -> bool {
        self.books().is_attached(self.site.process, self.epoch)
    }

    pub(crate) fn holder(&self) -> Holder {
        Holder { process: self.site.process, epoch: self.epoch, thread: self.thread }
    }

    /// Takes up the heap as the process has it now.
    pub(crate) fn refresh(&mut self) {
        let (heap, epoch) = self.site.attached();
        if epoch != self.epoch {
            self.heap = heap;
            self.epoch = epoch;
            self.leases.clear();
            self.locks.clear();
            self.references.clear();
        }
    }

    /// Ends this process with a finding.
    pub(crate) fn find(&self, act: &str, home: Home, what: &str) -> ! {
        let text = format!(
            "thread {} of process {}: {act} of object {:#x}, generation {}: {what}",
            self.thread % THREADS,
            self.site.process,
            home.0,
            home.1
        );
        self.books().find(&text);
        exit_now(crate::FOUND);
    }

    /// Runs an operation that should take `limit` nanoseconds at most, and judges its answer.
    pub(crate) fn call<T>(
        &self,
        act: &str,
        home: Home,
        limit: u64,
        allowed: Answers,
        operation: impl FnOnce(&Context) -> Result<T>,
    ) -> Result<T> {
        let heap = self.heap.clone();
        self.judge(act, home, limit, allowed, || heap.with(operation))
    }

    /// As [`call`](Self::call), for what finds its context itself.
    pub(crate) fn judge<T>(
        &self,
        act: &str,
        home: Home,
        limit: u64,
        allowed: Answers,
        operation: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let books = self.books();
        books.begin(self.thread, act, home);
        let (before, started) = (books.moments(), os::now());
        let answer = operation();
        let (after, took) = (books.moments(), os::now().saturating_sub(started));
        books.end(self.thread);
        if let Err(error) = &answer {
            books.count(Count::Refused);
            let more = if self.is_attached() { answers::NONE } else { answers::AFTER_CLOSE };
            let signals = if self.has(Class::Signal) { answers::INTERRUPTED } else { 0 };
            let any = allowed | more | signals | answers::HEAP_FULL;
            if !answers::has(any, error) {
                self.find(act, home, &format!("{error} ({error:?})"));
            }
        }
        let stopped = after.stopped.saturating_sub(before.stopped);
        let late = LATE_TIMES * after.late.saturating_sub(before.late);
        if took > limit + GENEROUS + stopped + late {
            let [took, limit, stopped, late] =
                [took, limit, stopped, late].map(|nanoseconds| nanoseconds / 1_000_000);
            self.find(act, home, &format!("it took {took} ms, and was to take {limit}; {stopped} ms somebody was stopped, {late} ms are for a busy machine"));
        }
        answer
    }

    /// A moment to wait until, and how long that is.
    pub(crate) fn deadline(&mut self) -> (u64, u64) {
        let wait = match self.dice.below(4) {
            0 => 0,
            1 => self.dice.below(2_000_000),
            _ => self.dice.below(LONGEST_WAIT),
        };
        (os::now() + wait, wait)
    }

    /// Runs an operation that waits for turns and transactions only, with a deadline or without.
    pub(crate) fn run<T: Copy, R>(
        &mut self,
        act: &str,
        on: &Subject<T>,
        allowed: Answers,
        operation: impl FnOnce(&Context, T) -> Result<R>,
    ) -> Result<R> {
        let (home, object) = (on.home, on.object);
        let allowed = allowed | self.gone(on);
        if self.dice.one_in(2) {
            return self.call(act, home, PLAIN, allowed | answers::DEADLOCK, |context| {
                operation(context, object)
            });
        }
        let (until, wait) = self.deadline();
        let allowed = allowed | answers::BUSY | answers::WOULD_BLOCK | answers::DEADLOCK;
        self.call(act, home, wait, allowed, |context| {
            context.waiting_until(until, |context| operation(context, object))
        })
    }

    /// Runs an operation that has a deadline of its own.
    pub(crate) fn wait<T: Copy, R>(
        &mut self,
        act: &str,
        on: &Subject<T>,
        allowed: Answers,
        operation: impl FnOnce(&Context, T, u64) -> Result<R>,
    ) -> Result<R> {
        let (home, object) = (on.home, on.object);
        let allowed = allowed | self.gone(on);
        let (until, wait) = self.deadline();
        self.call(act, home, wait, allowed, |context| operation(context, object, until))
    }

    /// Whether the object may be gone.
    pub(crate) fn gone<T>(&self, on: &Subject<T>) -> Answers {
        if on.is_kept { answers::NONE } else { answers::GONE }
    }

    /// An object of this kind: one with one of these names, one that is remembered, or one without a
    /// name.
    pub(crate) fn pick<R: Recipe>(
        &mut self,
        names: &[&str],
        recipe: &R,
    ) -> Option<Subject<R::Object>> {
        let kind = R::Object::KIND;
        let choice = self.dice.below(6);
        if choice == 0 {
            let own: Vec<Referred> =
                self.references.iter().copied().filter(|it| it.object.kind() == kind).collect();
            if let Some(referred) = any_of(&mut self.dice, &own) {
                let object = typed(referred.object)?;
                return Some(subject(object, !referred.is_inherited));
            }
        }
        if choice < 3 {
            let own: Vec<AnyObject> =
                self.handles.iter().copied().filter(|it| it.kind() == kind).collect();
            if let Some(object) = any_of(&mut self.dice, &own).and_then(typed) {
                return Some(subject(object, false));
            }
        }
        let name = if self.dice.one_in(12) { "any" } else { any_of(&mut self.dice, names)? };
        let object = self.named(name, recipe)?;
        if self.handles.len() >= REMEMBERED {
            self.handles.swap_remove(self.dice.below(REMEMBERED as u64) as usize);
        }
        self.handles.push(object.into());
        Some(subject(object, false))
    }

    /// A length of a value: most are short.
    pub(crate) fn len(&mut self) -> usize {
        let most = [15, 40, 600, item::LONGEST][self.dice.below(40).saturating_sub(36) as usize];
        let most = if self.dice.one_in(2) { most.min(40) } else { most.max(13) };
        1 + self.dice.below(most) as usize
    }

    /// A value for this home.
    pub(crate) fn value(&mut self, home: Home) -> Vec<u8> {
        let len = self.len();
        item::write(home, 0, len)
    }

    /// The serial number of a value that was read, which must be of this home.
    pub(crate) fn read(&self, act: &str, home: Home, bytes: &[u8]) -> u64 {
        match item::read(bytes, home) {
            Ok(serial) => serial,
            Err(what) => self.find(act, home, &what),
        }
    }

    /// Ends the process if an account does not agree.
    pub(crate) fn agree(&self, act: &str, home: Home, account: Result<(), String>) {
        if let Err(what) = account {
            self.find(act, home, &what);
        }
    }
}

/// An object of the type that its kind has.
pub(crate) fn typed<T: Typed>(object: AnyObject) -> Option<T> {
    (object.kind() == T::KIND).then(|| T::of(object.handle()))
}

pub(crate) fn subject<T: Typed>(object: T, is_kept: bool) -> Subject<T> {
    Subject { object, home: Home::of(object.handle()), is_kept }
}

/// One of these.
pub(crate) fn any_of<T: Copy>(dice: &mut Random, all: &[T]) -> Option<T> {
    (!all.is_empty()).then(|| all[dice.below(all.len() as u64) as usize])
}
