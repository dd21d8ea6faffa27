//! Wakes that get lost, clocks that stop, and sleepers that nobody forgets.
//!
//! Time is real here (under Miri: the machine's count of steps), only a peer's view of it is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coheap_core::Typed as _;
use coheap_core::error::Error;
use coheap_core::heap::floors::{ContextFloors as _, HeapFloors as _};
use coheap_core::os::machine::Peer;

use super::{PATIENCE, Things, assert_whole, attach, descriptors, heap, sleepers, wait_until};

/// Goal: a lost wake costs a slice and no more: the lock still passes on.
/// Method: two peers take a lock in turns, each holding it until the other sleeps or is through;
/// every wake of both is lost.
#[test]
fn a_lock_passes_on_although_every_wake_is_lost() {
    const ROUNDS: u32 = 5;
    let heap = heap();
    Things::find(&heap);
    let numbers = descriptors(&heap);
    let peers = [Peer::new(), Peer::new()];
    let is_one_through = Arc::new(AtomicBool::new(false));
    let threads = peers.each_ref().map(|peer| {
        peer.lose_wakes(u32::MAX);
        let is_one_through = Arc::clone(&is_one_through);
        peer.spawn(move || {
            let heap = attach(numbers);
            let things = Things::find(&heap);
            for _ in 0..ROUNDS {
                heap.with(|context| {
                    things.mutex.lock(context, None)?;
                    wait_until("the other sleeps", || {
                        sleepers(&heap) > 0 || is_one_through.load(Ordering::Acquire)
                    });
                    things.mutex.unlock(context)
                })
                .expect("the lock");
            }
            is_one_through.store(true, Ordering::Release);
        })
    });
    threads.into_iter().for_each(|thread| thread.join().expect("no peer panics"));
    let lost: u32 = peers.iter().map(Peer::wakes_lost).sum();
    assert!(lost > 0, "nobody ever slept, so nothing was tried");
    assert_whole(&heap);
}

/// Goal: the same for a turn, whose holders cannot be made to linger.
/// Method: one peer holds the turn of a value until another, who wants to write it, sleeps; the
/// wake at its end is lost.
#[test]
fn a_turn_passes_on_although_the_wake_is_lost() {
    let heap = heap();
    Things::find(&heap);
    let numbers = descriptors(&heap);
    let (holder, writer) = (Peer::new(), Arc::new(Peer::new()));
    holder.lose_wakes(u32::MAX);
    let is_held = Arc::new(AtomicBool::new(false));
    let held = Arc::clone(&is_held);
    let other = Arc::clone(&writer);
    let holding = holder.spawn(move || {
        let heap = attach(numbers);
        heap.with(|context| {
            let held_turn = context.hold(Things::find(&heap).value.handle().turn)?;
            held.store(true, Ordering::Release);
            wait_until("the writer sleeps", || other.is_asleep());
            drop(held_turn);
            Ok(())
        })
        .expect("the turn");
    });
    wait_until("the turn is held", || is_held.load(Ordering::Acquire));
    let writing = writer.spawn(move || {
        let heap = attach(numbers);
        heap.with(|context| Things::find(&heap).value.add(context, 1)).expect("the turn came");
    });
    for thread in [holding, writing] {
        thread.join().expect("no peer panics");
    }
    assert_eq!(holder.wakes_lost(), 1);
    assert_whole(&heap);
}

/// Who the heap's tickers are, as rows of threads, and when each was last seen.
fn tickers(heap: &coheap_core::heap::Heap) -> [(u64, u64); 2] {
    let tickers = &heap.region().header().tickers;
    [0, 1].map(|which| (tickers[which].get() & 0xfff, tickers[which].get() & !0xfff))
}

