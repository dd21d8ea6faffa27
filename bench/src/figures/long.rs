//! Values that are too long for a block, beside plain copies of the same bytes.
//!
//! A copy is one `memcpy` between two vectors whose pages are warm, made in the same run. Against it,
//! a ratio of 1 says that nothing but the copy costs time.

use std::hint::black_box;

use coheap_core::{Context, Directory, Heap, Map, MapRecipe, Queue, QueueRecipe, ValueRecipe};

use super::{Pauses, get, put};
use crate::ours;
use crate::process::{Child, now, until};
use crate::report::{Comparison, median};
use crate::workloads::Bench;

const LARGE: usize = 64 << 20;
const HUGE: usize = 512 << 20;

/// Milliseconds per call of `once`, the median of some, in nanoseconds.
fn cost(times: usize, mut once: impl FnMut()) -> f64 {
    let each = (0..times).map(|_| {
        let before = now();
        once();
        (now() - before) as f64
    });
    median(&each.collect::<Vec<f64>>())
}

/// What a copy of so many bytes costs.
fn copy(from: &[u8], to: &mut [u8]) -> f64 {
    cost(5, || {
        to.copy_from_slice(black_box(from));
        black_box(&to);
    })
}

fn queue(context: &Context) -> Queue {
    let recipe = QueueRecipe { limit: 0, max_attempts: 0 };
    Directory.get_or_create(context, "queue", &recipe).expect("a queue")
}

fn map(heap: &Heap) -> Map {
    heap.with(|context| Directory.get_or_create(context, "map", &MapRecipe)).expect("a map")
}

/// All of them.
pub fn run(bench: &mut Bench<'_>) {
    against_copies(bench);
    short_runs(bench);
    in_a_large_heap(bench);
    beside_a_set(bench);
}

fn against_copies(bench: &mut Bench<'_>) {
    let heap = ours::heap();
    let context = heap.context().expect("a member");
    let value =
        Directory.get_or_create(&context, "value", &ValueRecipe::of(b"0")).expect("a value");
    let queue = queue(&context);
    let (from, mut to, mut out) = (vec![7; LARGE], vec![1; LARGE], Vec::new());
    let compared = |name: &str, target| Comparison {
        name: name.to_owned(),
        peer: "memcpy",
        target: Some(target),
    };
    let set = || cost(5, || value.set(&context, black_box(&from)).expect("room"));
    set();
    let target = (0.8, 0.95);
    bench
        .report
        .compare(compared("set of 64 MiB", target), bench.rounds, set, || copy(&from, &mut to));
    let mut get = || cost(5, || value.get(&context, &mut out).expect("a value"));
    get();
    bench
        .report
        .compare(compared("get of 64 MiB", target), bench.rounds, get, || copy(&from, &mut to));
    let mut pass = || {
        cost(5, || {
            queue.put(&context, black_box(&from)).expect("room");
            let lease = queue.lease(&context, &mut out).expect("an item");
            queue.ack(&context, &lease).expect("a lease");
        })
    };
    pass();
    let name = "put, lease and ack of 64 MiB, two copies";
    bench.report.compare(compared(name, target), bench.rounds, pass, || 2.0 * copy(&from, &mut to));
}

/// Messages of which two fit a span as blocks, against those that need a run each.
fn short_runs(bench: &mut Bench<'_>) {
    let heap = ours::heap();
    let context = heap.context().expect("a member");
    let queue = queue(&context);
    let mut out = Vec::new();
    let mut pass = |len: usize| {
        let item = vec![7; len];
        cost(20_000, || {
            queue.put(&context, &item).expect("room");
            queue.get(&context, &mut out).expect("an item");
        })
    };
    let mut rounds: Vec<(f64, f64)> = Vec::new();
    for _ in 0..bench.rounds {
        rounds.push((pass(8_000), pass(10_000)));
    }
    let (short, long): (Vec<f64>, Vec<f64>) = rounds.into_iter().unzip();
    bench.report.figure("put and get of 8,000 bytes", median(&short), "ns", None);
    let long = median(&long);
    bench.report.figure(
        "put and get of 10,000 bytes",
        long,
        "ns",
        Some((median(&short) / 0.75).round()),
    );
}

/// Replacing 9 KB in a heap with little in it, and in one with much.
fn in_a_large_heap(bench: &mut Bench<'_>) {
    let mut costs = Vec::new();
    for mebibytes in [62u64, 2048] {
        let heap = ours::heap();
        let map = map(&heap);
        let done = heap.with(|context| {
            let part = vec![1; 60_000];
            for number in 0..mebibytes * 16 {
                map.set(context, &number.to_le_bytes(), &part)?;
            }
            let value = vec![2; 9_000];
            Ok(cost(20_000, || {
                map.set(context, b"one", &value).expect("room");
            }))
        });
        costs.push(done.expect("room"));
    }
    bench.report.figure("replacing 9 KB beside 62 MiB", costs[0], "ns", None);
    bench.report.figure(
        "replacing 9 KB beside 2 GiB",
        costs[1],
        "ns",
        Some((1.5 * costs[0]).round()),
    );
}

/// Short sets on a map on which another process sets 512 MiB, beside short sleeps there.
fn beside_a_set(bench: &mut Bench<'_>) {
    let board = bench.board;
    let heap = ours::heap();
    let map = map(&heap);
    put(board, 0, 0);
    let child = Child::fork(|| {
        let huge = vec![7; HUGE];
        let context = heap.context().expect("a member");
        loop {
            map.set(&context, b"huge", &huge).expect("room");
            put(board, 0, get(board, 0) + 1);
        }
    });
    until("the other one has set", || get(board, 0) > 0);
    let end = now() + if bench.rounds >= 7 { 10_000_000_000 } else { 2_000_000_000 };
    let mut pauses = Pauses::default();
    pauses.sample(&heap, &map, || now() < end);
    drop(child);
    pauses.report(bench.report, "sets of 512 MiB", "are late");
}
