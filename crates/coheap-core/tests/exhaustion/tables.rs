//! Rows for processes and for threads are limited; who finds none hears so.
//!
//! The rows of the dead, and of threads that ended, are there again for the next one.
//!
//! Here: whole tables. What becomes of single rows is in `rows`.

use std::sync::Barrier;
use std::time::Duration;

use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::heap::floors::{ContextFloors as _, HeapFloors as _};
use coheap_core::journal::Context;
use coheap_core::memory::Region;
use coheap_core::memory::layout::{CONTEXT_COUNT, SLOT_COUNT, Slot};
use coheap_core::objects::map::Pairs;
use coheap_core::objects::queue::Recipe;
use coheap_core::objects::{Directory, Map, Queue};
use coheap_core::os::HeapFile;
use coheap_core::sync::Owner;
use coheap_core::sync::life::{State, StateWord};
use coheap_core::sync::row;

use crate::support::child::{Child, alarm, die, fork};
use crate::support::objects::{heap, map, settle_and_check, value};
use crate::support::page::Page;
use crate::support::{alone, until};

const ATTACHED: usize = 0;
const REFUSED: usize = 1;
const OTHER: usize = 2;

/// More processes than this have a slot at once in these tests; the other slots are made to look
/// as if the test's own process had them.
const CHILDREN: u32 = 10;

/// Lets this process, which lives, have all slots but `free` of them, and answers which.
fn fill_slots(heap: &Heap, free: u32) -> Vec<u32> {
    let region = heap.region();
    while region.grow_slots(region.real_slots()).expect("room for a slot") {}
    assert_eq!(region.real_slots(), SLOT_COUNT);
    let own = region.slot(heap.context().expect("a context").member().slot());
    let is_free = |slot: &u32| StateWord(region.slot(*slot).state.get()).state() == State::Free;
    let taken: Vec<u32> = (0..SLOT_COUNT).filter(is_free).skip(free as usize).collect();
    for slot in &taken {
        let Slot { state, pid, pidfd_inode, start_time, pid_namespace, time_namespace, .. } =
            region.slot(*slot);
        Region::store(pid, own.pid.get());
        Region::store(pidfd_inode, own.pidfd_inode.get());
        Region::store(start_time, own.start_time.get());
        Region::store(pid_namespace, own.pid_namespace.get());
        Region::store(time_namespace, own.time_namespace.get());
        Region::store(state, StateWord::new(1, State::Live, None).0);
    }
    taken
}

fn free_slots(heap: &Heap, slots: &[u32]) {
    for slot in slots {
        Region::store(&heap.region().slot(*slot).state, StateWord::new(1, State::Free, None).0);
    }
}

/// Goal: as many processes as there are slots can be attached, one more hears `TableFull`, and the
/// slots of the dead are there again at once.
/// Method: fill the table up to some slots, and these with children; look at one more, kill all, and
/// do it again.
#[test]
fn one_process_too_many_is_refused_and_the_dead_make_room() {
    let _alone = alone();
    let heap = heap(8);
    let total = value(&heap, "total");
    let page = Page::new(8);
    let member = || {
        fork(|| {
            alarm(120);
            match heap.with(|context| total.add(context, 1)) {
                Ok(_) => page.add(ATTACHED, 1),
                Err(Error::TableFull { table: "processes", rows: 4096 }) => page.add(REFUSED, 1),
                Err(_) => page.add(OTHER, 1),
            };
            loop {
                std::thread::park();
            }
        })
    };
    let taken = fill_slots(&heap, CHILDREN);
    let seats = u64::from(CHILDREN);
    for round in 1..=2 {
        page.clear();
        let mut members: Vec<Child> = (0..seats).map(|_| member()).collect();
        until("the table is full", || page.get(ATTACHED) + page.get(OTHER) == seats);
        let _one_more = member();
        until("one is refused", || page.get(REFUSED) == 1);
        assert_eq!(page.get(OTHER), 0, "nobody hears another error");
        for member in &mut members {
            member.kill();
        }
        assert_eq!(heap.with(|context| total.add(context, 0)), Ok((round * seats) as i64));
    }
    free_slots(&heap, &taken);
    assert_eq!(settle_and_check(&heap).members, 1);
}

