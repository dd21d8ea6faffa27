//! Transactions that clear, go back thousands of times, leave nothing, or are too large.
//!
//! Goal: a clear and a savepoint cost nothing that grows, and what a transaction may be is known in time.
//! Method: many entries, many savepoints, many transactions; the copy, or what the heap has in use.

use coheap_core::check::check;
use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::objects::{Map, map};
use coheap_core::transaction::Transaction;

use super::{Pairs, World, make, observe};

/// Goal: a map of any size is cleared in a transaction, and any number of entries stored in it after that,
/// while others see the old entries until the commit.
/// Method: more entries than a change could take out or insert one by one, and long ones; then fewer.
#[test]
fn a_map_is_cleared_whatever_its_size() {
    let world = World::new();
    let map = &world.maps[0];
    let entry = |number: u32| {
        let key = format!("{number:0len$}", len = if number.is_multiple_of(5) { 30 } else { 6 });
        (key.into_bytes(), vec![number as u8 | 1; if number.is_multiple_of(7) { 100 } else { 5 }])
    };
    let all: map::Pairs = (0..100_000).map(entry).collect();
    for part in 0..10 {
        let part = all.part(part * 10_000..(part + 1) * 10_000);
        world.heap.with(|context| map.set_many(context, &part)).expect("room");
    }
    for count in [60_000, 513, 512, 1, 0, 3, 0] {
        let before = observe(&world);
        let mut transaction = world.begin();
        transaction.on(map).clear().expect("a map");
        assert_eq!(transaction.on(map).len(), Ok(0));
        for number in 200_000..200_000 + count {
            let (key, value) = entry(number);
            transaction.on(map).set(&key, &value).expect("a write");
        }
        assert_eq!(observe(&world), before);
        transaction.commit().expect("a commit");
        let expected: Pairs = (200_000..200_000 + count).map(entry).collect();
        assert_eq!(observe(&world).maps[0], expected);
        world.heap.with(|context| map.set(context, b"more", b"value")).expect("room");
        world.heap.with(|context| map.remove(context, b"more", &mut Vec::new())).expect("there");
    }
}

/// Goal: a full heap can be emptied in transactions, also by several clears at once.
#[test]
fn maps_of_a_full_heap_are_cleared_together() {
    let heap = Heap::anonymous(1 << 20).expect("an anonymous heap");
    let maps = ["first", "second"].map(|name| make(&heap, name, &map::Recipe));
    for round in 0..3 {
        let full = heap.with(|context| {
            (0u32..).try_for_each(|number| {
                let map = &maps[number as usize % 2];
                map.set(context, &number.to_le_bytes(), &[7; 40]).map(|_| ())
            })
        });
        assert!(matches!(full, Err(Error::HeapFull { .. })), "{full:?}");
        let context = heap.context().expect("a context");
        let mut transaction = Transaction::begin(context, None).expect("no other transaction");
        maps.iter().for_each(|map| transaction.on(map).clear().expect("a map"));
        transaction.commit().unwrap_or_else(|error| panic!("round {round}: {error}"));
        heap.with(|context| {
            assert!(maps[0].is_empty(context)? && maps[1].is_empty(context)?);
            check(context).map(|_| ())
        })
        .expect("a whole heap");
    }
}

/// Goal: savepoints cost what is written between them, not what was written before.
/// Method: so many that copies of all writes would take minutes.
#[test]
fn thousands_of_savepoints_take_no_copies() {
    let world = World::new();
    let (map, value) = (&world.maps[0], &world.value);
    let started = std::time::Instant::now();
    let mut transaction = world.begin();
    transaction.on(value).set(&[9; 1 << 16]).expect("a write");
    for number in 0..30_000u32 {
        let savepoint = transaction.savepoint();
        transaction.on(map).set(&number.to_le_bytes(), b"kept").expect("a write");
        transaction.on(value).get(&mut Vec::new()).expect("a value");
        if number % 3 == 0 {
            transaction.roll_back_to(savepoint).expect("a way back");
        }
    }
    let taken = started.elapsed();
    assert!(taken < std::time::Duration::from_secs(30), "{taken:?}");
    assert_eq!(transaction.on(map).len(), Ok(20_000));
    transaction.commit().expect("a commit");
    assert_eq!(world.heap.with(|context| map.len(context)), Ok(20_000));
}

/// Goal: entries that come and go in transactions leave nothing, neither in the map nor in the heap.
/// Method: a thread that does nothing but transactions; what the heap has in use is what it had after
/// the first few, but for blocks that the thread keeps ready.
#[test]
fn entries_that_come_and_go_in_transactions_leave_nothing() {
    let world = World::new();
    let map = &world.maps[0];
    let round = |number: u64, count: u64| {
        let keys = (0..count).map(|of_round| (number * count + of_round).to_le_bytes());
        let mut transaction = world.begin();
        keys.clone().for_each(|key| transaction.on(map).set(&key, &[7; 40]).expect("a write"));
        transaction.commit().expect("a commit");
        let mut transaction = world.begin();
        for key in keys {
            assert_eq!(transaction.on(map).remove(&key, &mut Vec::new()), Ok(true));
        }
        transaction.commit().expect("a commit");
    };
    for count in [1, 5, 3000] {
        (0..3).for_each(|number| round(number, count));
        let before = world.heap.stats().expect("an open heap").used_bytes;
        (3..3 + 6000 / count).for_each(|number| round(number, count));
        let after = world.heap.stats().expect("an open heap").used_bytes;
        assert!(after <= before + (1 << 16), "{count} at once: {before} bytes, then {after}");
    }
    assert_eq!(observe(&world).maps[0], []);
}

