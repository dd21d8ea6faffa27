//! Two processes move numbers from one map to another, each move in one transaction.
//!
//! Both read what is there, change it and store it, at random keys of 10,000. What counts is the
//! time from the first start to the last end, per transaction of either process.

use super::{Bench, Dice};
use crate::ours::{self, transaction::OurPair};
use crate::peers::lmdb::{Folder, Lmdb};
use crate::process::{Job, Station, run_crew};
use crate::report::Comparison;

const KEYS: u64 = 10_000;
const MOVES: u64 = 50_000;

fn moves(station: &Station, mut once: impl FnMut(u64, u64)) {
    let mut dice = Dice::new(station.number as u64);
    station.start();
    for _ in 0..MOVES {
        once(dice.below(KEYS), dice.below(KEYS));
    }
    station.finish(MOVES);
}

/// Transactions of two updates, against LMDB's write transactions.
pub fn run(bench: &mut Bench<'_>) {
    let board = bench.board;
    let pair = OurPair::new(&ours::heap(), KEYS);
    let folder = Folder::new("pair");
    run_crew(
        board,
        &[&|station| {
            Lmdb::open_two(&folder).fill(KEYS, &0u64.to_le_bytes());
            station.start();
        }],
        None,
    );
    let ours = |station: &Station| {
        moves(station, |from, to| pair.transfer(from, to));
        ours::leave(&pair.heap);
    };
    let theirs = |station: &Station| {
        let lmdb = Lmdb::open_two(&folder);
        moves(station, |from, to| lmdb.transfer(from, to));
    };
    let cost = |job: Job<'_>| {
        let outcomes = run_crew(board, &[job, job], None);
        let first = outcomes.iter().map(|outcome| outcome.started).min().unwrap_or(0);
        let last = outcomes.iter().map(|outcome| outcome.ended).max().unwrap_or(0);
        let count: u64 = outcomes.iter().map(|outcome| outcome.count).sum();
        (last - first) as f64 / count as f64
    };
    let comparison = Comparison {
        name: "transaction of two updates on two maps, 2 processes".into(),
        peer: "heed (LMDB) write transaction",
        target: Some((4.0, 8.0)),
    };
    bench.report.compare(comparison, bench.rounds, || cost(&ours), || cost(&theirs));
}
