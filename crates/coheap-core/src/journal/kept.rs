//! State that the floors above keep for a thread between two operations: one struct for each owner.
//!
//! It lies in this process's own memory, beside the context that lends it, because an operation
//! gets nothing but a context. No other process sees it, it ends with the thread, and a forked
//! child starts with an empty one.
//!
//! What always holds: each struct has one owner, and only that owner reads and writes it (except
//! that the number of held locks is also read before a row passes to another thread). This floor
//! only lends them.
//!
//! Not here: shared state, such as pending chains and the age of a transaction (`layout`).

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::memory::layout::CLASS_ROWS;
use crate::sync::wait::{InLine, Interrupted};

/// All state that is kept for a thread.
#[derive(Default)]
pub(crate) struct Kept {
    /// The allocator's.
    pub(crate) pending: PendingCounts,
    /// `allocator::buffer`'s: what was built and not stored yet.
    pub(crate) built: Built,
    /// `allocator::buffer`'s: the names in the row that are in use.
    pub(crate) names: OwnNames,
    /// `objects::husk`'s.
    pub(crate) husks: OwnHusks,
    /// `objects::ledger::parcel`'s.
    pub(crate) parcels: OwnParcels,
    /// The maps'.
    pub(crate) packing: Packing,
    /// The ledger's.
    pub(crate) inherited: Inherited,
    /// The mutexes'.
    pub(crate) locks: OwnLocks,
    /// Everybody's who waits for a turn, or for a transaction.
    pub(crate) waiting: Waiting,
    /// The waits': those that a signal of the system interrupted.
    pub(crate) interrupted: Recent<Interrupted>,
    /// The waits': where they stood in line.
    pub(crate) in_line: Recent<InLine>,
    /// The transaction's; a thread has one at a time.
    pub(crate) transaction: OwnTransaction,
}

/// What a thread keeps of its last waits: a signal handler may wait while a wait is interrupted.
pub(crate) struct Recent<T> {
    kept: [Cell<Option<T>>; 4],
    next: Cell<usize>,
}

impl<T: Copy> Recent<T> {
    /// Keeps one more, in place of an old one.
    pub(crate) fn keep(&self, one: T) {
        let at = self.kept.iter().position(|kept| kept.get().is_none());
        let at = at.unwrap_or_else(|| self.next.replace((self.next.get() + 1) % self.kept.len()));
        self.kept[at].set(Some(one));
    }

    /// Takes the first one for which `of` answers, and returns the answer.
    pub(crate) fn take<A>(&self, mut of: impl FnMut(T) -> Option<A>) -> Option<A> {
        self.kept.iter().find_map(|kept| {
            let answer = of(kept.get()?)?;
            kept.set(None);
            Some(answer)
        })
    }
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { kept: [const { Cell::new(None) }; 4], next: Cell::new(0) }
    }
}

/// Roughly how many blocks of each class are pending, which decides when to return some.
#[derive(Default)]
pub(crate) struct PendingCounts {
    counts: [Cell<u32>; CLASS_ROWS],
    is_untidy: Cell<bool>,
    is_looking: Cell<bool>,
    /// Until when the thread looks whether much that it has freed is free for some seconds.
    pub(crate) looks_until: Cell<u64>,
    /// Spans of runs that the thread has freed since it gave some back to the system.
    pub(crate) freed: Cell<u64>,
}

impl PendingCounts {
    #[inline(always)]
    pub(crate) fn of(&self, class: u8) -> u32 {
        self.counts[usize::from(class)].get()
    }

    #[inline(always)]
    pub(crate) fn set(&self, class: u8, count: u32) {
        self.counts[usize::from(class)].set(count);
    }

    /// Notes that nothing is pending any more.
    pub(crate) fn clear(&self) {
        self.counts.iter().for_each(|count| count.set(0));
    }

    /// Returns whether more blocks are pending than should be.
    #[inline(always)]
    pub(crate) fn is_untidy(&self) -> bool {
        self.is_untidy.get()
    }

