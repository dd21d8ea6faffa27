//! A crash-safe lock, taken and let go by one process that meets nobody.
//!
//! Both are safe in the same way: who takes them after their holder's death is told. Not here:
//! how soon that is, see `figures::handover`.

use super::Bench;
use crate::ours::{self, lock::OurLock};
use crate::peers::robust::Robust;
use crate::process::{Station, run_crew};
use crate::report::Comparison;

const PAIRS: u64 = 5_000_000;

/// Lock and unlock, against the C library's robust mutex.
pub fn run(bench: &mut Bench<'_>) {
    let lock = OurLock::new(&ours::heap(), "lock");
    let robust = Robust::new();
    let ours = |station: &Station| {
        assert!(!lock.lock(), "a clean lock");
        lock.unlock();
        station.repeat(PAIRS, |_| lock.pair());
        ours::leave(&lock.heap);
    };
    let theirs = |station: &Station| {
        robust.lock();
        robust.unlock();
        station.repeat(PAIRS, |_| {
            robust.lock();
            robust.unlock();
        });
    };
    let comparison = Comparison {
        name: "crash-safe lock + unlock, free".into(),
        peer: "pthread mutex, robust and process-shared",
        target: Some((1.3, 2.0)),
    };
    let board = bench.board;
    let cost = |job: &dyn Fn(&Station)| run_crew(board, &[job], None)[0].cost;
    bench.report.compare(comparison, bench.rounds, || cost(&ours), || cost(&theirs));
}
