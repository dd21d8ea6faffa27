//! Many entries in one call, against a plain list of pairs: all of them or none.
//!
//! What always holds: after each call the map says what the list says, in its order, and the whole
//! heap is walked. Random operations are in `model/`, deaths in the crash sweep.

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use coheap_core::check::check;
use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::journal::MAX_WORDS;
use coheap_core::objects::Map;
use coheap_core::objects::map::{ONE_CHANGE, Pairs};
use coheap_core::transaction::Transaction;
use support::objects::{heap, integer, map};
use support::{sleepers, until};

type Pair = (Vec<u8>, Vec<u8>);

/// What a map should hold.
#[derive(Debug, Default, Clone)]
struct Plain {
    pairs: Vec<Pair>,
    places: HashMap<Vec<u8>, usize>,
}

impl Plain {
    fn set(&mut self, key: &[u8], value: &[u8]) {
        let place = *self.places.entry(key.to_vec()).or_insert(self.pairs.len());
        if place == self.pairs.len() {
            self.pairs.push((key.to_vec(), Vec::new()));
        }
        self.pairs[place].1 = value.to_vec();
    }

    fn set_many(&mut self, pairs: &[Pair]) {
        pairs.iter().for_each(|(key, value)| self.set(key, value));
    }
}

fn pairs_of(heap: &Heap, map: &Map) -> Vec<Pair> {
    let all = heap.with(|context| {
        check(context)?;
        Ok(map.snapshot(context)?.to_vec())
    });
    all.expect("a heap that is whole")
}

fn set_many(heap: &Heap, map: &Map, pairs: &[Pair]) -> Result<u64> {
    let pairs: Pairs = pairs.iter().map(|(key, value)| (key, value)).collect();
    heap.with(|context| map.set_many(context, &pairs))
}

fn few<const COUNT: usize>(pairs: [(&str, &str); COUNT]) -> Pairs {
    pairs.into_iter().collect()
}

/// Keys and values of every kind: in the cell, in a block, in spans of their own.
fn pair(number: u64, size: usize) -> Pair {
    let key = match number % 3 {
        0 => format!("a key too long to lie in a cell, number {number}").into_bytes(),
        _ => number.to_le_bytes().to_vec(),
    };
    (key, vec![number as u8; size])
}

fn size(number: u64) -> usize {
    [8, 1, 15, 16, 40, 9, 300, 8, 5000][number as usize % 9]
}

/// Goal: whatever was there and whatever comes, the map is the list.
/// Method: for numbers of entries on both sides of every threshold of segments, doublings and of an
/// index built anew: fill a map, then set as many again, half of them new, in one call.
#[test]
fn new_and_replaced_entries_mix_at_every_threshold() {
    for before in [0u64, 1, 8, 12, 300, 512, 1536, 5000] {
        for count in [1u64, 2, 7, 13, 100, 511, 1600, 9000] {
            let heap = heap(256);
            let map = map(&heap, "map");
            let mut plain = Plain::default();
            let old: Vec<Pair> = (0..before).map(|number| pair(number, size(number))).collect();
            assert_eq!(set_many(&heap, &map, &old), Ok(before));
            plain.set_many(&old);
            let from = before.saturating_sub(count / 2);
            let new: Vec<Pair> =
                (from..from + count).map(|number| pair(number, size(number + 1))).collect();
            assert_eq!(set_many(&heap, &map, &new), Ok(from + count - before.min(from + count)));
            plain.set_many(&new);
            assert!(pairs_of(&heap, &map) == plain.pairs, "{count} set after {before}");
        }
    }
}

#[test]
fn a_key_that_comes_twice_keeps_its_first_place_and_gets_its_last_value() {
    let heap = heap(16);
    let map = map(&heap, "map");
    let pair = |key: &str, value: &str| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
    let first = [pair("a", "1"), pair("b", "2"), pair("a", "3"), pair("c", "4"), pair("a", "5")];
    assert_eq!(set_many(&heap, &map, &first), Ok(3));
    assert_eq!(pairs_of(&heap, &map), [pair("a", "5"), pair("b", "2"), pair("c", "4")]);
    let second = [pair("d", "6"), pair("b", "7"), pair("d", "8"), pair("b", "9")];
    assert_eq!(set_many(&heap, &map, &second), Ok(1));
    let all = [pair("a", "5"), pair("b", "9"), pair("c", "4"), pair("d", "8")];
    assert_eq!(pairs_of(&heap, &map), all);
    assert_eq!(set_many(&heap, &map, &[]), Ok(0));
    assert_eq!(pairs_of(&heap, &map), all);
}

