//! Figures that have no peer: crowds, hand-over after a death, idle processes, memory, the journal's
//! share, large work in steps, and what an operation costs as a map grows.
//!
//! With fewer than seven rounds these are made short as well, for a quick look.

pub mod crowd;
pub mod handover;
pub mod idle;
#[cfg(feature = "journal-share")]
pub mod journal;
pub mod long;
pub mod memory;
pub mod scale;
pub mod steps;

use std::sync::atomic::Ordering;
use std::time::Duration;

use coheap_core::{Heap, Map};

use crate::process::{Board, now};
use crate::report::Report;

/// A word of the board.
fn get(board: &Board, word: usize) -> u64 {
    board.words[word].0.load(Ordering::Acquire)
}

fn put(board: &Board, word: usize, value: u64) {
    board.words[word].0.store(value, Ordering::Release);
}

/// Short sets on a map on which another process works, beside short sleeps: how late these end is the
/// control. In nanoseconds.
#[derive(Default)]
struct Pauses {
    sets: Vec<u64>,
    sleeps: Vec<u64>,
}

impl Pauses {
    fn sample(&mut self, heap: &Heap, map: &Map, is_going_on: impl Fn() -> bool) {
        let done = heap.with(|context| {
            while is_going_on() {
                let before = now();
                std::thread::sleep(Duration::from_micros(100));
                let slept = now();
                map.set(context, b"short", b"value")?;
                self.sleeps.push(slept - before - 100_000);
                self.sets.push(now() - slept);
            }
            Ok(())
        });
        done.expect("sets");
    }

    /// Says how long they were beside `what`; `late` is "is late" or "are late".
    fn report(mut self, report: &mut Report, what: &str, late: &str) {
        let of_thousand = |times: &mut Vec<u64>, number: usize| {
            times.sort_unstable();
            let at = times.len().saturating_sub(1) * number / 1000;
            times.get(at).map_or(0.0, |time| *time as f64 / 1e6)
        };
        let control = of_thousand(&mut self.sleeps, 999);
        report.figure(format!("what sleeps beside {what} {late}, p99.9"), control, "ms", None);
        let pause = of_thousand(&mut self.sets, 999);
        let limit = Some(control + 2.0);
        report.figure(format!("a short set beside {what}, p99.9"), pause, "ms", limit);
        let longest = of_thousand(&mut self.sets, 1000);
        report.figure("the longest of these", longest, "ms", None);
    }
}

/// Leaves this worker where it is until it is killed.
fn stay() -> ! {
    loop {
        std::thread::park();
    }
}
