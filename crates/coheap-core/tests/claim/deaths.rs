//! What becomes of a claim when processes fork, stop, die, replace themselves and close things.
//!
//! What always holds: who holds is asked of another process than the one that claims.
//! Not here: many at once (`storm`).

use std::sync::atomic::{AtomicI32, Ordering};

use coheap_core::claim::{Claim, Outcome, Request, list};

use crate::scene::{Scene, Tidy};
use crate::support::child::{End, close_all, execute, fork, fork_as, signal, unshare};
use crate::support::privilege::skipped;
use crate::support::{alone, in_milliseconds, until};

#[test]
fn a_name_is_free_at_once_after_its_holder_was_killed() {
    let (_alone, scene) = (alone(), Scene::new("killed"));
    let _tidy = Tidy(&scene);
    let mut holder = scene.start(|_| ());
    assert_eq!(scene.seen_elsewhere(), Some(holder.pid() as u32));
    holder.signal(libc::SIGKILL);
    assert!(scene.time_until_free().as_millis() < 100, "the next one waits for the dead");
    assert_eq!(holder.wait(), End::Signal(libc::SIGKILL));
}

/// Goal: a zombie holds nothing, though its process id is not free.
#[test]
fn a_dead_holder_that_nobody_has_reaped_holds_nothing() {
    let (_alone, scene) = (alone(), Scene::new("zombie"));
    let _tidy = Tidy(&scene);
    let holder = scene.start(|_| ());
    holder.signal(libc::SIGKILL);
    until("it is a zombie", || holder.state() == 'Z');
    drop(scene.hold());
}

#[test]
fn a_holder_that_is_stopped_still_holds() {
    let (_alone, scene) = (alone(), Scene::new("stopped"));
    let _tidy = Tidy(&scene);
    let holder = scene.start(|_| ());
    holder.signal(libc::SIGSTOP);
    until("it is stopped", || holder.state() == 'T');
    let waited = Claim::acquire(&scene.request(), in_milliseconds(200)).expect("an answer");
    let Outcome::Taken(found) = waited else { panic!("taken from a stopped process") };
    assert_eq!(found.pid, Some(holder.pid() as u32));
}

/// Goal: a child that outlives its parent does not hold, and is never named as the holder.
/// Method: the holder forks a child that stays, and is killed; then the file is removed, so that
/// only the socket could keep others out, which the child must not have.
#[test]
fn a_child_of_the_holder_does_not_hold() {
    let (_alone, scene) = (alone(), Scene::new("forked"));
    let _tidy = Tidy(&scene);
    const HOLDER: usize = 8;
    const CHILD: usize = 9;
    let mut holder = scene.start(|claim| {
        scene.page.set(HOLDER, u64::from(std::process::id()));
        let child = fork(|| {
            assert!(!claim.is_held(), "the child holds what its parent claimed");
            let Outcome::Taken(found) = scene.try_hold() else { panic!("held twice") };
            assert_eq!(found.pid.map(u64::from), Some(scene.page.get(HOLDER)));
            scene.page.set(CHILD, u64::from(std::process::id()));
            std::thread::sleep(crate::support::PATIENCE);
            0
        });
        std::mem::forget(child);
        until("the child looked", || scene.page.get(CHILD) != 0);
    });
    assert_eq!(scene.seen_elsewhere(), Some(holder.pid() as u32));
    holder.kill();
    let child = scene.page.get(CHILD) as i32;
    drop(scene.hold());
    std::fs::remove_file(scene.file().expect("a file")).expect("removed");
    drop(scene.hold());
    signal(child, libc::SIGKILL);
}

#[test]
fn a_claim_that_children_inherit_lasts_as_long_as_they_do() {
    let (_alone, scene) = (alone(), Scene::new("inherited"));
    let _tidy = Tidy(&scene);
    const CHILD: usize = 9;
    let mut owner = fork(|| {
        let request = Request { is_inherited: true, ..scene.request() };
        let Ok(Outcome::Held(claim)) = Claim::acquire(&request, 0) else { return 1 };
        std::mem::forget(fork(|| {
            assert!(claim.is_held(), "the child does not hold what it inherits");
            scene.page.set(CHILD, u64::from(std::process::id()));
            scene.until_let_go();
            0
        }));
        until("the child looked", || scene.page.get(CHILD) != 0);
        std::thread::sleep(crate::support::PATIENCE);
        0
    });
    until("the child looked", || scene.page.get(CHILD) != 0);
    assert_eq!(scene.seen_elsewhere(), Some(owner.pid() as u32));
    let owner_pid = owner.pid() as u32;
    owner.kill();
    let holder = scene.holder().expect("the child holds it");
    assert_ne!(holder.pid, Some(owner_pid), "a dead process is named");
    scene.let_go();
    drop(scene.wait());
}

