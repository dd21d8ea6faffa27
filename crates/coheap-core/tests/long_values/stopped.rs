//! A process that is stopped, or dies, while it copies.
//!
//! What always holds: it keeps nobody waiting, and nothing that it does not read.

use std::time::{Duration, Instant};

use crate::support::child::{alarm, fork};
use crate::support::objects::{heap, integer, map, queue, settle_and_check, value};
use crate::support::page::Page;
use crate::support::random::Random;
use crate::support::{alone, until};
use crate::{all, whole};

const LEN: usize = 64 << 20;
/// What an operation beside a stopped process may take.
const AT_MOST: Duration = Duration::from_millis(500);

/// Goal: a process that is stopped while it puts, sets or gets something long keeps nobody waiting.
/// Method: a child does these without a pause and is stopped at any moment, forty times. This process
/// uses the same objects meanwhile. At most a few stops hit one of the short moments with a turn.
#[test]
fn a_stopped_process_with_a_long_value_delays_nobody() {
    let _alone = alone();
    let heap = heap(1024);
    let (number, books, jobs) = (value(&heap, "number"), map(&heap, "books"), queue(&heap, "jobs"));
    let page = Page::new(1);
    let mut child = fork(|| {
        alarm(120);
        let (large, mut out) = (all(7, LEN), Vec::new());
        let done = heap.with(|context| {
            loop {
                number.set(context, &large)?;
                books.set(context, b"large", &large)?;
                jobs.put(context, &large)?;
                number.get(context, &mut out)?;
                books.get(context, b"large", &mut out)?;
                let lease = jobs.lease(context, &mut out)?;
                jobs.ack(context, &lease)?;
                page.add(0, 1);
            }
        });
        done.map_or(1, |()| 0)
    });
    until("the child works", || page.get(0) > 0);
    let mut random = Random::for_run("a_stopped_process_with_a_long_value_delays_nobody");
    let (mut delayed, stops) = (0, 40);
    for _ in 0..stops {
        std::thread::sleep(Duration::from_micros(random.below(60_000)));
        child.signal(libc::SIGSTOP);
        until("the child is stopped", || child.state() == 'T');
        let started = Instant::now();
        let done = heap.with(|context| {
            let until = crate::support::in_milliseconds(400);
            context.waiting_until(until, |context| {
                books.add(context, b"small", 1)?;
                number.compare_and_set(context, b"nothing", &integer(1))?;
                jobs.put(context, b"small")?;
                jobs.len(context)?;
                Ok(())
            })
        });
        delayed += u32::from(done.is_err() || started.elapsed() > AT_MOST);
        child.signal(libc::SIGCONT);
        // What was put is taken out again, so that the child finds its own.
        heap.with(|context| {
            let mut out = Vec::new();
            while jobs.len(context)? > 1 {
                jobs.get(context, &mut out)?;
            }
            Ok(())
        })
        .expect("the child goes on");
    }
    child.kill();
    assert!(delayed <= 1, "{delayed} of {stops} stops delayed others");
    settle_and_check(&heap);
}

/// Goal: a reader that is stopped keeps its bytes whole, and only these.
/// Method: a child reads 64 MiB again and again and is stopped in it; the value is replaced many times,
/// in a heap that has no room for all that were; the child goes on and finds one whole value.
#[test]
fn a_stopped_reader_keeps_its_bytes_whole() {
    let _alone = alone();
    let heap = heap(400);
    let number = value(&heap, "number");
    heap.with(|context| number.set(context, &all(0, LEN))).expect("room");
    let page = Page::new(1);
    let mut child = fork(|| {
        alarm(120);
        let mut out = Vec::new();
        let done = heap.with(|context| {
            while page.get(0) < u64::MAX {
                number.get(context, &mut out)?;
                whole(&out);
                page.add(0, u64::from(page.get(0) < u64::MAX / 2));
            }
            Ok(())
        });
        done.map_or(1, |()| 0)
    });
    until("the child reads", || page.get(0) > 0);
    for round in 0..12u8 {
        std::thread::sleep(Duration::from_millis(u64::from(round) * 3));
        child.signal(libc::SIGSTOP);
        until("the child is stopped", || child.state() == 'T');
        for byte in 0..4 {
            let large = all(round * 4 + byte, LEN);
            heap.with(|context| number.set(context, &large)).expect("the room comes back");
        }
        child.signal(libc::SIGCONT);
    }
    page.set(0, u64::MAX);
    child.must_succeed();
    settle_and_check(&heap);
}

/// Goal: what a dead reader has named is given up.
#[test]
fn a_dead_reader_keeps_nothing() {
    let _alone = alone();
    let heap = heap(200);
    let number = value(&heap, "number");
    heap.with(|context| number.set(context, &all(0, LEN))).expect("room");
    for round in 0..6u8 {
        let page = Page::new(1);
        let mut child = fork(|| {
            let mut out = Vec::new();
            let done = heap.with(|context| {
                loop {
                    page.set(0, 1);
                    number.get(context, &mut out)?;
                }
            });
            done.map_or(1, |()| 0)
        });
        until("the child reads", || page.get(0) > 0);
        std::thread::sleep(Duration::from_millis(u64::from(round) * 7));
        child.kill();
        let large = all(round, LEN);
        heap.with(|context| {
            coheap_core::objects::estate::sweep(context)?;
            number.set(context, &large)?;
            number.set(context, &large)
        })
        .expect("the room comes back");
    }
    let used = settle_and_check(&heap).used_bytes;
    assert!(used <= LEN as u64 + (2 << 20), "{used} bytes are left in use");
}