    #[inline(always)]
    pub(crate) fn set_untidy(&self, is_untidy: bool) {
        self.is_untidy.set(is_untidy);
    }

    /// Returns whether anything is to be done after an operation.
    #[inline(always)]
    pub(crate) fn is_due(&self) -> bool {
        self.is_untidy.get() | self.is_looking.get()
    }

    /// Has the thread look after its next operation how much is free.
    pub(crate) fn set_looking(&self, is_looking: bool) {
        self.is_looking.set(is_looking);
    }
}

/// The map of which this thread has to move some entries together, because it made it grow.
#[derive(Default)]
pub(crate) struct Packing {
    /// Offset and generation of its header.
    map: Cell<(u64, u64)>,
    steps: Cell<u32>,
}

impl Packing {
    /// Returns how many steps are to be done.
    #[inline(always)]
    pub(crate) fn steps(&self) -> u32 {
        self.steps.get()
    }

    /// Notes steps for a map. Those for another one are left to who makes that grow next.
    pub(crate) fn note(&self, at: u64, generation: u64, steps: u32) {
        let before =
            if self.map.replace((at, generation)) == (at, generation) { self.steps() } else { 0 };
        self.steps.set(before.saturating_add(steps));
    }

    /// Takes one step: offset and generation of the header of its map.
    pub(crate) fn take(&self) -> Option<(u64, u64)> {
        self.steps.set(self.steps().checked_sub(1)?);
        Some(self.map.get())
    }

    /// Forgets all steps but so many.
    pub(crate) fn keep(&self, most: u32) {
        self.steps.set(self.steps().min(most));
    }
}

/// The long values that this thread has built for the operation that is running. The caller lends
/// their bytes for all of it, so where they lie says which they are. An operation may have very many.
#[derive(Default)]
pub(crate) struct Built {
    /// Where the bytes lie, how many they are, and the offset of the run.
    values: RefCell<BTreeSet<(usize, usize, u64)>>,
    /// The offsets of the runs.
    runs: RefCell<BTreeSet<u64>>,
    /// A bit for each length of which no pending run is left in which nothing was built.
    used_up: Cell<u64>,
}

impl Built {
    /// Begins an operation: runs of all lengths may be left from the ones before.
    pub(crate) fn begin(&self) {
        self.used_up.set(0);
    }

    /// Notes that a value was built in the run at this offset.
    pub(crate) fn add(&self, bytes: &[u8], at: u64) {
        self.values.borrow_mut().insert((bytes.as_ptr().addr(), bytes.len(), at));
        self.runs.borrow_mut().insert(at);
    }

    /// Takes the run in which a value was built.
    pub(crate) fn take(&self, bytes: &[u8]) -> Option<u64> {
        let (start, len) = (bytes.as_ptr().addr(), bytes.len());
        let mut values = self.values.borrow_mut();
        let found = *values.range((start, len, 0)..=(start, len, u64::MAX)).next()?;
        values.remove(&found);
        self.runs.borrow_mut().remove(&found.2);
        Some(found.2)
    }

    /// Returns whether a value was built in the run at this offset.
    pub(crate) fn contains(&self, at: u64) -> bool {
        self.runs.borrow().contains(&at)
    }

    /// Forgets all of them, and returns whether there were any.
    pub(crate) fn clear(&self) -> bool {
        let were_there = !self.runs.borrow().is_empty();
        self.values.borrow_mut().clear();
        self.runs.borrow_mut().clear();
        were_there
    }

    /// Returns whether no pending run of this length is left to build in, as far as is known.
    pub(crate) fn is_used_up(&self, spans: u64) -> bool {
        self.used_up.get() & Self::bit(spans) != 0
    }

    /// Notes that none of this length is left, until the next operation begins.
    pub(crate) fn set_used_up(&self, spans: u64) {
        self.used_up.set(self.used_up.get() | Self::bit(spans));
    }

    /// Long runs have none: few of them fit a heap.
    fn bit(spans: u64) -> u64 {
        if spans < 64 { 1 << spans } else { 0 }
    }
}

