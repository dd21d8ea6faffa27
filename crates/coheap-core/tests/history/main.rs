//! Concurrent histories under kills, judged afterwards: single operations must be linearizable,
//! transactions serializable.
//!
//! Several processes work on the same few objects and write down what they asked, when, and what
//! was answered; some are killed in the midst. The judges know operations that never ended. In
//! each run errors are planted into the records, and must be seen.

#[path = "../support/mod.rs"]
mod support;
mod appends;
mod cycles;
mod linear;
mod models;
mod record;
mod stage;
mod subjects;

use stage::Stage;
use support::random::Random;
use support::{alone, say};

fn single_operations(rounds: u64) {
    let _alone = alone();
    let mut dice = Random::for_run("single operations");
    let outcome = Stage::new().run(rounds, &mut dice);
    say(&format!("single operations: {outcome:?}"));
    assert!(outcome.overlaps > rounds, "the histories are hardly concurrent");
    assert!(outcome.kills > 0 && outcome.unfinished > 0, "no operation was cut off");
    assert!(outcome.planted > rounds / 2, "hardly any error was planted");
    assert_eq!(outcome.found, outcome.planted, "a planted error was not seen");
    assert!(outcome.undecided * 20 < outcome.rounds, "too many histories are undecided");
}

/// Goal: single operations of maps, queues and values are linearizable, kills included.
/// Method: 1,500 rounds of four processes; see the head of this file.
#[test]
fn an_order_explains_what_everybody_saw() {
    single_operations(1_500);
}

/// Goal: as above, for longer.
/// Method: 100,000 rounds.
#[test]
#[ignore = "takes minutes: make torture"]
fn an_order_explains_what_everybody_saw_for_long() {
    single_operations(100_000);
}

fn transactions(rounds: u64) {
    let _alone = alone();
    let mut dice = Random::for_run("transactions");
    let outcome = appends::run(rounds, &mut dice);
    say(&format!("transactions: {outcome:?}"));
    assert!(outcome.committed > outcome.rounds * 8, "hardly anything was committed");
    assert!(outcome.kills > 0 && outcome.cut_off > 0, "no transaction was cut off");
    assert!(outcome.planted > rounds / 4, "hardly any error was planted");
    assert_eq!(outcome.found, outcome.planted, "a planted error was not seen");
}

/// Goal: transactions over several maps and values are serializable in an order that respects
/// time, kills and deadlocks included.
/// Method: lists that are only appended to, and a search for cycles; 400 rounds.
#[test]
fn no_cycle_of_transactions_explains_anything() {
    transactions(400);
}

/// Goal: as above, for longer.
/// Method: 30,000 rounds.
#[test]
#[ignore = "takes minutes: make torture"]
fn no_cycle_of_transactions_explains_anything_for_long() {
    transactions(30_000);
}
