//! Pages that come and go while others act: every span that somebody may use has its pages.
//!
//! One peer is halted, or dies, before each of its stores, while another acts: both may let the heap
//! grow, be refused, give memory back, or take it again. The machine has room for a few pages only, and
//! who is refused has got some of them.
//!
//! Here: what is real, in the file of the pretend machine. That no value is lost, `tests/crash` tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coheap_core::allocator::span::Use;
use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::memory::layout::{SPAN_BYTES, SPAN_TABLE, Span};
use coheap_core::objects::{Map, estate, map};
use coheap_core::os::machine::Peer;

use super::{assert_whole, attach, descriptors, halted, make, wait_until};

const MAX_BYTES: u64 = 2 << 20;
/// What the machine has for a heap that is in use, besides what it has at first.
const ROOM: u64 = 50 * SPAN_BYTES;
/// Fits into what was given away.
const SMALL: usize = 4 * SPAN_BYTES as usize;
/// The heap grows for it: two peers want different lengths.
const LONG: [usize; 2] = [20 * SPAN_BYTES as usize, 24 * SPAN_BYTES as usize];
/// More than there is room for.
const LARGE: usize = 70 * SPAN_BYTES as usize;

/// What a peer does.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// Stores a value, for which the heap takes back what it gave away.
    Refill,
    /// Stores a value, for which the heap grows.
    Grow,
    /// Stores a value that is too large.
    BeRefused,
    /// Removes its value, and gives back whatever is free.
    Trim,
}

use Act::{BeRefused, Grow, Refill, Trim};

fn stage() -> Heap {
    let heap = Heap::anonymous(MAX_BYTES).expect("a heap");
    let map = the_map(&heap);
    let [file, ..] = heap.files();
    // Both peers find a value of their own, and a hole.
    heap.with(|context| {
        for key in [b"victim", b"others", b"remove"] {
            map.set(context, key, &vec![9; SMALL])?;
        }
        map.remove(context, b"remove", &mut Vec::new()).map(drop)
    })
    .expect("room");
    heap.trim().expect("trimmed");
    file.set_limit(file.allocated_bytes().expect("a number") + ROOM);
    heap
}

fn the_map(heap: &Heap) -> Map {
    make(heap, "map", &map::Recipe)
}

/// Acts, and answers an error unless it may be refused: while one is refused, the others are, too.
fn act(heap: &Heap, act: Act, key: &[u8]) -> Result<()> {
    let map = the_map(heap);
    let done = heap.with(|context| match act {
        Refill => map.set(context, key, &vec![key[0]; SMALL]).map(drop),
        Grow => {
            let len = LONG[usize::from(key == b"others")];
            map.set(context, key, &vec![key[0]; len]).map(drop)
        }
        BeRefused => map.set(context, key, &vec![key[0]; LARGE]).map(drop),
        Trim => map.remove(context, key, &mut Vec::new()).map(drop),
    });
    match done {
        Err(Error::HeapFull { .. }) => Ok(()),
        Ok(()) if matches!(act, Trim) => heap.trim().map(drop),
        other => other,
    }
}

/// Asserts that each committed span has its row, and its pages unless it is a hole, and that a hole has
/// none.
fn assert_real(heap: &Heap, when: &str) {
    let region = heap.region();
    let [file, ..] = heap.files();
    let committed = region.committed_spans();
    let row = size_of::<Span>() as u64;
    assert!(file.are_real(SPAN_TABLE, committed * row), "{when}: the rows of {committed} spans");
    let frontier = region.header().spans.frontier.get();
    let mut index = 0;
    while index < committed {
        let usage = match index < frontier {
            true => Use::of(region.span(index).expect("a row"), index).expect("a head"),
            false => Use::Free(committed - index),
        };
        let is_hole = matches!(usage, Use::Hole(_) | Use::Unreal(_));
        let (at, len) = (region.data_start() + index * SPAN_BYTES, usage.spans() * SPAN_BYTES);
        assert!(is_hole || file.are_real(at, len), "{when}: span {index}, {usage:?} has no pages");
        index += usage.spans();
    }
}

/// Lets a peer do one thing, and another one the other thing beside it. Returns whether the first had so
/// many stores.
fn run(first: Act, second: Act, at: u64, is_death: bool) -> bool {
    let when = format!("{first:?} halted before store {at}, {second:?}, {is_death}");
    let heap = stage();
    let has_more = halted::run(
        &heap,
        (at, is_death),
        move |heap| act(heap, first, b"victim"),
        move |heap, wait| {
            heap.context().map(drop)?;
            wait();
            act(heap, second, b"others")
        },
    );
    heap.with(estate::sweep).expect("a sweep");
    assert_real(&heap, &when);
    assert_whole(&heap);
    // What a refused one had got is there for others.
    let map = the_map(&heap);
    let set = heap.with(|context| map.set(context, b"after", &vec![1; SMALL]));
    assert_eq!(set, Ok(true), "{when}");
    let mut out = Vec::new();
    for key in [b"victim", b"others"] {
        let found = heap.with(|context| map.get(context, key, &mut out)).expect("a read");
        assert!(!found || out.iter().all(|byte| *byte == out[0]), "{when}");
    }
    assert_real(&heap, &when);
    has_more
}

