//! What the workers did, written down outside of the heap, so that a kill cannot falsify it.
//!
//! A worker writes what it is about to do before each call and that it is done after it. When it
//! is killed in between, the judge strikes the one open item out as *uncertain*: it may have
//! happened or not, but never twice and never by half.

use coheap_core::heap::Heap;
use coheap_core::objects::{Map, Queue};

use crate::bank::Bank;
use crate::support::objects::count;
use crate::support::page::Page;

/// Rows for workers.
pub(crate) const WORKERS: usize = 6;
/// Jobs that one row may put in one round.
pub(crate) const JOBS: usize = 4000;

const STOP: usize = 0;
const INSIDE: usize = 1;
const WORRY: usize = 2;
const ROWS: usize = 8;
const ROW_WORDS: usize = 16;
const BEGUN: usize = 0;
const DONE: usize = 1;
const NEXT_JOB: usize = 2;
const PUTTING: usize = 3;
const ACKING: usize = 4;
const AT_WORK: usize = 5;
const STATES: usize = ROWS + WORKERS * ROW_WORDS;

/// Bits of a job's state: put for certain, perhaps put, perhaps acked; acks from bit 8 on.
const PUT: u64 = 1;
const MAYBE_PUT: u64 = 2;
const MAYBE_ACKED: u64 = 4;
const ACK: u64 = 1 << 8;

