//! Accounts outside of the heap: what became of each item, and who holds which lock.
//!
//! An item with a serial number has four words: what happened to it, who has it on lease, and the
//! queue that it was put into. A lock has a word for its holder, found by the lock's own number.
//!
//! What always holds: an item is written down before it is put, and a lease or a lock is struck out
//! before it is given back. So two names in one place are a finding, unless one of them has died or
//! left the heap meanwhile: what a process gets just before another of its threads closes the heap is
//! somebody else's by the time that it is written down.

use crate::books::{Books, Count, PROCESSES, THREADS};
use crate::item::Home;
use crate::support::page::Page;

/// Items of one thread in a round; later ones have no serial number.
pub(crate) const SERIALS: u64 = 2048;
const WORDS: usize = 4;
const LOCKS: usize = 4096;
/// A serial number has that of its round above so many bits.
const ROUND: u32 = 32;

/// Bits of an item's first word; the number of deliveries lies above them.
const IS_PUT: u64 = 1;
const IS_REFUSED: u64 = 2;
const DELIVERY: u64 = 1 << 8;

/// One who holds something: a process in one of its epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) process: usize,
    pub(crate) epoch: u64,
    pub(crate) thread: usize,
}

impl Holder {
    fn is_attached(self, books: &Books) -> bool {
        books.is_attached(self.process, self.epoch)
    }

    fn word(self) -> u64 {
        1 << 63 | self.epoch << 32 | (self.process as u64) << 16 | self.thread as u64
    }

    fn of(word: u64) -> Option<Self> {
        (word != 0).then_some(Self {
            process: (word >> 16) as usize & 0xffff,
            epoch: word << 1 >> 33,
            thread: word as usize & 0xffff,
        })
    }
}

/// The words of all items and locks.
#[derive(Debug, Clone)]
pub(crate) struct Accounts {
    items: Page,
    locks: Page,
    /// How many serial numbers each thread has used, and how many items a death may take with it.
    used: Page,
    /// The round, counted over the whole run: an item may stay in its heap for longer.
    round: Page,
}

impl Accounts {
    pub(crate) fn new() -> Self {
        let threads = PROCESSES * THREADS;
        Self {
            items: Page::new(threads * SERIALS as usize * WORDS),
            locks: Page::new(LOCKS * 2),
            used: Page::new(threads * 2),
            round: Page::new(1),
        }
    }

    pub(super) fn clear(&self) {
        self.items.clear();
        self.locks.clear();
        self.used.clear();
        self.round.add(0, 1);
    }

    /// A serial number for an item that is about to be put; 0 if the thread has used all.
    pub(crate) fn new_item(&self, thread: usize, queue: Home) -> u64 {
        let used = self.used.get(thread * 2);
        if used >= SERIALS {
            return 0;
        }
        self.used.set(thread * 2, used + 1);
        let serial = thread as u64 * SERIALS + used + 1;
        self.items.set(word_of(serial) + 2, queue.0);
        self.items.set(word_of(serial) + 3, queue.1);
        serial | self.round.get(0) << ROUND
    }

    pub(crate) fn put(&self, serial: u64, is_put: bool) {
        if let Ok(Some(serial)) = self.known(serial) {
            self.items.or(word_of(serial), if is_put { IS_PUT } else { IS_REFUSED });
        }
    }

    /// How many items a death of the thread may take with it from now on.
    pub(crate) fn may_take(&self, thread: usize, count: u64) {
        self.used.set(thread * 2 + 1, count);
    }

    /// Writes down that an item was taken for good.
    pub(crate) fn deliver(&self, books: &Books, serial: u64) -> Result<(), String> {
        books.count(Count::Delivered);
        let Some(serial) = self.known(serial)? else { return Ok(()) };
        let before = self.items.add(word_of(serial), DELIVERY);
        match before / DELIVERY {
            0 if before & IS_REFUSED == 0 => Ok(()),
            0 => Err(format!("item {serial} was delivered, though its put was refused")),
            _ => Err(format!("item {serial} was delivered twice")),
        }
    }

