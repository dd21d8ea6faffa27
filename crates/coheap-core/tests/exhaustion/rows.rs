//! Rows of threads, one by one: taken, left as orphans, free again, retired.
//!
//! What is promised: a thread that ends never loses its row for good, and a row that passed to
//! another thread is never taken for that of the one before.
//!
//! One test at a time: a thread that forks takes a row in each heap of its process.

use std::sync::atomic::{AtomicU64, Ordering};

use coheap_core::error::Error;
use coheap_core::heap::Heap;
use coheap_core::heap::floors::{ContextFloors as _, HeapFloors as _};
use coheap_core::memory::Region;
use coheap_core::objects::mutex::{self, Acquired};
use coheap_core::objects::{Directory, Mutex, ledger};
use coheap_core::sync::Owner;
use coheap_core::sync::row::{self, RowWord, State};

use crate::support::alone;
use crate::support::child::{die, fork};
use crate::support::objects::{heap, mutex as new_mutex, settle_and_check, value};
use crate::support::random::Random;

/// The row words of a heap.
fn rows(heap: &Heap) -> Vec<RowWord> {
    let region = heap.region();
    (0..region.real_rows()).map(|row| RowWord(region.context(row).state.get())).collect()
}

/// How many rows are in a state.
fn count(heap: &Heap, state: State) -> usize {
    rows(heap).iter().filter(|word| word.state() == state).count()
}

/// Runs `work` in a thread that has ended when this returns.
fn in_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().expect("no panic"))
}

fn locked_by_a_thread_that_ended(heap: &Heap, locks: &[Mutex]) {
    in_thread(|| {
        for lock in locks {
            let acquired = heap.with(|context| lock.lock(context, None));
            assert_eq!(acquired, Ok(Acquired::Clean));
        }
    });
}

/// Goal: an empty heap is small, whatever its tables could hold.
#[test]
fn an_empty_heap_is_below_one_mebibyte() {
    let _alone = alone();
    let heap = Heap::anonymous(1 << 30).expect("a heap");
    let bytes = heap.stats().expect("numbers").allocated_bytes;
    assert!(bytes < 1 << 20, "{bytes} bytes");
    assert_eq!((heap.region().real_slots(), heap.region().real_rows()), (1, 1));
}

/// Goal: as many rows are made real as threads were there at once, and no more.
/// Method: threads one after the other, then some at once.
#[test]
fn rows_are_made_real_for_those_who_are_there_at_once() {
    let _alone = alone();
    let heap = heap(8);
    let total = value(&heap, "total");
    for _ in 0..100 {
        in_thread(|| heap.with(|context| total.add(context, 1))).expect("a sum");
    }
    assert_eq!(heap.region().real_rows(), 2);
    let all = std::sync::Barrier::new(10);
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                heap.with(|context| total.add(context, 1)).expect("a sum");
                all.wait();
            });
        }
    });
    assert_eq!(heap.region().real_rows(), 11);
}

/// Goal: a lock that a thread left when it ended stays held while its process lives, and its row is
/// free again once another thread has released the last such lock.
#[test]
fn a_row_left_with_locks_is_free_with_the_last_of_them() {
    let _alone = alone();
    let heap = heap(8);
    let locks = ["a", "b", "c"].map(|name| new_mutex(&heap, name));
    locked_by_a_thread_that_ended(&heap, &locks);
    for (number, lock) in locks.iter().enumerate() {
        assert_eq!(count(&heap, State::Orphan), 1, "{number} of 3 are released");
        heap.with(|context| {
            assert_eq!(lock.try_lock(context), Ok(None), "its process lives");
            lock.unlock_for_another(context)
        })
        .expect("held");
    }
    assert_eq!((count(&heap, State::Orphan), count(&heap, State::Free)), (0, 1));
    settle_and_check(&heap);
}

/// Goal: locks that others release or remove, before or after their holder ends, cost no row.
/// Method: three thousand rounds in which a thread takes a lock and ends; it is released by another
/// thread, before or after the end, or its object is removed.
#[test]
fn locks_released_by_others_cost_no_row() {
    let _alone = alone();
    let heap = heap(8);
    let lock = new_mutex(&heap, "lock");
    let release = || heap.with(|context| lock.unlock_for_another(context)).expect("held");
    for round in 0..2_000 {
        in_thread(|| {
            heap.with(|context| lock.lock(context, None)).expect("free");
            if round % 2 == 0 {
                in_thread(release);
            }
        });
        if round % 2 == 1 {
            release();
        }
    }
    // The thread that releases in the midst of another one has a row, too.
    assert_eq!(rows(&heap).len(), 3);
    for round in 0..500 {
        let name = format!("lock {round}");
        let lock = new_mutex(&heap, &name);
        in_thread(|| {
            heap.with(|context| lock.lock(context, None)).expect("free");
            if round % 2 == 0 {
                heap.with(|context| Directory.remove(context, &name)).expect("there");
                let late = heap.with(|context| lock.unlock(context));
                assert_eq!(late, Err(Error::ObjectGone));
            }
        });
        if round % 2 == 1 {
            heap.with(|context| Directory.remove(context, &name)).expect("there");
        }
    }
    let recipe = mutex::Recipe::default();
    for _ in 0..500 {
        let (lock, reference) = heap.with(|context| ledger::create(context, &recipe)).expect("new");
        locked_by_a_thread_that_ended(&heap, &[lock]);
        heap.with(|context| ledger::release(context, &reference)).expect("mine");
        assert!(heap.sequence(&lock).is_some());
    }
    assert_eq!((rows(&heap).len(), count(&heap, State::Free)), (3, 2));
    settle_and_check(&heap);
}

