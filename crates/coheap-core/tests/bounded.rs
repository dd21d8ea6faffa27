//! Somebody who asked for something small does a small portion of large work, whoever left that work.
//!
//! How much an operation did is counted in changes: each one moves the sequence of a turn. So nothing
//! here depends on how fast the machine is.
//!
//! What always holds: the remains are gone in the end, also where only small operations run, where only
//! a waiter sleeps, and where the process that left them dies.

#[path = "support/mod.rs"]
mod support;

use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::heap::floors::{ContextFloors as _, HeapFloors as _};
use coheap_core::journal::Context;
use coheap_core::memory::Region;
use coheap_core::memory::layout::ARENA_COUNT;
use coheap_core::objects::map::{Pairs, Recipe};
use coheap_core::objects::{Map, Reference, estate, ledger};
use coheap_core::os::{self, HeapFile};
use coheap_core::sync::life::{State, StateWord};
use coheap_core::transaction::Transaction;

use support::child::{Child, die, fork};
use support::objects::{heap, map, mutex, queue, settle_and_check, value};
use support::{in_milliseconds, until};

/// Maps that a process leaves, and entries of each. Taken apart at once, they are some ten thousand
/// changes.
const MAPS: u32 = 4;
const ENTRIES: u32 = 40_000;
/// The changes of a small operation with its portion, at most.
const FEW: u64 = 400;

/// Counts the changes under all turns since the heap was made.
fn changes(region: &Region) -> u64 {
    let turns = Region::real_turns(region.real_slots());
    turns.map(|turn| region.turn(turn).sequence.get() / 2).sum()
}

/// Runs something, and returns its answer with the number of changes that it made.
fn counted<T>(heap: &Heap, act: impl FnOnce() -> T) -> (T, u64) {
    let before = changes(heap.region());
    let answer = act();
    (answer, changes(heap.region()) - before)
}

/// Returns whether anything is left for others to take apart.
fn has_remains(heap: &Heap) -> bool {
    let region = heap.region();
    let arenas = (0..ARENA_COUNT).map(|arena| region.arena(arena));
    let mut chains = arenas.flat_map(|arena| [&arena.husks, &arena.freed]);
    chains.any(|chain| chain.get() != 0)
        || (0..region.real_slots())
            .any(|slot| StateWord(region.slot(slot).state.get()).state() == State::Estate)
        || (0..region.real_rows()).any(|row| {
            let control = region.control(row);
            [&control.husks, &control.built, &control.freed].iter().any(|it| it.get() != 0)
        })
}

/// Some pairs of short keys and values that take a block each.
fn pairs(count: u32) -> Pairs {
    (0..count).map(|number| (number.to_le_bytes(), [9; 24])).collect()
}

/// Makes maps without a name.
fn make_maps(context: &Context, maps: u32) -> Result<Vec<(Map, Reference)>> {
    let pairs = pairs(ENTRIES);
    (0..maps)
        .map(|_| {
            let (map, reference) = ledger::create(context, &Recipe)?;
            map.set_many(context, &pairs)?;
            Ok((map, reference))
        })
        .collect()
}

/// Leaves the estate of a process that had large maps without a name, and the lock `lock`.
fn leave_estate(heap: &Heap) {
    let lock = mutex(heap, "lock");
    let mut child = fork(|| {
        let done = heap.with(|context| {
            make_maps(context, MAPS)?;
            lock.lock(context, None)
        });
        assert!(done.is_ok(), "{done:?}");
        die()
    });
    child.wait();
    let swept = &heap.region().header().swept;
    until("it is time to look", || os::now().abs_diff(swept.get()) > 21_000_000);
}

/// Asserts that an operation does a part of the work, but not much of it.
fn assert_does_little<T>(heap: &Heap, what: &str, act: impl FnOnce() -> T) -> T {
    let (answer, changes) = counted(heap, act);
    assert!(changes < FEW, "{what} made {changes} changes");
    assert!(has_remains(heap), "{what} did all of it, in {changes} changes");
    answer
}

