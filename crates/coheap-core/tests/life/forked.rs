//! Forks: a child is a process of its own, whatever its parent was doing.
//!
//! Neither takes anything from the other by its death, and what was open at the fork is the
//! parent's alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coheap_core::error::Error;
use coheap_core::heap::Heap;
use coheap_core::objects::mutex::Acquired;
use coheap_core::transaction::Transaction;

use crate::scene::{GO, OWN, PID, Scene};
use crate::support::child::{End, alarm, fork};
use crate::support::objects::{count, map, number_in, settle_and_check};
use crate::support::{alone, in_milliseconds, until};

/// Goal: the death of a forked child takes nothing from its parent.
/// Method: the holder forks a child that works and exits, and one that is killed at work.
#[test]
fn a_child_that_dies_takes_nothing_from_its_parent() {
    let _alone = alone();
    let scene = Scene::new();
    let books = map(&scene.heap, "books");
    let mut holder = scene.holder(|| {
        let add = || scene.heap.with(|context| books.add(context, b"key", 1)).expect("a sum");
        fork(|| i32::from(add() != 1)).must_succeed();
        let mut endless = fork(|| {
            loop {
                add();
            }
        });
        until("it works", || count(&scene.heap, &books, b"key") > 100);
        assert_eq!(endless.kill(), End::Signal(libc::SIGKILL));
        scene.page.set(OWN, 1);
    });
    until("both children are dead", || scene.page.get(OWN) == 1);
    scene.assert_not_robbed("a parent whose children died");
    scene.release();
    holder.must_succeed();
    scene.assert_whole();
}

/// Goal: a child goes on when its parent dies, and keeps what it took itself, while what the
/// parent held is handed over.
/// Method: the holder forks a child that attaches and takes a second lock; the holder is killed.
#[test]
fn a_child_survives_the_death_of_its_parent() {
    let _alone = alone();
    let scene = Scene::new();
    let second = crate::support::objects::mutex(&scene.heap, "second");
    let mut holder = scene.holder(|| {
        let child = fork(|| {
            let worked = scene.heap.with(|context| {
                second.lock(context, None)?;
                scene.page.set(OWN, 1);
                until("the word to go on", || scene.page.get(GO) != 0);
                second.unlock(context)
            });
            scene.page.set(OWN, if worked.is_ok() { 2 } else { 3 });
            0
        });
        scene.page.set(PID, child.pid() as u64);
        std::mem::forget(child);
    });
    until("the child holds its lock", || scene.page.get(OWN) == 1);
    holder.kill();
    scene.assert_handed_over(holder.pid() as u32);
    let tried = scene.heap.with(|context| second.lock(context, Some(in_milliseconds(60))));
    assert_eq!(tried, Err(Error::TimedOut), "the child was robbed");
    scene.release();
    until("the child has finished", || scene.page.get(OWN) == 2);
    let tried = scene.heap.with(|context| second.lock(context, Some(in_milliseconds(5_000))));
    assert_eq!(tried, Ok(Acquired::Clean));
}

/// Goal: a child that never touched the heap before its parent died can still attach.
/// Method: the child waits for its parent's end before its first operation.
#[test]
fn a_child_attaches_after_the_death_of_its_parent() {
    let _alone = alone();
    let scene = Scene::new();
    let mut holder = scene.holder(|| {
        let child = fork(|| {
            until("the word to go on", || scene.page.get(GO) != 0);
            let sum = scene.heap.with(|context| scene.value.add(context, 0));
            scene.page.set(OWN, sum.map_or(99, |sum| sum as u64));
            0
        });
        scene.page.set(PID, child.pid() as u64);
        std::mem::forget(child);
    });
    until("it has forked", || scene.page.get(PID) != 0);
    holder.kill();
    scene.release();
    until("the orphan has worked", || scene.page.get(OWN) != 0);
    assert_eq!(scene.page.get(OWN), 5);
    scene.assert_handed_over(holder.pid() as u32);
}