/// Goal: the operation that passes the limit is refused, and changes nothing; what was accepted commits.
/// Method: each kind of operation until it is refused.
#[test]
fn the_operation_that_passes_the_limit_is_refused() {
    const COUNT: u32 = 70_000;
    let heap = Heap::anonymous(256 << 20).expect("an anonymous heap");
    let map = make(&heap, "map", &map::Recipe);
    let fill = || {
        let all = (0..COUNT).map(|number| (number.to_le_bytes(), [7; 100]));
        heap.with(|context| map.clear(context)).expect("a map");
        let all: Vec<_> = all.collect();
        for part in all.chunks(10_000) {
            let part = part.iter().copied().collect();
            heap.with(|context| map.set_many(context, &part)).expect("room");
        }
    };
    type Step = fn(&mut Transaction, &Map, u32) -> Result<()>;
    let steps: [(&str, u64, Step); 6] = [
        ("inserts", 32_000, |block, map, number| {
            block.on(map).set(&(COUNT + number).to_le_bytes(), &[1; 40])
        }),
        ("removals", 32_000, |block, map, number| {
            block.on(map).remove(&number.to_le_bytes(), &mut Vec::new()).map(drop)
        }),
        ("pops", 32_000, |block, map, _| {
            block.on(map).pop_last(&mut Vec::new(), &mut Vec::new()).map(drop)
        }),
        ("replacements", 32_000, |block, map, number| {
            block.on(map).set(&number.to_le_bytes(), &[1; 15])
        }),
        ("replacements of the same length", 32_000, |block, map, number| {
            block.on(map).set(&number.to_le_bytes(), &[1; 100])
        }),
        ("moves to the end", 14_000, |block, map, number| {
            let is_there = block.on(map).remove(&number.to_le_bytes(), &mut Vec::new())?;
            assert!(is_there);
            block.on(map).set(&number.to_le_bytes(), &[1; 3])
        }),
    ];
    for (name, least, step) in steps {
        fill();
        let context = heap.context().expect("a context");
        let mut transaction = Transaction::begin(context, None).expect("no other transaction");
        let refused = (0..COUNT).find_map(|number| {
            step(&mut transaction, &map, number).err().map(|error| (number, error))
        });
        let Some((count, Error::TransactionTooLarge { words, max })) = refused else {
            panic!("{name}: {refused:?}")
        };
        assert!(words > max && u64::from(count) >= least, "{name}: {count} changes");
        // A savepoint gives the room back, as a clear does.
        let savepoint = transaction.savepoint();
        transaction.on(&map).clear().expect("room");
        transaction.on(&map).set(b"one", b"more").expect("room");
        transaction.roll_back_to(savepoint).expect("a way back");
        let expected = transaction.on(&map).snapshot().expect("a map");
        transaction.commit().unwrap_or_else(|error| panic!("{name}: {error}"));
        let committed = heap.with(|context| map.snapshot(context)).expect("a map");
        assert!(committed == expected, "{name}");
    }
}

/// Goal: in a full heap, a block replaces values by others of their length, as a set outside does.
/// Method: a heap without a free block of that length; few replacements, and more than a change can write
/// over others.
#[test]
fn values_are_replaced_in_a_full_heap() {
    let heap = Heap::anonymous(8 << 20).expect("an anonymous heap");
    let map = make(&heap, "map", &map::Recipe);
    let set = |number: u32| heap.with(|context| map.set(context, &number.to_le_bytes(), &[7; 100]));
    let count = (0..).find(|number| set(*number).is_err()).expect("a full heap");
    let replace = |numbers: std::ops::Range<u32>| {
        let context = heap.context().expect("a context");
        let mut transaction = Transaction::begin(context, None).expect("no other transaction");
        numbers
            .into_iter()
            .try_for_each(|number| transaction.on(&map).set(&number.to_le_bytes(), &[1; 100]))
            .and_then(|()| transaction.commit())
    };
    assert_eq!(replace(0..1000), Ok(()));
    let replaced = |number: u32| {
        let mut value = Vec::new();
        heap.with(|context| map.get(context, &number.to_le_bytes(), &mut value)).expect("a map");
        value[..] == [1; 100]
    };
    assert!((0..1000).all(replaced) && !replaced(1000));
    let refused = replace(1000..count.min(31_000));
    assert!(matches!(refused, Err(Error::HeapFull { .. })), "{refused:?}");
    assert!(!replaced(1000) && !replaced(2000));
    heap.with(check).expect("a heap that is whole");
}