#[test]
fn a_program_that_replaces_the_holder_holds_only_what_was_kept_for_it() {
    let (_alone, scene) = (alone(), Scene::new("exec"));
    let _tidy = Tidy(&scene);
    for is_kept in [false, true] {
        let mut holder = fork(|| {
            let request = Request { survives_exec: is_kept, ..scene.request() };
            let Ok(Outcome::Held(claim)) = Claim::acquire(&request, 0) else { return 1 };
            if is_kept {
                claim.keep_over_exec().expect("kept");
            }
            execute(&[c"/bin/sleep", c"60"]);
            2
        });
        let line = format!("/proc/{}/cmdline", holder.pid());
        until("it is another program", || {
            std::fs::read(&line).is_ok_and(|line| line.starts_with(b"/bin/sleep"))
        });
        // The kernel shows the new program a moment before it closes what is not kept.
        let expected = is_kept.then_some(holder.pid() as u32);
        until("it holds what was kept, and no more", || scene.seen_elsewhere() == expected);
        if is_kept {
            let found = scene.holder().expect("held");
            assert_eq!(found.command, ["/bin/sleep", "60"]);
        }
        assert_eq!(holder.kill(), End::Signal(libc::SIGKILL));
        drop(scene.hold());
    }
}

/// Goal: a program whose low descriptors are used by a script keeps the name.
/// Method: the shell that replaces the holder opens and closes descriptors 3 to 9.
#[test]
fn a_shell_that_uses_low_descriptors_keeps_what_was_kept_for_it() {
    let (_alone, scene) = (alone(), Scene::new("shell"));
    let _tidy = Tidy(&scene);
    let mut holder = fork(|| {
        let request = Request { survives_exec: true, ..scene.request() };
        let Ok(Outcome::Held(claim)) = Claim::acquire(&request, 0) else { return 1 };
        claim.keep_over_exec().expect("kept");
        let script =
            c"for n in 3 4 5 6 7 8 9; do eval \"exec $n>/dev/null\"; eval \"exec $n>&-\"; done; \
              sleep 60 & wait";
        execute(&[c"/bin/sh", c"-c", script]);
        2
    });
    let children = format!("/proc/{0}/task/{0}/children", holder.pid());
    until("the script is through", || {
        std::fs::read_to_string(&children).is_ok_and(|children| !children.trim().is_empty())
    });
    let child: i32 =
        std::fs::read_to_string(&children).expect("children").trim().parse().expect("a pid");
    assert_eq!(scene.seen_elsewhere(), Some(holder.pid() as u32));
    // What the script leaves behind has its descriptors, and does not hold the name.
    holder.kill();
    drop(scene.hold());
    signal(child, libc::SIGKILL);
}

/// Goal: a daemon that closes all descriptors loses its claim, knows it, and may claim again.
#[test]
fn a_process_that_closes_everything_knows_that_it_lost_the_name() {
    let (_alone, scene) = (alone(), Scene::new("closed"));
    let _tidy = Tidy(&scene);
    fork(|| {
        let Outcome::Held(claim) = scene.try_hold() else { return 1 };
        assert!(claim.is_held());
        close_all(3);
        // Others take the numbers: nothing of theirs is closed later.
        let mine: Vec<_> =
            (0..8).map(|_| std::fs::File::open("/dev/null").expect("a file")).collect();
        assert!(!claim.is_held(), "it believes that it holds");
        let Outcome::Held(again) = scene.try_hold() else { return 2 };
        assert!(again.is_held() && !claim.is_held());
        assert_eq!(claim.release(), Ok(false));
        assert!(again.is_held(), "the old claim took the new one with it");
        assert!(mine.iter().all(|file| file.metadata().is_ok()), "a file of others was closed");
        0
    })
    .must_succeed();
}

/// Goal: who opens and closes the file of a held name lets nobody in, though the lock is gone.
#[test]
fn a_process_that_reads_its_own_lock_file_lets_nobody_in() {
    let (_alone, scene) = (alone(), Scene::new("read"));
    let _tidy = Tidy(&scene);
    let holder = scene.start(|_| drop(std::fs::read(scene.file().expect("a file"))));
    assert_eq!(scene.seen_elsewhere(), Some(holder.pid() as u32));
}

#[test]
fn the_threads_of_a_process_exclude_each_other_and_a_thread_that_ends_keeps_its_claim() {
    let (_alone, scene) = (alone(), Scene::new("threads"));
    let _tidy = Tidy(&scene);
    let inside = AtomicI32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let claim = scene.wait();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                    std::thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(claim);
                }
            });
        }
    });
    let claim = std::thread::scope(|scope| scope.spawn(|| scene.hold()).join().expect("a claim"));
    assert_eq!(scene.seen_elsewhere(), Some(std::process::id()));
    drop(claim);
    assert_eq!(scene.seen_elsewhere(), None);
}

