//! Who is found and rung, against a plain list of those who wait.
//!
//! What always holds: nobody sleeps here, so each ring wakes nobody, and which bells are up is all
//! that there is to see.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use coheap_core::error::Error;
use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::journal::Context;
use coheap_core::memory::layout::{BUCKET_COUNT, Bell, ParkingCell, TagLine};
use coheap_core::memory::{Region, Word};
use coheap_core::objects::Typed;
use coheap_core::os;
use coheap_core::sync::parking::table::waiter::Waiter;
use coheap_core::sync::parking::table::watch;
use coheap_core::sync::parking::want::{self, Line};
use coheap_core::sync::parking::{Lot, Manner, Parked, Reason, bell, ring};

use super::support::random::Random;
use super::support::{in_milliseconds, objects, until};
use super::{heap, key, park, waiter};

const ROWS: u32 = 20;
const OBJECTS: u64 = 40;
/// System calls that may wake nobody: nobody sleeps in this test.
const FUTILE: usize = 8;
const REASONS: [Reason; 3] = [Reason::Item, Reason::Place, Reason::Lock];

struct Wait {
    row: usize,
    object: u64,
    is_looker: bool,
    parked: Parked,
}

/// Goal: takers are rung in the order they came, rows that were rung already are passed over, and
/// lookers are rung besides; whatever was registered and left before.
/// Method: random registering, leaving, looking and ringing; a list in the order of registering
/// says whose bell goes up.
#[test]
fn rings_follow_the_order_of_a_plain_list() {
    let mut dice = Random::for_run("order");
    let heap = heap();
    let region = heap.region();
    let waiters: Vec<Waiter> = (0..ROWS).map(|number| waiter(&heap, number)).collect();
    let mut list: Vec<Wait> = Vec::new();
    let mut up: BTreeSet<usize> = BTreeSet::new();
    for _ in 0..20_000 {
        let (row, object) = (dice.below(u64::from(ROWS)) as usize, dice.below(OBJECTS));
        let reason = REASONS[dice.below(3) as usize];
        match dice.below(10) {
            0..4 if list.len() < 600 => {
                let is_looker = dice.one_in(5);
                let manner = Manner { is_looker, ..Manner::default() };
                let parked = waiters[row].park(region, key(object), reason, manner).expect("room");
                list.push(Wait { row, object, is_looker, parked });
            }
            4..7 if !list.is_empty() => {
                let wait = list.remove(dice.below(list.len() as u64) as usize);
                want::leave(region, &region.parking().spare[0], &wait.parked);
                waiters[wait.row].end(region, wait.parked, false);
            }
            7 => {
                bell::hush(region.bell(waiters[row].who().row));
                up.remove(&row);
            }
            _ => {
                let found = ring::ring(region, key(object), reason, 1 + dice.below(3) as u32);
                let mut waits = list
                    .iter()
                    .filter(|wait| wait.object == object && wait.parked.reason == reason);
                assert_eq!(found.is_anybody, waits.clone().next().is_some());
                let mut futile = 0;
                for wait in waits.clone().filter(|wait| !wait.is_looker) {
                    if futile < FUTILE && up.insert(wait.row) {
                        futile += 1;
                    }
                }
                up.extend(waits.by_ref().filter(|wait| wait.is_looker).map(|wait| wait.row));
                for (row, waiter) in waiters.iter().enumerate() {
                    let is_up = bell::is_up(region.bell(waiter.who().row));
                    assert_eq!(is_up, up.contains(&row), "row {row}");
                }
            }
        }
    }
    assert_eq!(watch::everybody(region).count(), list.len());
    for wait in list {
        want::leave(region, &region.parking().spare[0], &wait.parked);
        waiters[wait.row].end(region, wait.parked, false);
    }
    assert_eq!(watch::everybody(region).count(), 0);
    assert!(waiters.iter().all(|waiter| waiter.close(region)));
    assert_eq!(watch::fill(region).blocks[0], 0);
}

