//! Queues from one process to another.
//!
//! What counts is the time from the start line until the last item was taken, per item.

use std::hint::black_box;

use super::Bench;
use crate::ours::{self, queue::OurQueue};
use crate::peers::iceoryx::{self, Meeting};
use crate::peers::pipes::Channel;
use crate::process::{Board, Job, Station, now, run_crew, until};
use crate::report::Comparison;

const ITEMS: u64 = 1_000_000;
const JOBS: u64 = 200_000;
/// Most items under way, on both sides.
const BUFFER: usize = 1024;
/// What the publisher sends so that both ends are connected before the clock starts: while they
/// are not, what does not fit into the buffer is lost.
const GREETING: u64 = u64::MAX;

fn cost(board: &'static Board, jobs: &[Job<'_>; 2]) -> f64 {
    let outcomes = run_crew(board, jobs, None);
    let first = outcomes.iter().map(|outcome| outcome.started).min().unwrap_or(0);
    (outcomes[1].ended - first) as f64 / outcomes[1].count as f64
}

/// Eight bytes at a time, against publish-subscribe.
pub fn plain(bench: &mut Bench<'_>) {
    let queue = OurQueue::new(&ours::heap(), "queue", BUFFER as u64);
    let putter = |station: &Station| {
        station.start();
        (0..ITEMS).for_each(|number| queue.put(&number.to_le_bytes()));
        station.finish(ITEMS);
        ours::leave(&queue.heap);
    };
    let getter = |station: &Station| {
        station.start();
        for number in 0..ITEMS {
            assert_eq!(*queue.get(), number.to_le_bytes(), "items in order");
        }
        station.finish(ITEMS);
        ours::leave(&queue.heap);
    };
    let board = bench.board;
    let name = |kind: &str| format!("coheap-bench/{kind}/{}/{}", std::process::id(), now());
    let comparison = Comparison {
        name: "queue 1 -> 1 of 8 bytes".into(),
        peer: "iceoryx2 publish-subscribe",
        target: Some((3.0, 7.0)),
    };
    let theirs = || {
        let name = name("queue");
        board.words[0].0.store(0, std::sync::atomic::Ordering::SeqCst);
        let meet = |wanted: u64| {
            let word = &board.words[0].0;
            word.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            until("both ends", || word.load(std::sync::atomic::Ordering::SeqCst) >= wanted);
        };
        let publisher = |station: &Station| {
            let meeting = Meeting::new(&name, BUFFER);
            let publisher = meeting.publisher();
            meet(2);
            iceoryx::send(&publisher, GREETING);
            meet(4);
            station.start();
            (0..ITEMS).for_each(|number| iceoryx::send(&publisher, number));
            station.finish(ITEMS);
            meet(6);
        };
        let subscriber = |station: &Station| {
            let meeting = Meeting::new(&name, BUFFER);
            let subscriber = meeting.subscriber();
            meet(2);
            assert_eq!(iceoryx::receive(&subscriber), GREETING, "a greeting first");
            meet(4);
            station.start();
            for number in 0..ITEMS {
                assert_eq!(iceoryx::receive(&subscriber), number, "items in order");
            }
            station.finish(ITEMS);
            meet(6);
        };
        cost(board, &[&publisher, &subscriber])
    };
    bench.report.compare(comparison, bench.rounds, || cost(board, &[&putter, &getter]), theirs);
}

/// Put, lease and ack, against sending and receiving.
pub fn work(bench: &mut Bench<'_>) {
    let sizes = [
        ("work queue put + get + ack, 8-byte items", 8, Some((5.0, 10.0))),
        ("work queue put + get + ack, 100-byte items", 100, None),
    ];
    for (name, len, target) in sizes {
        let comparison =
            Comparison { name: name.into(), peer: "ipc-channel send + receive", target };
        work_with(bench, comparison, len);
    }
}

fn work_with(bench: &mut Bench<'_>, comparison: Comparison, len: usize) {
    let board = bench.board;
    let item = vec![5u8; len];
    let queue = OurQueue::new(&ours::heap(), "work", 0);
    let putter = |station: &Station| {
        station.start();
        (0..JOBS).for_each(|_| queue.put(&item));
        station.finish(JOBS);
        ours::leave(&queue.heap);
    };
    let worker = |station: &Station| {
        station.start();
        (0..JOBS).for_each(|_| drop(black_box(queue.lease_and_ack())));
        station.finish(JOBS);
        ours::leave(&queue.heap);
    };
    let theirs = || {
        let channel = Channel::new();
        let sender = |station: &Station| {
            station.start();
            (0..JOBS).for_each(|_| channel.send(&item));
            station.finish(JOBS);
        };
        let receiver = |station: &Station| {
            station.start();
            (0..JOBS).for_each(|_| drop(black_box(channel.receive())));
            station.finish(JOBS);
        };
        cost(board, &[&sender, &receiver])
    };
    bench.report.compare(comparison, bench.rounds, || cost(board, &[&putter, &worker]), theirs);
}
