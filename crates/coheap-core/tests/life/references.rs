//! Objects without a name: they live as long as somebody refers to them, and no longer.
//!
//! Whoever dies, the walk finds every reference counted and no object left over.

use std::time::Instant;

use coheap_core::Typed as _;
use coheap_core::check::check;
use coheap_core::error::Error;
use coheap_core::heap::{Address, Heap};
use coheap_core::memory::layout::SPAN_BYTES;
use coheap_core::objects::Handle;
use coheap_core::objects::{Map, Reference, estate, ledger, map};

use crate::support::child::{End, fork};
use crate::support::objects::heap;
use crate::support::page::Page;
use crate::support::{alone, until};

fn new_map(heap: &Heap) -> (Map, Reference) {
    heap.with(|context| ledger::create(context, &map::Recipe)).expect("room")
}

fn release(heap: &Heap, reference: &Reference) {
    heap.with(|context| ledger::release(context, reference)).expect("a whole heap");
}

fn objects(heap: &Heap) -> u64 {
    heap.with(|context| {
        estate::sweep(context)?;
        check(context)
    })
    .expect("a whole heap")
    .objects
}

/// Goal: the last reference ends an object, and only the last.
/// Method: two references are given up one after the other, the second one twice.
#[test]
fn an_object_ends_with_its_last_reference() {
    let _alone = alone();
    let heap = heap(4);
    let (map, first) = new_map(&heap);
    let Handle { at, generation, .. } = map.handle();
    heap.with(|context| map.set(context, b"key", b"value")).expect("room");
    let (_, second) =
        heap.with(|context| ledger::claim(context, at, generation)).expect("it lives");
    release(&heap, &first);
    assert_eq!(heap.with(|context| map.len(context)), Ok(1));
    release(&heap, &second);
    assert_eq!(heap.with(|context| map.len(context)), Err(Error::ObjectGone));
    let gone = heap.with(|context| ledger::claim(context, at, generation)).map(|_| ());
    assert_eq!(gone, Err(Error::ObjectGone));
    let (other, _third) = new_map(&heap);
    release(&heap, &second);
    assert_eq!(heap.with(|context| other.len(context)), Ok(0), "another's reference was taken");
    assert_eq!(objects(&heap), 1);
}

/// Goal: a child has its parent's references from the moment it is forked.
/// Method: the parent gives its own up before the child does anything; the child reads, then
/// gives its own up. A second child dies with it, a third forks one of its own.
#[test]
fn a_child_keeps_what_its_parent_gives_up() {
    let _alone = alone();
    let heap = heap(4);
    let (map, reference) = new_map(&heap);
    heap.with(|context| map.set(context, b"key", b"value")).expect("room");
    let page = Page::new(8);
    let len = || heap.with(|context| map.len(context));
    let mut reader = fork(|| {
        until("the parent has none", || page.get(0) == 1);
        let seen = len();
        release(&heap, &reference);
        i32::from(seen != Ok(1))
    });
    let mut victim = fork(|| {
        until("the other is done", || page.get(1) == 1);
        loop {
            page.set(2, u64::from(len() == Ok(1)));
        }
    });
    let mut elder = fork(|| {
        let mut grandchild = fork(|| {
            until("its parent has none", || page.get(3) == 1);
            i32::from(len() != Ok(1))
        });
        release(&heap, &reference);
        page.set(3, 1);
        grandchild.must_succeed();
        0
    });
    assert_eq!(
        heap.with(|context| ledger::references(context, &map.handle())).map(|n| n > 3),
        Ok(true)
    );
    release(&heap, &reference);
    page.set(0, 1);
    assert_eq!(reader.wait(), End::Exit(0));
    assert_eq!(elder.wait(), End::Exit(0));
    page.set(1, 1);
    until("the victim reads", || page.get(2) == 1);
    victim.kill();
    assert_eq!(objects(&heap), 0);
    assert_eq!(len(), Err(Error::ObjectGone));
}

