//! Map get and set by one process, against LMDB and against DashMap.
//!
//! 100-byte values under random keys; the entries were made by another process, and each is
//! touched once before the clock starts. DashMap lives in private memory, so its round is one
//! process that fills, touches and reads. The targets are for maps of `--entries`; ten times as
//! many, which no cache near the processor holds, are for information.

use std::hint::black_box;

use super::{Bench, Dice};
use crate::ours::{self, map::OurMap};
use crate::peers::dash::Dash;
use crate::peers::lmdb::{Folder, Lmdb};
use crate::process::{Board, Station, run_crew};
use crate::report::Comparison;

const VALUE: [u8; 100] = [7; 100];
const READS: u64 = 500_000;
const WRITES: u64 = 200_000;

fn cost(board: &'static Board, job: &dyn Fn(&Station)) -> f64 {
    run_crew(board, &[job], None)[0].cost
}

/// A heap's map with all entries.
pub fn filled(entries: u64) -> OurMap {
    let map = OurMap::new(&ours::heap(), "map");
    for key in 0..entries {
        map.set(key, &VALUE);
    }
    map
}

/// LMDB's files with all entries.
pub fn filled_folder(board: &'static Board, entries: u64) -> Folder {
    let folder = Folder::new("map");
    run_crew(
        board,
        &[&|station| {
            Lmdb::open(&folder).fill(entries, &VALUE);
            station.start();
        }],
        None,
    );
    folder
}

/// A value that differs from the one before it in eight bytes.
fn value(number: u64) -> [u8; 100] {
    let mut value = VALUE;
    value[..8].copy_from_slice(&number.to_le_bytes());
    value
}

/// Reads at random keys, after touching every entry.
fn gets(station: &Station, entries: u64, get: impl Fn(u64) -> Vec<u8>) {
    let mut dice = Dice::new(1);
    (0..entries).for_each(|key| drop(black_box(get(key))));
    station.repeat(READS, |_| drop(black_box(get(dice.below(entries)))));
}

/// Stores at random keys, after touching every entry.
fn sets(station: &Station, entries: u64, get: impl Fn(u64) -> Vec<u8>, set: impl Fn(u64, &[u8])) {
    let mut dice = Dice::new(2);
    (0..entries).for_each(|key| drop(black_box(get(key))));
    station.repeat(WRITES, |number| set(dice.below(entries), &value(number)));
}

fn our_gets(station: &Station, map: &OurMap, entries: u64) {
    gets(station, entries, |key| map.get(key));
    ours::leave(&map.heap);
}

/// Gets and sets against LMDB.
pub fn against_lmdb(bench: &mut Bench<'_>) {
    against_lmdb_with(bench, bench.entries, true);
    against_lmdb_with(bench, bench.entries * 10, false);
}

fn against_lmdb_with(bench: &mut Bench<'_>, entries: u64, is_target: bool) {
    let board = bench.board;
    let (map, folder) = (filled(entries), filled_folder(board, entries));
    let our_gets = |station: &Station| our_gets(station, &map, entries);
    let our_sets = |station: &Station| {
        sets(station, entries, |key| map.get(key), |key, value| map.set(key, value));
        ours::leave(&map.heap);
    };
    let their_gets = |station: &Station| {
        let lmdb = Lmdb::open(&folder);
        gets(station, entries, |key| lmdb.get(key));
    };
    let their_sets = |station: &Station| {
        let lmdb = Lmdb::open(&folder);
        sets(station, entries, |key| lmdb.get(key), |key, value| lmdb.set(key, value));
    };
    let their_snapshot_gets = |station: &Station| {
        let lmdb = Lmdb::open(&folder);
        let mut dice = Dice::new(1);
        (0..entries).for_each(|key| drop(black_box(lmdb.get(key))));
        let read = lmdb.read();
        station.repeat(READS, |_| drop(black_box(lmdb.get_in(&read, dice.below(entries)))));
    };
    let comparison = |what: &str, peer, target: (f64, f64)| Comparison {
        name: format!("map {what}, 100-byte values, {entries} entries"),
        peer,
        target: is_target.then_some(target),
    };
    let get = comparison("get", "heed (LMDB)", (2.5, 3.5));
    bench.report.compare(get, bench.rounds, || cost(board, &our_gets), || cost(board, &their_gets));
    let set = comparison("set", "heed (LMDB)", (5.0, 7.0));
    bench.report.compare(set, bench.rounds, || cost(board, &our_sets), || cost(board, &their_sets));
    let peer = "heed, all in one read transaction, which sees no later writes";
    let old = Comparison { target: None, ..comparison("get", peer, (0.0, 0.0)) };
    let theirs = || cost(board, &their_snapshot_gets);
    bench.report.compare(old, bench.rounds, || cost(board, &our_gets), theirs);
}

/// Gets against DashMap.
pub fn against_dashmap(bench: &mut Bench<'_>) {
    against_dashmap_with(bench, bench.entries, Some((0.6, 0.9)));
    against_dashmap_with(bench, bench.entries * 10, None);
}

fn against_dashmap_with(bench: &mut Bench<'_>, entries: u64, target: Option<(f64, f64)>) {
    let board = bench.board;
    let map = filled(entries);
    let ours = |station: &Station| our_gets(station, &map, entries);
    let theirs = |station: &Station| {
        let dash = Dash::new(entries, &VALUE);
        gets(station, entries, |key| dash.get(key));
    };
    let comparison = Comparison {
        name: format!("map get, 100-byte values, {entries} entries, one process"),
        peer: "DashMap",
        target,
    };
    bench.report.compare(comparison, bench.rounds, || cost(board, &ours), || cost(board, &theirs));
}
