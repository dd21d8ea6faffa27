//! Lock files that are removed by hand, by a cleaner, or with their folder: nobody gets in.
//!
//! What always holds: the holder holds throughout, and notices nothing.
//! Not here: removals by other users (`attacks`).

use coheap_core::claim::{Claim, Outcome};

use crate::scene::{Scene, Tidy};
use crate::support::alone;
use crate::support::child::fork;

#[test]
fn a_lock_file_that_is_removed_lets_nobody_in() {
    let (_alone, scene) = (alone(), Scene::new("removed"));
    let _tidy = Tidy(&scene);
    let mut holder = scene.start(|_| ());
    for _ in 0..3 {
        std::fs::remove_file(scene.file().expect("a file")).expect("removed");
        assert_eq!(scene.seen_elsewhere(), Some(holder.pid() as u32));
    }
    let found = scene.holder().expect("held");
    assert!(!found.command.is_empty() && found.since.is_some(), "{found:?}");
    holder.kill();
    drop(scene.hold());
}

/// Goal: the same when a file is put in its place, and when the whole folder goes.
/// Method: in a mount namespace of its own, so that no other test loses its folder.
#[test]
fn a_folder_that_is_removed_lets_nobody_in() {
    let (_alone, scene) = (alone(), Scene::new("folder"));
    let _tidy = Tidy(&scene);
    crate::places::in_own_shm("a_folder_that_is_removed_lets_nobody_in", "size=1m", || {
        let holder = scene.start(|_| ());
        let pid = Some(holder.pid() as u32);
        let folder = format!("/dev/shm/coheap-{}", coheap_core::os::user());
        std::fs::remove_dir_all(&folder).expect("removed");
        assert_eq!(scene.seen_elsewhere(), pid);
        let file = scene.file().expect("a file");
        std::fs::remove_file(&file).expect("removed");
        std::fs::write(&file, "").expect("another one");
        assert_eq!(scene.seen_elsewhere(), pid);
    });
}

/// Goal: removals at any moment never let two in.
/// Method: eight processes claim the name again and again while a ninth removes its file all the
/// time; who is inside stands in a page.
#[test]
fn a_cleaner_at_work_never_lets_two_in() {
    let (_alone, scene) = (alone(), Scene::new("cleaner"));
    let _tidy = Tidy(&scene);
    const INSIDE: usize = 10;
    const DONE: usize = 11;
    let mut cleaner = fork(|| {
        while scene.page.get(DONE) < 8 {
            if let Some(file) = scene.file() {
                let _ = std::fs::remove_file(file);
            }
        }
        0
    });
    let children: Vec<_> = (0..8)
        .map(|_| {
            fork(|| {
                let mut wins = 0;
                let begin = std::time::Instant::now();
                while begin.elapsed().as_millis() < 1500 {
                    if let Ok(Outcome::Held(claim)) = Claim::acquire(&scene.request(), 0) {
                        assert_eq!(scene.page.add(INSIDE, 1), 0, "two at once");
                        std::thread::yield_now();
                        scene.page.add(INSIDE, u64::MAX);
                        drop(claim);
                        wins += 1;
                    }
                }
                scene.page.add(DONE, 1);
                scene.page.add(12, wins);
                0
            })
        })
        .collect();
    for mut child in children {
        child.must_succeed();
    }
    cleaner.must_succeed();
    assert!(scene.page.get(12) > 50, "only {} claims", scene.page.get(12));
}

/// Goal: a name is free once it is given back, though a child still has the descriptors of its owner.
/// Method: a plain `clone`, of which the C library knows nothing, as when a program is being started.
#[test]
fn what_was_given_back_is_free_though_a_child_has_its_descriptors() {
    let (_alone, scene) = (alone(), Scene::new("given back"));
    let _tidy = Tidy(&scene);
    let claim = scene.hold();
    // SAFETY: as a fork, without the handlers of the C library; the child only sleeps.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } as i32;
    if child == 0 {
        loop {
            // SAFETY: takes no pointer.
            unsafe { libc::pause() };
        }
    }
    drop(claim);
    let seen = scene.seen_elsewhere();
    crate::support::child::signal(child, libc::SIGKILL);
    // SAFETY: takes no pointer that is not null.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    assert_eq!(seen, None);
}
