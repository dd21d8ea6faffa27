//! What each worker did and when, in words that survive it.
//!
//! A worker writes what it is about to do and the time, does it, then writes the answer and last
//! of all the time of its end. So a record without an end is an operation that was cut off.

use coheap_core::os::now;

use crate::linear::Operation;
use crate::models::{Answer, Call};
use crate::support::page::Page;

/// Most operations of one worker in one round.
pub(crate) const OPERATIONS: usize = 14;
/// Words of one record: call (4), begun, ended, answer (2 and up to 12 pairs).
const WORDS: usize = 32;
const BEGUN: usize = 4;
const ENDED: usize = 5;
const ANSWER: usize = 6;
const PAIRS: usize = (WORDS - ANSWER - 2) / 2;

/// The records of all workers.
#[derive(Debug)]
pub(crate) struct Record {
    page: Page,
    workers: usize,
}

impl Record {
    pub(crate) fn new(workers: usize) -> Self {
        Self { page: Page::new(workers * OPERATIONS * WORDS), workers }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.page.clear();
    }

    /// Notes a call, does it, notes the answer.
    pub(crate) fn note(
        &self,
        worker: usize,
        number: usize,
        call: Call,
        act: impl FnOnce() -> Answer,
    ) {
        let base = (worker * OPERATIONS + number) * WORDS;
        for (index, word) in encode_call(call).into_iter().enumerate() {
            self.page.set(base + index, word);
        }
        self.page.set(base + BEGUN, now());
        let answer = act();
        let ended = now();
        self.write_answer(base + ANSWER, &answer);
        self.page.set(base + ENDED, ended);
    }

    fn write_answer(&self, at: usize, answer: &Answer) {
        let (kind, number, pairs) = match answer {
            Answer::Done => (1, 0, &[][..]),
            Answer::No => (2, 0, &[][..]),
            Answer::Number(number) => (3, *number as u64, &[][..]),
            Answer::All(pairs) => (4, pairs.len() as u64, &pairs[..]),
        };
        assert!(pairs.len() <= PAIRS, "too many entries for a record");
        self.page.set(at, kind);
        self.page.set(at + 1, number);
        for (index, (key, value)) in pairs.iter().enumerate() {
            self.page.set(at + 2 + 2 * index, u64::from(*key));
            self.page.set(at + 3 + 2 * index, *value as u64);
        }
    }

    fn read_answer(&self, at: usize) -> Answer {
        let number = self.page.get(at + 1);
        match self.page.get(at) {
            1 => Answer::Done,
            2 => Answer::No,
            3 => Answer::Number(number as i64),
            4 => {
                let pair = |index: usize| {
                    let key = self.page.get(at + 2 + 2 * index) as u8;
                    (key, self.page.get(at + 3 + 2 * index) as i64)
                };
                Answer::All((0..number as usize).map(pair).collect())
            }
            other => panic!("a record with answer {other}"),
        }
    }

    /// Everything that was begun.
    pub(crate) fn history(&self) -> Vec<Operation<Call, Answer>> {
        let mut history = Vec::new();
        for row in 0..self.workers * OPERATIONS {
            let base = row * WORDS;
            let (begun, ended) = (self.page.get(base + BEGUN), self.page.get(base + ENDED));
            if begun == 0 {
                continue;
            }
            let words = [0, 1, 2, 3].map(|index| self.page.get(base + index));
            history.push(Operation {
                worker: row / OPERATIONS,
                begun,
                ended: (ended != 0).then(|| (ended, self.read_answer(base + ANSWER))),
                call: decode_call(words),
            });
        }
        history.sort_by_key(|operation| operation.begun);
        history
    }
}

fn encode_call(call: Call) -> [u64; 4] {
    match call {
        Call::Get(key) => [1, u64::from(key), 0, 0],
        Call::Set(key, value) => [2, u64::from(key), value as u64, 0],
        Call::Remove(key) => [3, u64::from(key), 0, 0],
        Call::Add(key, more) => [4, u64::from(key), more as u64, 0],
        Call::Swap(key, old, new) => [5, u64::from(key), old as u64, new as u64],
        Call::PopLast => [6, 0, 0, 0],
        Call::Clear => [7, 0, 0, 0],
        Call::All => [8, 0, 0, 0],
        Call::Len => [9, 0, 0, 0],
        Call::Put(item) => [10, 0, item as u64, 0],
        Call::Take => [11, 0, 0, 0],
    }
}

fn decode_call([kind, key, one, two]: [u64; 4]) -> Call {
    let (key, one, two) = (key as u8, one as i64, two as i64);
    match kind {
        1 => Call::Get(key),
        2 => Call::Set(key, one),
        3 => Call::Remove(key),
        4 => Call::Add(key, one),
        5 => Call::Swap(key, one, two),
        6 => Call::PopLast,
        7 => Call::Clear,
        8 => Call::All,
        9 => Call::Len,
        10 => Call::Put(one),
        11 => Call::Take,
        other => panic!("a record with call {other}"),
    }
}
