//! Turns: exclusion, wakes, readers without the turn, and a holder that dies.
//!
//! Everything but the recovery of the dead holder's journal is the engine's own code.

use std::sync::atomic::Ordering;

use coheap_core::memory::{Region, Word, layout::Turn};
use coheap_core::os::machine;
use coheap_core::sync::turn::{self, Taken, wait_judging};
use loom::sync::Arc;
use loom::sync::atomic::AtomicBool;
use loom::thread;

use super::{Watched, explore, new_turn, owner, process, take};

struct Guarded {
    turn: Turn,
    value: Watched,
}

impl Guarded {
    fn new() -> Self {
        Self { turn: new_turn(), value: Watched::new() }
    }
}

fn contend(threads: u32, rounds: u32) {
    let guarded = Arc::new(Guarded::new());
    let run = move |guarded: &Guarded, number| {
        for _ in 0..rounds {
            take(&guarded.turn, owner(number));
            guarded.value.add_one();
            turn::give(&guarded.turn, owner(number));
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
    assert_eq!(guarded.turn.owner.get(), 0);
}

/// Goal: two threads are never in a turn at once, each sees what the other did, and none sleeps
/// for ever. Method: each takes it twice and adds one to a plain number that loom watches.
#[test]
fn two_threads_share_a_turn() {
    explore(4, || contend(2, 2));
}

/// Goal: as above with a queue of sleepers, where one wake has to lead to the next.
#[test]
fn three_threads_share_a_turn() {
    explore(3, || contend(3, 1));
}

/// Goal: a reader without the turn never accepts half of a change.
/// Method: a writer stores the same number in two words, twice, under an odd sequence; a reader
/// looks once and must either be told to look again or see two equal numbers.
#[test]
fn an_optimistic_reader_accepts_no_torn_pair() {
    explore(4, || {
        let shared = Arc::new((new_turn(), Word::new(0), Word::new(0)));
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (turn, first, second) = &*shared;
                for value in 1..=2 {
                    turn::open(turn);
                    Region::store(first, value);
                    Region::store(second, value);
                    turn::close(turn);
                }
            })
        };
        let (turn, first, second) = &*shared;
        if let Some(sequence) = turn::begin_read(turn) {
            let pair = (first.get(), second.get());
            if turn::is_unchanged(turn, sequence) {
                assert_eq!(pair.0, pair.1, "read at sequence {sequence}");
                assert_eq!(pair.0, sequence / 2);
            }
        }
        writer.join().expect("the writer does not panic");
        assert_eq!(turn.sequence.get(), 4);
    });
}

/// Goal: a reader without the turn never puts together words of different moments where each change
/// is of a single word.
/// Method: two writers that take the turn store the next number in one word, then in the other, so
/// the second is never ahead and never two behind; a reader looks once.
#[test]
fn an_optimistic_reader_mixes_no_changes_of_one_word() {
    explore(4, || {
        let shared = Arc::new((new_turn(), Word::new(0), Word::new(0)));
        let write = |shared: &(Turn, Word, Word), me| {
            let (turn, first, second) = shared;
            take(turn, owner(me));
            turn::store_one(turn, first, first.get() + 1);
            turn::store_one(turn, second, second.get() + 1);
            turn::give(turn, owner(me));
        };
        let writers: Vec<_> = [1, 2]
            .map(|me| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || write(&shared, me))
            })
            .into();
        let (turn, first, second) = &*shared;
        if let Some(sequence) = turn::begin_read(turn) {
            let pair = (first.get(), second.get());
            if turn::is_unchanged(turn, sequence) {
                assert!(pair.0 == pair.1 || pair.0 == pair.1 + 1, "torn: {pair:?}");
            }
        }
        writers.into_iter().for_each(|writer| writer.join().expect("no writer panics"));
        assert_eq!((first.get(), second.get(), turn.sequence.get()), (2, 2, 8));
    });
}

/// Goal: when a holder has died, whoever waits gets the turn, whether its sleep began before the
/// recovery or after, and readers never accept what the dead one left half done.
/// Method: the dead holder's words are set up as a death left them. One waiter takes the turn as
/// engine code does; a recovery by another thread puts the word back, makes the sequence even and
/// frees the turn; time passes once at any moment, so that the waiter may find the death itself.
#[test]
fn a_dead_holders_turn_passes_on() {
    explore(4, || {
        let dead = owner(7);
        let shared = Arc::new((new_turn(), Word::new(0), AtomicBool::new(false)));
        assert!(turn::try_take(&shared.0, dead));
        turn::open(&shared.0);
        Region::store(&shared.1, 13);

        let waiter = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (turn, word, recovered) = &*shared;
                let me = owner(1);
                if !turn::try_take(turn, me) {
                    let judge = |_: &Turn| Ok(Some(process(dead)));
                    while let Taken::OwnerDead(found) =
                        wait_judging(turn, me, None, judge).expect("no damaged word")
                    {
                        assert_eq!(found, process(dead));
                        recover(turn, word, recovered);
                    }
                }
                assert_eq!(word.get(), 0, "the dead one's store is undone before its turn is free");
                assert_eq!(turn.sequence.get(), 2);
                turn::give(turn, me);
            })
        };
        let recoverer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || recover(&shared.0, &shared.1, &shared.2))
        };
        if let Some(sequence) = turn::begin_read(&shared.0) {
            let value = shared.1.get();
            assert!(!turn::is_unchanged(&shared.0, sequence) || value == 0);
        }
        machine::let_time_pass();
        waiter.join().expect("the waiter does not panic");
        recoverer.join().expect("the recoverer does not panic");
        assert_eq!(shared.0.owner.get(), 0);
    });

    /// One thread recovers, as the victim's life byte and slot elect one.
    fn recover(turn: &Turn, word: &Word, elected: &AtomicBool) {
        if elected.swap(true, Ordering::AcqRel) {
            return;
        }
        Region::store(word, 0);
        turn::close(turn);
        turn::free_of_dead(turn, owner(7));
    }
}
