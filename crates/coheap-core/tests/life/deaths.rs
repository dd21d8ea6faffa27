//! What is a death, and what only looks like one.
//!
//! Stopped, killed while stopped, dead but not reaped, an id used again, an exit without a word, a
//! death that nobody waits for, and the end of a thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use coheap_core::Typed as _;
use coheap_core::error::Error;
use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::journal::Context;
use coheap_core::objects::mutex::Acquired;
use coheap_core::sync::parking::ring::ring_everybody;

use crate::scene::{GO, OWN, Scene};
use crate::support::child::{Child, End, die, fork, fork_as, state_of};
use crate::support::objects::{heap, queue, settle_and_check};
use crate::support::privilege::skipped;
use crate::support::{alone, in_milliseconds, is_so_within, say, sleepers, until};

/// Goal: SIGSTOP is not death, however long it lasts.
/// Method: stop the holder, look as hard as possible, let it go on and finish.
#[test]
fn a_stopped_process_is_not_robbed() {
    let _alone = alone();
    let scene = Scene::new();
    let mut holder = scene.holder(|| ());
    holder.signal(libc::SIGSTOP);
    until("it is stopped", || holder.state() == 'T');
    scene.assert_not_robbed("a stopped process");
    holder.signal(libc::SIGCONT);
    scene.release();
    holder.must_succeed();
    scene.assert_whole();
}

/// Goal: a process that died while it was stopped is dead.
/// Method: stop the holder, then kill it.
#[test]
fn a_process_killed_while_stopped_is_recovered() {
    let _alone = alone();
    let scene = Scene::new();
    let mut holder = scene.holder(|| ());
    holder.signal(libc::SIGSTOP);
    until("it is stopped", || holder.state() == 'T');
    assert_eq!(holder.kill(), End::Signal(libc::SIGKILL));
    scene.assert_handed_over(holder.pid() as u32);
}

/// Goal: a dead process whose parent never asks for its end is dead all the same.
/// Method: the holder kills itself and stays a zombie during the whole test.
#[test]
fn a_zombie_holds_nobody_up() {
    let _alone = alone();
    let scene = Scene::new();
    let zombie = scene.holder(|| die());
    until("it is a zombie", || zombie.state() == 'Z');
    scene.assert_handed_over(zombie.pid() as u32);
    assert_eq!(zombie.state(), 'Z', "nobody reaped it");
}

/// Goal: who is woken all the time for nothing notices a death all the same.
/// Method: a thread wakes the waiter of a dead holder's lock without a pause, to the end.
#[test]
fn a_waiter_that_is_woken_for_nothing_sees_a_death() {
    let _alone = alone();
    let scene = Scene::new();
    let mut holder = scene.holder(|| ());
    let pid = holder.pid() as u32;
    holder.kill();
    let is_over = AtomicBool::new(false);
    let taken = std::thread::scope(|scope| {
        scope.spawn(|| {
            let region = scene.heap.region();
            while !is_over.load(Ordering::Relaxed) {
                ring_everybody(region, scene.lock.handle().at);
                std::thread::yield_now();
            }
        });
        let taken = scene.assert_handed_over(pid);
        is_over.store(true, Ordering::Relaxed);
        taken
    });
    assert!(taken < Duration::from_secs(1), "it took {taken:?}");
}

/// Goal: a process id that was given to somebody else does not keep the dead alive.
/// Method: kill and reap the holder, make a process with its id, and take the lock.
#[test]
fn a_reused_process_id_is_another_process() {
    let _alone = alone();
    let scene = Scene::new();
    let mut holder = scene.holder(|| ());
    let pid = holder.pid();
    holder.kill();
    let namesake = fork_as(pid, || {
        while scene.page.get(GO) == 0 {
            std::hint::spin_loop();
        }
        0
    });
    let Some(mut namesake) = namesake else {
        skipped("a_reused_process_id_is_another_process", "process ids cannot be chosen here");
        scene.assert_handed_over(pid as u32);
        return;
    };
    assert_eq!(namesake.pid(), pid);
    scene.assert_handed_over(pid as u32);
    assert!(state_of(pid) != '-', "the namesake was there all along");
    scene.release();
    namesake.must_succeed();
}

