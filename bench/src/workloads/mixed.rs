//! Two processes read while a third writes, all at random keys, for a fixed time.
//!
//! What counts is the reads of both readers; the writes are printed beside them.

use std::cell::Cell;
use std::hint::black_box;

use super::map::{filled, filled_folder};
use super::{Bench, Dice, ROUND};
use crate::ours;
use crate::peers::lmdb::Lmdb;
use crate::process::{Board, Job, Outcome, Station, run_crew};
use crate::report::{Comparison, median};

/// Nanoseconds per read of both readers together, and per write.
fn costs(board: &'static Board, jobs: &[Job<'_>; 3]) -> (f64, f64) {
    let outcomes = run_crew(board, jobs, Some(ROUND));
    let rate = |outcome: &Outcome| outcome.count as f64 / (outcome.ended - outcome.started) as f64;
    (1.0 / (rate(&outcomes[0]) + rate(&outcomes[1])), 1.0 / rate(&outcomes[2]))
}

/// Counts what `once` does until the end is called.
fn until_over(station: &Station, mut once: impl FnMut()) {
    station.start();
    let mut count = 0;
    while !station.is_over() {
        for _ in 0..16 {
            once();
        }
        count += 16;
    }
    station.finish(count);
}

/// Gets by two readers beside a writer, against LMDB.
pub fn run(bench: &mut Bench<'_>) {
    let (board, entries) = (bench.board, bench.entries);
    let (map, folder) = (filled(entries), filled_folder(board, entries));
    let value = [9; 100];
    let our_reader = |station: &Station| {
        let mut dice = Dice::new(station.number as u64);
        (0..entries).for_each(|key| drop(black_box(map.get(key))));
        until_over(station, || drop(black_box(map.get(dice.below(entries)))));
        ours::leave(&map.heap);
    };
    let our_writer = |station: &Station| {
        let mut dice = Dice::new(7);
        until_over(station, || map.set(dice.below(entries), &value));
        ours::leave(&map.heap);
    };
    let their_reader = |station: &Station| {
        let lmdb = Lmdb::open(&folder);
        let mut dice = Dice::new(station.number as u64);
        (0..entries).for_each(|key| drop(black_box(lmdb.get(key))));
        until_over(station, || drop(black_box(lmdb.get(dice.below(entries)))));
    };
    let their_writer = |station: &Station| {
        let lmdb = Lmdb::open(&folder);
        let mut dice = Dice::new(7);
        until_over(station, || lmdb.set(dice.below(entries), &value));
    };
    let (our_writes, their_writes) = (Cell::new(Vec::new()), Cell::new(Vec::new()));
    let note = |cell: &Cell<Vec<f64>>, (read, write): (f64, f64)| {
        let mut all = cell.take();
        all.push(write);
        cell.set(all);
        read
    };
    let comparison = Comparison {
        name: "map get, 2 readers while 1 writer writes".into(),
        peer: "heed (LMDB)",
        target: Some((2.0, 4.0)),
    };
    bench.report.compare(
        comparison,
        bench.rounds,
        || note(&our_writes, costs(board, &[&our_reader, &our_reader, &our_writer])),
        || note(&their_writes, costs(board, &[&their_reader, &their_reader, &their_writer])),
    );
    bench.report.figure(
        "- the writer meanwhile, per write",
        median(&our_writes.take()),
        "ns",
        None,
    );
    bench.report.figure("- heed's writer meanwhile", median(&their_writes.take()), "ns", None);
}
