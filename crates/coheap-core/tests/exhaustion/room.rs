//! Room that comes back: what one object no longer needs serves any other, whatever its size.
//!
//! Each test fills a heap by one history, empties it, and asks for a value of half the heap.

use std::sync::{Barrier, Mutex};

use coheap_core::check::check;
use coheap_core::error::Error;
use coheap_core::heap::Heap;
use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::objects::{Directory, Map};

use crate::support::alone;
use crate::support::child::{alarm, fork};
use crate::support::objects::{heap, map, queue, settle_and_check, value};

const MEBIBYTES: u64 = 16;

/// Sets entries of this size until the heap is full, and returns how many there are.
fn fill(heap: &Heap, map: &Map, size: usize) -> u64 {
    let bytes = vec![7; size];
    (0..)
        .find(|number: &u64| {
            let set = heap.with(|context| map.set(context, &number.to_le_bytes(), &bytes));
            assert!(matches!(set, Ok(true) | Err(Error::HeapFull { .. })), "{set:?}");
            set.is_err()
        })
        .expect("a heap is full some day")
}

/// Removes the entries that `goes` chooses.
fn remove(heap: &Heap, map: &Map, count: u64, goes: impl Fn(u64) -> bool) {
    heap.with(|context| {
        for number in (0..count).filter(|number| goes(*number)) {
            assert!(map.remove(context, &number.to_le_bytes(), &mut Vec::new())?, "{number}");
        }
        Ok(())
    })
    .expect("a full heap can be emptied");
}

/// Asserts that another object takes a value of half the heap.
fn assert_half_fits(heap: &Heap, history: &str) {
    let number = value(heap, "number");
    let half = vec![1; (MEBIBYTES as usize) << 19];
    let set = heap.with(|context| number.set(context, &half));
    assert_eq!(set, Ok(()), "{history}: {:?}", heap.stats());
    let mut out = Vec::new();
    heap.with(|context| number.get(context, &mut out)).expect("the value");
    assert!(out == half, "{history}: the value is another one");
    settle_and_check(heap);
}

/// Goal: a heap whose only map was emptied takes a value of half its size.
/// Method: values of each size, from in the cell to spans of their own; all removed one by one, in
/// order and backwards, by `clear`, and with the map.
#[test]
fn an_emptied_map_leaves_room_for_a_value_of_half_the_heap() {
    for size in [8, 40, 100, 1000, 5000, 9000, 40_000, 300_000] {
        for way in ["in order", "backwards", "clear", "remove"] {
            let heap = heap(MEBIBYTES);
            let map = map(&heap, "map");
            let count = fill(&heap, &map, size);
            match way {
                "in order" => remove(&heap, &map, count, |_| true),
                "clear" => heap.with(|context| map.clear(context)).expect("cleared"),
                "remove" => {
                    heap.with(|context| Directory.remove(context, "map")).expect("removed");
                }
                _ => {
                    let (mut key, mut out) = (Vec::new(), Vec::new());
                    while heap
                        .with(|context| map.pop_last(context, &mut key, &mut out))
                        .expect("popped")
                    {}
                }
            }
            assert_half_fits(&heap, &format!("values of {size} bytes, {way}"));
        }
    }
}

/// Goal: a map of which one entry in a hundred is left occupies no more than it needs.
/// Method: as above with values in the cell; the removed ones are the others of each hundred.
#[test]
fn removed_entries_give_way_to_another_object() {
    let heap = heap(MEBIBYTES);
    let map = map(&heap, "map");
    let count = fill(&heap, &map, 8);
    remove(&heap, &map, count, |number| number % 100 != 0);
    assert_half_fits(&heap, "one in a hundred is left");
    heap.with(|context| {
        for number in 0..count {
            let there = map.get(context, &number.to_le_bytes(), &mut Vec::new())?;
            assert_eq!(there, number % 100 == 0, "{number}");
        }
        Ok(())
    })
    .expect("the map is whole");
}

/// Goal: the queues that were filled before leave room, too.
#[test]
fn an_emptied_queue_leaves_room_for_a_value_of_half_the_heap() {
    for size in [8, 100, 5000, 40_000] {
        let heap = heap(MEBIBYTES);
        let jobs = queue(&heap, "jobs");
        let item = vec![7; size];
        while heap.with(|context| jobs.put(context, &item)).is_ok() {}
        while heap.with(|context| jobs.get(context, &mut Vec::new())).is_ok() {}
        assert_half_fits(&heap, &format!("items of {size} bytes"));
    }
}

