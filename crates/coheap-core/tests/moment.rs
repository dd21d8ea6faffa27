//! Copies of a large map as it was at one moment, beside writers.
//!
//! Goal: a copy has what the map had at one moment, whatever two other processes do to it meanwhile, and
//! however they end; they wait for it only where the heap has no room to note what they change.
//! Method: each writer does operations that follow from their numbers, so its entries at any moment are
//! those of a plain map after so many operations. Each value says in which operation it was stored.

mod support;

use coheap_core::check::check;
use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::journal::Context;
use coheap_core::objects::Map;
use coheap_core::objects::map::Pairs;
use coheap_core::transaction::Transaction;
use support::child;
use support::objects::{heap, map};
use support::plain::Plain;
use support::random::Random;

/// Different keys of a writer.
const KEYS: u64 = 20_000;
/// Operations that leave nothing in the map which says that they were done: not more of them come one
/// after the other.
const UNSEEN: u64 = 400;

/// What an operation does.
enum Act {
    Set(u64),
    Remove(u64),
    Block(Vec<u64>, u64),
    SetMany(Vec<u64>),
}

/// A writer, and what its operations do.
#[derive(Clone, Copy)]
struct Writer(u64);

impl Writer {
    fn key(self, number: u64) -> Vec<u8> {
        let mut key = (number | self.0 << 32).to_le_bytes().to_vec();
        key.resize(if number.is_multiple_of(8) { 40 } else { 8 }, b'-');
        key
    }

    /// The value that an operation stores: its number, and sometimes more.
    fn value(number: u64) -> Vec<u8> {
        let mut value = number.to_le_bytes().to_vec();
        value.resize([8, 8, 8, 8, 30, 100, 14, 8][(number % 8) as usize], b'.');
        if number.is_multiple_of(1504) {
            value.resize(20_000, b'l');
        }
        value
    }

    fn act(self, number: u64) -> Act {
        let mut dice = Random::seeded(number << 8 | self.0);
        let mut key = || dice.below(KEYS);
        let many = if number % 4096 == 77 { KEYS / 2 } else { 20 };
        match number % 16 {
            0..8 => Act::Set(key()),
            8..12 => Act::Remove(key()),
            12 => Act::SetMany((0..4).map(|_| key()).collect()),
            13 => Act::SetMany(
                std::iter::successors(Some(key()), |at| Some((at + 1) % KEYS))
                    .take(many as usize)
                    .collect(),
            ),
            _ => Act::Block(vec![key(), key(), key()], key()),
        }
    }

    fn do_to_map(self, context: &Context, heap: &Heap, map: &Map, number: u64) -> Result<()> {
        let value = Self::value(number);
        match self.act(number) {
            Act::Set(key) => map.set(context, &self.key(key), &value).map(drop),
            Act::Remove(key) => map.remove(context, &self.key(key), &mut Vec::new()).map(drop),
            Act::SetMany(keys) => {
                let pairs: Pairs = keys.iter().map(|key| (self.key(*key), &value)).collect();
                map.set_many(context, &pairs).map(drop)
            }
            Act::Block(sets, gone) => {
                let mut transaction = Transaction::begin(heap.context()?, None)?;
                for key in sets {
                    transaction.on(map).set(&self.key(key), &value)?;
                }
                transaction.on(map).remove(&self.key(gone), &mut Vec::new())?;
                transaction.commit()
            }
        }
    }

    fn do_to_plain(self, plain: &mut Plain, number: u64) {
        let value = Self::value(number);
        match self.act(number) {
            Act::Set(key) => plain.set(&self.key(key), &value),
            Act::Remove(key) => drop(plain.remove(&self.key(key))),
            Act::SetMany(keys) => keys.iter().for_each(|key| plain.set(&self.key(*key), &value)),
            Act::Block(sets, gone) => {
                sets.iter().for_each(|key| plain.set(&self.key(*key), &value));
                plain.remove(&self.key(gone));
            }
        }
    }

    /// Does one operation after the other, from this number on.
    fn work(self, heap: &Heap, map: &Map, from: u64) -> i32 {
        let context = heap.context().expect("a member");
        for number in from.. {
            while let Err(error) = self.do_to_map(&context, heap, map, number) {
                assert_eq!(error, Error::Deadlock, "operation {number}");
            }
        }
        0
    }
}

/// What is known of a writer: its entries after the last operation that was seen.
struct Known {
    writer: Writer,
    plain: Plain,
    next: u64,
}

