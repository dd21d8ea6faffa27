//! Processes that append to lists in transactions, over several maps and a value, under kills.
//!
//! A list is the bytes of a map's value; appending is reading and writing it in a transaction.
//! Reads outside of transactions are recorded as transactions of one read.

use std::collections::HashMap;

use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::objects::{Map, Value, estate};
use coheap_core::os::now;
use coheap_core::transaction::Transaction;

use crate::cycles::{Access, Fate, Seen, find_anomaly};
use crate::support::child::{Child, End, fork};
use crate::support::objects::{heap, map, settle_and_check, value};
use crate::support::page::Page;
use crate::support::random::Random;
use crate::support::until;

const WORKERS: usize = 4;
/// Transactions of one worker in one round.
const TRANSACTIONS: usize = 8;
/// Lists of one round: two in each map, one in the value.
const LISTS: u64 = 5;
/// Words that one worker may write in one round.
const LOG: usize = 8192;

const ROUND: usize = 0;
const ELEMENT: usize = 1;
const DONE: usize = 8;
const LOGS: usize = 16;

/// What came of all rounds.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) rounds: u64,
    pub(crate) committed: u64,
    pub(crate) aborted: u64,
    pub(crate) cut_off: u64,
    pub(crate) kills: u64,
    pub(crate) planted: u64,
    pub(crate) found: u64,
}

/// The lists, and what was done to them.
struct Library {
    heap: Heap,
    maps: [Map; 2],
    value: Value,
    page: Page,
}

/// Runs rounds. Panics with the transactions when they cannot be explained.
pub(crate) fn run(rounds: u64, dice: &mut Random) -> Outcome {
    let heap = heap(16);
    let library = Library {
        maps: [map(&heap, "north"), map(&heap, "south")],
        value: value(&heap, "value"),
        page: Page::new(LOGS + WORKERS * LOG),
        heap,
    };
    let mut outcome = Outcome::default();
    let mut workers: Vec<Child> = (0..WORKERS).map(|worker| library.spawn(worker, dice)).collect();
    for round in 1..=rounds {
        library.begin(round);
        let victim = dice.one_in(2).then(|| dice.below(WORKERS as u64) as usize);
        if let Some(victim) = victim {
            std::thread::sleep(std::time::Duration::from_micros(dice.below(400)));
            workers[victim].signal(libc::SIGKILL);
        }
        library.await_workers(&mut workers, round, victim);
        if let Some(victim) = victim {
            outcome.kills += u64::from(workers[victim].wait() != End::Exit(0));
        }
        library.conclude(&mut outcome, dice);
        if let Some(victim) = victim {
            workers[victim] = library.spawn(victim, dice);
        }
    }
    library.page.set(ROUND, 0);
    workers.iter_mut().for_each(Child::must_succeed);
    settle_and_check(&library.heap);
    outcome
}

impl Library {
    fn spawn(&self, worker: usize, dice: &mut Random) -> Child {
        let mut own = dice.split();
        let from = self.page.get(ROUND);
        self.page.set(DONE + worker, from);
        fork(|| self.work(worker, from, &mut own))
    }

    fn begin(&self, round: u64) {
        self.heap
            .with(|context| {
                self.maps[0].clear(context)?;
                self.maps[1].clear(context)?;
                self.value.set(context, &[0; 8])
            })
            .expect("empty lists");
        (0..WORKERS).for_each(|worker| self.page.set(LOGS + worker * LOG, 0));
        self.page.set(ROUND, round);
    }

    fn await_workers(&self, workers: &mut [Child], round: u64, victim: Option<usize>) {
        until("the workers are done", || {
            workers.iter_mut().enumerate().all(|(worker, child)| {
                let ended = child.has_ended();
                assert!(ended.is_none() || Some(worker) == victim, "worker {worker}: {ended:?}");
                self.page.get(DONE + worker) == round || ended.is_some()
            })
        });
    }

