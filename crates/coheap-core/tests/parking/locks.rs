//! Locks on the table with real threads: exclusion, offers, fairness.
//!
//! What always holds: who waits sleeps in slices of 4 ms, as the watcher of a lock does. A number
//! that only the holder touches shows two holders.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use coheap_core::heap::Heap;
use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::memory::Region;
use coheap_core::os;
use coheap_core::sync::parking::offer::{Lock, Took};
use coheap_core::sync::parking::table::waiter::Waiter;
use coheap_core::sync::parking::word::{Holder, LockWord, WAITERS};
use coheap_core::sync::parking::{Key, Manner, Reason, bell};

use super::{DIRECTORY, heap, waiter};

const MILLISECOND: u64 = 1_000_000;

fn lock(region: &Region) -> Lock<'_> {
    let [word, handing, ..] = &region.parking().spare;
    Lock { word, handing: Some(handing), key: DIRECTORY, reason: Reason::Lock }
}

fn free_lock(region: &Region) -> Lock<'_> {
    let lock = lock(region);
    Region::swap(lock.word, LockWord::free(lock.key).0);
    lock
}

/// Waits for the lock in slices of 4 ms, until `deadline`.
fn take(region: &Region, waiter: &Waiter, deadline: u64) -> bool {
    let (lock, me) = (lock(region), waiter.who());
    if let Took::Yes(_) = lock.take(region, me, false, os::now()) {
        return true;
    }
    let parked =
        waiter.park(region, lock.key, Reason::Lock, Manner::default()).expect("two own cells");
    let has_it = loop {
        waiter.hush(region);
        let now = os::now();
        match lock.take(region, me, false, now) {
            Took::Yes(_) => {
                lock.leave_with_it(region, &parked);
                break true;
            }
            Took::Held(seen) | Took::Offered(seen) => {
                if now >= deadline {
                    break lock.leave_without(region, &parked);
                }
                if lock.announce(seen) {
                    waiter.sleep(region, deadline.min(now + 4 * MILLISECOND));
                }
            }
            other => panic!("{other:?}"),
        }
    };
    waiter.end(region, parked, false);
    has_it
}

/// Goal: one holder at a time, nobody starves, and the word is clean in the end.
/// Method: eight threads take the lock again and again, some with short deadlines, and count in a
/// number that only the holder touches.
#[test]
fn eight_threads_share_a_lock() {
    const ROUNDS: u64 = 2_000;
    let heap = heap();
    let region = heap.region();
    let lock = free_lock(region);
    let (inside, total) = (AtomicBool::new(false), AtomicU64::new(0));
    let waiters: Vec<Waiter> = (0..8).map(|number| waiter(&heap, number)).collect();
    let run = |waiter: Waiter, number: u64| {
        for round in 0..ROUNDS {
            let is_short = (round + number).is_multiple_of(7);
            let deadline = if is_short { os::now() + MILLISECOND / 20 } else { u64::MAX };
            if !take(region, &waiter, deadline) {
                assert!(is_short);
                continue;
            }
            assert!(!inside.swap(true, Ordering::AcqRel), "two holders");
            total.fetch_add(1, Ordering::Relaxed);
            inside.store(false, Ordering::Release);
            assert!(lock.release(region, waiter.who()));
        }
    };
    std::thread::scope(|scope| {
        for (number, waiter) in (0..).zip(waiters) {
            scope.spawn(move || run(waiter, number));
        }
    });
    assert!(total.load(Ordering::Relaxed) >= 8 * ROUNDS * 6 / 7);
    assert_eq!(LockWord(lock.word.get()).holder(), Holder::Nobody);
}

