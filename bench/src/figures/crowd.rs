//! Many that want the same thing: how fast they are served, and how evenly.
//!
//! Putters that wait for a place in a queue of one, and getters that wait for an item of it, serve
//! one process at the other end; the rate among 500 of them is compared with that of one. Processes
//! that take one lock in turn are compared with each other: the most turns of one over the least.
//! A single writer beside transactions on the same map is timed.

use std::time::Duration;

use coheap_core::{Directory, Heap, Map, MapRecipe, Transaction};

use crate::ours::{self, lock::OurLock, queue::OurQueue};
use crate::process::{Board, Child, MOST_WORKERS, Station, now, run_crew, until};
use crate::workloads::Bench;

use super::{get, put};

const CROWD: u64 = 500;
/// How long everybody has waited before the clock starts.
const SETTLED: Duration = Duration::from_millis(500);

/// How long a figure is measured, in seconds.
fn seconds(bench: &Bench<'_>, full: u64) -> u64 {
    if bench.rounds >= 7 { full } else { 1 }
}

/// Things per second that one process moves while `count` others do `serve` for ever.
fn rate(
    board: &'static Board,
    count: u64,
    seconds: u64,
    serve: &dyn Fn(),
    mut move_one: impl FnMut(),
) -> f64 {
    put(board, 0, 0);
    let children: Vec<Child> = (0..count)
        .map(|_| {
            Child::fork(|| {
                board.words[0].0.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
                loop {
                    serve();
                }
            })
        })
        .collect();
    until("the crowd", || get(board, 0) == count);
    std::thread::sleep(SETTLED);
    let (began, mut moved) = (now(), 0u64);
    while now() - began < seconds * 1_000_000_000 {
        move_one();
        moved += 1;
    }
    let took = now() - began;
    drop(children);
    moved as f64 / took as f64 * 1e9
}

/// Putters and getters that are blocked.
pub fn queue(bench: &mut Bench<'_>) {
    let (board, seconds) = (bench.board, seconds(bench, 3));
    let putters = |count| {
        let queue = OurQueue::new(&ours::heap(), "queue", 1);
        rate(board, count, seconds, &|| queue.put(b"item"), || drop(queue.get()))
    };
    let getters = |count| {
        let queue = OurQueue::new(&ours::heap(), "queue", 1);
        rate(board, count, seconds, &|| drop(queue.get()), || queue.put(b"item"))
    };
    let [one, many] = [putters(1), putters(CROWD)];
    println!("  places: {one:.0} items/s with one putter, {many:.0} with {CROWD}");
    let what = format!("one blocked putter over {CROWD}, rate");
    bench.report.figure(what, one / many, "x", Some(2.0));
    let [one, many] = [getters(1), getters(CROWD)];
    println!("  items: {one:.0} items/s with one getter, {many:.0} with {CROWD}");
    let what = format!("one blocked getter over {CROWD}, rate");
    bench.report.figure(what, one / many, "x", Some(2.0));
}

/// Processes that take one lock in turn.
pub fn lock(bench: &mut Bench<'_>) {
    let lock = OurLock::new(&ours::heap(), "lock");
    let turns = |station: &Station| {
        station.start();
        let mut count = 0;
        while !station.is_over() {
            lock.lock();
            count += 1;
            lock.unlock();
        }
        station.finish(count);
    };
    let jobs: Vec<crate::process::Job<'_>> = (0..MOST_WORKERS).map(|_| &turns as _).collect();
    let duration = Duration::from_secs(seconds(bench, 10));
    let outcomes = run_crew(bench.board, &jobs, Some(duration));
    let counts = || outcomes.iter().map(|outcome| outcome.count);
    let (most, least) = (counts().max().unwrap_or(0), counts().min().unwrap_or(0));
    let all: u64 = counts().sum();
    println!("  {all} turns in all, {most} of the busiest, {least} of the idlest");
    let what = format!("{MOST_WORKERS} processes on one lock, most turns over least");
    bench.report.figure(what, most as f64 / least.max(1) as f64, "x", Some(3.0));
}

fn add_in_a_transaction(heap: &Heap, map: &Map) {
    let context = heap.context().expect("attached");
    let mut transaction = Transaction::begin(context, None).expect("no other one");
    transaction.on(map).add(b"key", 1).expect("a number");
    transaction.commit().expect("room");
}

/// A single writer beside transactions.
pub fn writer(bench: &mut Bench<'_>) {
    let heap = ours::heap();
    let map: Map =
        heap.with(|context| Directory.get_or_create(context, "map", &MapRecipe)).expect("a map");
    let children: Vec<Child> = (0..3)
        .map(|_| {
            Child::fork(|| {
                loop {
                    add_in_a_transaction(&heap, &map);
                }
            })
        })
        .collect();
    std::thread::sleep(SETTLED);
    let (began, mut waits) = (now(), Vec::new());
    while now() - began < seconds(bench, 6) * 1_000_000_000 {
        let before = now();
        heap.with(|context| map.set(context, b"other", b"value")).expect("room");
        waits.push((now() - before) as f64 / 1e6);
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(children);
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    let what = format!("a single write beside three processes of transactions, {}", waits.len());
    bench.report.figure(format!("{what} times: median"), at(0.5), "ms", None);
    bench.report.figure(format!("{what} times: 99 in 100"), at(0.99), "ms", None);
    bench.report.figure(format!("{what} times: worst"), at(1.0), "ms", None);
}
