//! What is given back while another thread is in the middle of a removal.
//!
//! Here, because only this crate may begin a removal and undo it.
//!
//! Not here: references and shares (`tests/life`), and deaths in a removal (`tests/crash`).

use std::sync::Barrier;

use crate::heap::Heap;
use crate::journal::Change;
use crate::objects::header::{self, DESTROY_WORDS};
use crate::objects::kinds::queue::Recipe;
use crate::objects::{Directory, Queue};

use super::settle_due;

/// Goal: an item on lease comes back to its queue, although the queue was being removed when it was
/// given back, and the removal was undone.
/// Method: the item is given back while another thread has the queue's turns; it is due then. That
/// thread removes the queue in a change; what is due is settled meanwhile; the change is undone.
#[test]
fn what_is_given_back_beside_an_undone_removal_comes_back() {
    let heap = Heap::anonymous(1 << 20).expect("a heap");
    let context = heap.context().expect("attached");
    let recipe = Recipe { limit: 0, max_attempts: 0 };
    let queue: Queue = Directory.get_or_create(&context, "queue", &recipe).expect("room");
    queue.put(&context, b"item").expect("room");
    let lease = queue.lease(&context, &mut Vec::new()).expect("an item");
    let step = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let context = heap.context().expect("attached");
            let handle = queue.handle;
            let held = context.hold_all(&[handle.turn, handle.second_turn]).expect("free");
            step.wait();
            step.wait();
            let mut change = Change::begin(&held, DESTROY_WORDS).expect("room");
            header::destroy(&mut change, &handle).expect("it lives");
            step.wait();
            step.wait();
            drop(change);
        });
        step.wait();
        queue.nack(&context, &lease, None).expect("it is due");
        step.wait();
        step.wait();
        settle_due(&context).expect("what is due stays due");
        step.wait();
    });
    settle_due(&context).expect("the turns are free");
    assert_eq!((queue.len(&context), queue.leased(&context)), (Ok(1), Ok(0)));
    heap.check().expect("the heap is whole");
}
