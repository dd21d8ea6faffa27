//! A little of everything: each kind of object, growth, a transaction, two peers at once.
//!
//! Small, for Miri runs it. What the objects are meant to do is told by `tests/model/`.

use coheap_core::error::Error;
use coheap_core::objects::ledger;
use coheap_core::os::machine::Peer;
use coheap_core::transaction::Transaction;

use super::{Things, assert_whole, attach, descriptors, heap, integer};

/// Goal: no operation has undefined behaviour, and the heap is whole after them.
#[test]
fn each_kind_of_object_works() {
    let heap = heap();
    let things = Things::find(&heap);
    let mut out = Vec::new();
    heap.with(|context| {
        for number in 0..40u64 {
            let long = vec![number as u8; 10 + 40 * (number as usize % 3)];
            assert!(things.map.set(context, &number.to_le_bytes(), &long)?);
        }
        assert!(things.map.get(context, &7u64.to_le_bytes(), &mut out)?);
        assert_eq!(out, [7; 50]);
        assert!(things.map.remove(context, &7u64.to_le_bytes(), &mut out)?);
        assert_eq!(things.map.snapshot(context)?.len(), 39);
        assert_eq!(things.map.add(context, b"count", 5)?, 5);

        for number in 0..40u8 {
            things.queue.put(context, &vec![number; 1 + number as usize])?;
        }
        things.queue.get(context, &mut out)?;
        let first = things.queue.lease(context, &mut out)?;
        let second = things.queue.lease(context, &mut out)?;
        assert_eq!(out, [2; 3]);
        things.queue.ack(context, &first)?;
        things.queue.nack(context, &second, None)?;
        assert_eq!(things.queue.ack(context, &first), Err(Error::LeaseLost));
        assert_eq!(things.queue.len(context)?, 38);

        things.value.set(context, &[1; 300])?;
        things.value.set(context, &integer(3))?;
        assert_eq!(things.value.add(context, 4)?, 7);
        things.mutex.lock(context, None)?;
        things.mutex.unlock(context)?;
        Ok(())
    })
    .expect("operations on a heap with room");
    assert_whole(&heap);
    heap.close().expect("a heap to close");
}

/// Goal: a transaction over three objects commits whole, and an aborted one leaves nothing.
#[test]
fn transactions_work() {
    let heap = heap();
    let things = Things::find(&heap);
    let mut out = Vec::new();
    let begin = || Transaction::begin(heap.context().expect("a context"), None).expect("the first");
    let mut write = |commits: bool| {
        let mut transaction = begin();
        transaction.on(&things.map).set(b"key", b"a value too long for a cell")?;
        transaction.on(&things.value).add(2)?;
        transaction.on(&things.queue).put(b"item")?;
        assert!(transaction.on(&things.map).get(b"key", &mut out)?);
        if commits {
            return transaction.commit();
        }
        transaction.abort();
        Ok(())
    };
    write(false).expect("a transaction to abort");
    assert_whole(&heap);
    write(true).expect("a transaction to commit");
    heap.with(|context| {
        assert_eq!(things.value.add(context, 0)?, 2);
        assert_eq!(things.queue.len(context)?, 1);
        things.map.clear(context)
    })
    .expect("what was committed");
    assert_whole(&heap);
}

/// Goal: a reader that takes no turn never sees half of a write, in every order that the memory
/// model allows. Method: one peer replaces a value of two words by others; another reads.
#[test]
fn a_reader_never_sees_half_of_a_write() {
    const ROUNDS: u8 = if cfg!(miri) { 30 } else { 250 };
    let heap = heap();
    let things = Things::find(&heap);
    let key = b"key";
    heap.with(|context| things.map.set(context, key, &[1; 14])).expect("a write");
    let numbers = descriptors(&heap);
    let reader = Peer::new().spawn(move || {
        let heap = attach(numbers);
        let things = Things::find(&heap);
        let mut out = Vec::new();
        heap.with(|context| {
            while out.first() != Some(&ROUNDS) {
                assert!(things.map.get(context, key, &mut out)?);
                assert!(out.iter().all(|byte| byte == &out[0]), "{out:?}");
            }
            Ok(())
        })
        .expect("reads");
    });
    for round in 2..=ROUNDS {
        // Both sizes: in the cell, and in a block that is given back at once.
        let len = if round % 2 == 0 { 14 } else { 40 };
        heap.with(|context| things.map.set(context, key, &vec![round; len])).expect("a write");
    }
    reader.join().expect("the reader does not panic");
    assert_whole(&heap);
}

/// Goal: a pin is of a value that was there, and keeps it, in every order that the memory model allows.
/// Method: one peer replaces a long value by others; another pins it, reads, and reads once more when it
/// has been replaced (HOLES 93).
#[test]
fn a_pinned_value_stays_whole_beside_a_writer() {
    const ROUNDS: u8 = if cfg!(miri) { 4 } else { 200 };
    const LEN: usize = 20_000;
    let heap = heap();
    let things = Things::find(&heap);
    let key = b"key";
    heap.with(|context| things.map.set(context, key, &[1; LEN])).expect("a write");
    let numbers = descriptors(&heap);
    let reader = Peer::new().spawn(move || {
        let heap = attach(numbers);
        let things = Things::find(&heap);
        let (mut out, mut again) = (Vec::new(), Vec::new());
        heap.with(|context| {
            while out.first() != Some(&ROUNDS) {
                let (pinned, pin) = things.map.pin(context, key)?.expect("a long value");
                pinned.get(context, &mut out)?;
                assert!(out.iter().all(|byte| *byte == out[0]), "parts of two values");
                things.map.get(context, key, &mut again)?;
                pinned.get(context, &mut again)?;
                assert!(again == out, "a pinned value changed");
                ledger::release(context, &pin)?;
            }
            Ok(())
        })
        .expect("reads");
    });
    for round in 2..=ROUNDS {
        heap.with(|context| things.map.set(context, key, &[round; LEN])).expect("a write");
    }
    reader.join().expect("the reader does not panic");
    assert_whole(&heap);
}

/// Goal: two peers pass items through a queue, each comes once and in order.
#[test]
fn items_pass_from_peer_to_peer() {
    const ITEMS: u64 = if cfg!(miri) { 20 } else { 2_000 };
    let heap = heap();
    let things = Things::find(&heap);
    let numbers = descriptors(&heap);
    let getter = Peer::new().spawn(move || {
        let heap = attach(numbers);
        let things = Things::find(&heap);
        let mut out = Vec::new();
        heap.with(|context| {
            for number in 0..ITEMS {
                things.queue.get_wait(context, None, &mut out)?;
                assert_eq!(out, number.to_le_bytes());
            }
            Ok(())
        })
        .expect("items");
    });
    for number in 0..ITEMS {
        heap.with(|context| things.queue.put(context, &number.to_le_bytes())).expect("a put");
    }
    getter.join().expect("the getter does not panic");
    assert_whole(&heap);
}