/// Goal: who attaches while each slot belongs to a living process, or to a dead one that left a
/// lease, takes over from the dead one, and the lease is out again at once.
/// Method: a child leases both items of a queue and dies in the last free slot; its parent never
/// looks for the dead; another process attaches by the files, gets an item, and leaves with the
/// other one still to be had.
#[test]
fn the_estate_of_a_dead_process_does_not_keep_the_last_slot() {
    let _alone = alone();
    let heap = heap(8);
    let recipe = Recipe { limit: 0, max_attempts: 0 };
    let make = |context: &_| Directory.get_or_create(context, "jobs", &recipe);
    let jobs: Queue = heap.with(make).expect("a queue");
    heap.with(|context| jobs.put(context, b"a").and_then(|()| jobs.put(context, b"b")))
        .expect("room");
    let page = Page::new(8);
    // Whoever forks settles the dead, so this one starts before.
    let mut newcomer = fork(|| {
        until("the victim is dead", || page.get(0) == 1);
        let again = |file: &HeapFile| {
            let copy = file.descriptor().try_clone_to_owned().expect("a descriptor");
            HeapFile::from_descriptor(copy)
        };
        let other = Heap::from_files(heap.files().map(again)).expect("the slot of the dead");
        let mut item = Vec::new();
        other.with(|context| jobs.get(context, &mut item)).expect("an item that was on lease");
        assert_eq!(other.with(|context| jobs.len(context)), Ok(1));
        other.close().map_or(1, |()| 0)
    });
    let taken = fill_slots(&heap, 1);
    let mut victim = fork(|| {
        let lease = |context: &_| jobs.lease(context, &mut Vec::new());
        heap.with(lease).expect("an item");
        heap.with(lease).expect("an item");
        die()
    });
    victim.wait();
    page.set(0, 1);
    newcomer.must_succeed();
    free_slots(&heap, &taken);
    assert_eq!(settle_and_check(&heap).members, 1);
}

/// Takes all rows that are free, as threads of this process would.
fn fill_rows(heap: &Heap, slot: u32) -> Result<Vec<Owner>> {
    std::iter::from_fn(|| row::claim(heap.region(), slot).transpose()).collect()
}

/// Goal: as many threads as there are rows can work, one more hears `TableFull`, and rows of
/// threads that ended serve others.
/// Method: a child takes all rows but those of some threads, which wait for each other with their
/// contexts in use; then again.
#[test]
fn one_thread_too_many_is_refused_and_ended_ones_make_room() {
    let _alone = alone();
    let heap = heap(32);
    let total = value(&heap, "total");
    let mut child = fork(|| {
        alarm(60);
        let own = heap.context().expect("a context").member().slot();
        let taken = fill_rows(&heap, own).expect("room for all rows");
        assert_eq!(heap.region().real_rows(), CONTEXT_COUNT);
        let seats = 100;
        taken[..seats].iter().for_each(|owner| row::end(heap.region(), *owner, 0));
        for _ in 0..2 {
            let page = Page::new(8);
            let all_tried = Barrier::new(seats + 1);
            std::thread::scope(|scope| {
                let start = |_| {
                    let builder = std::thread::Builder::new().stack_size(64 << 10);
                    let work = || {
                        match heap.with(|context| total.add(context, 1)) {
                            Ok(_) => page.add(ATTACHED, 1),
                            Err(Error::TableFull { table: "threads", .. }) => page.add(REFUSED, 1),
                            Err(_) => page.add(OTHER, 1),
                        };
                        all_tried.wait();
                    };
                    builder.spawn_scoped(scope, work).expect("a thread")
                };
                let threads: Vec<_> = (0..=seats).map(start).collect();
                // The scope waits for what they do, and only `join` for their rows to be free.
                threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
            });
            assert_eq!((page.get(OTHER), page.get(REFUSED)), (0, 1));
        }
        0
    });
    child.must_succeed();
    settle_and_check(&heap);
}