/// Which names in the thread's row are in use.
#[derive(Default)]
pub(crate) struct OwnNames {
    /// A bit for each.
    single: Cell<u32>,
    /// How often the last one is.
    last: Cell<u32>,
}

impl OwnNames {
    /// Takes one below `last` that is free, or `last`, which may be taken many times.
    pub(crate) fn take(&self, last: usize) -> usize {
        let single = self.single.get();
        let free = single.trailing_ones() as usize;
        if free < last {
            self.single.set(single | 1 << free);
            return free;
        }
        self.last.set(self.last.get() + 1);
        last
    }

    /// Gives one back, and returns whether it is free then.
    pub(crate) fn give(&self, name: usize, last: usize) -> bool {
        if name < last {
            self.single.set(self.single.get() & !(1 << name));
            return true;
        }
        self.last.set(self.last.get() - 1);
        self.last.get() == 0
    }
}

/// What the running operation of this thread asked for.
#[derive(Default)]
pub(crate) struct OwnHusks {
    is_asked: Cell<bool>,
}

impl OwnHusks {
    /// Notes that the operation asked for the end of all that its husk holds.
    pub(crate) fn ask(&self) {
        self.is_asked.set(true);
    }

    /// Returns whether it did, and forgets it.
    pub(crate) fn take_asked(&self) -> bool {
        self.is_asked.take()
    }
}

/// The parcels of this thread.
#[derive(Default)]
pub(crate) struct OwnParcels {
    /// The parcels that the open transaction may still store, by offset and serial number.
    put_off: Cell<Vec<[u64; 2]>>,
    has_packed: Cell<bool>,
}

impl OwnParcels {
    /// Postpones a parcel, by its offset and serial number, to the end of the transaction.
    pub(crate) fn put_off(&self, at: u64, serial: u64) {
        let mut put_off = self.put_off.take();
        put_off.push([at, serial]);
        self.put_off.set(put_off);
    }

    /// Takes the offsets and serial numbers of the postponed parcels.
    pub(crate) fn take_put_off(&self) -> Vec<[u64; 2]> {
        self.put_off.take()
    }

    /// Marks the parcels on the row's chain as the thread's own, and returns whether they were
    /// before.
    pub(crate) fn begin_packing(&self) -> bool {
        self.has_packed.replace(true)
    }
}

/// The records of the references that a forked process inherited, once it has looked them up.
#[derive(Default)]
pub(crate) struct Inherited {
    /// Serial numbers and records, sorted.
    records: OnceCell<Box<[(u64, u64)]>>,
}

impl Inherited {
    /// Returns the record with a serial number, among those that `find` returned at the first call.
    pub(crate) fn record(
        &self,
        serial: u64,
        find: impl FnOnce() -> Result<Vec<(u64, u64)>>,
    ) -> Result<Option<u64>> {
        let records = match self.records.get() {
            Some(known) => known,
            None => {
                let mut found = find()?;
                found.sort_unstable();
                self.records.get_or_init(|| found.into_boxed_slice())
            }
        };
        let number = records.binary_search_by_key(&serial, |(serial, _)| *serial);
        Ok(number.ok().map(|number| records[number].1))
    }
}

/// How many locks this thread took, less those that it released itself. Its row must not pass to
/// another thread while it holds one. The number begins anew after its last value, as does that of
/// the locks that others released for it (`sync::row`), so a thread holds at most 65,535 at once.
#[derive(Default)]
pub(crate) struct OwnLocks(Cell<u16>);

impl OwnLocks {
    #[inline(always)]
    pub(crate) fn one_more(&self) {
        self.0.set(self.0.get().wrapping_add(1));
    }

    #[inline(always)]
    pub(crate) fn one_less(&self) {
        self.0.set(self.0.get().wrapping_sub(1));
    }

    pub(crate) fn count(&self) -> u16 {
        self.0.get()
    }
}

