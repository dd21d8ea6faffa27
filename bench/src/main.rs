//! Measures coheap against its peers: both sides in one run, in turn, every round printed.
//!
//! `cargo run --release -- [FILTER ...] [--rounds N] [--entries N] [--json FILE] [--list]`. A
//! filter picks the parts whose name contains it. Exit status 1: a target was missed.

mod figures;
mod ours;
mod peers;
mod process;
mod report;
mod workloads;

use figures::{crowd, handover, idle, long, memory, scale, steps};
use process::Board;
use report::Report;
use workloads::{Bench, lock, map, mixed, queue, transaction};

type Part = (&'static str, fn(&mut Bench<'_>));

const PARTS: &[Part] = &[
    ("map-lmdb", map::against_lmdb),
    ("map-dashmap", map::against_dashmap),
    ("map-mixed", mixed::run),
    ("transaction", transaction::run),
    ("queue", queue::plain),
    ("work-queue", queue::work),
    ("free-lock", lock::run),
    ("handover-lock", handover::lock),
    ("handover-turn", handover::turn),
    ("crowd-queue", crowd::queue),
    ("crowd-lock", crowd::lock),
    ("crowd-writer", crowd::writer),
    ("idle", idle::run),
    ("long", long::run),
    ("memory", memory::run),
    ("scale", scale::run),
    ("steps", steps::run),
    #[cfg(feature = "journal-share")]
    ("journal", figures::journal::run),
];

/// A build that can leave the journal out is slower everywhere: it measures nothing else unasked.
const UNASKED: &str = if cfg!(feature = "journal-share") { "journal" } else { "" };

struct Options {
    filters: Vec<String>,
    rounds: u32,
    entries: u64,
    json: Option<String>,
}

fn options() -> Result<Options, String> {
    let mut options = Options { filters: Vec::new(), rounds: 7, entries: 10_000, json: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--rounds" => options.rounds = number(&value()?)? as u32,
            "--entries" => options.entries = number(&value()?)?,
            "--json" => options.json = Some(value()?),
            "--list" => {
                PARTS.iter().for_each(|(name, _)| println!("{name}"));
                std::process::exit(0);
            }
            _ if word.starts_with('-') => return Err(format!("unknown option {word}")),
            _ => options.filters.push(word),
        }
    }
    Ok(options)
}

fn number(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{text} is no number from 1 on")),
    }
}

fn main() {
    let options = options().unwrap_or_else(|error| {
        eprintln!("coheap-bench: {error}");
        std::process::exit(2);
    });
    let mut report = Report::default();
    let board = Board::new();
    let filters = match options.filters.as_slice() {
        [] => vec![UNASKED.to_owned()],
        some => some.to_vec(),
    };
    let is_chosen = |name: &str| filters.iter().any(|filter| name.contains(filter.as_str()));
    for (name, part) in PARTS.iter().filter(|(name, _)| is_chosen(name)) {
        println!("\n== {name}");
        let (rounds, entries) = (options.rounds, options.entries);
        part(&mut Bench { board, report: &mut report, rounds, entries });
    }
    println!("\n{}", report.summary());
    if let Some(path) = &options.json {
        std::fs::write(path, report.json()).expect("wrote the JSON file");
    }
    std::process::exit(i32::from(!report.all_kept()));
}