/// Goal: an operation that only meets the dead on its way does a small portion of what they left.
/// Method: count its changes. Each operation has a heap of its own, where nobody has looked yet.
#[test]
fn who_asks_for_little_does_little_for_the_dead() {
    type Act = fn(&Heap);
    let acts: [(&str, Act); 7] = [
        ("the lock of the dead, tried", |heap| {
            let lock = mutex(heap, "lock");
            let taken = heap.with(|context| lock.try_lock(context));
            assert!(matches!(taken, Ok(Some(_))), "{taken:?}");
        }),
        ("the lock of the dead, with a time-out", |heap| {
            let lock = mutex(heap, "lock");
            let taken = heap.with(|context| lock.lock(context, Some(in_milliseconds(50))));
            assert!(taken.is_ok(), "{taken:?}");
        }),
        ("get, not waiting", |heap| {
            let queue = queue(heap, "queue");
            let got = heap.with(|context| queue.get(context, &mut Vec::new()));
            assert_eq!(got, Err(Error::Empty));
        }),
        ("lease, not waiting", |heap| {
            let queue = queue(heap, "queue");
            let got = heap.with(|context| queue.lease(context, &mut Vec::new()));
            assert!(matches!(got, Err(Error::Empty)), "{got:?}");
        }),
        ("get, with a time-out", |heap| {
            let queue = queue(heap, "queue");
            let until = Some(in_milliseconds(5));
            let got = heap.with(|context| queue.get_wait(context, until, &mut Vec::new()));
            assert_eq!(got, Err(Error::Empty));
        }),
        ("attach and close", |heap| {
            let copy = |file: &HeapFile| {
                HeapFile::from_descriptor(file.descriptor().try_clone_to_owned().expect("one more"))
            };
            drop(Heap::from_files(heap.files().map(copy)).expect("a heap to attach to"));
        }),
        ("fork", |heap| {
            fork(|| 0).must_succeed();
            assert_eq!(heap.with(|_| Ok(())), Ok(()));
        }),
    ];
    for (what, act) in acts {
        let heap = heap(64);
        queue(&heap, "queue");
        leave_estate(&heap);
        assert_does_little(&heap, what, || act(&heap));
        settle_and_check(&heap);
        assert!(!has_remains(&heap), "a sweep leaves nothing");
    }
}

/// Goal: what was begun is finished by the small operations of the process that began it, also by
/// those that only read, and none of them does much.
#[test]
fn small_operations_get_there() {
    let heap = heap(64);
    let (lock, small) = (mutex(&heap, "lock"), map(&heap, "small"));
    leave_estate(&heap);
    assert_does_little(&heap, "try_lock", || heap.with(|context| lock.try_lock(context)))
        .expect("the lock of the dead");
    let mut operations = 0;
    while has_remains(&heap) {
        let (answer, changes) = counted(&heap, || {
            heap.with(|context| match operations % 3 {
                0 => small.set(context, b"key", b"value"),
                _ => small.get(context, b"key", &mut Vec::new()),
            })
        });
        assert!(answer.is_ok(), "{answer:?}");
        assert!(changes < FEW, "operation {operations} made {changes} changes");
        operations += 1;
        assert!(operations < MAPS * ENTRIES, "this never ends");
    }
    assert!(operations > 10, "{operations} operations did it all");
    settle_and_check(&heap);
}

/// Goal: where nobody does anything, those who sleep finish what the dead have left.
/// Method: a child waits for an item; the parent only looks.
#[test]
fn a_sleeper_gets_there() {
    let heap = heap(64);
    let queue = queue(&heap, "queue");
    leave_estate(&heap);
    let mut child = fork(|| {
        let got = heap.with(|context| queue.get_wait(context, None, &mut Vec::new()));
        i32::from(got.is_err())
    });
    // The fork has begun.
    assert!(has_remains(&heap));
    until("a ticker settles what they left", || !has_remains(&heap));
    heap.with(|context| queue.put(context, b"item")).expect("room");
    child.must_succeed();
    settle_and_check(&heap);
}

