//! Long locks: an owner word that is taken and left with one exchange while nobody waits.
//!
//! The slow path is that of `objects::mutex`, which needs a heap, without its deadlines.

use coheap_core::memory::{Signal, Word};
use coheap_core::os;
use coheap_core::sync::owner::{SHARED, WAITERS};
use coheap_core::sync::{Owner, lock};
use loom::sync::Arc;
use loom::thread;

use super::{Watched, explore, owner};

struct Guarded {
    word: Word,
    signal: Signal,
    value: Watched,
}

impl Guarded {
    fn new() -> Arc<Self> {
        Arc::new(Self { word: Word::new(0), signal: Signal::never_woken(), value: Watched::new() })
    }

    fn take(&self, me: Owner) {
        if lock::try_take(&self.word, me) {
            return;
        }
        loop {
            let seen = self.signal.seen();
            let word = self.word.acquire();
            if Owner::of(word).is_nobody() {
                if lock::try_take_after_sleep(&self.word, me) {
                    return;
                }
                continue;
            }
            if lock::announce(&self.word, word) {
                os::wait(self.signal.futex(), seen, u64::MAX);
            }
        }
    }
}

fn contend(threads: u32, rounds: u32) {
    let guarded = Guarded::new();
    let run = move |guarded: &Guarded, number| {
        for _ in 0..rounds {
            guarded.take(owner(number));
            guarded.value.add_one();
            assert!(lock::give(&guarded.word, &guarded.signal, owner(number)));
        }
    };
    let others: Vec<_> = (1..threads)
        .map(|number| {
            let guarded = Arc::clone(&guarded);
            thread::spawn(move || run(&guarded, number))
        })
        .collect();
    run(&guarded, 0);
    others.into_iter().for_each(|other| other.join().expect("no thread panics"));
    assert_eq!(guarded.value.get(), threads * rounds);
    assert!(Owner::of(guarded.word.get()).is_nobody());
}

/// Goal: two threads never hold a lock at once, and none sleeps for ever.
#[test]
fn two_threads_share_a_lock() {
    explore(4, || contend(2, 2));
}

/// Goal: as above with a queue of sleepers, where one wake has to lead to the next.
#[test]
fn three_threads_share_a_lock() {
    explore(3, || contend(3, 1));
}

/// Goal: a lock that another than its owner lets go still wakes whoever waits, and is marked.
/// Method: the owner never lets go; one thread waits for it, another lets it go for the owner.
#[test]
fn a_lock_let_go_by_another_wakes_its_waiter() {
    explore(4, || {
        let guarded = Guarded::new();
        assert!(lock::try_take(&guarded.word, owner(7)));
        let waiter = {
            let guarded = Arc::clone(&guarded);
            thread::spawn(move || guarded.take(owner(1)))
        };
        let holder = lock::give_for_another(&guarded.word, &guarded.signal);
        assert_eq!(holder, Some(owner(7)));
        waiter.join().expect("the waiter does not panic");
        assert_eq!(Owner::of(guarded.word.get()), owner(1));
        assert_eq!(guarded.word.get() & SHARED, SHARED);
    });
}

/// Goal: a dead owner's lock comes to exactly one of two heirs, and the other is woken when that
/// one lets go.
#[test]
fn a_dead_owners_lock_has_one_heir_at_a_time() {
    explore(4, || {
        let guarded = Guarded::new();
        assert!(lock::try_take(&guarded.word, owner(7)));
        let heir = |guarded: &Guarded, me| {
            if !lock::take_over(&guarded.word, owner(7), me) {
                guarded.take(me);
            }
            guarded.value.add_one();
            assert!(lock::give(&guarded.word, &guarded.signal, me));
        };
        let other = {
            let guarded = Arc::clone(&guarded);
            thread::spawn(move || heir(&guarded, owner(1)))
        };
        heir(&guarded, owner(0));
        other.join().expect("the heir does not panic");
        assert_eq!(guarded.value.get(), 2);
        assert_eq!(guarded.word.get() & WAITERS, 0);
    });
}