impl Known {
    fn is(&self, entries: &[(&[u8], &[u8])]) -> bool {
        let own = self.plain.entries.values().map(|(key, value)| (&key[..], &value[..]));
        own.len() == entries.len() && own.eq(entries.iter().copied())
    }

    /// Does to the plain map what the writer must have done for these entries.
    fn catch_up(&mut self, entries: &[(&[u8], &[u8])]) {
        let number = |value: &[u8]| u64::from_le_bytes(value[..8].try_into().expect("a number"));
        let last = entries.iter().map(|(_, value)| number(value)).max();
        let begin = last.map_or(self.next, |last| self.next.max(last + 1));
        while self.next < begin || !self.is(entries) {
            assert!(
                self.next < begin + UNSEEN,
                "entries of writer {} that it had at no moment near operation {begin}",
                self.writer.0
            );
            self.writer.do_to_plain(&mut self.plain, self.next);
            self.next += 1;
        }
    }
}

/// The whole heap is walked now and then, and each writer killed in turn.
#[test]
fn a_copy_is_one_moment_beside_writers_that_are_killed() {
    let heap = heap(64);
    let map = map(&heap, "map");
    let mut dice = Random::for_run("a_copy_is_one_moment_beside_writers_that_are_killed");
    let mut known =
        [1, 2].map(|who| Known { writer: Writer(who), plain: Plain::default(), next: 0 });
    for known in &mut known {
        // From the beginning, the map is a large one.
        let keys: Pairs = (0..KEYS).map(|key| (known.writer.key(key), Writer::value(1))).collect();
        heap.with(|context| map.set_many(context, &keys)).expect("room");
        keys.iter().for_each(|(key, value)| known.plain.set(key, value));
        known.next = 2;
    }
    for round in 0..12 {
        let mut children: Vec<child::Child> = Vec::new();
        for known in &known {
            let (writer, next) = (known.writer, known.next);
            children.push(child::fork(|| writer.work(&heap, &map, next)));
        }
        for _ in 0..6 {
            std::thread::sleep(std::time::Duration::from_micros(dice.below(4000)));
            let all = heap.with(|context| map.snapshot(context)).expect("a copy");
            // The copies are compared while nobody writes, or the plain maps would never catch up.
            children.iter().for_each(|child| child.signal(libc::SIGSTOP));
            compare(&all, &mut known);
            children.iter().for_each(|child| child.signal(libc::SIGCONT));
        }
        children.remove(round % 2).kill();
        let all = heap.with(|context| map.snapshot(context)).expect("a copy");
        drop(children);
        compare(&all, &mut known);
        heap.with(check).expect("a heap that is whole");
        compare(&heap.with(|context| map.snapshot(context)).expect("a copy"), &mut known);
    }
    assert!(known.iter().all(|known| known.next > 500), "the writers have written");
}

fn compare(all: &Pairs, known: &mut [Known; 2]) {
    for known in known {
        let own = |key: &[u8]| u64::from(key[4]) == known.writer.0;
        let entries: Vec<_> = all.iter().filter(|(key, _)| own(key)).collect();
        known.catch_up(&entries);
    }
}

/// Goal: where no room is left to note what changes, a copy is still one moment, and no room is taken.
/// Method: a full heap; a writer moves between values that need no room, so their sum stays.
#[test]
fn a_copy_is_one_moment_in_a_full_heap() {
    let heap = heap(4);
    let map = map(&heap, "map");
    let context = heap.context().expect("a member");
    let number = |number: i64| support::objects::integer(number);
    let key = |key: u64| number(key as i64);
    let count = (0u64..).find(|at| map.set(&context, &key(*at), &number(1)).is_err());
    let count = count.expect("a full heap");
    let rest = (0..).find(|key: &u32| map.set(&context, &key.to_le_bytes(), &[1]).is_err());
    let sum_of = |all: &Pairs| -> i64 {
        let values = all.iter().filter(|(key, _)| key.len() == 9).map(|(_, value)| value);
        values.map(|value| support::objects::number_in(value).expect("a number")).sum()
    };
    let mut writer = child::fork(|| {
        let context = heap.context().expect("a member");
        let mut dice = Random::seeded(1);
        loop {
            let additions = [(dice.below(count), 5), (dice.below(count), -5)];
            let additions = additions.map(|(at, more)| (key(at), more));
            map.add_many(&context, &additions).expect("nothing that needs room");
        }
    });
    for _ in 0..30 {
        let all = map.snapshot(&context).expect("a copy");
        assert_eq!(all.len() as u64, count + u64::from(rest.expect("a number")));
        assert_eq!(sum_of(&all), count as i64);
    }
    writer.kill();
    heap.with(check).expect("a heap that is whole");
}
