//! A process that closes a heap while its other threads are in the middle of something.
//!
//! Whatever they hold or get afterwards, nothing of it stays on lease or locked, though their process
//! lives on; and none of them waits for ever.

use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::journal::Context;
use coheap_core::ledger;
use coheap_core::objects::mutex::Acquired;
use coheap_core::objects::{Map, Queue, estate, map};
use coheap_core::sync::life::{State, StateWord};
use coheap_core::transaction::Transaction;

use crate::scene::{GO, OWN, PID, Scene};
use crate::support::child::{Child, End, fork};
use crate::support::objects::{heap, map as map_of, queue, settle_and_check};
use crate::support::{alone, in_milliseconds, is_so_within, sleepers, until};

/// A child in which a thread does `before`, the heap is closed, the thread does `after`, and both
/// then stay until the word to go on. The thread's context lives as long as it.
fn closer<T>(
    scene: &Scene,
    before: impl FnOnce(&Rc<Context>) -> T + Send,
    after: impl FnOnce(&Rc<Context>, T) -> bool + Send,
) -> Child {
    let child = fork(|| {
        let (tell, told) = mpsc::channel();
        let (closed, is_closed) = mpsc::channel();
        let went_well = std::thread::scope(|scope| {
            let late = scope.spawn(move || {
                let context = scene.heap.context().expect("a context");
                let kept = before(&context);
                scene.page.set(PID, u64::from(context.member().slot()) + 1);
                tell.send(()).expect("a listener");
                is_closed.recv().expect("a close");
                let went_well = after(&context, kept);
                scene.page.set(OWN, 1 + u64::from(went_well));
                until("the word to go on", || scene.page.get(GO) != 0);
                went_well
            });
            told.recv().expect("a thread");
            scene.heap.close().expect("a close");
            closed.send(()).expect("a listener");
            late.join().expect("the thread")
        });
        i32::from(!went_well)
    });
    until("the late thread is done", || scene.page.get(OWN) != 0);
    child
}

fn ends(scene: &Scene, mut child: Child) {
    scene.release();
    child.must_succeed();
    scene.assert_whole();
}

fn has_nothing_on_lease(heap: &Heap, queue: &Queue) {
    heap.with(estate::sweep).expect("a sweep");
    assert_eq!(heap.with(|context| queue.leased(context)), Ok(0));
}

/// Goal: a thread whose process has left the heap gets nothing more on lease.
/// Method: it leases with the context that it had before.
#[test]
fn who_has_left_gets_no_lease() {
    let _alone = alone();
    let scene = Scene::new();
    let jobs = queue(&scene.heap, "jobs");
    scene.heap.with(|context| jobs.put(context, b"job")).expect("a put");
    let child = closer(
        &scene,
        |_| (),
        |context, ()| jobs.lease(context, &mut Vec::new()) == Err(Error::Closed),
    );
    has_nothing_on_lease(&scene.heap, &jobs);
    let leased = scene.heap.with(|context| jobs.lease(context, &mut Vec::new()));
    assert_eq!(leased.expect("the job").attempt, 1, "nobody had it before");
    ends(&scene, child);
}

/// Goal: what a thread holds on lease when its process leaves is there again at once, and the
/// thread's answers to it come too late.
#[test]
fn a_lease_of_another_thread_returns_at_the_close() {
    let _alone = alone();
    let scene = Scene::new();
    let jobs = queue(&scene.heap, "jobs");
    scene.heap.with(|context| jobs.put(context, b"job")).expect("a put");
    let child = closer(
        &scene,
        |context| jobs.lease(context, &mut Vec::new()).expect("a lease"),
        |context, lease| jobs.ack(context, &lease).is_err(),
    );
    has_nothing_on_lease(&scene.heap, &jobs);
    let again = scene.heap.with(|context| jobs.lease(context, &mut Vec::new()));
    assert_eq!(again.expect("the job").attempt, 2);
    ends(&scene, child);
}

/// Goal: a thread whose process has left makes and keeps no references.
#[test]
fn who_has_left_gets_no_reference() {
    let _alone = alone();
    let scene = Scene::new();
    let child = closer(
        &scene,
        |context| ledger::create(context, &map::Recipe).expect("a map"),
        |context, (_, reference): (Map, _)| {
            let made = ledger::create(context, &map::Recipe).map(|_| ());
            made == Err(Error::Closed) && ledger::release(context, &reference).is_ok()
        },
    );
    scene.heap.with(estate::sweep).expect("a sweep");
    let slot = scene.heap.region().slot(scene.page.get(PID) as u32 - 1);
    assert_eq!(slot.leases.get(), 0, "something is left in the ledger");
    ends(&scene, child);
}

