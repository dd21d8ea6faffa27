//! Peers that are killed: what they held passes on, and what they left is settled.
//!
//! A victim is a thread that is parked for ever, so one process can see hundreds of deaths.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use coheap_core::Typed as _;
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::objects::mutex::Acquired;
use coheap_core::os::machine::Peer;

use super::{PATIENCE, Things, assert_whole, attach, descriptors, heap};

/// Goal: a dead holder's lock, lease and turn pass on, and the heap is whole again.
/// Method: a peer takes all three and is killed while it waits for an item that never comes.
#[test]
fn what_a_dead_peer_held_passes_on() {
    let heap = heap();
    let things = Things::find(&heap);
    let numbers = descriptors(&heap);
    heap.with(|context| things.queue.put(context, b"job")).expect("a put");
    let victim = Peer::new();
    let pid = victim.pid();
    let has_all = Arc::new(AtomicBool::new(false));
    let ready = Arc::clone(&has_all);
    victim.spawn(move || {
        let heap = attach(numbers);
        let things = Things::find(&heap);
        let mut out = Vec::new();
        heap.with(|context| {
            things.mutex.lock(context, None)?;
            things.queue.lease(context, &mut out)?;
            let _held = context.hold(things.value.handle().turn)?;
            ready.store(true, Ordering::Release);
            // It sleeps with the turn, as a stopped process would.
            coheap_core::os::wait(context.region().turn(0).signal.futex(), 0, u64::MAX);
            Ok(())
        })
    });
    let mut out = Vec::new();
    super::wait_until("the victim has everything", || has_all.load(Ordering::Acquire));
    victim.kill();
    assert!(victim.wait_dead(PATIENCE));
    heap.with(|context| {
        assert_eq!(things.value.add(context, 1)?, 1);
        assert_eq!(things.mutex.lock(context, None)?, Acquired::OwnerDied(pid));
        things.mutex.unlock(context)?;
        let lease = things.queue.lease_wait(context, None, &mut out)?;
        assert_eq!((out.as_slice(), lease.attempt), (b"job".as_slice(), 2));
        things.queue.ack(context, &lease)
    })
    .expect("what the dead one held");
    assert_whole(&heap);
}

/// Goal: a peer that dies at any store leaves each operation done or not done, never half.
/// Method: for each k, a new heap; a peer writes and is killed before its store number k; then
/// another peer looks, and the heap is checked. Under Miri only every so many.
#[cfg(feature = "failpoints")]
#[test]
fn a_death_at_any_store_leaves_all_or_nothing() {
    use coheap_core::os::failpoint;

    fn change(heap: &coheap_core::heap::Heap, things: &Things) {
        heap.with(|context| {
            things.map.set(context, b"a key too long to lie in a cell", &[7; 60])?;
            things.queue.put(context, &[8; 40])
        })
        .expect("two writes");
    }

    let stores = {
        let heap = heap();
        let things = Things::find(&heap);
        failpoint::arm(u64::MAX);
        change(&heap, &things);
        failpoint::disarm()
    };
    let step = if cfg!(miri) { 13 } else { 1 };
    for die_at in (0..stores).step_by(step) {
        let heap = heap();
        let things = Things::find(&heap);
        let numbers = descriptors(&heap);
        let victim = Peer::new();
        victim.spawn(move || {
            let heap = attach(numbers);
            let things = Things::find(&heap);
            failpoint::arm(die_at);
            change(&heap, &things);
            failpoint::arm(0);
            change(&heap, &things);
        });
        assert!(victim.wait_dead(PATIENCE), "store {die_at}");
        let mut out = Vec::new();
        heap.with(|context| {
            let is_set = things.map.get(context, b"a key too long to lie in a cell", &mut out)?;
            assert!(!is_set || out == [7; 60], "store {die_at}: {out:?}");
            let len = things.queue.len(context)?;
            assert!(len <= u64::from(is_set), "store {die_at}");
            things.queue.put(context, b"after")?;
            assert_eq!(things.queue.len(context)?, len + 1);
            Ok(())
        })
        .expect("a heap after a death");
        assert_whole(&heap);
    }
}
