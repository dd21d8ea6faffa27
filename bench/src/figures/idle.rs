//! What 64 processes cost that only wait.
//!
//! Each waits without a deadline. Once all have waited for a second, the kernel's clock of what
//! each has used is read twice, ten seconds apart.

use std::time::Duration;

use crate::ours::{self, lock::OurLock, queue::OurQueue};
use crate::process::{Board, Child, until};
use crate::workloads::Bench;

use super::{get, put};

const PROCESSES: u64 = 64;
/// When everybody is past the first, attentive slices.
const SETTLED: Duration = Duration::from_secs(1);

/// Per cent of one processor that 64 processes use together while they do `wait`.
fn share(board: &'static Board, seconds: u64, wait: &dyn Fn()) -> f64 {
    put(board, 0, 0);
    let children: Vec<Child> = (0..PROCESSES)
        .map(|_| {
            Child::fork(|| {
                board.words[0].0.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
                wait();
            })
        })
        .collect();
    until("64 processes", || get(board, 0) == PROCESSES);
    std::thread::sleep(SETTLED);
    let used = || children.iter().map(Child::cpu_time).sum::<u64>();
    let before = used();
    std::thread::sleep(Duration::from_secs(seconds));
    (used() - before) as f64 / (seconds * 1_000_000_000) as f64 * 100.0
}

/// Waiting for an item, and for a lock that somebody holds.
pub fn run(bench: &mut Bench<'_>) {
    let seconds = if bench.rounds >= 7 { 10 } else { 2 };
    let heap = ours::heap();
    let queue = OurQueue::new(&heap, "queue", 0);
    let percent = share(bench.board, seconds, &|| drop(queue.get()));
    let what = "64 processes waiting for an item, share of one processor";
    bench.report.figure(what, percent, "%", Some(0.5));
    // A heap of its own: the processes that waited for the item died in the other one.
    let lock = OurLock::new(&ours::heap(), "lock");
    lock.lock();
    let percent = share(bench.board, seconds, &|| assert!(!lock.lock()));
    lock.unlock();
    let what = "64 processes waiting for a lock that is held, share of one processor";
    bench.report.figure(what, percent, "%", None);
}
