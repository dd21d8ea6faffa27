//! The order of large maps: removed at both ends and between, packed in steps, emptied; against a plain
//! map from numbers to entries.
//!
//! What always holds: after each round the map says what the plain one says, in its order, and the whole
//! heap is walked: holes, segments that were given back, the index. Small maps are in `model/`, deaths in
//! the crash sweep.

mod support;

use coheap_core::check::check;
use coheap_core::heap::Heap;
use coheap_core::objects::Map;
use coheap_core::objects::map::Pairs;
use support::child;
use support::objects::{heap, map};
use support::plain::Plain;
use support::random::Random;

/// The two side by side.
struct Both {
    heap: Heap,
    map: Map,
    plain: Plain,
    random: Random,
}

impl Both {
    fn new(megabytes: u64, seed: u64) -> Self {
        let heap = heap(megabytes);
        let map = map(&heap, "map");
        Self { heap, map, plain: Plain::default(), random: Random::seeded(seed) }
    }

    /// A key of few bytes, of more than a cell takes, or long; always the same for a number.
    fn key(number: u64) -> Vec<u8> {
        let mut key = number.to_le_bytes().to_vec();
        match number % 64 {
            1 => key.resize(9000, b'-'),
            2..8 => key.resize(30, b'-'),
            _ => {}
        }
        key
    }

    fn set(&mut self, number: u64) {
        let (key, value) = (Self::key(number), vec![number as u8; 1 + number as usize % 20]);
        self.heap.with(|context| self.map.set(context, &key, &value)).expect("room");
        self.plain.set(&key, &value);
    }

    fn remove(&mut self, key: &[u8]) {
        let mut value = Vec::new();
        let was_there = self.heap.with(|context| self.map.remove(context, key, &mut value));
        assert_eq!(was_there, Ok(self.plain.remove(key).is_some_and(|(_, own)| own == value)));
    }

    fn remove_some(&mut self) {
        if let Some(key) = self.plain.some_key(&mut self.random) {
            self.remove(&key);
        }
    }

    fn move_some_to_end(&mut self) {
        let Some(key) = self.plain.some_key(&mut self.random) else { return };
        assert_eq!(self.heap.with(|context| self.map.move_to_end(context, &key)), Ok(true));
        assert!(self.plain.move_to_end(&key));
    }

    fn remove_oldest(&mut self) {
        if let Some(key) = self.plain.entries.values().next().map(|(key, _)| key.clone()) {
            self.remove(&key);
        }
    }

    fn remove_newest(&mut self) {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let popped = self.heap.with(|context| self.map.pop_last(context, &mut key, &mut value));
        let newest = self.plain.entries.values().next_back().cloned();
        assert_eq!(popped, Ok(newest.is_some()));
        if let Some(newest) = newest {
            assert_eq!((key, value), newest);
            self.plain.remove(&newest.0);
        }
    }

    fn set_many(&mut self, numbers: impl Iterator<Item = u64>) {
        let pairs: Pairs = numbers.map(|number| (Self::key(number), vec![b'm'])).collect();
        self.heap.with(|context| self.map.set_many(context, &pairs)).expect("room");
        pairs.iter().for_each(|(key, value)| self.plain.set(key, value));
    }

    fn look(&self) {
        let all = self.heap.with(|context| {
            check(context)?;
            self.map.snapshot(context)
        });
        let all = all.expect("a heap that is whole");
        assert_eq!(all.len(), self.plain.entries.len());
        for (number, (own, (key, value))) in all.iter().zip(self.plain.entries.values()).enumerate()
        {
            assert!(own == (&key[..], &value[..]), "entry {number} differs");
        }
    }
}

/// Goal: whatever is removed where, a map of many segments keeps its entries and their order, and what it
/// gives back is whole.
/// Method: rounds of each kind of use, one after the other and mixed, with keys of all sizes; the plain
/// map is compared and the heap walked after each.
#[test]
fn a_large_map_keeps_its_order_whatever_is_removed() {
    for seed in 0..4 {
        let mut both = Both::new(256, seed);
        let mut fresh = 0;
        for round in 0..24 {
            let kind = both.random.below(8);
            let count = 1 + both.random.below(3000);
            for _ in 0..count {
                let die = both.random.below(8);
                match (kind, die) {
                    (0, _) | (1, 0..6) | (2..=4, 0..4) => {
                        both.set(fresh);
                        fresh += 1;
                    }
                    (1 | 2, _) => both.remove_some(),
                    (3, _) => both.remove_oldest(),
                    (4, _) => both.remove_newest(),
                    (5, _) => both.remove_some(),
                    (6, _) => both.move_some_to_end(),
                    (_, 0..4) => both.remove_oldest(),
                    _ => both.remove_newest(),
                }
            }
            both.look();
            if round % 5 == 4 {
                both.set_many(fresh.saturating_sub(100)..fresh + 2000);
                fresh += 2000;
            }
            both.look();
        }
    }
}

