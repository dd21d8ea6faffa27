//! Processes that see other process ids, or another clock.
//!
//! Across pid namespaces only the life byte tells; across time namespaces start times and
//! monotonic clocks differ. Needs the superuser, or says that it was skipped.

use std::fs;

use coheap_core::objects::mutex::Acquired;

use crate::scene::{GO, HOLDING, OWN, PID, Scene};
use crate::support::child::{Child, End, fork, signal, unshare};
use crate::support::privilege::skipped;
use crate::support::{alone, in_milliseconds, until};

/// Forks a child into a new namespace of `kind` and there runs `body`. The process in between
/// waits for it and ends as it does. `None`: not allowed.
fn in_new_namespace(scene: &Scene, kind: i32, body: impl FnOnce() -> i32) -> Option<Child> {
    const REFUSED: u64 = u64::MAX;
    let between = fork(|| {
        if !unshare(kind) || (kind == libc::CLONE_NEWTIME && !shift_clocks()) {
            scene.page.set(PID, REFUSED);
            return 0;
        }
        let mut inner = fork(body);
        scene.page.set(PID, inner.pid() as u64);
        match inner.wait_for(std::time::Duration::from_secs(60)) {
            Some(End::Exit(status)) => status,
            _ => 99,
        }
    });
    until("the namespace is made", || scene.page.get(PID) != 0);
    (scene.page.get(PID) != REFUSED).then_some(between)
}

/// A thousand seconds are added to both clocks of the namespace to come.
fn shift_clocks() -> bool {
    let offsets = "monotonic 1000 0\nboottime 5000 0\n";
    fs::write("/proc/self/timens_offsets", offsets).is_ok()
}

/// The holder in the namespace is stopped, looked at, and killed.
fn a_holder_inside(kind: i32, test: &str) {
    let _alone = alone();
    let scene = Scene::new();
    let Some(mut between) = in_new_namespace(&scene, kind, || scene.hold(|| ())) else {
        return skipped(test, "namespaces cannot be made here");
    };
    scene.await_holder();
    let inner = scene.page.get(PID) as i32;
    signal(inner, libc::SIGSTOP);
    scene.assert_not_robbed("a process of another namespace");
    signal(inner, libc::SIGKILL);
    assert_eq!(between.wait(), End::Exit(99));
    // The id that it had in its own namespace: 1, where that was another one.
    let pid = if kind == libc::CLONE_NEWPID { 1 } else { inner as u32 };
    scene.assert_handed_over(pid);
}

/// The holder is outside; who is inside looks, and then waits for its death.
fn a_waiter_inside(kind: i32, test: &str) {
    let _alone = alone();
    let scene = Scene::new();
    let mut holder = scene.holder(|| ());
    let inside = in_new_namespace(&scene, kind, || {
        scene.assert_not_robbed("a process outside of the namespace");
        scene.page.set(OWN, 1);
        let got = scene.heap.with(|context| {
            let got = scene.lock.lock(context, Some(in_milliseconds(10_000)))?;
            scene.page.set(OWN, 2);
            scene.lock.unlock(context)?;
            Ok(got)
        });
        i32::from(!matches!(got, Ok(Acquired::OwnerDied(_))))
    });
    let Some(mut inside) = inside else {
        return skipped(test, "namespaces cannot be made here");
    };
    until("it looked", || scene.page.get(OWN) == 1);
    holder.kill();
    let begin = std::time::Instant::now();
    until("the lock was handed over", || scene.page.get(OWN) == 2);
    let taken = begin.elapsed();
    assert!(taken.as_secs() < 3, "{taken:?} from the death to the hand-over");
    inside.must_succeed();
    scene.assert_whole();
}

/// Goal: a member in another pid namespace is judged by its life byte alone.
/// Method: a holder that is process 1 of its own namespace is stopped, looked at, and killed.
#[test]
fn a_holder_in_another_pid_namespace_is_judged_rightly() {
    a_holder_inside(libc::CLONE_NEWPID, "a_holder_in_another_pid_namespace_is_judged_rightly");
}

/// Goal: a member in another pid namespace judges others rightly.
/// Method: it looks at a holder outside, whose id means another process in there, or none.
#[test]
fn a_waiter_in_another_pid_namespace_judges_rightly() {
    a_waiter_inside(libc::CLONE_NEWPID, "a_waiter_in_another_pid_namespace_judges_rightly");
}

/// Goal: a start time of another time namespace is not taken for a reused process id.
/// Method: a holder with shifted clocks is stopped, looked at, and killed.
#[test]
fn a_holder_in_another_time_namespace_is_judged_rightly() {
    a_holder_inside(libc::CLONE_NEWTIME, "a_holder_in_another_time_namespace_is_judged_rightly");
}

/// Goal: shifted clocks neither rob anybody nor put the wait to sleep.
/// Method: a process with shifted clocks looks at a holder outside and waits for its death.
#[test]
fn a_waiter_in_another_time_namespace_judges_rightly() {
    a_waiter_inside(libc::CLONE_NEWTIME, "a_waiter_in_another_time_namespace_judges_rightly");
}

/// Goal: waiters on both sides of a clock shift of a thousand seconds wake each other.
/// Method: a lock goes to and fro between a process inside and one outside, 200 times.
#[test]
fn processes_with_different_clocks_wake_each_other() {
    let _alone = alone();
    let scene = Scene::new();
    let turns = || {
        let passed = scene.heap.with(|context| {
            for _ in 0..200 {
                scene.lock.lock(context, Some(in_milliseconds(10_000)))?;
                scene.value.add(context, 1)?;
                std::thread::yield_now();
                scene.value.add(context, -1)?;
                scene.lock.unlock(context)?;
            }
            Ok(())
        });
        scene.page.add(HOLDING, 1);
        i32::from(passed.is_err())
    };
    let Some(mut inside) = in_new_namespace(&scene, libc::CLONE_NEWTIME, turns) else {
        let test = "processes_with_different_clocks_wake_each_other";
        return skipped(test, "namespaces cannot be made here");
    };
    let mut outside = fork(turns);
    outside.must_succeed();
    inside.must_succeed();
    assert_eq!((scene.page.get(HOLDING), scene.page.get(GO)), (2, 0));
    scene.assert_whole();
}