/// Goal: the namesake of a dead member may be a member itself.
/// Method: kill the holder, make a process with its id that attaches and works.
#[test]
fn a_reused_process_id_may_attach_again() {
    let _alone = alone();
    let scene = Scene::new();
    let mut holder = scene.holder(|| ());
    let pid = holder.pid();
    holder.kill();
    let namesake = fork_as(pid, || {
        let mut out = Vec::new();
        let worked = scene.heap.with(|context| {
            let acquired = scene.lock.lock(context, None)?;
            scene.value.get(context, &mut out)?;
            scene.lock.unlock(context)?;
            Ok(acquired)
        });
        i32::from(worked != Ok(Acquired::OwnerDied(std::process::id())))
    });
    let Some(mut namesake) = namesake else {
        return skipped("a_reused_process_id_may_attach_again", "ids cannot be chosen here");
    };
    namesake.must_succeed();
    scene.assert_whole();
}

/// Goal: a process that ends normally without letting go is dead, too.
/// Method: the holder exits in the midst of everything.
#[test]
fn an_exit_while_holding_is_a_death() {
    let _alone = alone();
    let scene = Scene::new();
    let mut holder = scene.holder(|| crate::support::child::exit_now(0));
    holder.must_succeed();
    scene.assert_handed_over(holder.pid() as u32);
}

/// Goal: a thread that ends is not a death of its process: its lock stays held.
/// Method: a thread of a child takes the lock and ends; the child lives, then dies.
#[test]
fn the_end_of_a_thread_is_no_death() {
    let _alone = alone();
    let scene = Scene::new();
    let mut child = fork(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                scene.heap.with(|context| scene.lock.lock(context, None)).expect("the lock");
            });
        });
        scene.page.set(OWN, 1);
        until("the word to go on", || scene.page.get(GO) != 0);
        0
    });
    until("the thread has ended", || scene.page.get(OWN) == 1);
    let tried = || scene.heap.with(|context| scene.lock.try_lock(context)).expect("a try");
    assert_eq!(tried(), None, "the lock of a thread that ended was given away");
    scene.release();
    child.must_succeed();
    assert_eq!(tried(), Some(Acquired::OwnerDied(child.pid() as u32)));
    settle_and_check(&scene.heap);
}

/// Goal: who only asks, again and again, and never waits, gets what a dead process had on lease.
/// Method: the lessee of the only item kills itself; ask until the item is there.
#[test]
fn what_the_dead_had_on_lease_comes_back_to_who_only_asks() {
    let _alone = alone();
    let heap = heap(8);
    let jobs = queue(&heap, "jobs");
    let mut out = Vec::new();
    heap.with(|context| jobs.put(context, b"job")).expect("a put");
    let mut lessee = fork(|| {
        heap.with(|context| jobs.lease(context, &mut Vec::new())).expect("a lease");
        die()
    });
    assert_eq!(lessee.wait(), End::Signal(libc::SIGKILL));
    let mut attempt = 0;
    is_so_within(Duration::from_secs(3), || {
        match heap.with(|context| jobs.lease(context, &mut out)) {
            Ok(lease) => attempt = lease.attempt,
            Err(error) => assert_eq!(error, Error::Empty),
        }
        attempt > 0
    });
    assert_eq!((attempt, &out[..]), (2, &b"job"[..]));
}

/// What becomes of the process whose two threads have waited longest.
#[derive(Debug, Clone, Copy)]
enum Going {
    /// Their waits end.
    TimedOut,
    /// The process closes the heap.
    Closed,
    /// The process is killed, with a lease of its own.
    Killed,
}

