//! Objects that are removed while others wait for them, hold them or have their handles, and whose
//! headers serve other objects at once.
//!
//! What always holds: a wait for an object that is removed ends with `ObjectGone`; who is late
//! changes nothing of the object that has the header next.
//!
//! Not here: removal in random programs (`churn`), and deaths in the middle of one (`crash`).

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use coheap_core::error::Error;
use coheap_core::heap::Heap;
use coheap_core::heap::floors::{ContextFloors as _, HeapFloors as _};
use coheap_core::memory::layout::{Record, SLOT_TURNS};
use coheap_core::objects::mutex::Acquired;
use coheap_core::objects::{Directory, Lockable, Map, Mutex, Queue, Typed, ledger, map, mutex};
use coheap_core::sync::owner::WAITERS;
use coheap_core::sync::parking::table::waiter::Waiter;
use coheap_core::sync::parking::{Key, Manner, Reason, Who, bell};
use coheap_core::transaction::Transaction;

use support::objects::{self, heap, object, settle_and_check};
use support::{alone, in_milliseconds, sleepers, until};

/// Makes and removes objects until one has the header of an earlier one.
fn successor<T: Typed>(heap: &Heap, before: u64, make: impl Fn(&Heap, &str) -> T) -> T {
    for number in 0..10_000 {
        let name = format!("{:?} {number}", T::KIND);
        let object = make(heap, &name);
        if object.handle().at == before {
            return object;
        }
    }
    panic!("the header is not used again");
}

/// Goal: of many who remove a name at once, one does, and the others hear that it is gone.
/// Method: threads remove the same names, some of them only if the object is the one they know.
#[test]
fn a_name_that_many_remove_at_once_is_removed_once() {
    let _alone = alone();
    let heap = heap(4);
    let round = std::sync::Barrier::new(4);
    let removed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (heap, round, removed) = (&heap, &round, &removed);
            scope.spawn(move || {
                for number in 0..2_000 {
                    let name = format!("lock {number}");
                    let lock = objects::mutex(heap, &name);
                    round.wait();
                    let answer = heap.with(|context| match thread % 2 {
                        0 => Directory.remove(context, &name).map(|()| true),
                        _ => Directory.remove_only(context, &name, &lock),
                    });
                    match answer {
                        Ok(true) => drop(removed.fetch_add(1, Ordering::Relaxed)),
                        Ok(false) | Err(Error::NoSuchName) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                    round.wait();
                }
            });
        }
    });
    assert_eq!(removed.load(Ordering::Relaxed), 2_000);
    settle_and_check(&heap);
}

/// Goal: only the object that is meant loses its name.
#[test]
fn a_name_that_went_to_another_object_stays() {
    let heap = heap(1);
    let lock = objects::mutex(&heap, "name");
    let answers = heap.with(|context| {
        let first = Directory.remove_only(context, "name", &lock)?;
        let other = Directory.get_or_create(context, "name", &map::Recipe)?;
        assert_eq!(Directory.remove_only(context, "name", &lock), Ok(false));
        assert_eq!(Directory.remove_only(context, "nothing", &lock), Ok(false));
        Ok((first, Directory.remove_only(context, "name", &other)?))
    });
    assert_eq!(answers, Ok((true, true)));
}

/// Goal: a waiter of a removed lock never gets what has the lock's memory next.
/// Method: a thread waits for a lock that another one holds; it is let go, removed, and a map is
/// made where it was, again and again. The waiter gets the lock or hears that it is gone; the maps
/// are whole.
#[test]
fn a_waiter_of_a_removed_lock_does_not_reach_its_successor() {
    let _alone = alone();
    let heap = heap(4);
    let (round, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut gone = 0u32;
            while !is_over.load(Ordering::Relaxed) {
                let name = format!("lock {}", round.load(Ordering::Acquire));
                let answer = heap.with(|context| {
                    let lock: Mutex = Directory.get(context, &name)?;
                    lock.lock(context, Some(in_milliseconds(2_000)))?;
                    lock.unlock(context)
                });
                match answer {
                    Ok(()) => {}
                    Err(Error::ObjectGone | Error::NoSuchName) => gone += 1,
                    Err(other) => panic!("{other:?}"),
                }
            }
            gone
        });
        for number in 1..2_000u64 {
            let name = format!("lock {number}");
            let lock = objects::mutex(&heap, &name);
            heap.with(|context| {
                lock.lock(context, None)?;
                round.store(number, Ordering::Release);
                (0..number % 300).for_each(|_| std::hint::spin_loop());
                lock.unlock(context)?;
                Directory.remove(context, &name)?;
                let map: Map = Directory.get_or_create(context, "map", &map::Recipe)?;
                assert!(map.set(context, b"key", b"value")?);
                Directory.remove(context, "map")
            })
            .expect("whole");
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(waiter.join().expect("calm") > 0, "the waiter was late at least once");
    });
    settle_and_check(&heap);
}

