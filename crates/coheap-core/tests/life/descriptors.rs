//! User code that closes descriptors it does not know, or puts files of its own in their place.
//!
//! The kernel drops a life byte when any descriptor of the life file is closed. That is no death:
//! the process lives, and its mapping shows it.

use std::fs::File;
use std::os::fd::AsRawFd;

use coheap_core::error::Error;
use coheap_core::heap::floors::{ContextFloors as _, HeapFloors as _};
use coheap_core::os::life;

use crate::scene::{GO, OWN, Scene};
use crate::support::child::{Child, End, close, close_all, fork, limit, redirect};
use crate::support::objects::{count, heap, map, settle_and_check};
use crate::support::privilege::{Folder, hide_proc, skipped};
use crate::support::{alone, in_milliseconds, until};

/// Whether the kernel shows the byte of any slot but this process's own as held.
fn is_byte_held(scene: &Scene, slot: u32) -> bool {
    life::is_held(scene.heap.files()[1], u64::from(slot)).expect("a look at the life file")
}

fn dies_as_usual(scene: &Scene, mut holder: Child) {
    holder.kill();
    scene.assert_handed_over(holder.pid() as u32);
}

/// Goal: a closed life descriptor is not a death; the death that follows is one.
/// Method: the holder closes the descriptor; look hard; kill it.
#[test]
fn a_closed_life_descriptor_is_no_death() {
    let _alone = alone();
    let scene = Scene::new();
    let holder = scene.holder(|| {
        let slot = scene.heap.context().expect("a context").member().slot();
        close(scene.heap.files()[1].number());
        scene.page.set(OWN, u64::from(slot) + 1);
    });
    until("it closed the descriptor", || scene.page.get(OWN) != 0);
    assert!(!is_byte_held(&scene, scene.page.get(OWN) as u32 - 1), "the kernel keeps the byte?");
    scene.assert_not_robbed("a process that closed its life descriptor");
    dies_as_usual(&scene, holder);
}

/// Goal: nobody makes a file of an anonymous heap shorter, which would be SIGBUS for all its members;
/// the heap still grows, and nobody can forbid that.
/// Method: cut each file off by its descriptor, as any process of the user can; add a seal; grow.
#[test]
fn the_files_of_an_anonymous_heap_cannot_be_cut_off() {
    let heap = heap(8);
    let map = map(&heap, "map");
    for file in heap.files() {
        let path = format!("/proc/self/fd/{}", file.number());
        let file = File::options().write(true).open(path).expect("the file");
        let grown = file.metadata().expect("its length").len().max(4096);
        file.set_len(grown).expect("it may grow");
        let cut = file.set_len(grown - 1);
        assert!(cut.is_err(), "cut off");
        let len = file.metadata().expect("its length").len();
        assert_eq!(len, grown);
        // SAFETY: takes no pointer.
        let sealed = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_GROW) };
        assert_eq!(sealed, -1, "a seal was added");
    }
    heap.with(|context| map.set(context, b"key", &vec![7; 1 << 20])).expect("the heap grows");
    settle_and_check(&heap);
}

/// Goal: `close_range` over everything is not a death, and what needs no sleep goes on.
/// Method: the holder closes all descriptors, finishes its change and works on without them.
#[test]
fn closing_every_descriptor_is_no_death() {
    let _alone = alone();
    let scene = Scene::new();
    let mut holder = fork(|| {
        let status = scene.hold(|| {
            close_all(3);
            scene.page.set(OWN, 1);
        });
        let sums = (0..100).filter(|_| scene.heap.with(|c| scene.value.add(c, 0)) == Ok(5));
        status + i32::from(sums.count() != 100)
    });
    until("it closed everything", || scene.page.get(OWN) == 1);
    scene.assert_not_robbed("a process that closed everything");
    scene.release();
    holder.must_succeed();
    scene.assert_whole();
}

