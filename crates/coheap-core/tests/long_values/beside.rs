//! Reading beside writing.
//!
//! What always holds: a value is found whole, as it was at one moment, and each operation ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coheap_core::error::{Error, Result};

use crate::support::child::{alarm, fork};
use crate::support::objects::{bounded_queue, heap, map, settle_and_check, value};
use crate::support::page::Page;
use crate::support::{alone, until};
use crate::{all, whole};

const LEN: usize = 4 << 20;

/// Goal: who reads a value that others replace all the time gets one of them, whole, and each read
/// comes to an end.
/// Method: two children set a value, and that of a key, without a pause; this process reads both.
#[test]
fn a_get_beside_a_set_of_the_same_value_ends_with_a_whole_one() {
    let _alone = alone();
    let heap = heap(128);
    let (number, books) = (value(&heap, "number"), map(&heap, "books"));
    heap.with(|context| {
        number.set(context, &all(1, LEN))?;
        books.set(context, b"key", &all(1, LEN)).map(|_| ())
    })
    .expect("room");
    let page = Page::new(2);
    let children: Vec<_> = (0..2u8)
        .map(|child| {
            fork(|| {
                alarm(60);
                let wrote = heap.with(|context| {
                    for round in (0..=u8::MAX).cycle() {
                        if page.get(0) != 0 {
                            break;
                        }
                        let len = LEN - usize::from(round) * 16 - usize::from(child);
                        number.set(context, &all(round, len))?;
                        books.set(context, b"key", &all(round, len))?;
                        page.add(1, 1);
                    }
                    Ok(())
                });
                wrote.map_or(1, |()| 0)
            })
        })
        .collect();
    until("both write", || page.get(1) > 4);
    let mut out = Vec::new();
    heap.with(|context| {
        for _ in 0..100 {
            number.get(context, &mut out)?;
            whole(&out);
            assert!(books.get(context, b"key", &mut out)?);
            whole(&out);
            let all = books.snapshot(context)?;
            whole(all.get(0).expect("the entry").1);
        }
        Ok(())
    })
    .expect("reads");
    page.set(0, 1);
    for mut child in children {
        child.must_succeed();
    }
    settle_and_check(&heap);
}

/// Goal: of many long values, a snapshot has all as they were at one moment.
/// Method: a thread sets twenty entries with one call, each time to another byte. A snapshot never has
/// two bytes.
#[test]
fn a_snapshot_of_many_long_values_is_of_one_moment() {
    const KEYS: u8 = 20;
    let _alone = alone();
    let heap = heap(64);
    let books = map(&heap, "books");
    let is_over = AtomicBool::new(false);
    let set_all = |byte: u8| {
        let entries = (0..KEYS).map(|key| ([key], all(byte, 9000))).collect();
        heap.with(|context| books.set_many(context, &entries))
    };
    set_all(0).expect("room");
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for byte in (0..=u8::MAX).cycle() {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                set_all(byte).expect("room for a few times the values");
            }
        });
        for _ in 0..200 {
            let all = heap.with(|context| books.snapshot(context)).expect("a snapshot");
            assert_eq!(all.len(), usize::from(KEYS));
            let bytes: Vec<u8> = all.iter().map(|(_, value)| whole(value)).collect();
            assert!(bytes.iter().all(|byte| *byte == bytes[0]), "of two moments: {bytes:?}");
        }
        is_over.store(true, Ordering::Relaxed);
        writer.join().expect("the writer ends");
    });
    settle_and_check(&heap);
}

/// Goal: items come out as they went in, each once, and their room comes back.
/// Method: a child puts items of many lengths, in order; this process takes them, with and without a
/// lease; then the heap has what it had before.
#[test]
fn long_items_pass_through_a_queue() {
    let _alone = alone();
    let heap = heap(256);
    let jobs = bounded_queue(&heap, "jobs", 3, 0);
    let lengths = || (0..200usize).map(|number| 8_000 + number * number * 37 % 3_000_000);
    let mut child = fork(|| {
        alarm(60);
        let put = heap.with(|context| {
            for (number, len) in lengths().enumerate() {
                jobs.put_wait(context, None, &all(number as u8, len))?;
            }
            Ok(())
        });
        put.map_or(1, |()| 0)
    });
    let mut out = Vec::new();
    heap.with(|context| {
        for (number, len) in lengths().enumerate() {
            if number % 2 == 0 {
                jobs.get_wait(context, None, &mut out)?;
            } else {
                let lease = jobs.lease_wait(context, None, &mut out)?;
                jobs.ack(context, &lease)?;
            }
            assert_eq!((whole(&out), out.len()), (number as u8, len));
        }
        Ok(())
    })
    .expect("all items");
    child.must_succeed();
    let used = settle_and_check(&heap).used_bytes;
    assert!(used < 4 << 20, "{used} bytes are left in use");
}

/// Goal: who compares finds the value there, whatever its length, and sets it once.
#[test]
fn one_of_those_who_compare_sets_a_long_value() {
    let _alone = alone();
    let heap = heap(64);
    let (number, books) = (value(&heap, "number"), map(&heap, "books"));
    heap.with(|context| {
        number.set(context, &all(0, 20_000))?;
        books.set(context, b"key", &all(0, 20_000)).map(|_| ())
    })
    .expect("room");
    let turns = |kind: usize| {
        let step = |round: u8, context: &coheap_core::Context| -> Result<bool> {
            let (old, new) = (all(round, 20_000), all(round + 1, 20_000));
            if kind == 0 {
                return number.compare_and_set(context, &old, &new);
            }
            books.compare_and_set(context, b"key", Some(&old), Some(&new))
        };
        let won: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let run = heap.with(|context| {
                            let rounds = 0..100u8;
                            let won = rounds.map(|round| step(round, context));
                            let won: Result<Vec<bool>> = won.collect();
                            won.map(|won| won.iter().filter(|won| **won).count())
                        });
                        run.expect("rounds")
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("a thread ends")).sum()
        });
        assert!((1..=100).contains(&won), "{won} steps");
    };
    turns(0);
    turns(1);
    let refused = heap.with(|context| {
        let (old, near) = (all(9, 20_000), all(8, 20_001));
        number.set(context, &old)?;
        assert!(!number.compare_and_set(context, &near, b"new")?);
        assert!(!number.compare_and_set(context, &near[..20_000], b"new")?);
        assert!(number.compare_and_set(context, &old, &near)?);
        assert!(number.compare_and_set(context, &near, b"new")?);
        books.set(context, b"last", &near)?;
        assert!(!books.remove_last(context, b"last", &old)?);
        assert!(books.remove_last(context, b"last", &near)?);
        Ok(())
    });
    assert_eq!(refused, Ok(()));
    settle_and_check(&heap);
}

/// Goal: a full queue costs who waits for a place no room, and no copy.
/// Method: 300 attempts to put 1 MiB into a full queue of a heap with room for ten of them.
#[test]
fn a_long_item_is_not_built_before_there_is_a_place() {
    let _alone = alone();
    let heap = heap(10);
    let jobs = bounded_queue(&heap, "jobs", 1, 0);
    let item = all(7, 1 << 20);
    heap.with(|context| {
        jobs.put(context, &item)?;
        let started = Instant::now();
        for _ in 0..300 {
            assert_eq!(jobs.put(context, &item), Err(Error::Full));
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert_eq!(jobs.put_many(context, &[&item, &item]), Err(Error::Full));
        jobs.get(context, &mut Vec::new())
    })
    .expect("a queue");
    let used = settle_and_check(&heap).used_bytes;
    assert!(used < 1 << 20, "{used} bytes are left in use");
}
