//! Waits that signals of the system interrupt all the time: each finds what an undisturbed one
//! finds, in about the same time.
//!
//! What always holds: a waiter begins its wait again after each signal, as the faces do, with the
//! same deadline. The signals come faster than any slice of a wait ends.

mod support;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use coheap_core::Typed as _;
use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::journal::Context;
use coheap_core::objects::mutex::Acquired;
use coheap_core::transaction::Transaction;
use support::child::{End, die, fork};
use support::objects::{heap, map, mutex, queue, value};
use support::{alone, in_milliseconds, sleepers, until};

/// How often a waiter is interrupted.
const EVERY: Duration = Duration::from_millis(1);
/// What an undisturbed waiter finds within milliseconds, or within a good second.
const PATIENCE: Duration = Duration::from_secs(20);

extern "C" fn nothing(_: i32) {}

/// Runs each of the waits in a thread of its own, and interrupts all of them until they are done.
fn while_signalled<T: Send>(waits: Vec<Box<dyn FnOnce() -> T + Send + '_>>) -> Vec<T> {
    // SAFETY: all zero is a valid `sigaction`: no flags, so that system calls are not begun again.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as *const () as usize;
    // SAFETY: the action outlives the call, and the handler does nothing.
    let set = unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) };
    assert_eq!(set, 0);
    let count = waits.len();
    let (is_over, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let threads: Vec<_> = waits
            .into_iter()
            .map(|wait| {
                let (tell, told) = std::sync::mpsc::channel();
                let (is_over, done) = (&is_over, &done);
                let thread = scope.spawn(move || {
                    // SAFETY: takes nothing.
                    tell.send(unsafe { libc::pthread_self() }).expect("somebody listens");
                    let answer = wait();
                    done.fetch_add(1, Ordering::SeqCst);
                    // Whoever is signalled must not have ended.
                    while !is_over.load(Ordering::SeqCst) {
                        std::thread::yield_now();
                    }
                    answer
                });
                (thread, told.recv().expect("it begins"))
            })
            .collect();
        let deadline = Instant::now() + PATIENCE;
        while done.load(Ordering::SeqCst) < count && Instant::now() < deadline {
            for (_, id) in &threads {
                // SAFETY: the thread ends only after `is_over`.
                unsafe { libc::pthread_kill(*id, libc::SIGUSR1) };
            }
            std::thread::sleep(EVERY);
        }
        let is_late = done.load(Ordering::SeqCst) < count;
        is_over.store(true, Ordering::SeqCst);
        if is_late {
            support::say("a signalled waiter has not found in time what it waits for");
            std::process::abort();
        }
        threads.into_iter().map(|(thread, _)| thread.join().expect("no panic")).collect()
    })
}

/// Begins a wait again after each signal.
fn again<T>(heap: &Heap, mut wait: impl FnMut(&Context) -> Result<T>) -> Result<T> {
    loop {
        match heap.with(&mut wait) {
            Err(Error::Interrupted) => {}
            other => return other,
        }
    }
}

/// Runs `act` in a process that is killed then.
fn dies_after(heap: &Heap, act: impl FnOnce(&Context) -> Result<()>) {
    let mut child = fork(|| {
        let context = heap.context().expect("a member");
        act(&context).expect("done");
        die()
    });
    assert_eq!(child.wait(), End::Signal(libc::SIGKILL));
}

/// Goal: two threads that wait for each other's lock are told, however often they are interrupted.
#[test]
fn a_deadlock_is_found() {
    let _alone = alone();
    let heap = heap(4);
    let locks = [mutex(&heap, "first"), mutex(&heap, "second")];
    let barrier = Barrier::new(2);
    let wait = |own: usize| {
        heap.with(|context| locks[own].lock(context, None)).expect("free");
        barrier.wait();
        let answer = again(&heap, |context| locks[1 - own].lock(context, None));
        heap.with(|context| locks[own].unlock(context)).expect("held");
        answer
    };
    let waits: Vec<Box<dyn FnOnce() -> Result<Acquired> + Send>> =
        vec![Box::new(|| wait(0)), Box::new(|| wait(1))];
    let answers = while_signalled(waits);
    let told = answers.iter().filter(|answer| **answer == Err(Error::Deadlock)).count();
    assert_eq!(told, 1, "{answers:?}");
}