/// Goal: who releases a lock that is being removed hears that it is gone, and never that it was not
/// its own.
/// Method: a thread takes a lock twice and leaves it twice, all the time, while another one removes it
/// and makes it anew.
#[test]
fn who_releases_a_removed_lock_hears_that_it_is_gone() {
    let _alone = alone();
    let heap = heap(4);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let user = scope.spawn(|| {
            let context = heap.context()?;
            while !is_over.load(Ordering::Relaxed) {
                let recipe = mutex::Recipe::default();
                let lock = Directory.get_or_create(&context, "lock", &recipe)?;
                let used = lock.lock(&context, None).and_then(|_| {
                    lock.lock_again(&context)?;
                    lock.leave(&context)?;
                    lock.leave(&context)
                });
                match used {
                    Ok(()) | Err(Error::ObjectGone) => {}
                    Err(other) => return Err(other),
                }
            }
            Ok(())
        });
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until && !user.is_finished() {
            match heap.with(|context| Directory.remove(context, "lock")) {
                Ok(()) | Err(Error::NoSuchName) => {}
                Err(other) => panic!("{other}"),
            }
        }
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(user.join().expect("calm"), Ok(()));
    });
    settle_and_check(&heap);
}

/// Goal: the holder of a lock that is removed keeps nothing of the next one.
/// Method: a lock is removed while a thread holds it; the next lock in its header is free, and the
/// late release is refused.
#[test]
fn a_lock_that_is_removed_while_it_is_held_leaves_the_next_one_free() {
    let _alone = alone();
    let heap = heap(4);
    let old = objects::mutex(&heap, "old");
    heap.with(|context| {
        old.lock(context, None)?;
        Directory.remove(context, "old")
    })
    .expect("removed");
    let new = successor(&heap, old.handle().at, objects::mutex);
    heap.with(|context| {
        assert_eq!(old.unlock(context), Err(Error::ObjectGone));
        assert_eq!(new.try_lock(context)?, Some(Acquired::Clean));
        assert_eq!(old.unlock(context), Err(Error::ObjectGone));
        assert_eq!(new.depth(context)?, 1);
        new.unlock(context)
    })
    .expect("a lock");
    settle_and_check(&heap);
}

/// Goal: all waits of an object end with it, however many there are.
/// Method: forty threads wait for an item, for a place and for a lock; the queue and the lock are
/// removed once all sleep.
#[test]
fn a_removal_ends_every_wait() {
    let _alone = alone();
    let heap = heap(8);
    let queue = objects::bounded_queue(&heap, "queue", 1, 0);
    let full = objects::bounded_queue(&heap, "full", 1, 0);
    let lock = objects::mutex(&heap, "lock");
    heap.with(|context| {
        full.put(context, b"item")?;
        lock.lock(context, None).map(|_| ())
    })
    .expect("room");
    std::thread::scope(|scope| {
        let late = || Some(in_milliseconds(60_000));
        let threads: Vec<_> = (0..40)
            .map(|number| {
                let heap = &heap;
                scope.spawn(move || {
                    heap.with(|context| match number % 3 {
                        0 => queue.get_wait(context, late(), &mut Vec::new()),
                        1 => full.put_wait(context, late(), b"another"),
                        _ => lock.lock(context, late()).map(|_| ()),
                    })
                })
            })
            .collect();
        until("all sleep", || sleepers(&heap) == 40);
        for name in ["queue", "full", "lock"] {
            heap.with(|context| Directory.remove(context, name)).expect("it is there");
        }
        for thread in threads {
            assert_eq!(thread.join().expect("calm"), Err(Error::ObjectGone));
        }
    });
    settle_and_check(&heap);
}

/// Goal: a removal rings all who wait for the object, whatever for, and nobody else.
/// Method: rows that no thread has wait for a queue in each way, and one for another queue; nobody
/// sleeps, so nobody but the removal rings.
#[test]
fn a_removal_rings_everybody() {
    let _alone = alone();
    let heap = heap(4);
    let region = heap.region();
    let (queue, other) = (objects::queue(&heap, "queue"), objects::queue(&heap, "other"));
    let wait = |number: u32, of: &Queue, reason: Reason| {
        let row = 4 + number;
        while region.real_rows() <= row {
            region.grow_rows(region.real_rows()).expect("memory");
        }
        let waiter = Waiter::new(Who { row, epoch: 1 });
        waiter.hush(region);
        let key = Key { at: of.handle().at, generation: of.handle().generation };
        waiter.park(region, key, reason, Manner::default()).expect("room");
        row
    };
    let rows: Vec<u32> =
        (0..).zip(Reason::ALL).map(|(number, reason)| wait(number, &queue, reason)).collect();
    let others = wait(rows.len() as u32, &other, Reason::Item);
    let is_up = |row: &u32| bell::is_up(region.bell(*row));
    assert!(!rows.iter().any(is_up));
    heap.with(|context| Directory.remove(context, "queue")).expect("it is there");
    assert!(rows.iter().all(is_up), "{:?}", rows.iter().map(is_up).collect::<Vec<_>>());
    assert!(!is_up(&others));
}