/// Goal: a map with holes is packed by the call that needs the room, and nothing goes astray.
/// Method: remove two of three, so that positions are given out anew, then replace and insert.
#[test]
fn a_map_that_is_packed_meanwhile_keeps_its_entries() {
    for count in [20u64, 3000] {
        let heap = heap(64);
        let map = map(&heap, "map");
        let all: Vec<Pair> = (0..count).map(|number| pair(number, size(number))).collect();
        set_many(&heap, &map, &all).expect("room");
        let mut plain = Plain::default();
        for (number, (key, value)) in all.iter().enumerate() {
            if number % 3 == 1 {
                plain.set(key, value);
            } else {
                heap.with(|context| map.remove(context, key, &mut Vec::new())).expect("a key");
            }
        }
        let new: Vec<Pair> = (count / 2..count * 2).map(|number| pair(number, 20)).collect();
        set_many(&heap, &map, &new).expect("room");
        plain.set_many(&new);
        assert_eq!(pairs_of(&heap, &map), plain.pairs);
    }
}

/// Goal: no number of entries is too large for a call; up to the limit it is one change, and of a larger
/// one that fails a prefix is there.
/// Method: more long entries than a change can save words; then calls whose last value does not fit, one
/// of the limit and one above it.
#[test]
fn a_call_of_any_number_is_stored_and_up_to_the_limit_at_once() {
    let heap = heap(512);
    let map = map(&heap, "map");
    let count = MAX_WORDS as u64 + 10_000;
    let long = |number: u64| (number.to_le_bytes().to_vec(), vec![number as u8; 16]);
    let all: Vec<Pair> = (0..count).map(long).collect();
    assert_eq!(set_many(&heap, &map, &all), Ok(count));
    assert!(pairs_of(&heap, &map) == all);
    for (more, are_parts_left) in [(ONE_CHANGE, false), (ONE_CHANGE + 1, true)] {
        let mut call: Vec<Pair> = (count..count + more as u64).map(long).collect();
        call[more - 1].1 = vec![1; 1 << 29];
        let refused = set_many(&heap, &map, &call);
        assert!(matches!(refused, Err(Error::HeapFull { .. })), "{refused:?}");
        let after = pairs_of(&heap, &map);
        let (before, part) = after.split_at(all.len());
        assert!(before == all);
        assert_eq!(!part.is_empty(), are_parts_left);
        assert!(*part == call[..part.len()], "what is left is no prefix");
    }
}

/// Goal: a call that does not fit changes nothing, and what fits afterwards still does.
/// Method: a heap of 1 MiB, half full; calls whose last values do not fit, all of whose entries
/// would replace or follow others; then one that fits.
#[test]
fn a_call_that_does_not_fit_changes_nothing() {
    for size in [1, 40, 1000, 20_000] {
        let heap = Heap::anonymous(1 << 20).expect("a small heap");
        let map = map(&heap, "map");
        let old: Vec<Pair> = (0..20).map(|number| pair(number, 20_000)).collect();
        set_many(&heap, &map, &old).expect("room");
        let mut new: Vec<Pair> = (0..10).map(|number| pair(number, size)).collect();
        new.extend((0..200).map(|number| pair(1000 + number, size)));
        new.push(pair(5000, 700_000));
        let refused = set_many(&heap, &map, &new);
        assert!(matches!(refused, Err(Error::HeapFull { .. })), "{refused:?}");
        assert!(pairs_of(&heap, &map) == old, "a refused call changed something");
        let mut plain = Plain::default();
        plain.set_many(&old);
        plain.set_many(&new[8..12]);
        set_many(&heap, &map, &new[8..12]).expect("room for a few");
        assert!(pairs_of(&heap, &map) == plain.pairs);
    }
}

#[test]
fn additions_count_together_and_start_at_0() {
    let heap = heap(16);
    let map = map(&heap, "map");
    let add = |additions: &[(&str, i64)]| heap.with(|context| map.add_many(context, additions));
    let pair = |key: &str, number: i64| (key.as_bytes().to_vec(), integer(number).to_vec());
    assert_eq!(add(&[("a", 1), ("b", 10), ("a", 2)]), Ok(()));
    assert_eq!(pairs_of(&heap, &map), [pair("a", 3), pair("b", 10)]);
    assert_eq!(add(&[("c", 0), ("b", -11), ("a", i64::MAX - 3)]), Ok(()));
    let all = [pair("a", i64::MAX), pair("b", -1), pair("c", 0)];
    assert_eq!(pairs_of(&heap, &map), all);
    assert_eq!(add(&[("new", 1), ("b", 5), ("a", 1)]), Err(Error::Overflow));
    assert_eq!(add(&[("new", i64::MAX), ("b", 5), ("new", 1)]), Err(Error::Overflow));
    heap.with(|context| map.set(context, b"text", b"no integer")).expect("room");
    assert_eq!(add(&[("new", 1), ("b", 5), ("text", 1)]), Err(Error::NotAnInteger));
    assert_eq!(pairs_of(&heap, &map)[..3], all, "a refused call changed something");
    assert_eq!(pairs_of(&heap, &map).len(), 4);
}