/// Goal: the same where others have waited for both locks before: they watch the holders, and those
/// of the circle look for it all the same.
/// Method: two threads hold a lock each; two more wait for each of them, until they sleep for long;
/// then the two want each other's.
#[test]
fn a_deadlock_is_found_beside_others_that_wait() {
    let _alone = alone();
    let heap = heap(4);
    let locks = [mutex(&heap, "first"), mutex(&heap, "second")];
    let (held, crowd) = (Barrier::new(6), Barrier::new(2));
    let wait = |own: usize| {
        heap.with(|context| locks[own].lock(context, None)).expect("free");
        held.wait();
        until("four sleep", || sleepers(&heap) == 4);
        std::thread::sleep(Duration::from_millis(150));
        crowd.wait();
        let answer = heap.with(|context| locks[1 - own].lock(context, None));
        if answer.is_ok() {
            heap.with(|context| locks[1 - own].unlock(context)).expect("held");
        }
        heap.with(|context| locks[own].unlock(context)).expect("held");
        answer
    };
    let beside = |lock: usize| {
        held.wait();
        heap.with(|context| locks[lock].lock(context, None)).expect("it is let go");
        heap.with(|context| locks[lock].unlock(context)).expect("held");
    };
    let answers = std::thread::scope(|scope| {
        let others: Vec<_> = [0, 0, 1, 1].map(|lock| scope.spawn(move || beside(lock))).into();
        let threads = [0, 1].map(|own| scope.spawn(move || wait(own)));
        let answers = threads.map(|thread| thread.join().expect("calm"));
        others.into_iter().for_each(|thread| thread.join().expect("calm"));
        answers
    });
    let told = answers.iter().filter(|answer| **answer == Err(Error::Deadlock)).count();
    assert_eq!(told, 1, "{answers:?}");
}

/// Goal: the lock of a dead process is taken over, with a deadline and without.
#[test]
fn the_lock_of_the_dead_is_taken_over() {
    let _alone = alone();
    for deadline in [None, Some(in_milliseconds(60_000))] {
        let heap = heap(4);
        let lock = mutex(&heap, "lock");
        dies_after(&heap, |context| lock.lock(context, None).map(drop));
        let wait = || again(&heap, |context| lock.lock(context, deadline));
        let answers = while_signalled(vec![Box::new(wait)]);
        assert!(matches!(answers[0], Ok(Acquired::OwnerDied(_))), "{answers:?}");
    }
}

/// Goal: a turn, and an object that a transaction holds, are free after their holder's death.
#[test]
fn what_the_dead_exclude_others_from_is_free() {
    let _alone = alone();
    let heap = heap(4);
    let (books, number) = (map(&heap, "books"), value(&heap, "number"));
    dies_after(&heap, |context| {
        std::mem::forget(context.hold(books.handle().turn)?);
        Ok(())
    });
    let set = || again(&heap, |context| books.set(context, b"key", b"value").map(drop));
    assert_eq!(while_signalled(vec![Box::new(set)]), [Ok(())]);
    dies_after(&heap, |_| {
        let mut transaction = Transaction::begin(heap.context()?, None)?;
        transaction.on(&number).add(1)?;
        std::mem::forget(transaction);
        Ok(())
    });
    let add = || again(&heap, |context| number.add(context, 1).map(drop));
    assert_eq!(while_signalled(vec![Box::new(add)]), [Ok(())]);
}

/// Goal: what a dead process had on lease comes back to the only one who waits for it, though its
/// wait is never left alone as long as a tick.
/// Method: the holder dies after the wait has begun, when only ticks look for the dead.
#[test]
fn the_lease_of_the_dead_comes_back() {
    let _alone = alone();
    let heap = heap(4);
    let jobs = queue(&heap, "jobs");
    heap.with(|context| jobs.put(context, b"job")).expect("room");
    let mut holder = fork(|| {
        heap.with(|context| jobs.lease(context, &mut Vec::new())).expect("a lease");
        loop {
            std::thread::park();
        }
    });
    support::until("leased", || heap.with(|context| jobs.leased(context)) == Ok(1));
    let wait = || again(&heap, |context| jobs.lease_wait(context, None, &mut Vec::new()));
    let kill = || {
        // The wait is to be older than those that look at all slots by themselves.
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(holder.kill(), End::Signal(libc::SIGKILL));
        heap.with(|context| jobs.leased(context)).map(|_| coheap_core::objects::Lease {
            record: 0,
            serial: 0,
            attempt: 0,
        })
    };
    let waits: Vec<Box<dyn FnOnce() -> Result<coheap_core::objects::Lease> + Send>> =
        vec![Box::new(wait), Box::new(kill)];
    assert!(while_signalled(waits).iter().all(Result::is_ok));
}

/// Goal: a time-out is kept.
#[test]
fn a_time_out_is_kept() {
    let _alone = alone();
    let heap = heap(4);
    let (jobs, lock) = (queue(&heap, "jobs"), mutex(&heap, "lock"));
    heap.with(|context| lock.lock(context, None)).expect("free");
    let began = Instant::now();
    let deadline = Some(in_milliseconds(300));
    let get = || again(&heap, |context| jobs.get_wait(context, deadline, &mut Vec::new()));
    let acquire = || again(&heap, |context| lock.lock(context, deadline).map(drop));
    let waits: Vec<Box<dyn FnOnce() -> Result<()> + Send>> = vec![Box::new(get), Box::new(acquire)];
    assert_eq!(while_signalled(waits), [Err(Error::Empty), Err(Error::TimedOut)]);
    let took = began.elapsed();
    assert!((Duration::from_millis(300)..Duration::from_secs(3)).contains(&took), "{took:?}");
}