/// Goal: in a transaction, an object that was removed is not its successor.
/// Method: a queue is removed and another one made in its header; in one transaction an item is put
/// into the new one and then into the old one. The second is refused, and nothing reaches the new
/// queue by the old handle. The new object's lock is free afterwards.
#[test]
fn a_transaction_tells_an_object_from_its_successor() {
    let _alone = alone();
    let heap = heap(4);
    let old: Queue = objects::queue(&heap, "old");
    heap.with(|context| Directory.remove(context, "old")).expect("removed");
    let new = successor(&heap, old.handle().at, objects::queue);
    let begin = || Transaction::begin(heap.context().expect("a context"), None).expect("no other");
    let mut transaction = begin();
    transaction.on(&new).put(b"for the new one").expect("a place");
    assert_eq!(transaction.on(&old).put(b"for the old one"), Err(Error::ObjectGone));
    transaction.commit().expect("room");
    let mut out = Vec::new();
    heap.with(|context| new.get(context, &mut out)).expect("an item");
    assert_eq!(out, b"for the new one");
    assert_eq!(heap.with(|context| new.get(context, &mut out)), Err(Error::Empty));

    let gone = objects::map(&heap, "gone");
    heap.with(|context| Directory.remove(context, "gone")).expect("removed");
    let map = successor(&heap, gone.handle().at, objects::map);
    let mut transaction = begin();
    transaction.on(&map).set(b"key", b"value").expect("locked");
    assert_eq!(transaction.try_lock(Lockable::of(&gone)), Err(Error::ObjectGone));
    transaction.commit().expect("room");
    let mut transaction = begin();
    assert_eq!(transaction.try_lock(Lockable::of(&map)), Ok(true), "its lock is free");
    drop(transaction);
    settle_and_check(&heap);
}

/// Goal: what a fork finds on its list is entered for the child only if it is still that.
/// Method: threads make and release references and lease items of named queues, whose removal would
/// find a wrong reference, while the process forks.
#[test]
fn a_fork_beside_threads_that_release_enters_no_wrong_reference() {
    let _alone = alone();
    let heap = heap(8);
    let is_over = AtomicBool::new(false);
    let queue = objects::queue(&heap, "queue");
    let recipe = mutex::Recipe::around(b"x");
    let _named: Mutex = object(&heap, "named", &recipe).expect("room");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    heap.with(|context| {
                        let (_, reference) = ledger::create(context, &map::Recipe)?;
                        queue.put(context, b"item")?;
                        ledger::release(context, &reference)?;
                        let lease = queue.lease(context, &mut Vec::new())?;
                        queue.ack(context, &lease)
                    })
                    .or_else(|error| if error == Error::Empty { Ok(()) } else { Err(error) })
                    .expect("room");
                }
            });
        }
        for _ in 0..200 {
            let mut child = support::child::fork(|| 0);
            child.must_succeed();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    heap.with(|context| Directory.remove(context, "queue")).expect("it is there");
    settle_and_check(&heap);
}

/// Goal: a reference that a thread gives up while another one forks is not entered for the child,
/// whatever its record serves then.
/// Method: the fork has read the list and waits for the child's turn; meanwhile the second reference
/// is released and its record becomes a lease of a queue. The child gets the first one only.
#[test]
fn a_fork_passes_over_a_record_that_has_changed() {
    let _alone = alone();
    let heap = heap(4);
    let queue = objects::queue(&heap, "queue");
    let context = heap.context().expect("a context");
    let [(_, second), (kept, _)] =
        [(); 2].map(|()| ledger::create(&context, &map::Recipe).expect("room"));
    let own = heap.region().slot(context.member().slot());
    let references = || heap.with(|context| ledger::references(context, &queue.handle()));
    let before = references();
    // The list begins with the newest record, which names the older one.
    let newest: &Record = heap.region().at(own.leases.get()).expect("a record");
    let record = newest.next.get();
    let unborn = context.member().expect_child().expect("a look").expect("a slot");
    let child = unborn.incarnation();
    let turn = SLOT_TURNS + child.slot;
    std::thread::scope(|scope| {
        let held = context.hold(turn).expect("free");
        let fork = scope.spawn(|| heap.with(|context| ledger::bequeath(context, child)));
        let owner = &heap.region().turn(turn).owner;
        until("the fork waits", || owner.get() & WAITERS != 0);
        let release = || {
            heap.with(|context| ledger::release(context, &second))?;
            (0..1_000).try_for_each(|_| {
                if own.leases.get() == record {
                    return Ok(());
                }
                heap.with(|context| queue.put(context, b"item"))?;
                heap.with(|context| queue.lease(context, &mut Vec::new()).map(drop))
            })
        };
        scope.spawn(release).join().expect("calm").expect("room");
        assert_eq!(own.leases.get(), record, "the record is not used again");
        drop(held);
        fork.join().expect("calm").expect("room");
    });
    assert_eq!(references(), before, "the queue has a reference more");
    let listed = heap.region().slot(child.slot).lease_count.get();
    assert_eq!(listed, 1);
    let of_kept = heap.with(|context| ledger::references(context, &kept.handle()));
    assert_eq!(of_kept, Ok(2));
    drop((unborn, context));
    settle_and_check(&heap);
}