/// Goal: what threads keep ready for values of all sizes is no obstacle once they have ended.
/// Method: 24 threads, of which each sets and removes values of every size.
#[test]
fn spans_of_every_class_and_arena_give_way() {
    let heap = heap(MEBIBYTES);
    let map = map(&heap, "map");
    std::thread::scope(|scope| {
        for thread in 0..24u64 {
            let (heap, map) = (&heap, &map);
            scope.spawn(move || {
                heap.with(|context| {
                    for round in 0..40u64 {
                        let key = (thread << 32 | round).to_le_bytes();
                        let size = 16 << (round % 10);
                        map.set(context, &key, &vec![1; size as usize])?;
                    }
                    for round in 0..40u64 {
                        let key = (thread << 32 | round).to_le_bytes();
                        map.remove(context, &key, &mut Vec::new())?;
                    }
                    Ok(())
                })
                .expect("room");
            });
        }
    });
    assert_half_fits(&heap, "threads with all sizes");
}

/// Goal: what living threads keep ready does not fill a small heap with nothing in it.
/// Method: 16 threads set and remove values of every size, one thread after the other, and stay; each
/// has room, and a value of 20 KB as well, while all are still there.
#[test]
fn idle_threads_do_not_fill_a_small_heap() {
    const SIZES: [usize; 28] = [
        20, 40, 60, 75, 90, 110, 125, 150, 180, 210, 250, 300, 380, 440, 500, 630, 760, 890, 1000,
        1200, 1500, 1700, 2000, 2500, 3200, 4000, 5400, 8000,
    ];
    for mebibytes in [2, 3, 4, 8] {
        let heap = heap(mebibytes);
        let (one_at_a_time, all_are_done) = (Mutex::new(()), Barrier::new(17));
        std::thread::scope(|scope| {
            for thread in 0..16 {
                let (heap, turn, all_are_done) = (&heap, &one_at_a_time, &all_are_done);
                scope.spawn(move || {
                    let done = turn.lock().map(|_turn| {
                        let name = format!("map {thread}");
                        let map = map(heap, &name);
                        heap.with(|context| {
                            for size in SIZES {
                                map.set(context, b"key", &vec![7; size])?;
                            }
                            map.remove(context, b"key", &mut Vec::new())?;
                            Directory.remove(context, &name)
                        })
                    });
                    all_are_done.wait();
                    all_are_done.wait();
                    assert_eq!(done.expect("no panic"), Ok(()), "{mebibytes} MiB, thread {thread}");
                });
            }
            all_are_done.wait();
            let map = map(&heap, "map");
            let long = heap.with(|context| map.set(context, b"key", &[1; 20_000]));
            all_are_done.wait();
            assert_eq!(long, Ok(true), "{mebibytes} MiB");
        });
        settle_and_check(&heap);
    }
}

/// Goal: runs that are freed side by side are one run, also with what was never used.
/// Method: 100 values of 9 spans each, freed in an order that joins to the left, to the right, and in
/// the middle; the integrity walk knows that no two free runs are neighbours.
#[test]
fn free_runs_are_joined() {
    let orders: [fn(u64) -> u64; 4] = [|n| n, |n| 99 - n, |n| n * 7 % 100, |n| n * 51 % 100];
    for order in orders {
        let heap = heap(MEBIBYTES);
        let map = map(&heap, "map");
        let bytes = vec![3; 9 * 16_384];
        heap.with(|context| {
            (0..100u64).try_for_each(|n| map.set(context, &n.to_le_bytes(), &bytes).map(drop))
        })
        .expect("room");
        for number in (0..100).map(order) {
            heap.with(|context| {
                map.remove(context, &number.to_le_bytes(), &mut Vec::new())?;
                check(context).map(drop)
            })
            .expect("whole");
        }
        assert_half_fits(&heap, "runs in some order");
    }
}

/// Goal: pages that a dead process was about to get for the heap are nobody's loss.
/// Method: children that let the heap grow are killed at random; then all of it can be used.
#[test]
fn the_death_of_a_grower_loses_nothing() {
    let _alone = alone();
    let heap = heap(MEBIBYTES);
    let map = map(&heap, "map");
    for round in 0..20u64 {
        let mut child = fork(|| {
            alarm(30);
            let context = heap.context().expect("a member");
            for size in (0..).map(|number| 20_000 + number % 7 * 30_000) {
                let _ = map.set(&context, &round.to_le_bytes(), &vec![1; size]);
            }
            0
        });
        std::thread::sleep(std::time::Duration::from_millis(round % 5));
        child.kill();
    }
    heap.with(|context| map.clear(context)).expect("cleared");
    assert_half_fits(&heap, "growers died");
    assert!(heap.region().committed_spans() <= heap.region().span_limit());
}
