//! A process that died inside a change and was not recovered yet: what the others see meanwhile.
//!
//! The two ends of a queue have a turn each, so who takes at the head is not held up by a dead
//! putter, and must not take what the putter had not committed.

use coheap_core::error::Error;
use coheap_core::heap::Heap;
use coheap_core::objects::Queue;
use coheap_core::os::failpoint;

use crate::support::child::{End, fork};
use crate::support::objects::{bounded_queue, heap, queue, settle_and_check};
use crate::support::{alone, in_milliseconds};

/// Runs `operation` in a child that dies before store number `store`. `false`: it got through.
fn dies_at(heap: &Heap, store: u64, operation: impl FnOnce()) -> bool {
    let mut child = fork(|| {
        heap.context().expect("a context");
        failpoint::arm(store);
        operation();
        failpoint::disarm();
        0
    });
    child.wait() == End::Signal(libc::SIGKILL)
}

fn take(heap: &Heap, queue: &Queue) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match heap.with(|context| queue.get(context, &mut out)) {
        Ok(()) => Some(out),
        Err(Error::Empty) => None,
        Err(other) => panic!("{other}"),
    }
}

/// Goal: an item is either put or not, also for a getter that comes before the recovery.
/// Method: a putter dies at each of its stores; at once the parent gets, then it recovers, puts
/// another item and walks the heap: what it got may not be there again, nor its block in two
/// places.
fn assert_taken_whole_or_not_at_all(len: usize) {
    let heap = heap(8);
    let jobs = queue(&heap, "jobs");
    // The first item makes the first segment, which each later put finds there.
    heap.with(|context| jobs.put(context, &vec![200; len])).expect("a put");
    assert!(take(&heap, &jobs).is_some());
    for store in 0..200 {
        let item = vec![store as u8 + 1; len];
        let died = dies_at(&heap, store, || {
            heap.with(|context| jobs.put(context, &item)).expect("a put");
        });
        let early = take(&heap, &jobs);
        settle_and_check(&heap);
        let late = take(&heap, &jobs);
        assert!(early.is_none() || late.is_none(), "store {store}: the item was there twice");
        let left = heap.with(|context| jobs.len(context)).expect("a length");
        assert_eq!(left, 0, "store {store}: {early:?}, then {late:?}");
        let taken = early.or(late);
        assert!(taken.is_none() || taken.as_ref() == Some(&item), "store {store}: {taken:?}");
        settle_and_check(&heap);
        if !died {
            assert_eq!(taken, Some(item));
            return;
        }
    }
    panic!("the put never got through");
}

#[test]
fn an_item_whose_putter_died_is_taken_whole_or_not_at_all() {
    let _alone = alone();
    for len in [4, 40] {
        assert_taken_whole_or_not_at_all(len);
    }
}

/// Goal: a bounded queue never holds more than its limit, also while a dead getter is not
/// recovered.
/// Method: a getter of the only item dies at each of its stores; at once the parent puts.
#[test]
fn a_place_whose_getter_died_is_not_given_out_twice() {
    let _alone = alone();
    let heap = heap(8);
    let jobs = bounded_queue(&heap, "jobs", 1, 0);
    for store in 0..200 {
        heap.with(|context| jobs.put(context, &[7u8; 40])).expect("a put");
        let died = dies_at(&heap, store, || {
            let mut out = Vec::new();
            heap.with(|context| jobs.get(context, &mut out)).expect("a get");
        });
        let second = heap.with(|context| jobs.put(context, &[8u8; 40]));
        settle_and_check(&heap);
        let len = heap.with(|context| jobs.len(context)).expect("a length");
        assert!(len <= 1, "store {store}: {len} items in a queue of 1, second put {second:?}");
        while take(&heap, &jobs).is_some() {}
        if !died {
            assert_eq!(second, Ok(()));
            return;
        }
    }
    panic!("the get never got through");
}

/// Goal: nobody hears that a closed queue is done while a promised item is being put.
/// Method: a promise is kept by a transaction that dies at each store of its commit; at once the
/// parent asks for an item. `ShutDown` would be final, so nothing may come after it.
#[test]
fn a_closed_queue_is_not_done_before_its_promises_are() {
    use coheap_core::transaction::Transaction;
    let _alone = alone();
    for store in 0..400 {
        let heap = heap(8);
        let jobs = queue(&heap, "jobs");
        let died = dies_at(&heap, store, || {
            let context = heap.context().expect("a context");
            let mut tx = Transaction::begin(context, None).expect("a transaction");
            tx.on(&jobs).put(&[7u8; 40]).expect("a promise");
            heap.with(|context| jobs.close(context)).expect("closed");
            tx.commit().expect("committed");
        });
        let mut out = Vec::new();
        let early = heap.with(|context| jobs.get(context, &mut out));
        settle_and_check(&heap);
        let deadline = Some(in_milliseconds(0));
        let late = heap.with(|context| jobs.get_wait(context, deadline, &mut out));
        assert!(
            early != Err(Error::ShutDown) || late.is_err(),
            "store {store}: {early:?}, then {late:?}"
        );
        assert!(early.is_err() || late.is_err(), "store {store}: the item was there twice");
        settle_and_check(&heap);
        if !died {
            return;
        }
    }
    panic!("the commit never got through");
}
