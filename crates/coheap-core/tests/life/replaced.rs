//! Processes that are replaced, dumped, or large.
//!
//! `exec` keeps the process id and ends everything else; a core dump and 300 MB take the kernel a
//! while, and the hand-over is measured from its death notice on.

use std::time::Duration;

use crate::scene::{GO, HOLDING, OWN, Scene};
use crate::support::child::{Child, End, execute, fork, limit};
use crate::support::objects::settle_and_check;
use crate::support::privilege::Folder;
use crate::support::{alone, in_milliseconds, say, until};

/// Hand-over after the kernel's death notice: what is promised is 100 ms; the rest is for
/// machines that are busy with other things.
const HAND_OVER: Duration = Duration::from_millis(500);

/// Goal: `exec` is the end of everything that the old program held.
/// Method: the holder becomes another program with the same process id and lives on.
#[test]
fn exec_while_holding_is_a_death() {
    let _alone = alone();
    let scene = Scene::new();
    let mut holder = scene.holder(|| execute(&[c"/bin/sleep", c"1000"]));
    let pid = holder.pid();
    scene.assert_handed_over(pid as u32);
    assert_eq!(holder.has_ended(), None, "the new program runs");
    holder.kill();
}

/// Goal: a failed `exec` changes nothing.
/// Method: the holder tries to become a program that is not there.
#[test]
fn an_exec_that_fails_is_no_death() {
    let _alone = alone();
    let scene = Scene::new();
    let mut holder = scene.holder(|| {
        execute(&[c"/nowhere/nothing"]);
        scene.page.set(OWN, 1);
    });
    until("exec has failed", || scene.page.get(OWN) == 1);
    scene.assert_not_robbed("a process whose exec failed");
    scene.release();
    holder.must_succeed();
    scene.assert_whole();
}

/// A waiter that sleeps on the lock and writes down when it got it.
fn waiter(scene: &Scene) -> Child {
    let child = fork(|| {
        let got = scene.heap.with(|context| {
            scene.page.set(OWN + 1, 1);
            scene.lock.lock(context, Some(in_milliseconds(20_000)))?;
            scene.page.set(OWN + 2, coheap_core::os::now());
            scene.lock.unlock(context)
        });
        i32::from(got.is_err())
    });
    until("the waiter is about to sleep", || scene.page.get(OWN + 1) == 1 && child.state() == 'S');
    child
}

/// Waits for the end of `holder` and asserts that the waiter had the lock soon after.
fn assert_soon(scene: &Scene, holder: &mut Child, mut waiter: Child, what: &str) -> End {
    let end = holder.wait();
    let dead = coheap_core::os::now();
    waiter.must_succeed();
    let after = scene.page.get(OWN + 2).saturating_sub(dead);
    let after = Duration::from_nanos(after);
    say(&format!("{what}: handed over {:.1} ms after its death", after.as_secs_f64() * 1e3));
    assert!(after < HAND_OVER, "{what}: the lock came {after:?} after its death");
    settle_and_check(&scene.heap);
    end
}

/// Goal: a core dump does not keep what the dead held.
/// Method: the holder may dump and aborts; a waiter sleeps on its lock.
#[test]
fn a_core_dump_holds_nobody_up() {
    let _alone = alone();
    let folder = Folder::new("core");
    let scene = Scene::new();
    let mut holder = scene.holder(|| {
        std::env::set_current_dir(folder.path()).expect("a folder");
        limit(libc::RLIMIT_CORE, libc::RLIM_INFINITY);
        until("the word to abort", || scene.page.get(GO) != 0);
        std::process::abort();
    });
    let waiter = waiter(&scene);
    scene.page.set(GO, 1);
    let end = assert_soon(&scene, &mut holder, waiter, "a process that dumped its core");
    assert_eq!(end, End::Signal(libc::SIGABRT));
}

/// Goal: a large process that is killed hands over soon after it is gone.
/// Method: the holder touches 300 MB and is killed; a waiter sleeps on its lock.
#[test]
fn a_large_process_hands_over_soon_after_its_death() {
    const LARGE: usize = 300 << 20;
    let _alone = alone();
    let scene = Scene::new();
    let mut holder = fork(|| {
        let mut ballast = vec![0u8; LARGE];
        ballast.chunks_mut(4096).for_each(|page| page[0] = 1);
        let status = scene.hold(|| ());
        status + i32::from(ballast[LARGE / 2] == 9)
    });
    until("it holds", || scene.page.get(HOLDING) == 1);
    let waiter = waiter(&scene);
    holder.signal(libc::SIGKILL);
    assert_soon(&scene, &mut holder, waiter, "a process of 300 MB");
}