/// Goal: a child that forks before it does anything has what it inherited, and so has its child.
/// Method: the parent gives its reference up once both are forked; they read in either order.
#[test]
fn a_child_that_forks_first_keeps_what_it_inherited() {
    let _alone = alone();
    for reads_first in [0, 1] {
        let heap = heap(4);
        let (map, reference) = new_map(&heap);
        heap.with(|context| map.set(context, b"key", b"value")).expect("room");
        let page = Page::new(8);
        let reads = |number: u64| {
            until("the parent has none", || page.get(0) == 2);
            until("its turn to read", || page.get(1) == number ^ reads_first);
            let seen = heap.with(|context| map.len(context));
            release(&heap, &reference);
            page.add(1, 1);
            i32::from(seen != Ok(1))
        };
        let mut child = fork(|| {
            let mut grandchild = fork(|| reads(1));
            page.set(0, 1);
            let status = reads(0);
            grandchild.must_succeed();
            status
        });
        until("both are forked", || page.get(0) == 1);
        release(&heap, &reference);
        page.set(0, 2);
        child.must_succeed();
        assert_eq!(objects(&heap), 0);
    }
}

/// Goal: a process finds a heap that it did not inherit by its address, once.
/// Method: a child that closed its copy attaches by the address while the parent lives, and is
/// refused when the address names nobody.
#[test]
fn a_heap_is_found_by_its_address() {
    let _alone = alone();
    let heap = heap(4);
    let (map, _reference) = new_map(&heap);
    let address = heap.address().expect("open files");
    assert!(Heap::at(&address).is_ok_and(|found| found.is_same(&heap)));
    fork(|| {
        heap.close().expect("it was open");
        let found = Heap::at(&address).expect("the parent lives");
        let seen = found.with(|context| map.set(context, b"key", b"value"));
        let again = Heap::at(&address).is_ok_and(|again| again.is_same(&found));
        i32::from(seen.is_err() || !again)
    })
    .must_succeed();
    assert_eq!(heap.with(|context| map.len(context)), Ok(1));
    let nowhere = Address { uuid: [1, 2], pid: 0, ..address };
    assert_eq!(Heap::at(&nowhere).map(|_| ()), Err(Error::NoSuchHeap { pid: 0 }));
    let others = Address { uuid: [1, 2], ..address };
    assert!(Heap::at(&others).is_err(), "another heap was taken for it");
}

/// Goal: 100,000 objects are made, inherited and given up without a leak, again and again.
/// Method: the walk counts objects and bytes after each of three rounds. Room for headers is kept
/// for headers, so it is the same after each, but for a span.
#[test]
fn a_hundred_thousand_objects_leave_nothing() {
    let _alone = alone();
    let heap = heap(256);
    let mut used = Vec::new();
    for _ in 0..3 {
        let made: Vec<Reference> = (0..100_000).map(|_| new_map(&heap).1).collect();
        let started = Instant::now();
        let mut child = fork(|| {
            made.iter().step_by(2).for_each(|reference| release(&heap, reference));
            0
        });
        eprintln!("a fork with 100,000 references took {:?}", started.elapsed());
        made.iter().for_each(|reference| release(&heap, reference));
        assert_eq!(child.wait(), End::Exit(0));
        let report = heap.with(|context| {
            estate::sweep(context)?;
            coheap_core::allocator::reclaim(context)?;
            check(context)
        });
        let report = report.expect("a whole heap");
        assert_eq!(report.objects, 0);
        used.push(report.used_bytes);
    }
    // If parent and child release at the same time, both need room for it: one span more than in a
    // round in which one came first. A leak adds a span in every round.
    let least = used.iter().min().copied().unwrap_or(0);
    assert!(used.iter().all(|bytes| *bytes <= least + SPAN_BYTES), "it grows: {used:?}");
    assert!(used[0] < 21 << 20, "{} bytes are left", used[0]);
}

/// Goal: children that come and go, each with what it inherited, do not use the slots up.
/// Method: more of them than there are slots, one after the other; the parent does nothing else.
#[test]
fn children_that_are_gone_leave_their_slots() {
    let _alone = alone();
    let heap = heap(4);
    let (map, _reference) = new_map(&heap);
    for _ in 0..600 {
        fork(|| i32::from(heap.with(|context| map.len(context)) != Ok(0))).must_succeed();
    }
    assert_eq!(objects(&heap), 1);
}