/// Goal: a ticker whose clock stands still is replaced by one that sleeps, and the heap goes on.
/// Method: four peers wait for an item for longer than 100 ms, so that two of them become
/// tickers. The clocks of both are stopped. Others must take their rows; then items come, and
/// everybody gets one, clock or no clock.
#[test]
fn tickers_with_stopped_clocks_are_replaced() {
    let heap = heap();
    let things = Things::find(&heap);
    let numbers = descriptors(&heap);
    let rows = Arc::new(std::sync::Mutex::new(Vec::new()));
    let peers = [(); 4].map(|()| Arc::new(Peer::new()));
    let threads = peers.each_ref().map(|peer| {
        let (rows, pid) = (Arc::clone(&rows), peer.pid());
        peer.spawn(move || {
            let heap = attach(numbers);
            let things = Things::find(&heap);
            heap.with(|context| {
                rows.lock().expect("no peer panics").push((u64::from(context.index() + 1), pid));
                things.queue.get_wait(context, None, &mut Vec::new())
            })
            .expect("an item");
        })
    });
    wait_until("two tickers", || tickers(&heap).iter().all(|ticker| ticker.0 != 0));
    let first = tickers(&heap);
    let names = rows.lock().expect("no peer panics").clone();
    for (row, _) in first {
        let pid = names.iter().find(|name| name.0 == row).expect("a ticker that waits").1;
        let peer = peers.iter().find(|peer| peer.pid() == pid).expect("a peer");
        peer.stop_clock(true);
    }
    wait_until("two others are tickers", || {
        tickers(&heap).iter().zip(first).all(|(now, then)| now.0 != then.0)
    });
    for item in 0..4u8 {
        heap.with(|context| things.queue.put(context, &[item])).expect("a put");
    }
    threads.into_iter().for_each(|thread| thread.join().expect("no peer panics"));
    assert_whole(&heap);
}

/// Goal: a signal ends a wait at once, and the waiter gets the lock all the same if it goes on.
#[test]
fn a_signal_ends_a_wait() {
    let heap = heap();
    let things = Things::find(&heap);
    let numbers = descriptors(&heap);
    heap.with(|context| things.mutex.lock(context, None)).expect("a free lock");
    let peer = Peer::new();
    let thread = peer.spawn(move || {
        let heap = attach(numbers);
        heap.with(|context| Things::find(&heap).mutex.lock(context, None))
    });
    wait_until("the wait ends", || {
        peer.interrupt();
        thread.is_finished()
    });
    assert_eq!(thread.join().expect("no panic"), Err(Error::Interrupted));
    heap.with(|context| things.mutex.unlock(context)).expect("our lock");
    assert_whole(&heap);
}

/// Goal: whoever waits on a closed queue hears at once that the last lease ended there.
/// Method: four peers wait until all but the tickers sleep for long; then the only lease is acked.
#[test]
fn all_who_wait_on_a_closed_queue_hear_of_its_end() {
    let heap = heap();
    let things = Things::find(&heap);
    let numbers = descriptors(&heap);
    let lease = heap
        .with(|context| {
            things.queue.put(context, b"item")?;
            let lease = things.queue.lease(context, &mut Vec::new())?;
            things.queue.close(context)?;
            Ok(lease)
        })
        .expect("an item on lease");
    let threads = [(); 4].map(|()| {
        Peer::new().spawn(move || {
            let heap = attach(numbers);
            heap.with(|context| Things::find(&heap).queue.get_wait(context, None, &mut Vec::new()))
        })
    });
    wait_until("two tickers", || tickers(&heap).iter().all(|ticker| ticker.0 != 0));
    let first = tickers(&heap);
    let later = |(now, then): (&(u64, u64), (u64, u64))| now.1 > then.1 + 3 * 20_000_000;
    wait_until("all but the tickers sleep for long", || {
        tickers(&heap).iter().zip(first).all(later)
    });
    let ended = Instant::now();
    heap.with(|context| things.queue.ack(context, &lease)).expect("our lease");
    for thread in threads {
        assert_eq!(thread.join().expect("no panic"), Err(Error::ShutDown));
    }
    let took = ended.elapsed();
    assert!(took < if cfg!(miri) { PATIENCE } else { Duration::from_millis(500) }, "{took:?}");
}