/// Goal: many additions are what as many single ones are.
#[test]
fn many_additions_are_the_sum_of_single_ones() {
    let heap = heap(64);
    let (many, single) = (map(&heap, "many"), map(&heap, "single"));
    for round in 0..4i64 {
        let additions: Vec<(Vec<u8>, i64)> = (0..20_000u64)
            .map(|number| (pair(number * 7 % (3000 << round), 1).0, number as i64 * round))
            .collect();
        heap.with(|context| {
            many.add_many(context, &additions)?;
            additions.iter().try_for_each(|(key, more)| single.add(context, key, *more).map(|_| ()))
        })
        .expect("room");
        assert!(pairs_of(&heap, &many) == pairs_of(&heap, &single), "round {round}");
    }
}

#[test]
fn entries_without_bytes_are_refused_wherever_they_stand() {
    let heap = heap(16);
    let map = map(&heap, "map");
    let refused = heap.with(|context| map.set_many(context, &few([("a", "1"), ("", "2")])));
    assert!(matches!(refused, Err(Error::BadArgument(_))), "{refused:?}");
    let refused = heap.with(|context| map.set_many(context, &few([("a", "1"), ("b", "")])));
    assert!(matches!(refused, Err(Error::BadArgument(_))), "{refused:?}");
    let refused = heap.with(|context| map.add_many(context, &[("a", 1), ("", 2)]));
    assert!(matches!(refused, Err(Error::BadArgument(_))), "{refused:?}");
    assert_eq!(pairs_of(&heap, &map), []);
}

/// Goal: a call waits while a transaction has the map, and is made after it, as a single write is.
/// Method: a thread calls while a transaction is open; it sleeps when the transaction commits, and
/// its value is the one that stays.
#[test]
fn a_call_waits_for_a_foreign_transaction() {
    let heap = heap(16);
    let map = map(&heap, "map");
    let mut transaction =
        Transaction::begin(heap.context().expect("a context"), None).expect("no other");
    transaction.on(&map).set(b"a", b"of the transaction").expect("a lock");
    std::thread::scope(|scope| {
        let (send, answers) = mpsc::channel();
        let (heap, map) = (&heap, &map);
        scope.spawn(move || {
            let added = heap.with(|context| map.add_many(context, &[("count", 1)]));
            let set = heap.with(|context| map.set_many(context, &few([("a", "of the call")])));
            send.send(added.and(set)).expect("a listener");
        });
        until("the call sleeps", || sleepers(heap) > 0);
        assert!(answers.try_recv().is_err(), "it did not wait");
        transaction.commit().expect("a commit");
        assert_eq!(answers.recv_timeout(Duration::from_secs(20)), Ok(Ok(0)));
    });
    let (key, value) = &pairs_of(&heap, &map)[0];
    assert_eq!((&key[..], &value[..]), (&b"a"[..], &b"of the call"[..]));
    let own = Transaction::begin(heap.context().expect("a context"), None).expect("no other");
    let mut own = own;
    own.on(&map).lock().expect("a lock");
    assert_eq!(set_many(&heap, &map, &[pair(1, 1)]), Err(Error::InTransaction));
}

/// Goal: nobody sees half a call.
/// Method: one thread sets 1,500 keys to the same value again and again, and clears now and then;
/// another copies the map: its values are all the same, and its keys all or none.
#[test]
fn a_reader_sees_all_of_a_call_or_nothing() {
    const KEYS: u64 = 1500;
    let heap = heap(64);
    let map = map(&heap, "map");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..300u64 {
                let pairs: Vec<Pair> =
                    (0..KEYS).map(|key| (pair(key, 1).0, vec![round as u8; 20])).collect();
                set_many(&heap, &map, &pairs).expect("room");
                if round % 5 == 4 {
                    heap.with(|context| map.clear(context)).expect("room");
                }
            }
            is_over.store(true, Ordering::Release);
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_over.load(Ordering::Acquire) {
            assert!(Instant::now() < deadline, "the writer never ends");
            let seen = heap.with(|context| map.snapshot(context)).expect("a copy");
            assert!(seen.is_empty() || seen.len() as u64 == KEYS, "{} keys", seen.len());
            let first = seen.get(0);
            assert!(seen.iter().all(|(_, value)| Some(value) == first.map(|pair| pair.1)));
        }
    });
}