/// Goal: a stranger that got the process id of a dead holder is not the holder.
/// Method: the holder leaves a child with its descriptors, which a plain `clone` made, so that
/// nothing closed them; another process gets the holder's id.
#[test]
fn a_stranger_with_the_id_of_a_dead_holder_does_not_hold() {
    let (_alone, scene) = (alone(), Scene::new("reused"));
    let _tidy = Tidy(&scene);
    const ORPHAN: usize = 9;
    let mut holder = scene.start(|_| {
        // SAFETY: as a fork, without the handlers of the C library; the child only sleeps.
        let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
        if child == 0 {
            loop {
                // SAFETY: takes no pointer.
                unsafe { libc::pause() };
            }
        }
        scene.page.set(ORPHAN, child as u64);
    });
    let pid = holder.pid();
    holder.kill();
    let orphan = scene.page.get(ORPHAN) as i32;
    let stranger = fork_as(pid, || {
        scene.until_let_go();
        0
    });
    let found = scene.holder();
    signal(orphan, libc::SIGKILL);
    scene.let_go();
    if stranger.is_none() {
        return skipped("a_stranger_with_the_id_of_a_dead_holder", "process ids cannot be chosen");
    }
    assert_eq!(found, None, "a stranger was taken for the holder");
}

/// Goal: across pid namespaces there is one holder. Outsiders name it; insiders do not see the
/// processes outside, and invent none.
#[test]
fn a_pid_namespace_neither_hides_a_holder_nor_invents_one() {
    const TEST: &str = "a_pid_namespace_neither_hides_a_holder_nor_invents_one";
    const NOT_ALLOWED: i32 = 77;
    const INSIDE: usize = 20;
    let (_alone, scene) = (alone(), Scene::new("namespace"));
    let _tidy = Tidy(&scene);
    let in_namespace = |inside: &dyn Fn() -> i32| {
        fork(|| match unshare(libc::CLONE_NEWPID) {
            false => NOT_ALLOWED,
            true => match fork(inside).wait() {
                End::Exit(status) => status,
                End::Signal(_) => 98,
            },
        })
    };
    let mut outside = scene.start(|_| ());
    let status = in_namespace(&|| match scene.try_hold() {
        Outcome::Taken(holder) => i32::from(holder.pid.is_some()),
        Outcome::Held(_) => 2,
    });
    match { status }.wait() {
        End::Exit(NOT_ALLOWED) => return skipped(TEST, "needs the superuser"),
        status => assert_eq!(status, End::Exit(0)),
    }
    outside.kill();
    let mut between = in_namespace(&|| {
        let Outcome::Held(_claim) = scene.try_hold() else { return 1 };
        scene.page.set(INSIDE, 1);
        scene.until_let_go();
        0
    });
    until("the insider holds", || scene.page.get(INSIDE) == 1);
    let seen = scene.holder().expect("held").pid.expect("visible");
    let parent = std::fs::read_to_string(format!("/proc/{seen}/stat")).expect("a process");
    let parent = parent.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
    assert_eq!(parent, Some(between.pid().to_string().as_str()));
    scene.let_go();
    between.must_succeed();
    drop(scene.hold());
}

#[test]
fn a_list_names_what_is_held_and_by_whom() {
    let (_alone, scene) = (alone(), Scene::new("listed"));
    let _tidy = Tidy(&scene);
    let find = || {
        let all = list().expect("a list");
        all.into_iter().find(|held| held.name == scene.text)
    };
    let mut holder = scene.start(|_| ());
    let found = find().expect("it is listed");
    assert_eq!((found.holder.pid, found.slot), (Some(holder.pid() as u32), None));
    assert!(
        found.holder.since.is_some_and(|since| since.elapsed().is_ok_and(|age| age.as_secs() < 60))
    );
    assert_eq!(found.holder.user, Some(coheap_core::os::user()));
    holder.kill();
    assert_eq!(find(), None);
    let own = scene.hold();
    assert_eq!(find().and_then(|found| found.holder.pid), Some(std::process::id()));
    // The list must not have cost this process its lock.
    assert!(own.is_held());
    assert_eq!(scene.seen_elsewhere(), Some(std::process::id()));
}

/// Goal: a wait keeps its time and ends by a signal.
#[test]
fn a_wait_ends_in_time() {
    let (_alone, scene) = (alone(), Scene::new("wait"));
    let _tidy = Tidy(&scene);
    let _holder = scene.start(|_| ());
    let begin = std::time::Instant::now();
    let outcome = Claim::acquire(&scene.request(), in_milliseconds(150)).expect("an answer");
    assert!(matches!(outcome, Outcome::Taken(_)));
    let took = begin.elapsed().as_millis();
    assert!((150..5000).contains(&took), "took {took} ms");
}