/// Goal: a thread that waits for many things reads from its mailbox which were rung, and is told
/// when there were more.
#[test]
fn the_mailbox_names_the_cells_that_were_rung() {
    let heap = heap();
    let region = heap.region();
    let waiter = waiter(&heap, 0);
    let parked: Vec<Parked> =
        (0..20).map(|object| park(&heap, &waiter, key(object), Reason::Item)).collect();
    let rung = |objects: std::ops::Range<u64>| {
        objects.for_each(|object| {
            ring::ring(region, key(object), Reason::Item, 1);
        });
        let heard = waiter.hush(region);
        let mut cells = Vec::new();
        waiter.read_mail(region, |cell| cells.push(cell));
        (heard, cells)
    };
    let cells = |range: std::ops::Range<usize>| -> Vec<u32> {
        parked[range].iter().map(|parked| parked.cell).collect()
    };
    assert_eq!(rung(3..7), (bell::Heard::Mail, cells(3..7)));
    assert_eq!(rung(0..7), (bell::Heard::Mail, cells(0..7)));
    assert_eq!(rung(0..20), (bell::Heard::All, cells(0..7)));
    assert_eq!(rung(0..0), (bell::Heard::Nothing, Vec::new()));
}

/// Goal: a want-bit is lowered by the first maker that finds nobody, and by none before.
#[test]
fn a_want_bit_comes_down_when_nobody_waits() {
    let heap = heap();
    let region = heap.region();
    let (wants, waiter) = (&region.parking().spare[0], waiter(&heap, 0));
    let parked = park(&heap, &waiter, key(0), Reason::Item);
    want::raise(wants, Reason::Item);
    want::raise(wants, Reason::Place);
    want::made(region, wants, key(0), Reason::Item, 1);
    assert!(want::is_wanted(wants, Reason::Item));
    want::leave(region, wants, &parked);
    want::made(region, wants, key(0), Reason::Item, 1);
    assert!(!want::is_wanted(wants, Reason::Item));
    assert!(want::is_wanted(wants, Reason::Place));
}

/// Goal: while there is a guard nobody is rung for one thing; a guard that has looked, or whose time
/// is over, counts for nothing, and neither does a word that no guard can have written.
#[test]
fn a_guard_stands_for_those_who_sleep() {
    let heap = heap();
    let region = heap.region();
    let (spare, waiter) = (&region.parking().spare, waiter(&heap, 0));
    let line = Line {
        wants: &spare[0],
        last: &spare[1],
        guard: &spare[2],
        key: key(0),
        reason: Reason::Item,
    };
    let parked = park(&heap, &waiter, key(0), Reason::Item);
    want::raise(line.wants, Reason::Item);
    let is_rung = |now| {
        waiter.hush(region);
        line.made_one(&Staged { region, now, meanwhile: RefCell::new(None::<fn()>) });
        waiter.hush(region) != bell::Heard::Nothing
    };
    let (now, nap) = (os::now() & !0xff, want::LONGEST_NAP);
    assert!(is_rung(now), "there is no guard");
    let word = line.stand_guard(now, nap).expect("there is none");
    assert_eq!(line.stand_guard(now + 1, nap), None, "there is one");
    assert!(!is_rung(now) && !is_rung(now + nap - 1), "there is a guard");
    assert!(is_rung(now + nap + 1), "its time is over");
    assert!(is_rung(now - nap), "no guard sleeps so long");
    line.leave_guard(word ^ 4, now + 100);
    assert!(!is_rung(now), "it was not this guard that left");
    line.leave_guard(word, now + 100);
    assert!(is_rung(now) && is_rung(now + 200), "the guard looks by itself");
    assert!(line.was_long_guarded(now + 200) && !line.was_long_guarded(now + 10 * nap));
    let word = line.stand_guard(now + 200, nap / 10).expect("the last one has left");
    assert!(!is_rung(now + 200), "there is a guard");
    line.leave_guard(word, now + 300);
    assert!(!line.was_long_guarded(now + 300), "it did not sleep for long");
    want::leave(region, line.wants, &parked);
}

