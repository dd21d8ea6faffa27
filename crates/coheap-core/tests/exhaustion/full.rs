//! Heaps that are full.
//!
//! Full means: not one more value of the size at hand fits. What is refused changes nothing; what
//! is there can be read and removed; then as much fits as at first.

use coheap_core::check::check;
use coheap_core::error::Error;
use coheap_core::heap::Heap;
use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::journal::Context;
use coheap_core::objects::{Directory, Map, Queue, Recipe};
use coheap_core::objects::{map, mutex, queue, value};
use coheap_core::transaction::Transaction;

use crate::support::alone;
use crate::support::child::{alarm, fork};
use crate::support::objects::{heap, map, mutex, queue, value};

/// Sizes of values: in the cell, in a small block, in a large one, in spans of their own.
const SIZES: [usize; 6] = [8, 40, 1000, 5000, 20_000, 100_000];

fn small_heap(kibibytes: u64) -> Heap {
    Heap::anonymous(kibibytes << 10).expect("a small heap")
}

fn key(number: u64) -> Vec<u8> {
    match number.is_multiple_of(2) {
        true => number.to_le_bytes().to_vec(),
        false => format!("key number {number}, too long for a cell").into_bytes(),
    }
}

/// Asserts that the error is `HeapFull` with numbers that make sense.
fn assert_full(error: &Error, heap: &Heap) {
    let Error::HeapFull { wanted, used, max, .. } = error else { panic!("{error:?}") };
    assert_eq!(*max, heap.region().header().max_bytes.get());
    assert!(*used <= *max && *wanted > 0, "{error:?}");
}

/// Fills the map until an error; answers how many entries were set.
fn fill(heap: &Heap, map: &Map, size: usize) -> u64 {
    let mut number = 0;
    loop {
        let bytes = vec![number as u8; size];
        match heap.with(|context| map.set(context, &key(number), &bytes)) {
            Ok(_) => number += 1,
            Err(error) => {
                assert_full(&error, heap);
                return number;
            }
        }
        assert!(number < 10_000_000, "the heap is never full");
    }
}

/// Goal: a full heap says so, changes nothing, and can be emptied key by key, again and again.
/// Method: for each size of heap and value: fill a map, read all of it, remove every key, walk the
/// heap; the second and third time as many entries fit as the first time.
#[test]
fn a_full_map_can_be_emptied_key_by_key() {
    for kibibytes in [64, 256, 1024, 4096] {
        for size in SIZES {
            let heap = small_heap(kibibytes);
            let map = map(&heap, "map");
            let fitted: Vec<u64> = (0..3).map(|_| fill_and_empty(&heap, &map, size)).collect();
            assert!(
                fitted[1] >= fitted[0] * 9 / 10 && fitted[2] >= fitted[1] * 9 / 10,
                "{kibibytes} KiB, values of {size}: room is lost, {fitted:?} entries fitted"
            );
        }
    }
}

/// Goal: what is removed from a full map makes room for as much, for ever, whichever goes.
/// Method: fill, remove a part by one pattern, fill again with new keys, twenty times; walk the heap
/// and compare all entries and their order each time.
#[test]
fn a_full_map_takes_as_much_as_was_removed() {
    let patterns: [fn(usize, usize, usize) -> bool; 4] = [
        |at, len, _| at < len / 8,
        |at, len, _| at >= len - len / 8,
        |at, _, round| (at * 7 + round) % 8 == 0,
        |at, _, round| (at / 3 + round) % 2 == 0,
    ];
    for kibibytes in [64, 512, 4096] {
        for (number, is_removed) in patterns.into_iter().enumerate() {
            let heap = small_heap(kibibytes);
            let map = map(&heap, "map");
            let mut there = Vec::new();
            let mut next = 0u64;
            let mut first = 0;
            for round in 0..20 {
                loop {
                    let key = next.to_le_bytes();
                    match heap.with(|context| map.set(context, &key, b"value")) {
                        Ok(_) => there.push(next),
                        Err(error) => break assert_full(&error, &heap),
                    }
                    next += 1;
                }
                if round == 0 {
                    first = there.len();
                }
                assert!(
                    there.len() >= first * 9 / 10,
                    "{kibibytes} KiB, pattern {number}, round {round}: {} of {first}",
                    there.len()
                );
                let len = there.len();
                let mut at = 0;
                there.retain(|key| {
                    let goes = is_removed(at, len, round);
                    at += 1;
                    if goes {
                        let mut out = Vec::new();
                        let removed =
                            heap.with(|context| map.remove(context, &key.to_le_bytes(), &mut out));
                        assert_eq!(removed, Ok(true));
                    }
                    !goes
                });
                heap.with(check).expect("a whole heap");
                let pairs = heap.with(|context| map.snapshot(context)).expect("the entries");
                let keys: Vec<u64> = pairs
                    .iter()
                    .map(|(key, _)| u64::from_le_bytes(key.try_into().expect("eight bytes")))
                    .collect();
                assert_eq!(keys, there);
            }
        }
    }
}

