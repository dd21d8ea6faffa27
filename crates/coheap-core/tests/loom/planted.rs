//! Planted mistakes: the models above are worth something only if these are caught.
//!
//! Each is a step of the protocol left out. A model that loom stops takes its process along, so
//! each runs in a child, and what the child says is read.

use std::process::Command;

use coheap_core::memory::{Region, Word};
use coheap_core::os;
use coheap_core::sync::owner::WAITERS;
use coheap_core::sync::turn;
use loom::sync::Arc;
use loom::thread;

use super::{explore, new_turn, owner, take};

/// Goal: a model of broken code is never passed. Method: see above.
#[test]
fn every_planted_mistake_is_found() {
    let program = std::env::current_exe().expect("a test knows its program");
    for (name, says) in [
        ("a_wake_that_is_not_counted_is_lost", "deadlock"),
        ("a_flag_that_is_not_left_up_is_forgotten", "deadlock"),
        ("a_reader_that_does_not_look_again_accepts_a_torn_pair", "torn"),
        ("a_store_that_does_not_move_the_sequence_tears_a_pair", "torn"),
        ("parking::a_bit_that_is_up_is_not_raised", "deadlock"),
        ("parking::a_bit_is_lowered_without_another_look", "deadlock"),
        ("parking::a_maker_asks_before_it_publishes", "deadlock"),
        ("parking::who_leaves_keeps_the_ring", "deadlock"),
        ("parking::who_takes_a_thing_forgets_what_is_left", "deadlock"),
        ("parking::a_guard_looks_before_it_leaves", "deadlock"),
        ("parking::who_leaves_forgets_its_offer", "deadlock"),
        ("parking::a_free_word_carries_no_generation", "a stranger's lock"),
        ("parking::a_leaver_takes_its_notification_along", "a lost notification"),
        ("parking::a_notification_is_believed_too_early", "believed"),
        ("hazard::a_name_without_a_fence_is_seen_too_late", "Causality"),
        ("hazard::names_are_looked_at_without_a_fence", "Causality"),
        ("hazard::a_reader_does_not_look_again", "Causality"),
        ("hazard::a_name_is_cleared_too_early", "Causality"),
        ("hazard::a_run_is_pinned_when_its_name_is_cleared", "Causality"),
    ] {
        let name = match name.split_once("::") {
            Some((file, name)) => format!("{file}::planted::{name}"),
            None => format!("planted::{name}"),
        };
        let child = Command::new(&program)
            .args(["--ignored", "--exact", "--nocapture", &name])
            .env("RUST_BACKTRACE", "0")
            .output()
            .expect("the program runs again");
        let said = String::from_utf8_lossy(&child.stderr);
        assert!(!child.status.success() && said.contains(says), "{name}: {said}");
    }
}

/// A wake that is not counted is missed by who is just about to sleep.
#[test]
#[ignore = "fails, as every_planted_mistake_is_found asks of it"]
fn a_wake_that_is_not_counted_is_lost() {
    explore(4, || {
        let turn = Arc::new(new_turn());
        assert!(turn::try_take(&turn, owner(0)));
        let waiter = {
            let turn = Arc::clone(&turn);
            thread::spawn(move || take(&turn, owner(1)))
        };
        if Region::swap(&turn.owner, 0) & WAITERS != 0 {
            os::wake(turn.signal.futex(), 1);
        }
        waiter.join().expect("the waiter does not panic");
    });
}

/// A sleeper that takes the turn without leaving the flag up forgets the next sleeper.
#[test]
#[ignore = "fails, as every_planted_mistake_is_found asks of it"]
fn a_flag_that_is_not_left_up_is_forgotten() {
    explore(4, || {
        let turn = Arc::new(new_turn());
        assert!(turn::try_take(&turn, owner(0)));
        let waiters = [1, 2].map(|number| {
            let turn = Arc::clone(&turn);
            thread::spawn(move || {
                take(&turn, owner(number));
                let _ = Region::compare_exchange(
                    &turn.owner,
                    owner(number).bits() | WAITERS,
                    owner(number).bits(),
                );
                turn::give(&turn, owner(number));
            })
        });
        turn::give(&turn, owner(0));
        waiters.into_iter().for_each(|waiter| waiter.join().expect("no waiter panics"));
    });
}

/// A reader that does not look at the sequence again accepts half of a change.
#[test]
#[ignore = "fails, as every_planted_mistake_is_found asks of it"]
fn a_reader_that_does_not_look_again_accepts_a_torn_pair() {
    explore(4, || {
        let shared = Arc::new((new_turn(), Word::new(0), Word::new(0)));
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                turn::open(&shared.0);
                Region::store(&shared.1, 1);
                Region::store(&shared.2, 1);
                turn::close(&shared.0);
            })
        };
        if turn::begin_read(&shared.0).is_some() {
            assert_eq!(shared.1.get(), shared.2.get(), "torn");
        }
        writer.join().expect("the writer does not panic");
    });
}

/// Changes of one word that leave the sequence alone let a reader mix two of them.
#[test]
#[ignore = "fails, as every_planted_mistake_is_found asks of it"]
fn a_store_that_does_not_move_the_sequence_tears_a_pair() {
    explore(4, || {
        let shared = Arc::new((new_turn(), Word::new(0), Word::new(0)));
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                Region::store(&shared.1, 1);
                Region::store(&shared.2, 1);
            })
        };
        if let Some(sequence) = turn::begin_read(&shared.0) {
            let pair = (shared.1.get(), shared.2.get());
            if turn::is_unchanged(&shared.0, sequence) {
                assert!(pair.0 >= pair.1, "torn: {pair:?}");
            }
        }
        writer.join().expect("the writer does not panic");
    });
}