/// Goal: the rows that threads of a process left with locks are free when the process leaves or dies,
/// and whoever wants such a lock is told of the death.
#[test]
fn orphans_end_with_their_process() {
    let _alone = alone();
    let heap = heap(8);
    let lock = new_mutex(&heap, "lock");
    for is_killed in [true, false] {
        let mut child = fork(|| {
            locked_by_a_thread_that_ended(&heap, &[lock]);
            assert_eq!(count(&heap, State::Orphan), 1);
            if is_killed {
                die();
            }
            heap.close().map_or(1, |()| 0)
        });
        let pid = child.pid() as u32;
        child.wait();
        let acquired = heap.with(|context| lock.lock(context, None));
        assert_eq!(acquired, Ok(Acquired::OwnerDied(pid)), "killed: {is_killed}");
        heap.with(|context| lock.unlock(context)).expect("held");
        assert_eq!(count(&heap, State::Held), 1, "killed: {is_killed}");
        assert_eq!(count(&heap, State::Orphan), 0, "killed: {is_killed}");
    }
    settle_and_check(&heap);
}

/// Goal: a row whose epochs are used up is never taken again, and nothing in it is lost.
/// Method: the row of a thread that ended is set to its last epochs; threads come and go, one of them
/// with blocks of its own, and one holds a lock in the last epoch.
#[test]
fn a_row_whose_epoch_would_begin_anew_is_retired() {
    let _alone = alone();
    let heap = heap(8);
    let total = value(&heap, "total");
    let lock = new_mutex(&heap, "lock");
    let add = || heap.with(|context| total.add(context, 1).map(|_| context.index()));
    assert_eq!(in_thread(add), Ok(1));
    let state = &heap.region().context(1).state;
    Region::store(state, RowWord::new(u32::MAX - 2, None, State::Free, 0).0);
    assert_eq!(in_thread(add), Ok(1));
    locked_by_a_thread_that_ended(&heap, &[lock]);
    assert_eq!(RowWord(state.get()).state(), State::Orphan);
    assert_eq!(RowWord(state.get()).epoch(), u32::MAX);
    heap.with(|context| lock.unlock_for_another(context)).expect("held");
    for _ in 0..3 {
        assert_eq!(in_thread(add), Ok(2), "row 1 is not taken again");
    }
    assert_eq!(RowWord(state.get()).state(), State::Retired);
    heap.with(coheap_core::allocator::reclaim).expect("pending blocks go back");
    let left = &heap.region().control(1).pending;
    assert!(left.iter().all(|chain| chain.get() == 0), "what was pending there is reused");
    assert_eq!(RowWord(state.get()).state(), State::Retired);
    assert_eq!(heap.region().real_rows(), 3);
    settle_and_check(&heap);
}

/// One thread of `a_million_threads_come_and_go`: takes rows and gives them back, with locks that it
/// left or that others have released for it meanwhile.
fn come_and_go(heap: &Heap, slot: u32, random: &mut Random, taken: &AtomicU64) {
    let region = heap.region();
    let mut orphans: Vec<(Owner, u64)> = Vec::new();
    for _ in 0..250_000 {
        let me = row::claim(region, slot).expect("room").expect("a row");
        taken.fetch_add(1, Ordering::Relaxed);
        let row = me.row().expect("a row");
        assert!(RowWord(region.context(row).state.get()).is_named_by(me));
        let locks = random.below(4);
        let before = random.below(locks + 1);
        (0..before).for_each(|_| row::released_for(region, me));
        row::end(region, me, locks as u16);
        let is_named = RowWord(region.context(row).state.get()).is_named_by(me);
        assert_eq!(is_named, before < locks, "{before} of {locks} were released");
        if before < locks {
            orphans.push((me, locks - before));
        }
        while orphans.len() > random.below(8) as usize {
            let (orphan, left) = orphans.swap_remove(0);
            (0..left).for_each(|_| row::released_for(region, orphan));
            // Late news of a thread that is gone changes nothing.
            row::released_for(region, orphan);
        }
    }
    for (orphan, left) in orphans {
        (0..left).for_each(|_| row::released_for(region, orphan));
    }
}

/// Goal: however many threads come and go, each epoch of a row is one thread's, and no row is lost.
/// Method: four threads take rows and give them back a million times, with locks left behind and
/// released; the sum of all epochs is the number of times then, and all rows are free.
#[test]
fn a_million_threads_come_and_go() {
    let _alone = alone();
    let heap = heap(8);
    let slot = heap.context().expect("a context").member().slot();
    let own = rows(&heap)[0];
    let mut random = Random::for_run("a_million_threads_come_and_go");
    let taken = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut random = random.split();
            let (heap, taken) = (&heap, &taken);
            scope.spawn(move || come_and_go(heap, slot, &mut random, taken));
        }
    });
    let words = rows(&heap);
    assert_eq!(words[0], own);
    assert_eq!(count(&heap, State::Free), words.len() - 1, "{words:?}");
    let epochs: u64 = words[1..].iter().map(|word| u64::from(word.epoch())).sum();
    assert_eq!((taken.load(Ordering::Relaxed), epochs), (1_000_000, 1_000_000));
    assert!(words.len() <= 64, "{} rows for four threads with eight orphans each", words.len());
    settle_and_check(&heap);
}