    fn work(&self, worker: usize, mut round: u64, dice: &mut Random) -> i32 {
        loop {
            while self.page.get(ROUND) == round {
                std::thread::yield_now();
            }
            round = self.page.get(ROUND);
            if round == 0 {
                return 0;
            }
            let mut log = Log { page: &self.page, base: LOGS + worker * LOG, at: 1 };
            for _ in 0..TRANSACTIONS {
                let done = match dice.one_in(4) {
                    true => self.read_alone(&mut log, dice),
                    false => self.transact(&mut log, dice),
                };
                if let Err(error) = done {
                    crate::support::say(&format!("worker {worker}: {error}"));
                    return 2;
                }
            }
            self.page.set(DONE + worker, round);
        }
    }

    fn place(&self, list: u64) -> Option<(Map, [u8; 1])> {
        (list < LISTS - 1).then(|| (self.maps[list as usize % 2], [list as u8]))
    }

    /// One read outside of any transaction.
    fn read_alone(&self, log: &mut Log<'_>, dice: &mut Random) -> Result<()> {
        let list = dice.below(LISTS);
        log.begin();
        let mut bytes = Vec::new();
        self.heap.with(|context| match self.place(list) {
            Some((map, key)) => map.get(context, &key, &mut bytes).map(|_| ()),
            None => self.value.get(context, &mut bytes),
        })?;
        log.read(list, &elements(&bytes, self.place(list).is_none()));
        log.end(Fate::Committed);
        Ok(())
    }

    fn transact(&self, log: &mut Log<'_>, dice: &mut Random) -> Result<()> {
        log.begin();
        let mut tx = Transaction::begin(self.heap.context()?, None)?;
        let planned = (0..=dice.below(4)).try_for_each(|_| self.access(&mut tx, log, dice));
        let done = match planned {
            Ok(()) if dice.one_in(8) => Err(Error::WouldBlock),
            Ok(()) => tx.commit(),
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => log.end(Fate::Committed),
            Err(Error::Deadlock | Error::Doomed(_) | Error::WouldBlock) => log.end(Fate::Aborted),
            Err(other) => return Err(other),
        }
        Ok(())
    }

    /// Reads a list, or reads it and appends to it.
    fn access(&self, tx: &mut Transaction, log: &mut Log<'_>, dice: &mut Random) -> Result<()> {
        let list = dice.below(LISTS);
        let place = self.place(list);
        let mut bytes = Vec::new();
        match &place {
            Some((map, key)) => {
                if !tx.on(map).get(key, &mut bytes)? {
                    bytes.clear();
                }
            }
            None => tx.on(&self.value).get(&mut bytes)?,
        }
        log.read(list, &elements(&bytes, place.is_none()));
        if dice.one_in(3) {
            std::thread::yield_now();
        }
        if dice.one_in(2) {
            let element = self.page.add(ELEMENT, 1) + 1;
            log.append(list, element);
            bytes.extend_from_slice(&element.to_le_bytes());
            match &place {
                Some((map, key)) => tx.on(map).set(key, &bytes)?,
                None => tx.on(&self.value).set(&bytes)?,
            }
        }
        Ok(())
    }

    /// All lists as they are now.
    fn look(&self) -> HashMap<u64, Vec<u64>> {
        let mut lists = HashMap::new();
        for list in 0..LISTS {
            let mut bytes = Vec::new();
            self.heap
                .with(|context| match self.place(list) {
                    Some((map, key)) => map.get(context, &key, &mut bytes).map(|_| ()),
                    None => self.value.get(context, &mut bytes),
                })
                .expect("a last look");
            lists.insert(list, elements(&bytes, self.place(list).is_none()));
        }
        lists
    }

    fn conclude(&self, outcome: &mut Outcome, dice: &mut Random) {
        self.heap.with(estate::sweep).expect("the dead are settled");
        let last = self.look();
        let logs = (0..WORKERS).flat_map(|worker| self.read_log(worker));
        let mut transactions: Vec<Seen> = logs.collect();
        outcome.rounds += 1;
        for seen in &transactions {
            match seen.fate {
                Fate::Committed => outcome.committed += 1,
                Fate::Aborted => outcome.aborted += 1,
                Fate::CutOff => outcome.cut_off += 1,
            }
        }
        if let Err(said) = find_anomaly(&transactions, &last) {
            let all: Vec<String> = transactions
                .iter()
                .enumerate()
                .map(|(at, seen)| format!("  {at} {seen:?}"))
                .collect();
            panic!("{said}\n  at last {last:?}\n{}", all.join("\n"));
        }
        if forget_a_read(&mut transactions, dice) {
            outcome.planted += 1;
            outcome.found += u64::from(find_anomaly(&transactions, &last).is_err());
        }
    }