fn fill_and_empty(heap: &Heap, map: &Map, size: usize) -> u64 {
    let mut out = Vec::new();
    let count = fill(heap, map, size);
    heap.with(|context| {
        assert_eq!(map.len(context)?, count);
        check(context)?;
        for number in 0..count {
            assert!(map.get(context, &key(number), &mut out)?);
            assert_eq!(out, vec![number as u8; size], "an entry changed");
        }
        for number in 0..count {
            assert!(map.remove(context, &key(number), &mut out)?, "a full heap refuses to remove");
        }
        assert!(map.is_empty(context)?);
        check(context)
    })
    .expect("a full heap can be read and emptied");
    count
}

/// Goal: whole objects can be cleared and removed from a full heap.
/// Method: fill a heap by a map, to the last block by values of one byte less each time; `clear`
/// it, fill it again, remove it by name; nearly everything is free then.
#[test]
fn a_full_heap_can_be_cleared() {
    for size in SIZES {
        let heap = small_heap(1024);
        let map = map(&heap, "map");
        fill_every_gap(&heap, &map, size);
        heap.with(|context| map.clear(context)).expect("a full map can be cleared");
        fill_every_gap(&heap, &map, size);
        heap.with(|context| Directory.remove(context, "map")).expect("and removed");
        let report = heap.with(check).expect("a whole heap");
        assert_eq!(report.objects, 0);
        heap.with(coheap_core::allocator::reclaim).expect("pending blocks go back");
        let used = heap.with(check).expect("a whole heap").used_bytes;
        assert!(used <= 200 << 10, "{used} bytes are still in use with nothing in the heap");
    }
}

/// Fills with `size`, then the gaps with ever smaller values.
fn fill_every_gap(heap: &Heap, map: &Map, size: usize) {
    let mut number = 1 << 32;
    let mut size = size;
    while size > 0 {
        let bytes = vec![1; size];
        match heap.with(|context| map.set(context, &key(number), &bytes)) {
            Ok(_) => number += 1,
            Err(_) => size /= 2,
        }
    }
}

/// Goal: a map without entries in a full heap refuses at once, whether it ever had any, and whoever
/// asks.
/// Method: an empty, a cleared and an emptied map; fill every gap of the heap; each of the ways to
/// insert, in a child that SIGALRM ends if one of them does not return.
#[test]
fn a_map_without_entries_refuses_when_the_heap_is_full() {
    let heap = small_heap(1024);
    let maps = ["empty", "cleared", "emptied"].map(|name| map(&heap, name));
    let filler = map(&heap, "filler");
    for map in &maps[1..] {
        for number in 0..600 {
            heap.with(|context| map.set(context, &key(number), b"short")).expect("room");
        }
    }
    heap.with(|context| {
        maps[1].clear(context)?;
        let remove = |number| maps[2].remove(context, &key(number), &mut Vec::new()).map(|_| ());
        (0..600).try_for_each(remove)
    })
    .expect("two maps without entries");
    fill_every_gap(&heap, &filler, 5000);
    let mut child = fork(|| {
        alarm(20);
        let long = [7; 5000];
        for map in &maps {
            let refused = |done: Result<(), Error>| assert_full(&done.expect_err("no room"), &heap);
            refused(heap.with(|context| map.set(context, b"key", &long).map(|_| ())));
            let change = |old: Option<&[u8]>| {
                heap.with(|context| {
                    map.compare_and_set(context, b"key", old, Some(&long)).map(|_| ())
                })
            };
            refused(change(None));
            refused(insert_short_ones(&heap, map));
            refused(transact_short_ones(&heap, map));
            let len = heap.with(|context| map.len(context));
            assert_eq!(len, Ok(0), "what is refused changes nothing");
        }
        0
    });
    child.must_succeed();
    crate::support::objects::settle_and_check(&heap);
}

