//! Pins: a value without a name has the buffer of another one.
//!
//! What always holds: what was pinned is read as it was then, whatever becomes of the value that it was
//! pinned from, and in each process that inherits the pin. Its room is free when the last pin is given
//! up, or the last process that has one is dead.

use std::sync::atomic::{AtomicBool, Ordering};

use coheap_core::allocator::buffer;
use coheap_core::check::check;
use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::journal::Context;
use coheap_core::memory::layout::SPAN_BYTES;
use coheap_core::objects::{Map, Reference, Value, estate, ledger};

use crate::support::child::{alarm, die, fork};
use crate::support::objects::{heap, map, value};
use crate::support::page::Page;
use crate::support::random::Random;
use crate::support::{alone, until};
use crate::{all, whole};

const KEY: &[u8] = b"key";
const LEN: usize = 3 << 20;

/// A heap with a map that has a long value.
fn with_a_long_value() -> (Heap, Map) {
    let heap = heap(64);
    let map = map(&heap, "books");
    heap.with(|context| map.set(context, KEY, &all(1, LEN))).expect("room");
    (heap, map)
}

fn pin(context: &Context, map: &Map) -> Result<(Value, Reference)> {
    Ok(map.pin(context, KEY)?.expect("a long value"))
}

fn read(context: &Context, pinned: &Value) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    pinned.get(context, &mut out).map(|()| out)
}

/// The bytes in use, after all that is due was done.
fn used(heap: &Heap) -> u64 {
    heap.with(|context| {
        estate::sweep(context)?;
        buffer::drain_runs(context, context.index())?;
        check(context)
    })
    .expect("a whole heap")
    .used_bytes
}

/// Goal: a pinned value stays as it was, and its room is free after the last pin.
/// Method: a value is pinned twice, replaced, removed; the room of many such values is used meanwhile.
/// Then both pins are given up, one after the other.
#[test]
fn what_is_pinned_stays_whatever_becomes_of_its_value() {
    let _alone = alone();
    let (heap, map) = with_a_long_value();
    heap.with(|context| map.set(context, b"short", b"value")).expect("room");
    let base = used(&heap);
    heap.with(|context| {
        assert!(map.pin(context, b"short")?.is_none());
        assert!(map.pin(context, b"missing")?.is_none());
        let (first, one) = pin(context, &map)?;
        let (second, two) = pin(context, &map)?;
        check(context)?;
        map.set(context, KEY, &all(2, LEN))?;
        check(context)?;
        assert!(map.remove(context, KEY, &mut Vec::new())?);
        for round in 0..20 {
            map.set(context, b"other", &all(round, LEN))?;
            assert_eq!(read(context, &first)?, all(1, LEN));
            assert_eq!(read(context, &second)?, all(1, LEN));
        }
        ledger::release(context, &one)?;
        check(context)?;
        map.set(context, b"other", &all(9, LEN))?;
        assert_eq!(read(context, &first), Err(Error::ObjectGone));
        assert_eq!(read(context, &second)?, all(1, LEN));
        ledger::release(context, &two)
    })
    .expect("room");
    assert_eq!(used(&heap), base, "one long value, as at the beginning");
}

/// Goal: the value that was pinned and a pin of a pin are as good as the first.
/// Method: a value is pinned, the pin is pinned, and the value is set; the first pin is given up.
#[test]
fn a_pin_can_be_pinned_and_its_value_set() {
    let _alone = alone();
    let heap = heap(64);
    let text = value(&heap, "text");
    let round = || {
        heap.with(|context| {
            assert!(text.pin(context)?.is_none());
            text.set(context, &all(1, LEN))?;
            let (first, one) = text.pin(context)?.expect("long");
            let (second, two) = first.pin(context)?.expect("long");
            text.set(context, b"short")?;
            first.set(context, &all(2, LEN))?;
            ledger::release(context, &one)?;
            assert_eq!(read(context, &second)?, all(1, LEN));
            ledger::release(context, &two)
        })
        .expect("room");
        used(&heap)
    };
    assert_eq!(round(), round());
}