/// Goal: whoever would hear that the heap is full goes on to the end, and looks after each portion
/// whether there is room and whether its time is over.
/// Method: an operation that may not wait returns `Busy` again and again; each call does little.
#[test]
fn who_would_hear_that_the_heap_is_full_goes_on() {
    let heap = heap(24);
    let (text, more) = (value(&heap, "text"), value(&heap, "more"));
    let large = vec![1; 16 << 20];
    leave_estate(&heap);
    let set = || heap.with(|context| context.waiting_until(0, |it| text.set(it, &large)));
    let mut rounds = 0;
    loop {
        let (answer, changes) = counted(&heap, set);
        assert!(changes < 4 * FEW, "round {rounds} made {changes} changes");
        match answer {
            Err(Error::Busy { .. }) => rounds += 1,
            other => break assert_eq!(other, Ok(())),
        }
        assert!(rounds < MAPS * ENTRIES, "this never ends");
    }
    assert!(rounds > 10, "it took {rounds} rounds");
    // Nothing is left that could be taken apart.
    let set = heap.with(|context| more.set(context, &large));
    assert!(matches!(set, Err(Error::HeapFull { .. })), "{set:?}");
    settle_and_check(&heap);
}

/// Goal: the same in one call, where the caller may wait; and it stops as soon as there is room.
#[test]
fn who_needs_a_little_room_stops_early() {
    let heap = heap(64);
    let text = value(&heap, "text");
    leave_estate(&heap);
    let small = map(&heap, "small");
    // The rest of the heap.
    let mut number = 0u64;
    let full = loop {
        let (set, changes) = counted(&heap, || {
            heap.with(|context| small.set(context, &number.to_le_bytes(), &[7; 4000]))
        });
        if has_begun(&heap) {
            assert_eq!(set, Ok(true));
            break changes;
        }
        assert_eq!(set, Ok(true));
        number += 1;
    };
    assert!(full < 8 * FEW && has_remains(&heap), "it made {full} changes");
    let set = heap.with(|context| text.set(context, &vec![1; 10 << 20]));
    assert_eq!(set, Ok(()));
    settle_and_check(&heap);
}

/// Returns whether somebody has begun to settle what the dead have left.
fn has_begun(heap: &Heap) -> bool {
    (0..ARENA_COUNT).any(|arena| heap.region().arena(arena).husks.get() != 0)
}

/// Goal: a living process, too, leaves what is large to others, if it asked for something small; and
/// others have the room before it does anything more.
/// Method: remove the last entry of a map that was large; another process takes the room.
#[test]
fn the_last_entry_takes_little_with_it() {
    let heap = heap(24);
    let (large, text) = (map(&heap, "large"), value(&heap, "text"));
    let count = 300_000u32;
    let keys: Vec<[u8; 4]> = (0..count).map(u32::to_le_bytes).collect();
    let pairs: Pairs = keys.iter().map(|key| (*key, [1])).collect();
    heap.with(|context| large.set_many(context, &pairs)).expect("room");
    for key in &keys[1..] {
        heap.with(|context| large.remove(context, key, &mut Vec::new())).expect("an entry");
    }
    let removed = assert_does_little(&heap, "remove", || {
        heap.with(|context| large.remove(context, &keys[0], &mut Vec::new()))
    });
    assert_eq!(removed, Ok(true));
    let mut other = fork(|| {
        let set = heap.with(|context| text.set(context, &vec![1; 16 << 20]));
        i32::from(set.is_err())
    });
    other.must_succeed();
    settle_and_check(&heap);
    assert!(!has_remains(&heap), "nothing is left");
}