fn sweep(is_death: bool) {
    const ALL: [Act; 4] = [Refill, Grow, BeRefused, Trim];
    // Each death leaves its thread, and so its heap, behind.
    let step = if cfg!(miri) {
        41
    } else if is_death {
        3
    } else {
        1
    };
    for first in ALL {
        for second in ALL {
            let mut places = (0..).step_by(step);
            let stores = places.find(|at| !run(first, second, *at, is_death)).expect("an end");
            assert!(stores > 10, "{first:?} has {stores} stores");
        }
    }
}

/// Goal: who is refused pages takes none from another that has got them, and none stays without a span.
/// Method: see the head of this file; the first one is halted.
#[test]
fn pages_that_somebody_counts_on_stay_beside_one_that_is_halted() {
    sweep(false);
}

/// Goal: as above, and whoever settles the dead leaves whole spans. Method: the first one dies.
#[test]
fn pages_that_somebody_counts_on_stay_beside_one_that_dies() {
    sweep(true);
}

/// Goal: in a folder, a page that somebody may look at without a turn stays: for half a second after it
/// was freed, and while a member is stopped.
/// Method: a value is removed; another peer trims. The pages of the value are looked at meanwhile.
#[test]
fn in_a_folder_pages_stay_for_who_may_look_at_them() {
    let heap = stage();
    let [file, ..] = heap.files();
    file.put_into_folder();
    let map = the_map(&heap);
    let stopped = Peer::new();
    let numbers = descriptors(&heap);
    let member = stopped.spawn(move || {
        let heap = attach(numbers);
        heap.with(|_| Ok(())).expect("a member");
        heap
    });
    let member = member.join().expect("no panic");
    stopped.seem_stopped(true);
    let before = file.allocated_bytes().expect("a number");
    let begin = Instant::now();
    heap.with(|context| map.remove(context, b"victim", &mut Vec::new())).expect("removed");
    assert_eq!(heap.trim(), Ok(0), "a member is stopped");
    assert_eq!(file.allocated_bytes(), Ok(before));
    stopped.seem_stopped(false);
    assert!(begin.elapsed() > Duration::from_millis(500), "a trim waits");
    heap.with(|context| map.remove(context, b"others", &mut Vec::new())).expect("removed");
    let begin = Instant::now();
    let trimmer = Peer::new().spawn(move || attach(numbers).trim());
    // Of the first one at most may have gone before.
    let least = before - (SMALL as u64 + 2 * SPAN_BYTES);
    wait_until("they go back", || file.allocated_bytes().expect("a number") < least);
    assert!(begin.elapsed() > Duration::from_millis(480), "{:?}", begin.elapsed());
    assert!(trimmer.join().expect("no panic").expect("trimmed") >= 2 * SMALL as u64);
    assert_real(&heap, "after all");
    member.close().expect("left");
    assert_whole(&heap);
}

/// Goal: who reads without a turn beside one that gives memory back finds whole values, though it may see
/// zeros.
/// Method: one peer replaces values, removes them and trims; two read. No folder, so nobody waits.
#[test]
fn readers_beside_a_trimmer_find_whole_values() {
    const ROUNDS: u8 = if cfg!(miri) { 5 } else { 200 };
    const KEYS: [&[u8]; 4] = [b"a", b"b", b"c", b"d"];
    let heap = Heap::anonymous(MAX_BYTES).expect("a heap");
    let map = the_map(&heap);
    let numbers = descriptors(&heap);
    let is_over = Arc::new(AtomicBool::new(false));
    let readers = [(); 2].map(|()| {
        let is_over = Arc::clone(&is_over);
        Peer::new().spawn(move || {
            let heap = attach(numbers);
            let map = the_map(&heap);
            let mut out = Vec::new();
            while !is_over.load(Ordering::Acquire) {
                for key in KEYS {
                    if heap.with(|context| map.get(context, key, &mut out)).expect("a read") {
                        assert!(!out.is_empty() && out[0] != 0, "a value that nobody stored");
                        assert!(out.iter().all(|byte| *byte == out[0]), "a torn value");
                    }
                }
            }
        })
    });
    for round in 1..=ROUNDS {
        heap.with(|context| {
            for (number, key) in KEYS.into_iter().enumerate() {
                let len = [40, 3_000, 20_000, 100_000][(number + usize::from(round)) % 4];
                map.set(context, key, &vec![round; len])?;
                if (round + number as u8).is_multiple_of(3) {
                    map.remove(context, key, &mut Vec::new())?;
                }
            }
            Ok(())
        })
        .expect("room");
        heap.trim().expect("trimmed");
    }
    is_over.store(true, Ordering::Release);
    readers.into_iter().for_each(|reader| reader.join().expect("no reader panics"));
    assert_real(&heap, "after all");
    assert_whole(&heap);
}