/// Goal: forks in the midst of another thread's operations break nothing.
/// Method: one thread of a child adds as fast as it can; the other forks 300 grandchildren that
/// add once each, half of which are killed afterwards instead of exiting.
#[test]
fn forks_in_the_midst_of_operations_break_nothing() {
    const FORKS: usize = 300;
    let _alone = alone();
    let scene = Scene::new();
    let books = map(&scene.heap, "books");
    let mut child = fork(|| {
        let added = std::thread::scope(|scope| {
            let adder = scope.spawn(|| {
                let mut added = 0u64;
                while scene.page.get(GO) == 0 {
                    let key = [(added % 50) as u8; 20];
                    scene.heap.with(|context| books.add(context, &key, 1)).expect("a sum");
                    added += 1;
                }
                added
            });
            for number in 0..FORKS {
                let mut grandchild = fork(|| {
                    scene.heap.with(|context| books.add(context, b"forks", 1)).expect("a sum");
                    scene.page.add(OWN + 1, 1);
                    until("to be killed", || number % 2 == 0);
                    0
                });
                until("it added", || scene.page.get(OWN + 1) == number as u64 + 1);
                if number % 2 == 1 {
                    grandchild.kill();
                }
                grandchild.wait();
            }
            scene.page.set(GO, 1);
            adder.join().expect("the adder")
        });
        scene.page.set(OWN, added);
        0
    });
    child.must_succeed();
    let entries = scene.heap.with(|context| books.snapshot(context)).expect("a snapshot");
    let sum: i64 = entries.iter().filter_map(|(_, value)| number_in(value)).sum();
    assert_eq!(sum as u64, scene.page.get(OWN) + FORKS as u64);
    assert_eq!(count(&scene.heap, &books, b"forks"), FORKS as i64);
    settle_and_check(&scene.heap);
}

/// Goal: a transaction belongs to the process that began it.
/// Method: fork inside; the child's copy refuses, and its end changes nothing; the parent commits.
#[test]
fn a_transaction_is_not_copied_by_a_fork() {
    let _alone = alone();
    let scene = Scene::new();
    let books = map(&scene.heap, "books");
    let mut child = fork(|| {
        let context = scene.heap.context().expect("a context");
        let mut tx = Some(Transaction::begin(context, None).expect("a transaction"));
        tx.as_mut().map(|tx| tx.on(&books).add(b"key", 1).expect("a sum"));
        let mut grandchild = fork(|| {
            let mut copy = tx.take().expect("a copy");
            let refused = copy.on(&books).add(b"key", 1) == Err(Error::ForkedInside);
            drop(copy);
            i32::from(!refused)
        });
        grandchild.must_succeed();
        let mut tx = tx.expect("the grandchild took only its copy");
        tx.on(&books).add(b"key", 1).expect("a sum");
        i32::from(tx.commit().is_err())
    });
    child.must_succeed();
    assert_eq!(count(&scene.heap, &books, b"key"), 2, "the parent committed, nobody else");
    settle_and_check(&scene.heap);
}

/// Set in the programs that [`a_fork_beside_the_first_open_is_safe`] starts.
const FIRST: &str = "COHEAP_TEST_FIRST_OPEN";

/// Goal: a child that is forked while another thread opens the first heap of the process can open
/// heaps itself, and fork.
/// Method: fresh copies of this program, in which a thread opens the first heap, or asks for its
/// number in the line of forks as an open does, while another one forks, a little later each time.
#[test]
fn a_fork_beside_the_first_open_is_safe() {
    const ROUNDS: u32 = 400;
    if let Ok(round) = std::env::var(FIRST) {
        return fork_beside_the_first_open(round.parse().expect("a number"));
    }
    let _alone = alone();
    let program = std::env::current_exe().expect("this program");
    let name = "forked::a_fork_beside_the_first_open_is_safe";
    for round in 0..ROUNDS {
        let mut first = std::process::Command::new(&program);
        first.args(["--exact", name, "--nocapture"]).env(FIRST, round.to_string());
        let ended = first.output().expect("the program starts");
        assert!(ended.status.success(), "round {round}: {ended:?}");
    }
}

fn fork_beside_the_first_open(round: u32) {
    let open = || Heap::anonymous(1 << 18).expect("a heap");
    let asks_only = round.is_multiple_of(2);
    let delay = Duration::from_nanos(u64::from(round) * if asks_only { 50 } else { 1_000 });
    let is_ready = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            is_ready.store(true, Ordering::Relaxed);
            match asks_only {
                true => drop(coheap_core::os::generation()),
                false => drop(open()),
            }
        });
        while !is_ready.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        let begin = Instant::now();
        while begin.elapsed() < delay {
            std::hint::spin_loop();
        }
        let mut child = fork(|| {
            alarm(5);
            let heap = open();
            let mut grandchild = fork(|| i32::from(heap.stats().is_err()));
            i32::from(grandchild.wait() != End::Exit(0))
        });
        child.must_succeed();
    });
}
