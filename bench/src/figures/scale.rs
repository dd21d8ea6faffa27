//! What one get and one set cost in maps of 1,000 to 10,000,000 entries.
//!
//! Numbers to numbers. Keys at random over the whole map show what a user sees, cache misses
//! included; the same hundred keys again and again, which stay in the caches, show the work alone.

use std::hint::black_box;

use super::{get, put};
use crate::ours::{self, map::OurMap, number_bytes};
use crate::process::{Child, now, until};
use crate::report::median;
use crate::workloads::{Bench, Dice};

const SIZES: [u64; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
const OPERATIONS: u64 = 500_000;
const HOT_KEYS: u64 = 100;
const NAMES: [&str; 4] = ["get, any key", "set, any key", "get, 100 keys", "set, 100 keys"];

/// Nanoseconds per call of `once`, the median of many short runs.
fn cost(mut once: impl FnMut()) -> f64 {
    const RUNS: u64 = 100;
    let each = OPERATIONS / RUNS;
    let runs: Vec<f64> = (0..RUNS)
        .map(|_| {
            let before = now();
            (0..each).for_each(|_| once());
            (now() - before) as f64 / each as f64
        })
        .collect();
    median(&runs)
}

/// The four costs, then the longest insertion.
fn measure(entries: u64) -> [f64; 5] {
    let map = OurMap::new(&ours::heap(), "map");
    let mut longest = 0;
    for key in 0..entries {
        let before = now();
        map.set(key, &number_bytes(key));
        longest = longest.max(now() - before);
    }
    let mut dice = Dice::new(3);
    let hot: Vec<u64> = (0..HOT_KEYS).map(|_| dice.below(entries)).collect();
    let mut any = Dice::new(4);
    let mut which = Dice::new(5);
    let mut number = 0u64;
    let mut next = || {
        number += 1;
        number_bytes(number)
    };
    [
        cost(|| drop(black_box(map.get(any.below(entries))))),
        cost(|| map.set(any.below(entries), &next())),
        cost(|| drop(black_box(map.get(hot[which.below(HOT_KEYS) as usize])))),
        cost(|| map.set(hot[which.below(HOT_KEYS) as usize], &next())),
        longest as f64,
    ]
}

/// All sizes, each in a process of its own.
pub fn run(bench: &mut Bench<'_>) {
    let board = bench.board;
    let sizes = if bench.rounds >= 7 { &SIZES[..] } else { &SIZES[..4] };
    let mut all = Vec::new();
    for entries in sizes {
        put(board, 15, 0);
        let _child = Child::fork(|| {
            for (word, cost) in measure(*entries).iter().enumerate() {
                put(board, word, cost.to_bits());
            }
            put(board, 15, 1);
        });
        until("a map of this size", || {
            std::thread::sleep(std::time::Duration::from_millis(1));
            get(board, 15) == 1
        });
        let costs: Vec<f64> = (0..5).map(|word| f64::from_bits(get(board, word))).collect();
        for (name, cost) in NAMES.iter().zip(&costs) {
            bench.report.figure(format!("{entries} entries: {name}"), *cost, "ns", None);
        }
        let longest = costs[4] / 1e6;
        bench.report.figure(format!("{entries} entries: longest insertion"), longest, "ms", None);
        all.push(costs);
    }
    for (which, name) in NAMES.iter().enumerate() {
        let of = |costs: &Vec<f64>| costs[which];
        let largest = all.iter().map(of).fold(0.0, f64::max);
        let smallest = all.iter().map(of).fold(f64::INFINITY, f64::min);
        let limit = (which >= 2).then_some(1.5);
        bench.report.figure(
            format!("{name}: dearest over cheapest size"),
            largest / smallest,
            "x",
            limit,
        );
    }
}