/// Goal: a child has its parent's pins, whatever the parent does, and they come back from the dead.
/// Method: a pin is inherited; the parent gives its own up and uses the room of the value that it has
/// replaced. One child reads and is killed, one reads and ends. Then nothing is left of it.
#[test]
fn a_pin_holds_across_a_fork_and_comes_back_from_the_dead() {
    let _alone = alone();
    let (heap, map) = with_a_long_value();
    let base = used(&heap);
    let page = Page::new(1);
    let (pinned, reference) = heap.with(|context| pin(context, &map)).expect("room");
    let children: Vec<_> = [true, false]
        .into_iter()
        .map(|is_killed| {
            fork(|| {
                alarm(60);
                until("the parent has gone on", || page.get(0) == 1);
                let read = heap.with(|context| read(context, &pinned)).expect("inherited");
                assert_eq!(read, all(1, LEN));
                if is_killed {
                    die();
                }
                heap.close().map_or(1, |()| 0)
            })
        })
        .collect();
    heap.with(|context| {
        ledger::release(context, &reference)?;
        (2..30).try_for_each(|byte| map.set(context, KEY, &all(byte, LEN)).map(drop))
    })
    .expect("room");
    page.set(0, 1);
    for mut child in children {
        child.wait();
    }
    assert_eq!(used(&heap), base);
}

/// Goal: a pin is of a whole value that was there, also while others replace it (HOLES 93).
/// Method: two threads set a value without a pause; two pin it, read, keep the pin for some rounds, and
/// read again. All bytes are the same both times, and nothing is left at the end.
#[test]
fn a_pin_beside_writers_has_one_value_for_ever() {
    const SHORT: usize = 40_000;
    let _alone = alone();
    let (heap, map) = with_a_long_value();
    heap.with(|context| map.set(context, KEY, &all(0, SHORT))).expect("room");
    let base = used(&heap);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for byte in (0..=u8::MAX).cycle() {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let set = |context: &Context| map.set(context, KEY, &all(byte, SHORT));
                    heap.with(set).expect("room");
                }
            });
        }
        let pinners: Vec<_> = (0..2u64)
            .map(|seed| {
                let (heap, map) = (&heap, &map);
                scope.spawn(move || {
                    let mut dice = Random::seeded(seed);
                    let mut kept: Vec<(u8, Value, Reference)> = Vec::new();
                    for _ in 0..3000 {
                        heap.with(|context| {
                            let (pinned, reference) = pin(context, map)?;
                            kept.push((whole(&read(context, &pinned)?), pinned, reference));
                            if kept.len() > 8 {
                                let number = dice.below(kept.len() as u64) as usize;
                                let (byte, pinned, reference) = kept.swap_remove(number);
                                assert_eq!(read(context, &pinned)?, all(byte, SHORT));
                                ledger::release(context, &reference)?;
                            }
                            Ok(())
                        })
                        .expect("room");
                    }
                    for (byte, pinned, reference) in kept {
                        heap.with(|context| {
                            assert_eq!(read(context, &pinned)?, all(byte, SHORT));
                            ledger::release(context, &reference)
                        })
                        .expect("a whole heap");
                    }
                })
            })
            .collect();
        let ended: Vec<_> = pinners.into_iter().map(|pinner| pinner.join()).collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "no pin has changed");
    });
    // The rows of the threads keep some blocks and short runs. What nobody owns the walk would find.
    assert!(used(&heap) < base + 32 * SPAN_BYTES);
}

/// Goal: in a heap without room a pin is refused, nothing is pinned, and the value is as it was.
/// Method: a heap is filled up; pins are made until one is refused.
#[test]
fn a_pin_that_finds_no_room_pins_nothing() {
    let _alone = alone();
    let heap = heap(4);
    let map = map(&heap, "books");
    let mut pins = Vec::new();
    heap.with(|context| {
        map.set(context, KEY, &all(1, 20_000))?;
        for number in 0u32.. {
            match map.set(context, &number.to_le_bytes(), &[1; 100]) {
                Err(Error::HeapFull { .. }) => break,
                other => other.map(drop)?,
            }
        }
        loop {
            match map.pin(context, KEY) {
                Ok(pin) => pins.push(pin.expect("long").1),
                Err(Error::HeapFull { .. }) => break,
                Err(other) => return Err(other),
            }
        }
        check(context)?;
        for pin in &pins {
            ledger::release(context, pin)?;
        }
        let mut out = Vec::new();
        assert!(map.get(context, KEY, &mut out)?);
        assert_eq!(out, all(1, 20_000));
        check(context).map(drop)
    })
    .expect("nothing but the heap is full");
}