    /// Writes down that an item is on lease.
    pub(crate) fn lease(&self, books: &Books, serial: u64, holder: Holder) -> Result<(), String> {
        let Some(serial) = self.known(serial)? else { return Ok(()) };
        let before = self.items.get(word_of(serial));
        if (before & IS_REFUSED != 0 || before >= DELIVERY) && holder.is_attached(books) {
            return Err(format!("item {serial} was leased, but its account says {before:#x}"));
        }
        match enter(&self.items, word_of(serial) + 1, books, holder) {
            Some(last) => Err(format!("item {serial} was leased, but {last:?} has it")),
            None => Ok(()),
        }
    }

    /// Strikes a lease out: the item is about to be given back.
    pub(crate) fn end_lease(&self, serial: u64, holder: Holder) {
        if let Ok(Some(serial)) = self.known(serial) {
            self.items.replace(word_of(serial) + 1, holder.word(), 0);
        }
    }

    /// What a serial number of this round counts; `None` for 0 and for an earlier round.
    fn known(&self, serial: u64) -> Result<Option<u64>, String> {
        let (round, number) = (serial >> ROUND, serial & ((1 << ROUND) - 1));
        match self.round.get(0) {
            now if round < now => Ok(None),
            now if round == now && number <= (PROCESSES * THREADS) as u64 * SERIALS => {
                Ok(Some(number))
            }
            _ => Err(format!("an item has the serial number {serial}, which nobody gave")),
        }
    }

    /// The items that were put into this queue, were not delivered, and are not among `there`.
    pub(crate) fn missing(&self, queue: Home, there: &[u64]) -> Vec<u64> {
        let given = (0..PROCESSES * THREADS).flat_map(|thread| {
            let first = thread as u64 * SERIALS + 1;
            first..first + self.used.get(thread * 2)
        });
        let is_missing = |serial: &u64| {
            let at = word_of(*serial);
            self.items.get(at + 2) == queue.0
                && self.items.get(at + 3) == queue.1
                && self.items.get(at) == IS_PUT
                && !there.contains(&(*serial | self.round.get(0) << ROUND))
        };
        given.filter(is_missing).collect()
    }

    /// How many items may have gone with the threads that died while they took some.
    pub(crate) fn taken_by_the_dead(&self) -> u64 {
        (0..PROCESSES * THREADS).map(|thread| self.used.get(thread * 2 + 1)).sum()
    }

    /// Writes down who holds a lock now.
    pub(crate) fn lock(&self, books: &Books, lock: Home, holder: Holder) -> Result<(), String> {
        let Some(at) = self.lock_row(lock) else { return Ok(()) };
        match enter(&self.locks, at + 1, books, holder) {
            Some(last) => Err(format!("the lock is taken, but {last:?} holds it")),
            None => Ok(()),
        }
    }

    /// Strikes the holder of a lock out, just before it is released.
    pub(crate) fn unlock(&self, lock: Home) {
        if let Some(at) = self.lock_row(lock) {
            self.locks.set(at + 1, 0);
        }
    }

    /// The words of a lock; `None` if there are too many locks.
    fn lock_row(&self, lock: Home) -> Option<usize> {
        let number = lock.number() | 1;
        let rows = (0..LOCKS).map(|step| (number as usize / 2 + step) % LOCKS * 2);
        rows.take(64).find(|at| {
            let known = self.locks.replace(*at, 0, number);
            known == 0 || known == number
        })
    }
}

/// Writes down who has something, and returns who has it already. A holder that is not attached any
/// more leaves the word as it was.
fn enter(page: &Page, at: usize, books: &Books, holder: Holder) -> Option<Holder> {
    let last = page.swap(at, holder.word());
    if !holder.is_attached(books) {
        page.replace(at, holder.word(), last);
        return None;
    }
    Holder::of(last).filter(|last| last.is_attached(books))
}

fn word_of(serial: u64) -> usize {
    (serial - 1) as usize * WORDS
}