/// Goal: of those who take a lock again and again, none waits without bound.
/// Method: 32 threads for a second; each has it three times at least.
#[test]
fn a_busy_lock_comes_to_everybody() {
    let heap = heap();
    let region = heap.region();
    let lock = free_lock(region);
    let end = Instant::now() + Duration::from_secs(1);
    let waiters: Vec<Waiter> = (0..32).map(|number| waiter(&heap, number)).collect();
    let turns: Vec<u64> = std::thread::scope(|scope| {
        let run = |waiter: Waiter| {
            let mut turns = 0;
            while Instant::now() < end {
                assert!(take(region, &waiter, u64::MAX));
                turns += 1;
                std::hint::black_box((0..200).sum::<u64>());
                assert!(lock.release(region, waiter.who()));
            }
            turns
        };
        let threads: Vec<_> =
            waiters.into_iter().map(|waiter| scope.spawn(move || run(waiter))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    assert!(turns.iter().all(|turns| *turns >= 3), "{turns:?}");
}

/// Lets go of the lock for another thread, as a release does that has woken it.
fn offer(region: &Region, holder: &Waiter, other: &Waiter) {
    let lock = lock(region);
    let held = LockWord(lock.word.get());
    assert_eq!(held.holder(), Holder::Thread(holder.who()));
    let offered = held.offered_to(other.who().row, lock.key, os::now() / MILLISECOND);
    Region::swap(lock.word, offered.0 | WAITERS);
}

/// Goal: a lock that is offered to a thread that does not sleep is free: it looks by itself, or is
/// stopped.
#[test]
fn an_offer_to_who_does_not_sleep_is_withdrawn() {
    let heap = heap();
    let region = heap.region();
    let lock = free_lock(region);
    let [holder, awake] = [0, 1].map(|number| waiter(&heap, number));
    assert!(take(region, &holder, u64::MAX));
    let parked = awake.park(region, lock.key, Reason::Lock, Manner::default()).expect("room");
    assert!(lock.announce(LockWord(lock.word.get())));
    assert!(lock.release(region, holder.who()));
    assert_eq!(LockWord(lock.word.get()).holder(), Holder::Nobody);
    assert!(bell::is_up(region.bell(awake.who().row)));
    assert!(!lock.leave_without(region, &parked));
}

/// Goal: a lock that is offered to a thread that does not come is free for others after 4 ms, and
/// for who only tries at once.
#[test]
fn an_offer_to_nobody_lapses() {
    let heap = heap();
    let region = heap.region();
    let lock = free_lock(region);
    let [holder, absent, other] = [0, 1, 2].map(|number| waiter(&heap, number));
    let offer_to_it = |heap: &Heap| {
        assert!(take(heap.region(), &holder, u64::MAX));
        absent.hush(region);
        let parked = absent.park(region, lock.key, Reason::Lock, Manner::default()).expect("room");
        offer(region, &holder, &absent);
        parked
    };
    let parked = offer_to_it(&heap);
    let begin = os::now();
    assert!(take(region, &other, begin + 5_000 * MILLISECOND), "it does not lapse");
    assert!(os::now() - begin >= 2 * MILLISECOND, "the offer stood for a while");
    assert!(lock.release(region, other.who()));
    assert!(!lock.leave_without(region, &parked));
    absent.end(region, parked, false);

    let parked = offer_to_it(&heap);
    assert!(matches!(lock.take(region, other.who(), true, os::now()), Took::Yes(_)));
    assert!(lock.release(region, other.who()));
    absent.end(region, parked, false);
}

/// Goal: who comes late takes nothing of the object that has the header next.
/// Method: the word is free, then offered to the row, as that of the next generation; each way to
/// take a lock is tried with the key of the one before.
#[test]
fn the_lock_of_a_successor_is_not_taken() {
    let heap = heap();
    let region = heap.region();
    let (late, lock) = (waiter(&heap, 0), free_lock(region));
    let next = Key { generation: DIRECTORY.generation + 2, ..DIRECTORY };
    let me = late.who();
    let free = LockWord::free(next);
    let offered = free.offered_to(me.row, next, os::now() / MILLISECOND);
    for word in [free, offered] {
        let parked = late.park(region, lock.key, Reason::Lock, Manner::default()).expect("room");
        Region::swap(lock.word, word.0);
        for is_try in [true, false] {
            assert_eq!(lock.take(region, me, is_try, os::now()), Took::Gone);
        }
        assert!(!lock.take_fairly(region, me, os::now()));
        assert!(!lock.leave_without(region, &parked));
        late.end(region, parked, false);
        assert_eq!(lock.word.get(), word.0);
    }
}

/// Goal: who was rung, and leaves a free lock to others, rings the next one, also after it has heard
/// its bell.
#[test]
fn who_leaves_a_free_lock_rings_the_next_one() {
    let heap = heap();
    let region = heap.region();
    let lock = Lock { handing: None, ..free_lock(region) };
    let [holder, leaver, next] = [0, 1, 2].map(|number| waiter(&heap, number));
    assert!(take(region, &holder, u64::MAX));
    let [parked, _stays] = [&leaver, &next]
        .map(|it| it.park(region, lock.key, Reason::Lock, Manner::default()).expect("room"));
    assert!(lock.announce(LockWord(lock.word.get())));
    assert!(lock.release(region, holder.who()));
    // Both were rung, as nobody slept; both have looked.
    leaver.hush(region);
    next.hush(region);
    assert!(!lock.leave_without(region, &parked));
    assert!(bell::is_up(region.bell(next.who().row)));
}

/// Goal: who leaves while it is offered the lock has it.
#[test]
fn who_leaves_accepts_its_offer() {
    let heap = heap();
    let region = heap.region();
    let lock = free_lock(region);
    let [holder, leaver] = [0, 1].map(|number| waiter(&heap, number));
    assert!(take(region, &holder, u64::MAX));
    let parked = leaver.park(region, lock.key, Reason::Lock, Manner::default()).expect("room");
    offer(region, &holder, &leaver);
    assert!(lock.leave_without(region, &parked));
    assert_eq!(LockWord(lock.word.get()).holder(), Holder::Thread(leaver.who()));
}
