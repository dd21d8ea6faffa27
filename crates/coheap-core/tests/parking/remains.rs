//! What a dead row leaves, what a slow tick sees, and which waits can be a deadlock.
//!
//! A dead row is one that the test settles; nothing here dies. Deaths at each store are in
//! `tests/sim`.

use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::memory::Region;
use coheap_core::os;
use coheap_core::sync::parking::offer::Lock;
use coheap_core::sync::parking::table::{remains, watch};
use coheap_core::sync::parking::threshold;
use coheap_core::sync::parking::word::LockWord;
use coheap_core::sync::parking::{Manner, Reason, bell, want};

use super::support::child::{fork, state_of};
use super::support::{in_milliseconds, until};
use super::{DIRECTORY, heap, key, park, waiter, who};

/// Goal: a dead row's cells and blocks are free again, the next who waits is rung, and a
/// notification that it was given is passed on by a change.
#[test]
fn a_dead_row_is_settled_and_its_rings_go_on() {
    let heap = heap();
    let region = heap.region();
    let [dead, next] = [0, 1].map(|number| waiter(&heap, number));
    for object in 0..100 {
        park(&heap, &dead, key(object), Reason::Item);
    }
    let condition = DIRECTORY;
    let first = park(&heap, &dead, condition, Reason::Notification).ticket + 1;
    let told = park(&heap, &next, condition, Reason::Notification);
    let waits = park(&heap, &next, key(3), Reason::Item);
    assert_eq!(threshold::count(region, condition, 0, 1, 1), first);

    assert_eq!(remains::settle(region, dead.who()), 1);
    assert!(bell::is_up(region.bell(next.who().row)));
    assert_eq!(watch::everybody(region).count(), 2);
    assert_eq!(remains::owed_by(region, dead.who()), [condition]);
    assert_eq!(threshold::count(region, condition, first, 3, 0), told.ticket + 1);
    threshold::count(region, condition, told.ticket + 1, 5, 0);
    assert_eq!(remains::owed_by(region, dead.who()), []);
    assert_eq!(remains::settle(region, dead.who()), 0);
    assert_eq!(watch::fill(region).blocks[0], 0);
    want::leave(region, &region.parking().spare[0], &waits);
}

/// Goal: recovery rings everybody who waits, whatever for, also who has looked and does not sleep yet.
#[test]
fn recovery_rings_everybody_who_waits() {
    let heap = heap();
    let region = heap.region();
    let waiters = [0, 1, 2].map(|number| waiter(&heap, number));
    park(&heap, &waiters[0], DIRECTORY, Reason::Item);
    park(&heap, &waiters[1], key(7), Reason::Lock);
    remains::ring_everybody(region);
    let up = waiters.map(|waiter| bell::is_up(region.bell(waiter.who().row)));
    assert_eq!(up, [true, true, false], "the last one does not wait");
}

/// Goal: who sleeps although its bell is up, because its ringer died or was stopped before the wake, is
/// woken with its row, as a recovery and a ticker do.
/// Method: a thread sleeps; its bell is raised without a wake; then its row is rung.
#[test]
fn a_sleeper_with_its_bell_up_is_woken_with_its_row() {
    let heap = heap();
    let (region, row) = (heap.region(), who(&heap, 0).row);
    std::thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let sleeper = scope.spawn(move || {
            tell.send(os::thread_id()).expect("somebody listens");
            bell::sleep(region.bell(row), in_milliseconds(60_000))
        });
        let thread = told.recv().expect("it begins") as i32;
        until("it sleeps", || state_of(thread) == 'S');
        Region::ring(&region.bell(row).signal, 1);
        bell::ring_row(region, row, os::now());
        assert_eq!(sleeper.join().expect("calm"), os::Wake::Woken);
    });
}

/// Goal: after a whole rotation the slow ticks have seen everybody.
#[test]
fn slow_ticks_see_everybody_in_rotation() {
    let heap = heap();
    let region = heap.region();
    let waiter = waiter(&heap, 0);
    for object in 0..3_000 {
        park(&heap, &waiter, key(object), Reason::Item);
    }
    let ticks = 1 + 2 * 3_100 / watch::TICK_CELLS;
    let mut seen: Vec<u32> =
        (0..ticks).flat_map(|_| watch::tick(region)).map(|seen| seen.cell).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 3_000);
}

/// Goal: a thread is stuck only in the innermost of its waits, and only in one for a lock that has
/// no end.
#[test]
fn an_edge_is_the_innermost_untimed_wait_for_a_lock() {
    let heap = heap();
    let region = heap.region();
    let waiter = waiter(&heap, 0);
    let edge = || watch::edge(region, waiter.who()).map(|seen| seen.key);
    let untimed = Manner { is_untimed: true, ..Manner::default() };
    let of_many = Manner { is_one_of_many: true, ..untimed };
    assert_eq!(edge(), None);
    let mut waits = Vec::new();
    for (object, reason, manner, expected) in [
        (1, Reason::Notification, untimed, None),
        (2, Reason::Lock, untimed, Some(2)),
        (3, Reason::Lock, of_many, None),
        (4, Reason::Transaction, untimed, Some(4)),
        (5, Reason::Lock, Manner::default(), None),
    ] {
        waits.push(waiter.park(region, key(object), reason, manner).expect("room"));
        assert_eq!(edge(), expected.map(key), "after {object}");
    }
    let last = waits.pop().expect("five waits");
    want::leave(region, &region.parking().spare[0], &last);
    assert_eq!(edge(), Some(key(4)));
}

/// Goal: a forked child that returns into its parent's waits touches none of their cells, and does
/// not take what its parent is offered.
#[test]
fn a_forked_child_leaves_the_waits_of_its_parent_alone() {
    let heap = heap();
    let region = heap.region();
    let waiter = waiter(&heap, 0);
    let [word, handing, wants, ..] = &region.parking().spare;
    let lock = Lock { word, handing: Some(handing), key: DIRECTORY, reason: Reason::Lock };
    let offered = LockWord::free(lock.key).offered_to(waiter.who().row, lock.key, 0);
    Region::swap(word, offered.0);
    let waits = [Reason::Lock, Reason::Item].map(|reason| park(&heap, &waiter, DIRECTORY, reason));
    let mut child = fork(|| {
        let has_it = lock.leave_without(region, &waits[0]);
        want::leave(region, wants, &waits[1]);
        waits.iter().for_each(|parked| waiter.end(region, *parked, false));
        let parks = waiter.park(region, key(1), Reason::Item, Manner::default()).is_some();
        i32::from(has_it || parks || waiter.is_own())
    });
    child.must_succeed();
    assert_eq!(word.get(), offered.0);
    assert_eq!(watch::everybody(region).count(), 2);
    assert!(lock.leave_without(region, &waits[0]));
    want::leave(region, wants, &waits[1]);
    assert_eq!(watch::everybody(region).count(), 0);
}