/// Goal: a process that lost its byte by closing a copy takes it again before it sleeps.
/// Method: the child opens the life file once more and closes that; then it waits for a lock.
#[test]
fn a_lost_byte_is_taken_again_before_a_sleep() {
    let _alone = alone();
    let scene = Scene::new();
    scene.heap.with(|context| scene.lock.lock(context, None)).expect("the lock");
    let mut child = fork(|| {
        let slot = scene.heap.context().expect("a context").member().slot();
        let path = format!("/proc/self/fd/{}", scene.heap.files()[1].number());
        drop(File::open(path).expect("a second look at the life file"));
        scene.page.set(OWN, u64::from(slot) + 1);
        until("the word to go on", || scene.page.get(GO) != 0);
        let waited = scene.heap.with(|context| {
            scene.lock.lock(context, Some(in_milliseconds(10_000)))?;
            scene.lock.unlock(context)
        });
        i32::from(waited.is_err())
    });
    until("it lost its byte", || scene.page.get(OWN) != 0);
    let slot = scene.page.get(OWN) as u32 - 1;
    assert!(!is_byte_held(&scene, slot), "the kernel keeps the byte?");
    scene.release();
    until("it took its byte again", || is_byte_held(&scene, slot));
    scene.heap.with(|context| scene.lock.unlock(context)).expect("unlocked");
    child.must_succeed();
    scene.assert_whole();
}

/// Goal: a file that user code put in the place of a heap's descriptor is not touched: neither
/// grown, nor locked, nor taken for the heap.
/// Method: the child puts an empty file at both numbers, then fills the heap until an error.
#[test]
fn a_file_in_a_descriptors_place_is_not_touched() {
    let _alone = alone();
    let folder = Folder::new("place");
    let path = folder.path().join("a file of the user");
    let file = File::create(&path).expect("a new file");
    let scene = Scene::on(heap(64));
    let filler = map(&scene.heap, "filler");
    let mut child = fork(|| {
        scene.heap.context().expect("a context");
        redirect(&file, scene.heap.files()[1].number());
        redirect(&file, scene.heap.region().file().number());
        let large = vec![7u8; 100 << 10];
        let mut number = 0u64;
        let refused = loop {
            let set = |context: &_| filler.set(context, &number.to_le_bytes(), &large);
            match scene.heap.with(set) {
                Ok(_) => number += 1,
                Err(error) => break error,
            }
        };
        scene.page.set(OWN, number);
        i32::from(!matches!(refused, Error::HeapFull { .. } | Error::Os { .. }))
    });
    let end = child.wait();
    let len = file.metadata().expect("a file").len();
    assert_eq!(len, 0, "the user's file was grown to {len} bytes, and the child ended by {end:?}");
    child.must_succeed();
    let kept = scene.page.get(OWN);
    assert_eq!(scene.heap.with(|context| filler.len(context)), Ok(kept));
    assert_eq!(count(&scene.heap, &map(&scene.heap, "other"), b"key"), 0);
    settle_and_check(&scene.heap);
    assert!(file.as_raw_fd() > 0);
}

/// Goal: who lost the life descriptor hears of it instead of sleeping unseen for ever, if nobody is
/// there to get it from.
/// Method: the only member of a heap closes it, then waits for a lock that is held.
#[test]
fn a_wait_without_a_life_descriptor_is_refused() {
    let _alone = alone();
    let mut child = fork(|| {
        let scene = Scene::new();
        scene.heap.with(|context| scene.lock.lock(context, None)).expect("the lock");
        close(scene.heap.files()[1].number());
        let waited = scene.heap.with(|context| scene.lock.lock(context, None));
        i32::from(!matches!(waited, Err(Error::Os { .. })))
    });
    child.must_succeed();
}

/// Goal: a process that closed all descriptors is a member as before while another one lives: it
/// waits, is seen to live by its byte, judges others, grows the heap, and has children.
/// Method: a child closes them before or after its first operation. Twice, for it may happen again.
#[test]
fn who_closed_every_descriptor_gets_them_back() {
    let _alone = alone();
    for closes_first in [false, true] {
        let scene = Scene::on(heap(64));
        let filler = map(&scene.heap, "filler");
        scene.heap.with(|context| scene.lock.lock(context, None)).expect("the lock");
        let mut child = fork(|| {
            if !closes_first {
                scene.heap.context().expect("a context");
            }
            for round in 0..2u64 {
                close_all(3);
                let wait = |milliseconds| {
                    let deadline = Some(in_milliseconds(milliseconds));
                    scene.heap.with(|context| scene.lock.lock(context, deadline))
                };
                assert_eq!(wait(20), Err(Error::TimedOut));
                let slot = scene.heap.context().expect("a context").member().slot();
                assert!(is_byte_held(&scene, slot), "it has its byte again");
                let large = vec![7u8; 4 << 20];
                let key = round.to_le_bytes();
                scene.heap.with(|context| filler.set(context, &key, &large)).expect("room");
                fork(|| i32::from(scene.heap.with(|context| filler.len(context)) != Ok(round + 1)))
                    .must_succeed();
                assert_eq!(scene.heap.sweep().map(|_| ()), Ok(()));
            }
            0
        });
        child.must_succeed();
        scene.heap.with(|context| scene.lock.unlock(context)).expect("unlocked");
        scene.assert_whole();
        settle_and_check(&scene.heap);
    }
}

