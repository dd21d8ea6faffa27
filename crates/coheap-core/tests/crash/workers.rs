//! Sweeps many cells at once, each in one of a few processes.
//!
//! Processes and not threads: a fork stops every thread of its process, and copies what all of
//! them have in memory.
//!
//! What always holds: a cell is swept by one worker; what a worker has to tell comes as whole
//! messages; a worker that ends without having said so fails the run.

use std::os::unix::net::UnixDatagram;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::points::Plan;
use crate::support::child::fork;
use crate::sweep::{self, Row};
use crate::waits::{self, Scene};
use crate::world::child::{self, Shared};
use crate::world::operation::{Operation, State};

/// Workers at once.
const WORKERS: usize = 2;
/// Longest message.
const MESSAGE: usize = 16 << 10;
/// Longest silence of all workers.
const SILENCE: Duration = Duration::from_secs(600);

/// What a worker sweeps at once.
pub(crate) enum Cell<'a> {
    /// An operation from a start state.
    Of(&'a Operation, &'a State),
    /// A scene with others who wait.
    Beside(&'a Scene),
}

impl Cell<'_> {
    fn title(&self) -> String {
        match self {
            Self::Of(operation, _) => operation.title(),
            Self::Beside(scene) => scene.title(),
        }
    }

    fn state(&self) -> &str {
        match self {
            Self::Of(_, state) => state.name,
            Self::Beside(_) => "others wait",
        }
    }

    fn sweep(&self, plan: &Plan) -> Option<Row> {
        match self {
            Self::Of(operation, state) => sweep::sweep(operation, state, plan),
            Self::Beside(scene) => Some(waits::sweep(scene, plan)),
        }
    }
}

/// What all cells came to.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) cells: u64,
    pub(crate) crash_points: u64,
    pub(crate) recovery_points: u64,
    pub(crate) failures: Vec<String>,
}

/// Sweeps all cells and prints a line for each.
pub(crate) fn sweep_all(cells: &[Cell<'_>], plan: impl Fn(usize) -> Plan) -> Totals {
    let (ours, theirs) = UnixDatagram::pair().expect("two sockets");
    ours.set_read_timeout(Some(SILENCE)).expect("a socket");
    let next = Shared::new();
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(fork(|| {
            child::watch();
            loop {
                let number = next.number(0).fetch_add(1, Ordering::Relaxed) as usize;
                let Some(cell) = cells.get(number) else { break };
                let began = Instant::now();
                if let Some(row) = cell.sweep(&plan(number)) {
                    tell(&theirs, &row, &line(cell, &row, began.elapsed()));
                }
            }
            i32::from(theirs.send(b"end").is_err())
        }));
    }
    let stop = || next.number(0).store(cells.len() as u64, Ordering::Relaxed);
    let totals = collect(&ours, plan(0).most_failures, stop);
    for worker in &mut workers {
        worker.must_succeed();
    }
    totals
}

fn line(cell: &Cell<'_>, row: &Row, took: Duration) -> String {
    let commit = row.commits_at.map_or(String::new(), |at| format!("  real from store {at}"));
    let slowest = row.slowest.map_or(String::new(), |took| {
        format!("  who waited needed {} ms at most", took.as_millis())
    });
    let mut line = format!(
        "{:<44} {:<30} {:>7} {:>7} {:>9} {:>7.1}{commit}{slowest}",
        cell.title(),
        cell.state(),
        row.stores,
        row.crash_points,
        row.recovery_points,
        took.as_secs_f64()
    );
    for failure in &row.failures {
        let title = format!("{}, {}", cell.title(), cell.state());
        line += &format!("\n    FAILED {title}: {failure}");
    }
    line
}

fn tell(socket: &UnixDatagram, row: &Row, line: &str) {
    let mut message = format!("{} {}\n", row.crash_points, row.recovery_points).into_bytes();
    message.extend_from_slice(line.as_bytes());
    message.truncate(MESSAGE);
    socket.send(&message).expect("the parent listens");
}

/// Prints what the workers tell, until all have come to their end; stops them after too many
/// failures.
fn collect(socket: &UnixDatagram, most_failures: usize, stop: impl Fn()) -> Totals {
    let mut totals = Totals::default();
    let mut message = vec![0; MESSAGE];
    let mut ended = 0;
    while ended < WORKERS {
        let len = match socket.recv(&mut message) {
            Ok(len) => len,
            Err(error) => {
                totals.failures.push(format!("the workers fell silent: {error}"));
                break;
            }
        };
        let text = String::from_utf8_lossy(&message[..len]);
        let Some((numbers, line)) = text.split_once('\n') else {
            ended += 1;
            continue;
        };
        let mut numbers = numbers.split(' ').map(|number| number.parse().unwrap_or(0));
        totals.cells += 1;
        totals.crash_points += numbers.next().unwrap_or(0);
        totals.recovery_points += numbers.next().unwrap_or(0);
        println!("{line}");
        totals.failures.extend(line.lines().skip(1).map(|line| line.trim().to_owned()));
        if totals.failures.len() >= most_failures {
            stop();
        }
    }
    totals
}