/// Goal: the lock of a thread whose process has left goes to the next one, as that of a dead one.
/// Method: the thread stays, and so does its process.
#[test]
fn a_lock_of_another_thread_is_inherited_at_the_close() {
    let _alone = alone();
    let scene = Scene::new();
    let child =
        closer(&scene, |context| scene.lock.lock(context, None).expect("the lock"), |_, _| true);
    let next = scene.heap.with(|context| scene.lock.lock(context, Some(in_milliseconds(5_000))));
    assert_eq!(next, Ok(Acquired::OwnerDied(child.pid() as u32)));
    scene.heap.with(|context| scene.lock.unlock(context)).expect("unlocked");
    ends(&scene, child);
}

/// Goal: a transaction that its process has left neither holds others up nor commits.
#[test]
fn a_transaction_of_another_thread_ends_at_the_close() {
    let _alone = alone();
    let scene = Scene::new();
    let (books, jobs) = (map_of(&scene.heap, "books"), queue(&scene.heap, "jobs"));
    let child = closer(
        &scene,
        |context| {
            let mut transaction = Transaction::begin(Rc::clone(context), None).expect("begun");
            transaction.on(&books).set(b"key", b"theirs").expect("a write");
            transaction.on(&jobs).put(b"job").expect("a promise");
            transaction
        },
        |_, transaction| transaction.commit() == Err(Error::Closed),
    );
    let written = scene.heap.with(|context| books.set(context, b"key", b"ours"));
    assert!(written.is_ok(), "{written:?}");
    assert_eq!(scene.heap.with(|context| jobs.len(context)), Ok(0));
    ends(&scene, child);
    settle_and_check(&scene.heap);
}

/// Goal: a thread that waits when its process leaves stops waiting.
/// Method: it waits for an item that nobody puts, and for a lock that is never free.
#[test]
fn who_waits_at_the_close_hears_of_it() {
    type Wait = fn(&Scene, &Queue, &Context) -> Result<()>;
    let waits: [Wait; 3] = [
        |_, jobs, context| jobs.lease_wait(context, None, &mut Vec::new()).map(|_| ()),
        |_, jobs, context| jobs.join(context, None),
        |scene, _, context| scene.lock.lock(context, None).map(|_| ()),
    ];
    let _alone = alone();
    for wait in waits {
        let scene = Scene::new();
        let (jobs, empty) = (queue(&scene.heap, "jobs"), queue(&scene.heap, "empty"));
        scene.heap.with(|context| jobs.put(context, b"job")).expect("a put");
        scene.heap.with(|context| scene.lock.lock(context, None)).expect("the lock");
        let mut child = fork(|| {
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| {
                    let context = scene.heap.context().expect("a context");
                    // An empty queue has no item to wait for, and one with an item is not done.
                    let first = wait(&scene, &empty, &context);
                    first.and_then(|()| wait(&scene, &jobs, &context))
                });
                until("it sleeps", || sleepers(&scene.heap) > 0 || waiter.is_finished());
                scene.heap.close().expect("a close");
                let is_over = is_so_within(Duration::from_secs(5), || waiter.is_finished());
                if !is_over {
                    crate::support::child::exit_now(3);
                }
                i32::from(waiter.join().expect("the waiter") != Err(Error::Closed))
            })
        });
        child.must_succeed();
    }
}

