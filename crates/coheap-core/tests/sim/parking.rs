//! The parking table under deaths and stops at every store: who waits is served all the same.
//!
//! A victim registers, rings or leaves, and ends before its store number k. If it died, its row is
//! settled, as recovery does; if it was only stopped, nobody may settle it, and the others go on by
//! their slices. The lock is two spare words of the table.

use std::time::Duration;

use coheap_core::heap::Heap;
use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::memory::Region;
use coheap_core::memory::layout::Header;
use coheap_core::os::machine::Peer;
use coheap_core::os::{self, failpoint};
use coheap_core::sync::parking::offer::{Lock, Took};
use coheap_core::sync::parking::table::waiter::Waiter;
use coheap_core::sync::parking::table::{remains, watch};
use coheap_core::sync::parking::word::{Holder, LockWord};
use coheap_core::sync::parking::{Key, Manner, Reason, Who, want};

use super::{PATIENCE, attach, descriptors, heap, wait_until};

/// An object that every heap has: its directory.
const KEY: Key = Key { at: std::mem::offset_of!(Header, directory) as u64, generation: 1 };
const MILLISECOND: u64 = 1_000_000;
/// Stores of a victim that sleeps, besides those of one that finds the lock free.
const SLEEPING: u64 = 12;
const VICTIM: u32 = 4;
const OTHER: u32 = 5;

fn lock(region: &Region) -> Lock<'_> {
    let [word, handing, ..] = &region.parking().spare;
    Lock { word, handing: Some(handing), key: KEY, reason: Reason::Lock }
}

fn who(row: u32) -> Who {
    Who { row, epoch: 1 }
}

/// A heap with two rows, and a lock that nobody holds.
fn stage() -> Heap {
    let heap = heap();
    let region = heap.region();
    while region.real_rows() <= VICTIM.max(OTHER) {
        region.grow_rows(region.real_rows()).expect("memory");
    }
    Region::swap(lock(region).word, LockWord::free(KEY).0);
    heap
}

/// Waits for the lock in slices; a dead holder's lock is taken over if `may_judge`.
fn take(region: &Region, waiter: &Waiter, may_judge: bool) {
    let (lock, me) = (lock(region), waiter.who());
    let parked = waiter.park(region, KEY, Reason::Lock, Manner::default()).expect("room");
    let end = os::now() + PATIENCE.as_nanos() as u64;
    loop {
        assert!(os::now() < end, "nobody hands the lock over");
        waiter.hush(region);
        match lock.take(region, me, false, os::now()) {
            Took::Yes(_) => break,
            Took::Held(seen) if may_judge && seen.holder() == Holder::Thread(who(VICTIM)) => {
                if lock.take_over(seen, me, false) {
                    break;
                }
            }
            Took::Held(seen) | Took::Offered(seen) => {
                if lock.announce(seen) {
                    waiter.sleep(region, os::now() + 4 * MILLISECOND);
                }
            }
            other => panic!("{other:?}"),
        }
    }
    lock.leave_with_it(region, &parked);
    waiter.end(region, parked, false);
}

/// What the victim does: it waits for a lock that another holds, in two slices, gets it or gives up,
/// and lets go of it for who waits; then it makes a thing that nobody waits for.
fn act(region: &Region) {
    let waiter = Waiter::new(who(VICTIM));
    let (lock, wants) = (lock(region), &region.parking().spare[2]);
    let parked = waiter.park(region, KEY, Reason::Lock, Manner::default()).expect("room");
    let mut took = false;
    for _ in 0..2 {
        waiter.hush(region);
        match lock.take(region, waiter.who(), false, os::now()) {
            Took::Yes(_) => took = true,
            Took::Held(seen) | Took::Offered(seen) if lock.announce(seen) => {
                waiter.sleep(region, os::now() + 4 * MILLISECOND);
            }
            _ => {}
        }
        if took {
            break;
        }
    }
    if took {
        lock.leave_with_it(region, &parked);
    } else {
        took = lock.leave_without(region, &parked);
    }
    waiter.end(region, parked, false);
    if took {
        assert!(lock.release(region, waiter.who()));
    }
    let parked = waiter.park(region, KEY, Reason::Item, Manner::default()).expect("room");
    want::raise(wants, Reason::Item);
    want::made(region, wants, KEY, Reason::Item, 1);
    want::leave(region, wants, &parked);
    waiter.end(region, parked, false);
    assert!(waiter.close(region));
}