/// The shared words.
#[derive(Debug)]
pub(crate) struct Ledger {
    page: Page,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { page: Page::new(STATES + WORKERS * JOBS) }
    }

    fn row(worker: usize, word: usize) -> usize {
        ROWS + worker * ROW_WORDS + word
    }

    fn state(job: u64) -> usize {
        STATES + job as usize
    }

    pub(crate) fn stop(&self) {
        self.page.set(STOP, 1);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.page.get(STOP) != 0
    }

    /// A worker saw something that cannot be.
    pub(crate) fn worry(&self, code: u64) {
        self.page.set(WORRY, code);
    }

    pub(crate) fn worries(&self) -> u64 {
        self.page.get(WORRY)
    }

    pub(crate) fn set_at_work(&self, worker: usize, is_so: bool) {
        self.page.set(Self::row(worker, AT_WORK), u64::from(is_so));
    }

    pub(crate) fn is_at_work(&self, worker: usize) -> bool {
        self.page.get(Self::row(worker, AT_WORK)) != 0
    }

    pub(crate) fn begin_count(&self, worker: usize) {
        self.page.add(Self::row(worker, BEGUN), 1);
    }

    pub(crate) fn end_count(&self, worker: usize) {
        self.page.add(Self::row(worker, DONE), 1);
    }

    /// A job's number for this row, unless it has put enough in this round.
    pub(crate) fn begin_put(&self, worker: usize) -> Option<u64> {
        let number = self.page.get(Self::row(worker, NEXT_JOB));
        if number as usize >= JOBS {
            return None;
        }
        let job = (worker * JOBS) as u64 + number;
        self.page.set(Self::row(worker, PUTTING), job + 1);
        self.page.set(Self::row(worker, NEXT_JOB), number + 1);
        Some(job)
    }

    pub(crate) fn end_put(&self, worker: usize, job: u64) {
        self.page.or(Self::state(job), PUT);
        self.page.set(Self::row(worker, PUTTING), 0);
    }

    pub(crate) fn begin_ack(&self, worker: usize, job: u64) {
        self.page.set(Self::row(worker, ACKING), job + 1);
    }

    pub(crate) fn end_ack(&self, worker: usize, job: u64) {
        self.page.add(Self::state(job), ACK);
        self.page.set(Self::row(worker, ACKING), 0);
    }

    /// The lock came cleanly, so nobody may be inside.
    pub(crate) fn enter(&self, worker: usize, is_clean: bool) {
        let inside = self.page.get(INSIDE);
        if is_clean && inside != 0 {
            self.worry(1000 + inside);
        }
        self.page.set(INSIDE, worker as u64 + 1);
    }

    pub(crate) fn is_inside(&self, worker: usize) -> bool {
        self.page.get(INSIDE) == worker as u64 + 1
    }

    pub(crate) fn leave(&self) {
        self.page.set(INSIDE, 0);
    }

    /// Settles what a killed worker had open. Its own counter tells whether it counted.
    pub(crate) fn strike_out(&self, heap: &Heap, counts: &Map, worker: usize) {
        let (begun, done) = (Self::row(worker, BEGUN), Self::row(worker, DONE));
        let counted = count(heap, counts, &key_of(worker)) as u64;
        let allowed = self.page.get(done)..=self.page.get(begun);
        assert!(allowed.contains(&counted), "worker {worker}: {counted} not in {allowed:?}");
        self.page.set(begun, counted);
        self.page.set(done, counted);
        if let Some(job) = self.page.get(Self::row(worker, PUTTING)).checked_sub(1) {
            self.page.or(Self::state(job), MAYBE_PUT);
            self.page.set(Self::row(worker, PUTTING), 0);
        }
        if let Some(job) = self.page.get(Self::row(worker, ACKING)).checked_sub(1) {
            self.page.or(Self::state(job), MAYBE_ACKED);
            self.page.set(Self::row(worker, ACKING), 0);
        }
    }

    /// Compares everything with the heap; nobody works any more. Answers how many jobs there were.
    pub(crate) fn audit(&self, heap: &Heap, counts: &Map, jobs: &Queue, bank: &Bank) -> u64 {
        for worker in 0..WORKERS {
            let done = self.page.get(Self::row(worker, DONE));
            assert_eq!(count(heap, counts, &key_of(worker)) as u64, done, "worker {worker}");
        }
        let mut found = vec![0u64; WORKERS * JOBS];
        let mut out = Vec::new();
        heap.with(|context| {
            assert_eq!(jobs.leased(context)?, 0, "nobody lives who could have a lease");
            while jobs.len(context)? > 0 {
                jobs.get(context, &mut out)?;
                found[job_in(&out) as usize] += 1;
            }
            for (job, times) in bank.count_finished(context)? {
                found[job as usize] += times;
            }
            bank.finished.clear(context)?;
            Ok(())
        })
        .expect("the queue can be emptied");
        let mut total = 0;
        for (job, found) in found.iter().enumerate() {
            let state = self.page.get(Self::state(job as u64));
            let times = found + state / ACK;
            let allowed = match state {
                _ if state & MAYBE_ACKED != 0 || state & PUT == 0 => 0..=1,
                _ => 1..=1,
            };
            let is_known = state != 0;
            assert!(is_known || times == 0, "job {job} was never put and is there");
            assert!(
                !is_known || allowed.contains(&times),
                "job {job}: {found} in the queue or finished, state {state:#x}"
            );
            total += u64::from(is_known);
        }
        total
    }

    /// Forgets jobs and stop sign for the next round.
    pub(crate) fn next_round(&self) {
        self.page.set(STOP, 0);
        for worker in 0..WORKERS {
            self.page.set(Self::row(worker, NEXT_JOB), 0);
        }
        for job in 0..(WORKERS * JOBS) as u64 {
            self.page.set(Self::state(job), 0);
        }
    }
}

/// The key under which a worker counts.
pub(crate) fn key_of(worker: usize) -> Vec<u8> {
    format!("worker {worker}").into_bytes()
}

/// A job as an item: its number, and bytes that depend on it, short or long.
pub(crate) fn item_of(job: u64) -> Vec<u8> {
    let len = [8, 8, 12, 40, 300, 3000][(job % 6) as usize];
    let mut bytes = vec![(job % 251) as u8; len];
    bytes[..8].copy_from_slice(&job.to_le_bytes());
    bytes
}

/// The number of a job. Panics when the item is not one that was put.
pub(crate) fn job_in(item: &[u8]) -> u64 {
    let job = item.first_chunk().map_or(u64::MAX, |first| u64::from_le_bytes(*first));
    assert!(job < (WORKERS * JOBS) as u64 && item == item_of(job), "a torn item: {item:?}");
    job
}
