//! Two copies of the engine in one process: each a member of its own, neither robs the other.
//!
//! A program can link two versions, or two extension modules can bring one each. Both attach to
//! the same files, and the kernel takes their life bytes for those of one process.

use std::os::fd::OwnedFd;

use coheap_core::error::Error;
use coheap_core::heap::Heap;
use coheap_core::objects::Mutex;
use coheap_core::os::HeapFile;

use crate::scene::{GO, OWN, Scene};
use crate::support::child::fork;
use crate::support::objects::settle_and_check;
use crate::support::{alone, in_milliseconds, until};

/// Attaches once more to the files of `heap`, as another copy of the engine would.
fn second_engine(heap: &Heap) -> Heap {
    let again = |file: &HeapFile| {
        let path = format!("/proc/self/fd/{}", file.number());
        let file = std::fs::OpenOptions::new().read(true).write(true).open(path);
        HeapFile::from_descriptor(OwnedFd::from(file.expect("the same file once more")))
    };
    Heap::from_files(heap.files().map(again)).expect("attached twice")
}

/// Goal: a sibling in the same process is alive.
/// Method: the child holds everything through one copy, looks hard through the other, lets go.
#[test]
fn a_second_engine_does_not_rob_its_sibling() {
    let _alone = alone();
    let scene = Scene::new();
    let mut child = fork(|| {
        scene.heap.context().expect("a context");
        let sibling = second_engine(&scene.heap);
        scene.hold(|| {
            scene.assert_not_robbed_by(&sibling, "a sibling engine");
            scene.release();
        })
    });
    child.must_succeed();
    scene.assert_whole();
}

/// Goal: both members of one process are recovered when it dies.
/// Method: one copy holds everything, the other a second lock; kill; ask for both.
#[test]
fn both_engines_of_a_dead_process_are_recovered() {
    let _alone = alone();
    let scene = Scene::new();
    let second = crate::support::objects::mutex(&scene.heap, "second");
    let mut child = fork(|| {
        scene.heap.context().expect("a context");
        let sibling = second_engine(&scene.heap);
        sibling.with(|context| second.lock(context, None)).expect("the second lock");
        scene.hold(|| scene.page.set(OWN, 1))
    });
    until("it holds everything", || scene.page.get(OWN) == 1);
    assert_eq!(lock_briefly(&scene, &second), Err(Error::TimedOut));
    scene.assert_not_robbed("a process with two engines");
    child.kill();
    scene.assert_handed_over(child.pid() as u32);
    assert!(lock_briefly(&scene, &second).is_ok(), "the second engine was not recovered");
    let report = settle_and_check(&scene.heap);
    assert_eq!(report.members, 1, "both slots are free");
}

fn lock_briefly(scene: &Scene, lock: &Mutex) -> Result<(), Error> {
    scene.heap.with(|context| lock.lock(context, Some(in_milliseconds(60))).map(|_| ()))
}

/// Goal: an engine that leaves, closing its files, does not kill its sibling.
/// Method: the second copy is dropped while the first one holds everything.
#[test]
fn an_engine_that_leaves_does_not_kill_its_sibling() {
    let _alone = alone();
    let scene = Scene::new();
    let mut child = fork(|| {
        scene.heap.context().expect("a context");
        let sibling = second_engine(&scene.heap);
        sibling.with(|context| scene.value.add(context, 0)).expect("a sum");
        scene.hold(|| {
            sibling.close().expect("left");
            drop(sibling);
            scene.page.set(OWN, 1);
        })
    });
    until("the sibling has left", || scene.page.get(OWN) == 1);
    scene.assert_not_robbed("an engine whose sibling left");
    scene.page.set(GO, 1);
    child.must_succeed();
    scene.assert_whole();
}