/// Goal: who asks for the end of something large takes it apart, and its next operations are small.
#[test]
fn who_clears_a_map_takes_it_apart() {
    let heap = heap(64);
    let large = map(&heap, "large");
    heap.with(|context| large.set_many(context, &pairs(ENTRIES))).expect("room");
    let (cleared, changes) = counted(&heap, || heap.with(|context| large.clear(context)));
    assert_eq!(cleared, Ok(()));
    assert!(changes > FEW && !has_remains(&heap), "clear made {changes} changes");
    let (_, changes) = counted(&heap, || {
        heap.with(|context| large.set(context, b"key", b"value")).expect("room");
    });
    assert!(changes < FEW, "set made {changes} changes");
    settle_and_check(&heap);
}

/// Goal: a process that goes on with remains may die anywhere, and the next one goes on.
/// Method: children that begin are killed one after the other; each leaves less.
#[test]
fn who_goes_on_may_die() {
    let heap = heap(64);
    let small = map(&heap, "small");
    leave_estate(&heap);
    let go_on = || -> Child {
        fork(|| {
            for _ in 0..500 {
                heap.with(|context| small.get(context, b"key", &mut Vec::new())).expect("a read");
            }
            die()
        })
    };
    let mut children = 0;
    heap.with(estate::sweep_in_passing).expect("a sweep");
    while has_remains(&heap) {
        go_on().wait();
        children += 1;
        heap.with(estate::sweep_in_passing).expect("a sweep");
        assert!(children < 1000, "this never ends");
    }
    settle_and_check(&heap);
}

/// Goal: what a transaction cuts loose from a map serves every other object once it has committed, also
/// while its thread is idle.
/// Method: entries come and go in transactions only, so that the map is packed again and again; then
/// another process takes half of the heap.
#[test]
fn what_a_transaction_leaves_serves_others() {
    let heap = heap(8);
    let (few, text) = (map(&heap, "few"), value(&heap, "text"));
    let region = heap.region();
    let context = heap.context().expect("a context");
    for number in 0..20_000u64 {
        let mut transaction = Transaction::begin(heap.context().expect("a context"), None)
            .expect("no other transaction");
        transaction.on(&few).set(&number.to_le_bytes(), &[b'z'; 100]).expect("a write");
        if let Some(old) = number.checked_sub(10) {
            let removed = transaction.on(&few).remove(&old.to_le_bytes(), &mut Vec::new());
            assert_eq!(removed, Ok(true));
        }
        transaction.commit().expect("a commit");
        let husks = &region.control(context.index()).husks;
        assert_eq!(husks.get(), 0, "a husk is left after commit {number}");
    }
    let mut other = fork(|| {
        let set = heap.with(|context| text.set(context, &vec![1; 4 << 20]));
        i32::from(set.is_err())
    });
    other.must_succeed();
    settle_and_check(&heap);
}

/// Goal: the same of a transaction that found no room: what its preparation cut loose is not kept.
#[test]
fn what_a_refused_transaction_leaves_serves_others() {
    let heap = heap(2);
    let (few, text) = (map(&heap, "few"), value(&heap, "text"));
    let context = heap.context().expect("a context");
    for number in 0..3_000u64 {
        let key = number.to_le_bytes();
        heap.with(|context| few.set(context, &key, &[1])).expect("room");
    }
    for number in 10..3_000u64 {
        let key = number.to_le_bytes();
        heap.with(|context| few.remove(context, &key, &mut Vec::new())).expect("an entry");
    }
    let mut transaction =
        Transaction::begin(heap.context().expect("a context"), None).expect("no other transaction");
    for number in 0..2_000u64 {
        transaction.on(&few).set(&number.to_be_bytes(), &[2]).expect("a write");
    }
    transaction.on(&text).set(&vec![1; 4 << 20]).expect("a write");
    let done = transaction.commit();
    assert!(matches!(done, Err(Error::HeapFull { .. })), "{done:?}");
    assert_eq!(heap.region().control(context.index()).husks.get(), 0);
    settle_and_check(&heap);
}