    fn read_log(&self, worker: usize) -> Vec<Seen> {
        let base = LOGS + worker * LOG;
        let words: Vec<u64> =
            (1..=self.page.get(base) as usize).map(|at| self.page.get(base + at)).collect();
        let mut all: Vec<Seen> = Vec::new();
        let mut at = 0;
        while at < words.len() {
            let kind = words[at];
            let open = all.last_mut();
            at += match (kind, open) {
                (BEGIN, _) => {
                    let begun = words[at + 1];
                    let fate = Fate::CutOff;
                    all.push(Seen { begun, ended: u64::MAX, fate, accesses: Vec::new() });
                    2
                }
                (READ, Some(open)) => {
                    let len = words[at + 2] as usize;
                    let elements = words[at + 3..at + 3 + len].to_vec();
                    open.accesses.push(Access::Read(words[at + 1], elements));
                    3 + len
                }
                (APPEND, Some(open)) => {
                    open.accesses.push(Access::Append(words[at + 1], words[at + 2]));
                    3
                }
                (COMMIT | ABORT, Some(open)) => {
                    open.ended = words[at + 1];
                    open.fate = if kind == COMMIT { Fate::Committed } else { Fate::Aborted };
                    2
                }
                _ => panic!("a log with word {kind}"),
            };
        }
        all
    }
}

const BEGIN: u64 = 1;
const READ: u64 = 2;
const APPEND: u64 = 3;
const COMMIT: u64 = 4;
const ABORT: u64 = 5;

/// One worker's words; the first says how many are whole.
struct Log<'a> {
    page: &'a Page,
    base: usize,
    at: usize,
}

impl Log<'_> {
    fn write(&mut self, words: &[u64]) {
        assert!(self.at + words.len() < LOG, "the log is full");
        for word in words {
            self.page.set(self.base + self.at, *word);
            self.at += 1;
        }
        self.page.set(self.base, self.at as u64 - 1);
    }

    fn begin(&mut self) {
        self.write(&[BEGIN, now()]);
    }

    fn read(&mut self, list: u64, elements: &[u64]) {
        let head = [READ, list, elements.len() as u64];
        self.write(&[&head, elements].concat());
    }

    /// Before the append is made: a killed transaction may have made it.
    fn append(&mut self, list: u64, element: u64) {
        self.write(&[APPEND, list, element]);
    }

    fn end(&mut self, fate: Fate) {
        self.write(&[if fate == Fate::Committed { COMMIT } else { ABORT }, now()]);
    }
}

/// The elements in a list's bytes; the value begins with eight bytes that are none.
fn elements(bytes: &[u8], is_value: bool) -> Vec<u64> {
    let words = bytes.chunks(8).map(|chunk| u64::from_le_bytes(chunk.try_into().expect("whole")));
    words.skip(usize::from(is_value)).collect()
}

/// Plants an error: a read that misses an element which was there before it began.
fn forget_a_read(transactions: &mut [Seen], dice: &mut Random) -> bool {
    let committed = transactions.iter().filter(|seen| seen.fate == Fate::Committed);
    let mut old: HashMap<u64, u64> = HashMap::new();
    for seen in committed {
        for access in &seen.accesses {
            if let Access::Append(_, element) = access {
                old.insert(*element, seen.ended);
            }
        }
    }
    let mut places = Vec::new();
    for (index, seen) in transactions.iter().enumerate() {
        for (place, access) in seen.accesses.iter().enumerate() {
            let Access::Read(_, elements) = access else { continue };
            let ended = elements.last().and_then(|element| old.get(element));
            if seen.fate == Fate::Committed && ended.is_some_and(|ended| *ended < seen.begun) {
                places.push((index, place));
            }
        }
    }
    if places.is_empty() {
        return false;
    }
    let (index, place) = places[dice.below(places.len() as u64) as usize];
    if let Access::Read(_, elements) = &mut transactions[index].accesses[place] {
        elements.pop();
    }
    true
}