/// How long this thread may wait for a turn, or for a transaction that holds what it writes to.
#[derive(Default)]
pub(crate) struct Waiting {
    /// When it gives up, in nanoseconds of the clock: 0 before any wait; `None` for never, and then
    /// signals do not interrupt it.
    deadline: Cell<Option<u64>>,
    /// The turn that was waited for in advance, plus one: the operation that runs again has it.
    granted: Cell<u32>,
    /// How often the operation was run again.
    rounds: Cell<u32>,
    /// When this thread last waited for a turn although it held another one.
    held_on_at: Cell<u64>,
}

impl Waiting {
    #[inline(always)]
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.deadline.get()
    }

    /// Runs an operation with this deadline, unless an earlier one holds already.
    #[inline(always)]
    pub(crate) fn during<T>(&self, deadline: u64, operation: impl FnOnce() -> T) -> T {
        let before = self.deadline.get();
        self.deadline.set(Some(before.map_or(deadline, |before| before.min(deadline))));
        let answer = operation();
        self.deadline.set(before);
        answer
    }

    /// Notes a turn that the thread has taken for the operation that runs again.
    pub(crate) fn grant(&self, turn: u32, round: u32) {
        self.granted.set(turn + 1);
        self.rounds.set(round);
    }

    /// Takes a turn that was granted. Returns `false` if another one was, or none.
    pub(crate) fn use_grant(&self, turn: u32) -> bool {
        let is_granted = self.granted.get() == turn + 1;
        if is_granted {
            self.granted.set(0);
        }
        is_granted
    }

    /// Takes the turn that was granted, if it was not used.
    pub(crate) fn end_grant(&self) -> Option<u32> {
        self.rounds.set(0);
        self.granted.take().checked_sub(1)
    }

    /// Returns whether a granted turn is still unused.
    pub(crate) fn has_grant(&self) -> bool {
        self.granted.get() != 0
    }

    /// Returns how often the operation was run again.
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.get()
    }

    /// Notes a wait that holds a turn, unless there was one within `pause` nanoseconds.
    pub(crate) fn may_hold_on(&self, now: u64, pause: u64) -> bool {
        let is_allowed = now.saturating_sub(self.held_on_at.get()) >= pause;
        if is_allowed {
            self.held_on_at.set(now);
        }
        is_allowed
    }
}

/// The open transaction of this thread, and the age of its last one.
#[derive(Default)]
pub(crate) struct OwnTransaction {
    is_open: Cell<bool>,
    /// Why it must not commit, if the failed call was not one of its own.
    doom: Cell<Option<&'static Error>>,
    last_age: Cell<u64>,
    /// Words that the commit would save, as far as the operations know.
    pub(crate) words: Cell<usize>,
}

impl OwnTransaction {
    /// Returns whether a transaction is open.
    #[inline(always)]
    pub(crate) fn is_open(&self) -> bool {
        self.is_open.get()
    }

    /// Opens a transaction. Returns `false` if one is open already.
    pub(crate) fn begin(&self) -> bool {
        if self.is_open.replace(true) {
            return false;
        }
        self.doom.set(None);
        self.words.set(0);
        true
    }

    /// Closes the transaction, and keeps its age.
    pub(crate) fn end(&self, age: u64) {
        self.last_age.set(age);
        self.is_open.set(false);
    }

    /// Runs an operation that treats the open transaction as closed unless `is_open`.
    #[inline]
    pub(crate) fn shown<T>(&self, is_open: bool, operation: impl FnOnce() -> T) -> T {
        self.is_open.set(is_open);
        let answer = operation();
        self.is_open.set(true);
        answer
    }

    /// Dooms the open transaction, if there is one, and returns the error.
    pub(crate) fn doomed_by(&self, error: &'static Error) -> Error {
        if self.is_open.get() {
            self.doom.set(Some(error));
        }
        error.clone()
    }

    /// Returns the error that dooms the transaction.
    pub(crate) fn doom(&self) -> Option<&'static Error> {
        self.doom.get()
    }

    /// Returns the age of the last transaction when it ended.
    pub(crate) fn last_age(&self) -> u64 {
        self.last_age.get()
    }
}