/// Goal: the rows of a killed process are there for the threads of others as soon as one needs them.
/// Method: a child takes every row and is killed; then forty threads of the parent, which never
/// looked for the dead, work at once.
#[test]
fn rows_of_a_killed_process_serve_who_needs_one() {
    let _alone = alone();
    let heap = heap(8);
    let total = value(&heap, "total");
    let mut victim = fork(|| {
        let own = heap.context().expect("a context").member().slot();
        fill_rows(&heap, own).expect("room for all rows");
        die()
    });
    victim.wait();
    assert_eq!(heap.region().real_rows(), CONTEXT_COUNT);
    let all = Barrier::new(40);
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                let done = heap.with(|context| total.add(context, 1));
                all.wait();
                assert!(done.is_ok(), "{done:?}");
            });
        }
    });
    settle_and_check(&heap);
}

/// Goal: more processes and threads than a byte, or ten bits, can count work at once.
/// Method: 600 children with two threads each add to one value and stay until all have.
#[test]
fn hundreds_of_processes_work_at_once() {
    let _alone = alone();
    let heap = heap(8);
    let total = value(&heap, "total");
    let page = Page::new(8);
    let member = || {
        fork(|| {
            alarm(120);
            let add = || heap.with(|context| total.add(context, 1)).map(|_| ());
            let second = std::thread::scope(|scope| scope.spawn(add).join().expect("no panic"));
            let counted = if add().and(second).is_ok() { ATTACHED } else { OTHER };
            page.add(counted, 1);
            loop {
                std::thread::park();
            }
        })
    };
    let mut members: Vec<Child> = (0..600).map(|_| member()).collect();
    until("all work", || page.get(ATTACHED) + page.get(OTHER) == 600);
    assert_eq!((page.get(OTHER), heap.stats().map(|stats| stats.members)), (0, Ok(601)));
    for member in &mut members {
        member.kill();
    }
    assert_eq!(heap.with(|context| total.add(context, 0)), Ok(1200));
    assert_eq!(settle_and_check(&heap).members, 1);
}

/// Goal: a change that others leave no overflow chunks waits for them, and for those of the dead.
/// Method: six threads whose changes need 39 of the 128 chunks each, beside children that are killed
/// in such changes; each change succeeds.
#[test]
fn who_finds_no_chunk_waits_for_one() {
    const ENTRIES: u64 = 80_000;
    let _alone = alone();
    let heap = heap(256);
    let maps: Vec<Map> = (0..8).map(|number| map(&heap, &format!("map {number}"))).collect();
    // Both words of each cell become others.
    let change = |context: &Context, map: &Map, round: u8| {
        let value = [round; 15];
        let entries: Pairs = (0..ENTRIES).map(|number| (number.to_le_bytes(), value)).collect();
        map.set_many(context, &entries).map(drop)
    };
    let (of_threads, of_children) = maps.split_at(6);
    let mut children: Vec<Child> = of_children
        .iter()
        .map(|map| {
            fork(|| {
                alarm(60);
                let context = heap.context().expect("a member");
                (0..=255).cycle().all(|round| change(&context, map, round).is_ok());
                1
            })
        })
        .collect();
    std::thread::scope(|scope| {
        for map in of_threads {
            scope.spawn(|| {
                for round in 0..12 {
                    let done = heap.with(|context| change(context, map, round));
                    assert_eq!(done, Ok(()), "round {round}");
                }
            });
        }
        std::thread::sleep(Duration::from_millis(300));
        children.iter_mut().for_each(|child| {
            child.kill();
        });
    });
    settle_and_check(&heap);
}
