//! Lock files that are removed by hand, by a cleaner, or with their folder: nobody gets in.
//!
//! What always holds: the holder holds throughout, and notices nothing.
//! Not here: removals by other users (`attacks`).

use coheap_core::claim::{Claim, Outcome};

use crate::scene::{Scene, Tidy};
use crate::support::alone;
use crate::support::child::{fork, signal};

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
    let wins = claim_beside_a_cleaner(&scene, 1500, || ());
    assert!(wins > 50, "only {wins} claims");
}

/// Goal: nor do they while the first name of the socket belongs to what a dead holder left behind,
/// nor when it becomes free.
/// Method: the same, beside a child of a dead holder, which a plain `clone` made, so that it has the
/// descriptors; in the middle it is killed.
#[test]
fn a_cleaner_beside_an_orphan_never_lets_two_in() {
    let (_alone, scene) = (alone(), Scene::new("orphan"));
    let _tidy = Tidy(&scene);
    for _ in 0..3 {
        const ORPHAN: usize = 9;
        let mut holder = scene.start(|_| scene.page.set(ORPHAN, sleeping_clone() as u64));
        holder.kill();
        let wins = claim_beside_a_cleaner(&scene, 600, || {
            std::thread::sleep(std::time::Duration::from_millis(300));
            signal(scene.page.get(ORPHAN) as i32, libc::SIGKILL);
        });
        assert!(wins > 20, "only {wins} claims");
    }
}

/// Has eight processes claim the name for so long, beside one that removes its file all the time and
/// what happens `meanwhile`. Returns how often one was inside.
fn claim_beside_a_cleaner(scene: &Scene, milliseconds: u128, meanwhile: impl FnOnce()) -> u64 {
    const INSIDE: usize = 10;
    const DONE: usize = 11;
    const WINS: usize = 12;
    [INSIDE, DONE, WINS].iter().for_each(|word| scene.page.set(*word, 0));
    let mut cleaner = fork(|| {
        while scene.page.get(DONE) < 8 {
            if let Some(file) = scene.file() {
                let _ = std::fs::remove_file(file);
            }
        }
        0
    });
    let child = || {
        fork(|| {
            let begin = std::time::Instant::now();
            while begin.elapsed().as_millis() < milliseconds {
                if let Ok(Outcome::Held(claim)) = Claim::acquire(&scene.request(), 0) {
                    assert_eq!(scene.page.add(INSIDE, 1), 0, "two at once");
                    std::thread::yield_now();
                    scene.page.add(INSIDE, u64::MAX);
                    drop(claim);
                    scene.page.add(WINS, 1);
                }
            }
            scene.page.add(DONE, 1);
            0
        })
    };
    let children: Vec<_> = (0..8).map(|_| child()).collect();
    meanwhile();
    children.into_iter().for_each(|mut child| child.must_succeed());
    cleaner.must_succeed();
    scene.page.get(WINS)
}

/// A child that has the descriptors of this process and sleeps: the C library knows nothing of it.
fn sleeping_clone() -> i32 {
    // SAFETY: as a fork; the child only sleeps.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } as i32;
    if child == 0 {
        loop {
            // SAFETY: takes no pointer.
            unsafe { libc::pause() };
        }
    }
    child
}

/// Goal: a name is free once it is given back, though a child still has the descriptors of its owner.
/// Method: a plain `clone`, of which the C library knows nothing, as when a program is being started.
#[test]
fn what_was_given_back_is_free_though_a_child_has_its_descriptors() {
    let (_alone, scene) = (alone(), Scene::new("given back"));
    let _tidy = Tidy(&scene);
    let claim = scene.hold();
    let child = sleeping_clone();
    drop(claim);
    let seen = scene.seen_elsewhere();
    signal(child, libc::SIGKILL);
    // SAFETY: takes no pointer that is not null.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    assert_eq!(seen, None);
}