/// Goal: who waits in slices, as for a signal now and then, keeps the place in line, also if it waits
/// for other things between; who waits anew gets the last one.
/// Method: a thread waits for an item in slices of 20 ms, and between two of them six times for one
/// of another queue; the ticket of its cell is read until it has been through three slices, and once
/// more when it waits anew.
#[test]
fn a_wait_in_slices_keeps_its_place() {
    let heap = super::heap();
    let [queue, other] = ["queue", "other"].map(|it| objects::bounded_queue(&heap, it, 0, 0));
    let (slices, waits) = (AtomicU32::new(0), AtomicU32::new(0));
    let wait_in_slices = || {
        for _ in 0..2 {
            let started = os::now();
            let lease = || {
                slices.fetch_add(1, Ordering::SeqCst);
                let look = |context: &Context| {
                    other.get_wait(context, Some(os::now() + 100_000), &mut Vec::new())
                };
                (0..6).for_each(|_| assert_eq!(heap.with(look), Err(Error::Empty)));
                let until = in_milliseconds(20);
                heap.with(|context| queue.lease_until(context, started, until, &mut Vec::new()))
            };
            while lease().is_err() {}
            waits.fetch_add(1, Ordering::SeqCst);
        }
    };
    let tickets = |slices_at_least: u32| {
        let mut tickets = BTreeSet::new();
        until("some slices have passed", || {
            // Four tickets, one after the other, stand for one place.
            let waits = watch::everybody(heap.region());
            let waits = waits.filter(|seen| seen.key.at == queue.handle().at);
            tickets.extend(waits.map(|seen| seen.ticket / 4));
            slices.load(Ordering::SeqCst) >= slices_at_least && !tickets.is_empty()
        });
        tickets
    };
    let put = || heap.with(|context| queue.put(context, b"item")).expect("room");
    std::thread::scope(|scope| {
        scope.spawn(wait_in_slices);
        let first = tickets(4);
        put();
        until("it has an item", || waits.load(Ordering::SeqCst) == 1);
        let second = tickets(slices.load(Ordering::SeqCst) + 3);
        put();
        assert_eq!((first.len(), second.len()), (1, 1), "{first:?}, {second:?}");
        assert!(first < second, "{first:?}, {second:?}");
    });
}

/// The table of a heap at one moment, where something may happen the first time that a line behind a
/// bucket is read.
struct Staged<'a, F: FnOnce()> {
    region: &'a Region,
    now: u64,
    meanwhile: RefCell<Option<F>>,
}

impl<F: FnOnce()> Lot for Staged<'_, F> {
    fn now(&self) -> u64 {
        self.now
    }

    fn bell(&self, row: u32) -> Option<&Bell> {
        Lot::bell(self.region, row)
    }

    fn cell(&self, number: u32) -> Option<&ParkingCell> {
        self.region.cell(number)
    }

    fn line(&self, number: u32) -> Option<&TagLine> {
        if number >= BUCKET_COUNT {
            if let Some(meanwhile) = self.meanwhile.take() {
                meanwhile();
            }
        }
        self.region.line(number)
    }

    fn new_line(&self) -> Option<u32> {
        self.region.new_line()
    }

    fn tickets(&self) -> &Word {
        self.region.tickets()
    }

    fn generation(&self, at: u64) -> Option<u64> {
        Lot::generation(self.region, at)
    }
}

/// Goal: who comes while a maker takes the want-bit down is rung, and finds the bit up.
/// Method: eight waits for places fill a line and begin the next one; the first of them leaves. As a
/// maker of an item reads the second line, a thread that waits for items registers in the first.
#[test]
fn who_comes_while_a_want_bit_comes_down_is_rung() {
    let heap = heap();
    let region = heap.region();
    let (wants, others, late) = (&region.parking().spare[0], waiter(&heap, 0), waiter(&heap, 1));
    let places: Vec<Parked> = (0..8).map(|_| park(&heap, &others, key(0), Reason::Place)).collect();
    want::leave(region, wants, &places[0]);
    want::raise(wants, Reason::Item);
    let come = || {
        late.hush(region);
        park(&heap, &late, key(0), Reason::Item);
        want::raise(wants, Reason::Item);
    };
    let lot = Staged { now: os::now(), region, meanwhile: RefCell::new(Some(come)) };
    want::made(&lot, wants, key(0), Reason::Item, 1);
    assert!(lot.meanwhile.take().is_none(), "it has come");
    assert!(bell::is_up(region.bell(late.who().row)));
    assert!(want::is_wanted(wants, Reason::Item));
}

/// Goal: a ring whose thread leaves without what it was rung for goes to the next one.
#[test]
fn who_leaves_passes_its_ring_on() {
    let heap = heap();
    let region = heap.region();
    let (wants, waiters) = (&region.parking().spare[0], [0, 1].map(|row| waiter(&heap, row)));
    let [first, _] = waiters.each_ref().map(|waiter| {
        waiter.hush(region);
        park(&heap, waiter, key(0), Reason::Item)
    });
    want::raise(wants, Reason::Item);
    let is_up = || waiters.each_ref().map(|waiter| bell::is_up(region.bell(waiter.who().row)));
    bell::ring_row(region, first.who.row, 0);
    assert_eq!(is_up(), [true, false]);
    want::leave(region, wants, &first);
    assert_eq!(is_up(), [true, true]);
}
