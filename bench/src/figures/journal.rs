//! The journal's share of one operation: the same build with the saving of words left out.
//!
//! The engine's feature `defects` can switch off the saving of words (`StoreUnsaved`); every
//! other store, the sequences included, stays. Both sides carry the same question "which mistake
//! is on?", so the share is a little too large rather than too small.

use super::{get, put};
use crate::ours::{self, map::OurMap, queue::OurQueue};
use crate::process::{Board, Child, now, set_variable, until};
use crate::report::Comparison;
use crate::workloads::Bench;

const OPERATIONS: u64 = 500_000;
const NAMES: [&str; 4] = [
    "map set of 8 bytes",
    "map set of 100 bytes, all new",
    "map insert",
    "queue put + lease + ack",
];

fn cost(which: usize) -> f64 {
    let heap = ours::heap();
    let map = OurMap::new(&heap, "map");
    let queue = OurQueue::new(&heap, "queue", 0);
    (0..1_000).for_each(|key| map.set(key, &[9; 100]));
    if which == 0 {
        (0..1_000).for_each(|key| map.set(key, &[9; 8]));
    }
    let before = now();
    for number in 0..OPERATIONS {
        match which {
            0 => map.set(number % 1_000, &number.to_le_bytes()),
            1 => map.set(number % 1_000, &[number as u8; 100]),
            2 => map.set(1_000 + number, &number.to_le_bytes()),
            _ => {
                queue.put(&number.to_le_bytes());
                queue.lease_and_ack();
            }
        }
    }
    (now() - before) as f64 / OPERATIONS as f64
}

fn measured(board: &'static Board, which: usize, is_without: bool) -> f64 {
    put(board, 0, 0);
    let _child = Child::fork(|| {
        if is_without {
            set_variable("COHEAP_DEFECT", "StoreUnsaved");
        }
        put(board, 0, cost(which).to_bits());
    });
    until("a cost", || {
        std::thread::sleep(std::time::Duration::from_millis(1));
        get(board, 0) != 0
    });
    f64::from_bits(get(board, 0))
}

/// Each operation with the journal (ours) and without it (the peer).
pub fn run(bench: &mut Bench<'_>) {
    let board = bench.board;
    for (which, name) in NAMES.iter().enumerate() {
        let comparison =
            Comparison { name: (*name).into(), peer: "itself without the journal", target: None };
        let (with, without) = (|| measured(board, which, false), || measured(board, which, true));
        bench.report.compare(comparison, bench.rounds, with, without);
    }
}