/// Goal: the same entries come and go for ever, in any order, and the map does not grow.
/// Method: an LRU cache of 5,000 keys is used a hundred thousand times; then the heap has hardly more in
/// use than after the first filling.
#[test]
fn a_cache_that_is_used_for_long_does_not_grow() {
    let mut both = Both::new(64, 7);
    (8..5008).filter(|number| number % 64 > 7).for_each(|number| both.set(number));
    let used = |both: &Both| both.heap.stats().map(|stats| stats.used_bytes);
    let before = used(&both).expect("stats");
    for _ in 0..100_000 {
        let number = 8 + both.random.below(5000);
        if number % 128 > 71 {
            both.remove(&Both::key(number));
            both.set(number);
        } else if number % 64 > 7 {
            both.move_some_to_end();
        }
    }
    both.look();
    let after = used(&both).expect("stats");
    assert!(after < before * 2, "{before} bytes in use before, {after} after");
}

/// Goal: a map in which entries are added behind and removed in front, for ever, does not grow, whatever
/// its length; what each removal gives back is there at once.
/// Method: windows of a few and of many entries move over a hundred thousand; a heap of 4 MiB is enough.
#[test]
fn a_window_that_moves_for_long_stays_small() {
    for len in [1u64, 100, 600, 5000] {
        let mut both = Both::new(4, len);
        let number = |turn: u64| turn * 64 + 8;
        for turn in 0..100_000 {
            both.set(number(turn));
            if turn >= len {
                both.remove_oldest();
            }
        }
        both.look();
    }
}

/// Goal: what a map gives back while it shrinks is for others, without anybody waiting for it or asking.
/// Method: fill a heap with a map of short entries; remove them newest first, oldest first or at random;
/// then a value of half of the heap fits.
#[test]
fn a_map_that_shrinks_gives_its_room_to_others() {
    for way in 0..3 {
        let mut both = Both::new(32, way);
        let other = map(&both.heap, "other");
        let count = 200_000;
        both.set_many((0..count).map(|number| number * 64 + 8));
        for _ in 0..count - 1000 {
            match way {
                0 => both.remove_newest(),
                1 => both.remove_oldest(),
                _ => both.remove_some(),
            }
        }
        both.look();
        let half = vec![7; 16 << 20];
        both.heap.with(|context| other.set(context, b"half", &half)).expect("room");
        both.look();
        for number in 0..2000 {
            both.set(number * 64 + 9);
        }
        both.look();
    }
}

/// Goal: whoever is killed in the midst of a pass, a segment that is given back, or an index that is made
/// smaller: the map keeps its entries, in order, and others go on.
/// Method: two processes use a map as a cache, each with keys of its own, adding newer ones and removing
/// old ones; one of them is killed again and again at a random moment. After each death the heap is walked,
/// and the keys of a process stand in the order in which it added them.
#[test]
fn deaths_in_the_midst_of_passes_lose_nothing() {
    let heap = heap(64);
    let map = map(&heap, "map");
    let key = |who: u64, number: u64| {
        let mut key = (number | who << 56).to_be_bytes().to_vec();
        key.resize(if number % 32 == 7 { 40 } else { 8 }, b'-');
        key
    };
    let work = |who: u64, from: u64| {
        let mut random = Random::seeded(from ^ who);
        let context = heap.context().expect("a member");
        for number in from.. {
            map.set(&context, &key(who, number), b"value").expect("room");
            if number >= 4000 {
                let old = number - 1 - random.below(8000).min(number - 1);
                map.remove(&context, &key(who, old), &mut Vec::new()).expect("a map");
                map.remove(&context, &key(who, number.saturating_sub(8000)), &mut Vec::new())
                    .expect("a map");
            }
        }
        0
    };
    let mut dice = Random::for_run("deaths_in_the_midst_of_passes_lose_nothing");
    let mut next = [0u64; 2];
    let mut steady = child::fork(|| work(0, 0));
    for round in 0..60 {
        let mut worker = child::fork(|| work(1, next[1]));
        std::thread::sleep(std::time::Duration::from_micros(5_000 + dice.below(40_000)));
        worker.kill();
        if round % 20 == 19 {
            steady.kill();
        }
        let all = heap.with(|context| {
            check(context)?;
            map.snapshot(context)
        });
        let all = all.expect("a heap that is whole");
        let mut last = [0u64; 2];
        for (key, _) in all.iter() {
            let word = u64::from_be_bytes(key[..8].try_into().expect("eight bytes"));
            let (who, number) = ((word >> 56) as usize, word & ((1 << 56) - 1));
            assert!(last[who] == 0 || last[who] < number, "{number} after {}", last[who]);
            last[who] = number;
        }
        next = [next[0].max(last[0] + 1), next[1].max(last[1] + 1)];
        if round % 20 == 19 {
            steady = child::fork(|| work(0, next[0]));
        }
    }
    steady.kill();
    assert!(next[1] > 0, "the killed ones added nothing");
}