/// Goal: whatever the other threads of a closing process are doing, nothing stays behind.
/// Method: one thread leases, waits, forks and opens as fast as it can, with short pauses before the
/// close; afterwards nothing is on lease, locked or listed.
#[test]
fn closing_beside_busy_threads_leaves_nothing() {
    const ROUNDS: u64 = 150;
    type Work = fn(&Heap, &Queue, &coheap_core::objects::Mutex) -> Result<()>;
    let works: [Work; 4] = [
        |heap, jobs, _| heap.with(|context| jobs.lease(context, &mut Vec::new())).map(|_| ()),
        |heap, jobs, lock| {
            heap.with(|context| lock.lock(context, None).map(|_| ()))?;
            heap.with(|context| jobs.lease_wait(context, None, &mut Vec::new())).map(|_| ())
        },
        |heap, jobs, _| {
            fork(|| {
                // The heap may be closed already.
                let _ = heap.with(|context| jobs.len(context));
                0
            })
            .must_succeed();
            heap.with(|context| jobs.lease(context, &mut Vec::new())).map(|_| ())
        },
        |heap, jobs, _| {
            let again = Heap::at(&heap.address()?)?;
            again.with(|context| jobs.lease(context, &mut Vec::new()))?;
            heap.with(|_| Ok(()))
        },
    ];
    let _alone = alone();
    for round in 0..ROUNDS {
        let heap = heap(4);
        let (jobs, lock) = (queue(&heap, "jobs"), crate::support::objects::mutex(&heap, "lock"));
        for item in 0..100u8 {
            heap.with(|context| jobs.put(context, &[item])).expect("a put");
        }
        let work = works[round as usize % works.len()];
        let address = heap.address().expect("an address");
        let mut child = fork(|| {
            std::thread::scope(|scope| {
                let busy = scope.spawn(|| while work(&heap, &jobs, &lock).is_ok() {});
                std::thread::sleep(Duration::from_micros(120 + round * 7 % 200));
                let closed = heap.close();
                busy.join().expect("the busy thread");
                // It may have opened the heap again, after the close.
                let again = Heap::at(&address).and_then(|again| again.close());
                i32::from(closed.is_err() || again.is_err())
            })
        });
        child.must_succeed();
        has_nothing_on_lease(&heap, &jobs);
        let taken = heap.with(|context| lock.lock(context, Some(in_milliseconds(5_000))));
        assert!(taken.is_ok(), "round {round}: {taken:?}");
        let own = heap.context().expect("a context").member().slot();
        for slot in (0..20).filter(|slot| *slot != own) {
            let word = StateWord(heap.region().slot(slot).state.get());
            assert_eq!(word.state(), State::Free, "round {round}, slot {slot}");
        }
        settle_and_check(&heap);
    }
}

/// Goal: a thread whose process closes the heap does not get the lock that it waits for.
/// Method: the process holds the lock; three others wait for it, then a thread of its own; it closes the
/// heap, and the lock goes from one to the next.
#[test]
fn a_wait_for_a_lock_ends_with_the_close() {
    let _alone = alone();
    for round in 0..60 {
        let heap = heap(4);
        let lock = crate::support::objects::mutex(&heap, "lock");
        let page = crate::support::page::Page::new(1);
        let acquire = || heap.with(|context| lock.lock(context, None).map(drop));
        let mut closer = fork(|| {
            acquire().expect("free");
            page.set(0, 1);
            until("the others wait", || sleepers(&heap) == 3);
            std::thread::scope(|scope| {
                let late = scope.spawn(acquire);
                until("the thread waits", || sleepers(&heap) == 4);
                heap.close().expect("a close");
                i32::from(late.join().expect("calm") != Err(Error::Closed))
            })
        });
        until("the lock is held", || page.get(0) == 1);
        let pass = || {
            let passed = acquire().and_then(|()| heap.with(|context| lock.unlock(context)));
            i32::from(passed.is_err())
        };
        let mut others = [fork(pass), fork(pass), fork(pass)];
        assert_eq!(closer.wait(), End::Exit(0), "round {round}");
        others.iter_mut().for_each(Child::must_succeed);
        settle_and_check(&heap);
    }
}

/// Goal: a heap that was closed stays closed, also for a thread that has just used it through a later
/// attachment; and a child that has both can use the later one.
/// Method: a process attaches again to an anonymous heap that it has closed, and uses both in turn.
#[test]
fn what_was_closed_stays_closed_beside_a_new_attachment() {
    let _alone = alone();
    let keeper = heap(4);
    let address = keeper.address().expect("an address");
    let map = map_of(&keeper, "map");
    let uses = |heap: &Heap| heap.with(|context| map.set(context, b"key", b"value")).map(drop);
    let mut child = fork(|| {
        let first = keeper.clone();
        assert_eq!(uses(&first), Ok(()));
        first.close().expect("a close");
        let second = Heap::at(&address).expect("a heap");
        for _ in 0..2 {
            assert_eq!(uses(&second), Ok(()));
            assert_eq!(uses(&first), Err(Error::Closed));
        }
        let mut grandchild = fork(|| {
            assert_eq!(uses(&second), Ok(()));
            assert_eq!(uses(&first), Err(Error::Closed));
            0
        });
        grandchild.must_succeed();
        0
    });
    child.must_succeed();
}