/// Goal: a file of the user that has got the number of a lost descriptor stays open and unlocked.
/// Method: the child puts one there; getting the descriptor back is refused.
#[test]
fn the_number_of_a_lost_descriptor_may_be_somebody_elses() {
    let _alone = alone();
    let scene = Scene::new();
    scene.heap.with(|context| scene.lock.lock(context, None)).expect("the lock");
    let mut child = fork(|| {
        scene.heap.context().expect("a context");
        let file = File::open("/dev/null").expect("a file");
        redirect(&file, scene.heap.files()[1].number());
        let waited = scene.heap.with(|context| scene.lock.lock(context, None));
        let id = scene.heap.files()[1].id();
        i32::from(!matches!(waited, Err(Error::Os { .. })) || id.is_err())
    });
    child.must_succeed();
    scene.heap.with(|context| scene.lock.unlock(context)).expect("unlocked");
    scene.assert_whole();
}

/// Uses up the descriptors of this process.
fn use_up_descriptors() {
    limit(libc::RLIMIT_NOFILE, 700);
    // SAFETY: takes no pointer.
    while unsafe { libc::dup(0) } >= 0 {}
}

/// Goal: who cannot look takes nobody for dead.
/// Method: the holder closes its life descriptor; a process that has used up its descriptors tries
/// to take the lock, and recovers nobody.
#[test]
fn a_judge_without_descriptors_robs_nobody() {
    let _alone = alone();
    let scene = Scene::new();
    let mut holder = scene.holder(|| close(scene.heap.files()[1].number()));
    let mut judge = fork(|| {
        scene.heap.context().expect("a context");
        use_up_descriptors();
        let tried = scene.heap.with(|context| scene.lock.try_lock(context));
        let swept = scene.heap.sweep();
        i32::from(tried != Ok(None)) + 2 * i32::from(swept != Ok(0))
    });
    judge.must_succeed();
    scene.assert_not_robbed("a process that was judged without descriptors");
    scene.release();
    holder.must_succeed();
    scene.assert_whole();
}

/// Goal: the same for who finds nothing in `/proc`.
/// Method: as above; the judge has an empty folder there.
#[test]
fn a_judge_without_proc_robs_nobody() {
    const REFUSED: i32 = 77;
    let _alone = alone();
    let scene = Scene::new();
    let mut holder = scene.holder(|| close(scene.heap.files()[1].number()));
    let mut judge = fork(|| {
        scene.heap.context().expect("a context");
        if !hide_proc() {
            return REFUSED;
        }
        let tried = scene.heap.with(|context| scene.lock.try_lock(context));
        let swept = scene.heap.sweep();
        i32::from(tried != Ok(None)) + 2 * i32::from(swept != Ok(0))
    });
    match judge.wait() {
        End::Exit(REFUSED) => {
            skipped("a_judge_without_proc_robs_nobody", "mounting is not allowed here")
        }
        end => assert_eq!(end, End::Exit(0)),
    }
    scene.assert_not_robbed("a process that was judged without /proc");
    scene.release();
    holder.must_succeed();
    scene.assert_whole();
}

/// Goal: who could not note its own identity is not taken for dead because of that.
/// Method: the holder attaches with its descriptors used up, then closes its life descriptor.
#[test]
fn a_member_without_an_identity_is_not_robbed() {
    let _alone = alone();
    let scene = Scene::new();
    let mut holder = fork(|| {
        use_up_descriptors();
        scene.heap.context().expect("a context");
        scene.hold(|| close(scene.heap.files()[1].number()))
    });
    scene.await_holder();
    scene.assert_not_robbed("a process that could not note its identity");
    scene.release();
    holder.must_succeed();
    scene.assert_whole();
}