/// More short entries than the segments that a map may have kept can take, in one call.
fn insert_short_ones(heap: &Heap, map: &Map) -> Result<(), Error> {
    let keys: Vec<([u8; 8], i64)> = (0..2000u64).map(|n| (n.to_le_bytes(), 1)).collect();
    heap.with(|context| map.add_many(context, &keys))
}

/// The same in a transaction.
fn transact_short_ones(heap: &Heap, map: &Map) -> Result<(), Error> {
    let mut tx = Transaction::begin(heap.context()?, None)?;
    for number in 0..2000u64 {
        tx.on(map).set(&number.to_le_bytes(), b"short")?;
    }
    tx.commit()
}

/// Goal: a full queue-heap refuses to put and can be emptied by `get`, and by leases.
/// Method: fill a queue in a small heap; take half of the items by `get`, half by lease and ack.
#[test]
fn a_heap_full_of_items_can_be_emptied() {
    for size in SIZES {
        let heap = small_heap(1024);
        let jobs = queue(&heap, "jobs");
        let put = |heap: &Heap| fill_queue(heap, &jobs, size);
        let first = put(&heap);
        let mut out = Vec::new();
        heap.with(|context| {
            for _ in 0..first / 2 {
                jobs.get(context, &mut out)?;
                assert_eq!(out.len(), size);
            }
            while jobs.len(context)? > 0 {
                let lease = jobs.lease(context, &mut out)?;
                jobs.ack(context, &lease)?;
            }
            check(context)
        })
        .expect("a full queue can be emptied");
        assert!(put(&heap) >= first * 9 / 10, "values of {size}: room was lost");
    }
}

fn fill_queue(heap: &Heap, jobs: &Queue, size: usize) -> u64 {
    let bytes = vec![1; size];
    let mut count = 0;
    loop {
        match heap.with(|context| jobs.put(context, &bytes)) {
            Ok(()) => count += 1,
            Err(error) => {
                assert_full(&error, heap);
                return count;
            }
        }
    }
}

/// Goal: workers that lease can empty a heap that is full to the last block.
/// Method: fill a queue, then every gap; lease and ack one item after the other.
#[test]
fn a_heap_full_to_the_last_block_still_gives_leases() {
    let heap = small_heap(256);
    let jobs = queue(&heap, "jobs");
    let filler = map(&heap, "filler");
    let count = fill_queue(&heap, &jobs, 5000);
    fill_every_gap(&heap, &filler, 5000);
    let mut out = Vec::new();
    for number in 0..count {
        heap.with(|context| {
            let lease = jobs.lease(context, &mut out)?;
            jobs.ack(context, &lease)
        })
        .unwrap_or_else(|error| panic!("item {number} of {count} cannot be leased: {error}"));
    }
    heap.with(check).expect("a whole heap");
}

fn make(context: &Context, name: &str, recipe: &impl Recipe) -> Result<(), Error> {
    Directory.get_or_create(context, name, recipe).map(|_| ())
}

