//! Two peers, one of which is halted, or dies, before one of its stores, while the other one acts.
//!
//! What always holds: both are through, or dead, when `run` returns, and a failure names the store.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use coheap_core::error::Result;
use coheap_core::heap::Heap;
use coheap_core::os::failpoint;
use coheap_core::os::machine::Peer;

use super::{attach, descriptors, wait_until};

thread_local! {
    /// What the thread does when it is halted.
    static HALTED: RefCell<Option<Box<dyn Fn()>>> = const { RefCell::new(None) };
}

/// Lets a peer do something, and another one something else before the first one's store of this number,
/// until it is through, or waits for the first. Then the first goes on, or is dead. The second one calls what
/// it is given when it has prepared what it does. Returns whether the first had so many stores.
pub(super) fn run(
    heap: &Heap,
    (at, is_death): (u64, bool),
    first: impl FnOnce(&Heap) -> Result<()> + Send + 'static,
    second: impl FnOnce(&Heap, &dyn Fn()) -> Result<()> + Send + 'static,
) -> bool {
    let numbers = descriptors(heap);
    let (victim, other) = (Arc::new(Peer::new()), Arc::new(Peer::new()));
    let [is_ready, is_halted, is_through] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
    let second_thread = {
        let [is_ready, is_halted, is_through] =
            [&is_ready, &is_halted, &is_through].map(Arc::clone);
        let victim = Arc::clone(&victim);
        other.spawn(move || {
            let heap = attach(numbers);
            let done = second(&heap, &|| {
                is_ready.store(true, Ordering::Release);
                wait_until("the first is halted, or waits", || {
                    is_halted.load(Ordering::Acquire) || victim.is_asleep()
                });
            });
            is_through.store(true, Ordering::Release);
            done
        })
    };
    let first_thread = {
        let (is_halted, is_through) = (Arc::clone(&is_halted), Arc::clone(&is_through));
        let other = Arc::clone(&other);
        victim.spawn(move || {
            let heap = attach(numbers);
            wait_until("the second is ready", || is_ready.load(Ordering::Acquire));
            let halt = move || {
                is_halted.store(true, Ordering::Release);
                wait_until("the second is through, or waits", || {
                    is_through.load(Ordering::Acquire) || other.is_asleep()
                });
            };
            HALTED.set(Some(Box::new(halt)));
            failpoint::arm(if is_death { at } else { u64::MAX });
            failpoint::halt_at(at, || HALTED.with_borrow(|halt| halt.as_ref().expect("a halt")()));
            let done = first(&heap);
            (failpoint::disarm(), done)
        })
    };
    let mut has_more = true;
    if is_death {
        let has_ended = || victim.wait_dead(Duration::ZERO) || first_thread.is_finished();
        wait_until("the first is dead, or through", has_ended);
        has_more = !first_thread.is_finished();
    }
    if !is_death || !has_more {
        let (stores, done) = first_thread.join().expect("no panic");
        assert_eq!(done, Ok(()), "the first, {at}");
        has_more = stores > at;
    }
    is_halted.store(true, Ordering::Release);
    let done = second_thread.join().expect("no panic");
    assert_eq!(done, Ok(()), "the second, {at}");
    has_more
}