/// A process with a job on lease, in which two threads wait until `deadline`.
fn two_waiters(scene: &Scene, going: Going) -> Child {
    let (jobs, nothing) = (queue(&scene.heap, "jobs"), queue(&scene.heap, "nothing"));
    fork(|| {
        if matches!(going, Going::Killed) {
            scene.heap.with(|context| jobs.lease(context, &mut Vec::new())).expect("the job");
        }
        let deadline = matches!(going, Going::TimedOut).then(|| in_milliseconds(700));
        std::thread::scope(|scope| {
            let wait = || {
                let lease = |context: &Context| {
                    nothing.lease_wait(context, deadline, &mut Vec::new()).map(|_| ())
                };
                assert!(scene.heap.with(lease).is_err());
            };
            let waits = [scope.spawn(wait), scope.spawn(wait)];
            if matches!(going, Going::Closed) {
                until("the word to close", || scene.page.get(GO) != 0);
                scene.heap.close().expect("a close");
            }
            waits.into_iter().for_each(|wait| wait.join().expect("a wait"));
        });
        scene.page.set(GO, 2);
        // Its slot stays, as that of a process that does other things.
        loop {
            std::thread::park();
        }
    })
}

/// Answers how long after a lessee's death a process that has waited for long gets the lease, where
/// those who waited longest have just gone.
fn time_to_return(going: Going) -> Duration {
    let scene = Scene::new();
    let jobs = queue(&scene.heap, "jobs");
    scene.heap.with(|context| jobs.put(context, b"job")).expect("a put");
    let mut first = two_waiters(&scene, going);
    until("two threads wait", || sleepers(&scene.heap) == 2);
    let is_killed = matches!(going, Going::Killed);
    let mut lessee = (!is_killed).then(|| {
        let child = fork(|| {
            scene.heap.with(|context| jobs.lease(context, &mut Vec::new())).expect("the job");
            scene.page.set(OWN, 1);
            loop {
                std::thread::park();
            }
        });
        until("the job is on lease", || scene.page.get(OWN) == 1);
        child
    });
    let others = [(); 3].map(|()| {
        fork(|| {
            // The first one puts the job back, so that all of them end.
            let lease = |context: &Context| {
                jobs.lease_wait(context, None, &mut Vec::new())?;
                if scene.page.add(OWN + 2, 1) == 0 {
                    scene.page.set(OWN + 1, coheap_core::os::now());
                }
                jobs.put(context, b"again")
            };
            i32::from(scene.heap.with(lease).is_err())
        })
    });
    until("all wait", || sleepers(&scene.heap) == 5);
    // Sleepers that have waited for long look seldom: that they do is what is tried.
    std::thread::sleep(Duration::from_millis(300));
    if !is_killed {
        scene.release();
        until("they are gone", || scene.page.get(GO) == 2 && sleepers(&scene.heap) == 3);
    }
    lessee.as_mut().unwrap_or(&mut first).signal(libc::SIGKILL);
    let killed = coheap_core::os::now();
    others.into_iter().for_each(|mut other| other.must_succeed());
    Duration::from_nanos(scene.page.get(OWN + 1).saturating_sub(killed))
}

/// Goal: a lease is there again soon after its holder's death, whoever of those who look for deaths
/// has gone, and in whichever way.
#[test]
fn who_goes_leaves_the_look_out_to_others() {
    let _alone = alone();
    for going in [Going::TimedOut, Going::Closed, Going::Killed] {
        let mut took = [(); 5].map(|()| time_to_return(going));
        took.sort_unstable();
        say(&format!("{going:?}: the lease was there again after {took:?}"));
        // What is promised is 100 ms; the rest is for machines that are busy with other things.
        assert!(took[2] < Duration::from_millis(150), "{going:?}: {took:?}");
        assert!(took[4] < Duration::from_millis(400), "{going:?}: {took:?}");
    }
}
