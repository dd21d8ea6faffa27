//! Waits for a lock in slices, and what is taken without a wait.
//!
//! What always holds: one process, whose threads wait for each other.
//! Not here: the words of a lock under many threads (`tests/parking/locks.rs`), and dead holders.

use super::*;
use crate::heap::Heap;
use crate::objects::Directory;
use crate::objects::mutex;

const SLICE: u64 = 50_000_000;

fn mutex(heap: &Heap, name: &str) -> Mutex {
    heap.with(|context| Directory.get_or_create(context, name, &mutex::Recipe::around(&[0])))
        .expect("a lock")
}

/// Goal: a wait in slices comes back when it should, and still hears of a circle.
/// Method: two threads take a lock each, then wait for the other's in slices; exactly one is
/// told, once both have waited for a second.
#[test]
fn a_wait_in_slices_finds_a_deadlock() {
    let heap = Heap::anonymous(1 << 20).expect("a heap");
    let locks = [mutex(&heap, "first"), mutex(&heap, "second")];
    let barrier = std::sync::Barrier::new(2);
    let wait = |own: usize| {
        heap.with(|context| locks[own].lock(context, None)).expect("free");
        barrier.wait();
        let started = os::now();
        let mut slices = 0;
        let answer = loop {
            let until = os::now() + SLICE;
            let slice = |context: &Context| locks[1 - own].lock_until(context, started, until);
            match heap.with(slice) {
                Err(Error::TimedOut | Error::Interrupted) => slices += 1,
                other => break other,
            }
        };
        heap.with(|context| locks[own].unlock(context)).expect("held");
        (answer, slices)
    };
    let answers = std::thread::scope(|scope| {
        [scope.spawn(|| wait(0)), scope.spawn(|| wait(1))].map(|it| it.join().expect("calm"))
    });
    let told = answers.iter().filter(|(answer, _)| *answer == Err(Error::Deadlock)).count();
    assert_eq!(told, 1, "{answers:?}");
    assert!(answers.iter().all(|(_, slices)| *slices > 0), "{answers:?}");
}

/// Goal: a free lock is taken without a wait, also where others wait for it.
#[test]
fn a_free_lock_is_taken_beside_waiters() {
    let heap = Heap::anonymous(1 << 20).expect("a heap");
    let lock = mutex(&heap, "wanted");
    heap.with(|context| {
        Region::raise(&lock.object(context.region())?.mutex, word::WAITERS);
        assert_eq!(lock.lock_soon(context, 0)?, Some(Acquired::Clean));
        assert_eq!(lock.lock_soon(context, 0)?, None, "it is held");
        lock.unlock(context)
    })
    .expect("a lock");
}
