//! Real processes killed at random moments, thousands of times, and exact books all along.
//!
//! Workers count, write, queue and lock as fast as they can and are killed one after the other by
//! SIGKILL, sometimes two at once; each is replaced by a fresh fork. Each writes what it did into
//! a page outside of the heap. At the end of each round the heap must agree with that page, and
//! the integrity walk with itself.
//!
//! `COHEAP_SEED` repeats the dice (not the kernel's schedule); `COHEAP_KILLS` says how many.

#[path = "../support/mod.rs"]
mod support;
mod bank;
mod ledger;
mod worker;

use std::time::{Duration, Instant};

use coheap_core::check::check;
use coheap_core::objects::Directory;
use coheap_core::stats::Stats;
use ledger::{Ledger, WORKERS};
use support::child::{Child, End};
use support::objects::{heap, map, mutex, queue, settle_and_check, value};
use support::random::Random;
use worker::{Field, whole, work};

/// Kills in one round, between two audits.
const ROUND: u64 = 100;
/// Rounds with one heap.
const ROUNDS_PER_HEAP: u64 = 10;
/// Least share of kills that must hit an open change or transaction, in percent.
const LEAST_HITS: u64 = 20;

fn new_field() -> Field {
    let heap = heap(128);
    let field = Field {
        counts: map(&heap, "counts"),
        scratch: map(&heap, "scratch"),
        jobs: queue(&heap, "jobs"),
        lock: mutex(&heap, "lock"),
        left: value(&heap, "left"),
        right: value(&heap, "right"),
        text: value(&heap, "text"),
        bank: bank::Bank::new(&heap),
        large: (0..WORKERS).map(|worker| map(&heap, &format!("large {worker}"))).collect(),
        heap,
    };
    field.heap.with(|context| field.text.set(context, &whole(7))).expect("a first text");
    field
}

fn spawn(field: &Field, ledger: &Ledger, worker: usize, dice: &mut Random) -> Child {
    let mut own = dice.split();
    ledger.set_at_work(worker, false);
    support::child::fork(|| work(field, ledger, worker, &mut own))
}

/// Kills `ROUND` workers, then lets the others end, then compares.
fn round(field: &Field, ledger: &Ledger, dice: &mut Random) {
    let mut children: Vec<Child> =
        (0..WORKERS).map(|worker| spawn(field, ledger, worker, dice)).collect();
    let mut kills = 0;
    while kills < ROUND {
        let pause = Duration::from_micros(dice.below(3000));
        let begin = Instant::now();
        while begin.elapsed() < pause {
            std::thread::sleep(pause.saturating_sub(begin.elapsed()));
        }
        let victims = if dice.one_in(8) { 2 } else { 1 };
        let first = dice.below(WORKERS as u64) as usize;
        let rows: Vec<usize> = (0..victims).map(|step| (first + step) % WORKERS).collect();
        // Most victims are at work; some are still on their way into the heap.
        let is_early = dice.one_in(20);
        for row in &rows {
            support::until("a worker is at work", || is_early || ledger.is_at_work(*row));
            assert_eq!(children[*row].has_ended(), None, "worker {row} ended by itself");
            children[*row].signal(libc::SIGKILL);
        }
        for row in &rows {
            assert_eq!(children[*row].wait(), End::Signal(libc::SIGKILL));
            ledger.strike_out(&field.heap, &field.counts, *row);
            children[*row] = spawn(field, ledger, *row, dice);
            kills += 1;
        }
    }
    ledger.stop();
    for child in &mut children {
        assert_eq!(child.wait(), End::Exit(0));
    }
    settle_and_check(&field.heap);
    let jobs = ledger.audit(&field.heap, &field.counts, &field.jobs, &field.bank);
    assert_eq!(field.bank.sum(&field.heap), Ok(Some(0)), "money was made or lost");
    assert!(jobs > 0, "the workers put jobs");
    assert_eq!(ledger.worries(), 0, "a worker saw something that cannot be");
}

/// Nothing may be left but the directory.
fn empty(field: &Field) {
    field
        .heap
        .with(|context| {
            for (name, _) in Directory.names(context)? {
                Directory.remove(context, &name)?;
            }
            let report = check(context)?;
            assert_eq!(report.objects, 0);
            assert!(report.blocks <= 4, "nothing hangs from the directory: {report:?}");
            Ok(())
        })
        .expect("the heap can be emptied");
}

fn torture(kills: u64) {
    let _alone = support::alone();
    let mut dice = Random::for_run("torture");
    let begin = Instant::now();
    let mut sum = Stats::default();
    let mut done = 0;
    while done < kills {
        let field = new_field();
        let ledger = Ledger::new();
        for _ in 0..ROUNDS_PER_HEAP.min((kills - done).div_ceil(ROUND)) {
            round(&field, &ledger, &mut dice);
            ledger.next_round();
            done += ROUND;
        }
        let seen = field.heap.stats().expect("the heap's numbers");
        sum.recovered += seen.recovered;
        sum.undone += seen.undone;
        sum.abandoned += seen.abandoned;
        sum.interrupted += seen.interrupted;
        sum.returned += seen.returned;
        empty(&field);
    }
    support::say(&format!(
        "torture: {done} kills in {:.1} s, {} % of them inside an open change or transaction \
         ({} changes, {} transactions); {} recoveries, {} leases came back",
        begin.elapsed().as_secs_f64(),
        sum.interrupted * 100 / done,
        sum.undone,
        sum.abandoned,
        sum.recovered,
        sum.returned
    ));
    assert!(sum.recovered * 10 >= done * 9, "a victim that was at work is recovered");
    assert!(
        sum.interrupted * 100 >= LEAST_HITS * done,
        "too few kills hit something: {} of {done}",
        sum.interrupted
    );
}

fn kills_or(default: u64) -> u64 {
    std::env::var("COHEAP_KILLS").map_or(default, |text| text.parse().expect("a number of kills"))
}

/// Goal: no kill loses, doubles or halves anything.
/// Method: 1,000 kills with exact books; see the head of this file.
#[test]
fn a_thousand_kills_falsify_no_book() {
    torture(kills_or(1_000));
}

/// Goal: as above, for the long run.
/// Method: 20,000 kills.
#[test]
#[ignore = "takes minutes: make torture"]
fn twenty_thousand_kills_falsify_no_book() {
    torture(kills_or(20_000));
}