/// How many stores the victim does at least; it does some more where it sleeps.
fn stores() -> u64 {
    let heap = stage();
    failpoint::arm(u64::MAX);
    act(heap.region());
    failpoint::disarm()
}

/// Runs the victim until its store number `die_at`, beside another thread that holds the lock, lets go
/// of it for the victim and takes it again.
fn run(die_at: u64, is_death: bool) {
    let heap = stage();
    let region = heap.region();
    let numbers = descriptors(&heap);
    let other = Waiter::new(who(OTHER));
    take(region, &other, false);
    let victim = Peer::new();
    victim.spawn(move || {
        let heap = attach(numbers);
        failpoint::arm(die_at);
        act(heap.region());
        failpoint::arm(0);
        want::raise(&heap.region().parking().spare[2], Reason::Item);
    });
    wait_until("it sleeps, or is dead", || victim.is_asleep() || victim.wait_dead(Duration::ZERO));
    assert!(lock(region).release(region, other.who()));
    assert!(victim.wait_dead(PATIENCE), "store {die_at}");
    if is_death {
        remains::settle(region, who(VICTIM));
    }
    // One that is stopped with the lock keeps it: the test takes it over to see the rest.
    let begin = os::now();
    take(region, &other, true);
    let waited = os::now() - begin;
    assert!(waited < 100 * MILLISECOND, "store {die_at}: it waits for {waited} ns");
    assert!(lock(region).release(region, other.who()));
    assert!(other.close(region), "store {die_at}");
    if is_death {
        assert_eq!(remains::settle(region, who(VICTIM)), 0, "store {die_at}");
        assert_eq!(watch::everybody(region).count(), 0, "store {die_at}");
        assert_eq!(watch::fill(region).blocks[0], 0);
    }
    // Nobody waits any more, so an offer to who is stopped stands until somebody comes.
    let holder = LockWord(lock(region).word.get()).holder();
    let is_left = holder == Holder::Nobody || !is_death && holder == Holder::Offered(VICTIM);
    assert!(is_left, "store {die_at}: {holder:?}");
}

/// Goal: a death at any store of registering, ringing and leaving leaves a lock that the next one
/// gets, and no cell in use once the row is settled.
#[test]
fn a_death_at_any_store_leaves_the_table_whole() {
    let step = if cfg!(miri) { 13 } else { 1 };
    (0..stores() + SLEEPING).step_by(step).for_each(|die_at| run(die_at, true));
}

/// Goal: the same for a victim that is stopped, whose cells nobody settles: an offer to it lapses.
#[test]
fn a_stop_at_any_store_delays_nobody() {
    let step = if cfg!(miri) { 13 } else { 1 };
    (0..stores() + SLEEPING).step_by(step).for_each(|stop_at| run(stop_at, false));
}

/// Goal: a thing that was made is heard of although its maker died at any store after it.
/// Method: another thread waits; the maker makes, gives its turn back and dies somewhere in ringing;
/// recovery settles its row and rings everybody.
#[test]
fn a_maker_that_dies_before_it_rings_is_rung_for() {
    fn make(region: &Region) {
        let [thing, wants] = [&region.parking().spare[3], &region.parking().spare[2]];
        Region::swap(thing, 1);
        want::made(region, wants, KEY, Reason::Item, 1);
    }
    for die_at in 0..12 {
        let heap = stage();
        let region = heap.region();
        let numbers = descriptors(&heap);
        let waiter = Waiter::new(who(OTHER));
        let parked = waiter.park(region, KEY, Reason::Item, Manner::default()).expect("room");
        want::raise(&region.parking().spare[2], Reason::Item);
        let victim = Peer::new();
        victim.spawn(move || {
            let heap = attach(numbers);
            failpoint::arm(die_at);
            make(heap.region());
            failpoint::arm(0);
            make(heap.region());
        });
        assert!(victim.wait_dead(PATIENCE), "store {die_at}");
        remains::settle(region, who(VICTIM));
        remains::ring_everybody(region);
        if region.parking().spare[3].get() != 0 {
            let end = os::now() + PATIENCE.as_nanos() as u64;
            waiter.sleep(region, end);
            assert!(os::now() < end, "store {die_at}: nobody rang");
        }
        want::leave(region, &region.parking().spare[2], &parked);
        waiter.end(region, parked, false);
        assert_eq!(remains::settle(region, who(VICTIM)), 0);
    }
}