/// Goal: making objects in a full heap fails cleanly, and everything made can be removed.
/// Method: make objects of each kind until an error, remove them all.
#[test]
fn a_heap_full_of_objects_can_be_emptied() {
    let heap = small_heap(512);
    type Maker = fn(&Context, &str) -> Result<(), Error>;
    let makers: [Maker; 4] = [
        |context, name| make(context, name, &map::Recipe),
        |context, name| make(context, name, &value::Recipe::of(&[1; 3000])),
        |context, name| make(context, name, &queue::Recipe { limit: 0, max_attempts: 0 }),
        |context, name| make(context, name, &mutex::Recipe::around(&[2; 100])),
    ];
    let mut names = Vec::new();
    for number in 0.. {
        let name = format!("object {number}");
        let maker = makers[number % makers.len()];
        match heap.with(|context| maker(context, &name)) {
            Ok(_) => names.push(name),
            Err(error) => {
                assert_full(&error, &heap);
                break;
            }
        }
    }
    assert!(names.len() > 50, "{} objects in 512 KiB", names.len());
    heap.with(|context| {
        check(context)?;
        assert_eq!(Directory.names(context)?.len(), names.len());
        for name in &names {
            Directory.remove(context, name)?;
        }
        assert_eq!(check(context)?.objects, 0);
        Ok(())
    })
    .expect("all objects can be removed from a full heap");
}

/// Goal: a transaction that finds no room changes nothing at all.
/// Method: in a nearly full heap, change a value, a counter and a queue in one transaction that
/// also sets something large; compare everything.
#[test]
fn a_transaction_without_room_changes_nothing() {
    let heap = small_heap(256);
    let (books, filler) = (map(&heap, "books"), map(&heap, "filler"));
    let (jobs, total, _) = (queue(&heap, "jobs"), value(&heap, "total"), mutex(&heap, "lock"));
    let mut out = Vec::new();
    heap.with(|context| {
        books.add(context, b"key", 1)?;
        // From now on the queue has all it needs for one more item.
        jobs.put(context, b"job")?;
        let lease = jobs.lease(context, &mut out)?;
        jobs.ack(context, &lease)
    })
    .expect("there is room");
    fill(&heap, &filler, 5000);
    let before = heap.with(|context| books.snapshot(context)).expect("a snapshot");
    let context = heap.context().expect("a context");
    let mut tx = Transaction::begin(context, None).expect("a transaction");
    tx.on(&total).add(7).expect("a sum");
    tx.on(&books).add(b"key", 1).expect("a sum");
    tx.on(&jobs).put(b"job").expect("a promise");
    tx.on(&books).set(b"large", &[1; 50_000]).expect("only intent");
    assert_full(&tx.commit().expect_err("no room"), &heap);
    heap.with(|context| {
        assert_eq!(books.snapshot(context)?, before);
        assert_eq!(total.add(context, 0)?, 0);
        assert_eq!(jobs.len(context)?, 0);
        check(context)
    })
    .expect("nothing was changed");
}

/// Goal: what lies pending with the dead does not make a heap smaller for ever.
/// Method: ten children fill and empty a heap and are killed; then as much fits as at first.
#[test]
fn the_dead_take_no_room_with_them() {
    let _alone = alone();
    let heap = small_heap(1024);
    let map = map(&heap, "map");
    let first = fill_and_empty(&heap, &map, 1000);
    for _ in 0..10 {
        let mut child = crate::support::child::fork(|| {
            fill_and_empty(&heap, &map, 1000);
            crate::support::child::die()
        });
        child.wait();
    }
    let last = fill_and_empty(&heap, &map, 1000);
    assert!(last >= first * 9 / 10, "{first} entries fitted at first and {last} at last");
    crate::support::objects::settle_and_check(&heap);
}

/// Goal: the smallest heap that can be made is of use.
/// Method: one of each object in 64 KiB.
#[test]
fn the_smallest_heap_holds_something() {
    let heap = small_heap(64);
    let total = value(&heap, "total");
    assert_eq!(heap.with(|context| total.add(context, 3)), Ok(3));
    heap.with(check).expect("a whole heap");
    for max_bytes in [0, 1, (64 << 10) - 1, (1 << 42) + 1, u64::MAX] {
        assert!(matches!(Heap::anonymous(max_bytes), Err(Error::BadArgument(_))));
    }
    drop(self::heap(1));
}
