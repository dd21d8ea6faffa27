//! Repeats single operations of coheap, so that their instructions and their time can be measured.
//!
//! `coheap-operations ITERATIONS [NAME ...]` runs the named operations, or all, and prints a line
//! `NAME<tab>ITERATIONS<tab>NANOSECONDS` for each: how often it ran, and the time of one.
//!
//! What always holds: an operation uses the public face of `coheap` and nothing below it, since
//! this program is built against two commits. `getppid` is called right before and right after the
//! measured loop, and nowhere else: callgrind cuts its counts there.
//!
//! Not here: what is counted, and how two commits are compared (the Python files of the folder
//! above, whose `operations.py` is the same for the Python face).

mod operations;

use std::hint::black_box;
use std::os::unix::process::parent_id;
use std::time::Instant;

use operations::OPERATIONS;

/// The loop is timed in this many runs, of which the median counts: a run in which another program
/// had the processor does not.
const RUNS: u64 = 16;
/// What is done beforehand: the first operations of a thread attach it and touch new pages.
const WARM_UP: u64 = 2_000;

/// Repeats one operation and measures it.
pub struct Gauge {
    warm_up: u64,
    iterations: u64,
    nanoseconds: f64,
}

impl Gauge {
    /// Calls `once` with 0, 1, 2 and so on; its first error ends it.
    #[inline(never)]
    pub fn repeat(
        &mut self,
        mut once: impl FnMut(u64) -> coheap::Result<()>,
    ) -> coheap::Result<()> {
        let each = self.iterations.div_ceil(RUNS).max(1);
        self.iterations = each * RUNS;
        (0..self.warm_up).try_for_each(&mut once)?;
        let mut times = [0.0; RUNS as usize];
        let _ = parent_id();
        for time in &mut times {
            let before = Instant::now();
            for number in 0..each {
                once(black_box(number))?;
            }
            *time = before.elapsed().as_nanos() as f64 / each as f64;
        }
        let _ = parent_id();
        times.sort_by(f64::total_cmp);
        self.nanoseconds = times[times.len() / 2];
        Ok(())
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let Some(iterations) = words.next().and_then(|word| word.parse::<u64>().ok()) else {
        eprintln!("coheap-operations: ITERATIONS [NAME ...]");
        std::process::exit(2);
    };
    let names: Vec<String> = words.collect();
    for (name, share, operation) in OPERATIONS {
        if !names.is_empty() && !names.iter().any(|chosen| chosen == name) {
            continue;
        }
        let mut gauge =
            Gauge { warm_up: WARM_UP / share, iterations: iterations / share, nanoseconds: 0.0 };
        if let Err(error) = operation(&mut gauge) {
            eprintln!("coheap-operations: {name}: {error}");
            std::process::exit(1);
        }
        println!("{name}\t{}\t{:.2}", gauge.iterations, gauge.nanoseconds);
    }
}
