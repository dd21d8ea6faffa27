//! Room that is there, but not in one piece.
//!
//! What always holds: a value in several pieces is as good as any other.

use coheap_core::error::Error;
use coheap_core::heap::Heap;
use coheap_core::ledger;
use coheap_core::objects::{Map, Typed as _, parcel};

use crate::support::alone;
use crate::support::objects::{heap, map, queue, settle_and_check, value};

const MIB: usize = 1 << 20;
/// The value of an entry: three spans.
const PART: usize = 40_000;

/// Fills a heap with short runs, and frees every second one.
fn scatter(heap: &Heap, books: &Map) -> u64 {
    heap.with(|context| {
        let mut count = 0u64;
        loop {
            match books.set(context, &count.to_le_bytes(), &vec![7; PART]) {
                Ok(_) => count += 1,
                Err(Error::HeapFull { .. }) => break,
                Err(other) => return Err(other),
            }
        }
        let mut out = Vec::new();
        for number in (0..count).step_by(2) {
            assert!(books.remove(context, &number.to_le_bytes(), &mut out)?);
        }
        Ok(count)
    })
    .expect("entries")
}

fn numbered(len: usize) -> Vec<u8> {
    (0..len).map(|number| (number / 5 % 251) as u8).collect()
}

/// Goal: a value that fits nowhere in one piece is stored in several, and is as good as any other.
/// Method: every second value of a full heap is removed; half of what is free is set, read, compared,
/// replaced, put on lease and given back, and copied by a walk.
#[test]
fn a_long_value_finds_scattered_room() {
    let _alone = alone();
    let heap = heap(16);
    let (number, books, jobs) = (value(&heap, "number"), map(&heap, "books"), queue(&heap, "jobs"));
    let count = scatter(&heap, &books);
    let large = numbered(3 * MIB);
    let mut out = Vec::new();
    heap.with(|context| {
        number.set(context, &large)?;
        number.get(context, &mut out)?;
        assert!(out == large, "another value");
        let mut other = large.clone();
        *other.last_mut().expect("bytes") ^= 1;
        assert!(!number.compare_and_set(context, &other, b"new")?);
        assert!(number.compare_and_set(context, &large, b"new")?);
        books.set(context, b"large", &large)?;
        assert!(books.snapshot(context)?.iter().any(|(_, value)| value == large));
        assert!(books.remove(context, b"large", &mut out)?);
        assert!(out == large, "another value");
        jobs.put(context, &large)?;
        let lease = jobs.lease(context, &mut out)?;
        assert!(out == large, "another item");
        jobs.nack(context, &lease, None)?;
        jobs.get(context, &mut out)?;
        assert!(out == large, "another item");
        Ok(())
    })
    .expect("there is room for it");
    settle_and_check(&heap);
    let left = heap.with(|context| {
        let mut left = 0u64;
        for number in (1..count).step_by(2) {
            left += u64::from(books.get(context, &number.to_le_bytes(), &mut out)?);
            assert!(out == vec![7; PART], "another value");
        }
        Ok(left)
    });
    assert_eq!(left, Ok(count / 2));
}

/// Goal: without room in all pieces together the value is refused, and the room is as it was.
#[test]
fn a_value_that_does_not_fit_in_pieces_leaves_none() {
    let _alone = alone();
    let heap = heap(16);
    let (number, books) = (value(&heap, "number"), map(&heap, "books"));
    scatter(&heap, &books);
    let before = settle_and_check(&heap).used_bytes;
    for len in [9 * MIB, 12 * MIB, 15 * MIB] {
        let refused = heap.with(|context| number.set(context, &numbered(len)));
        assert!(matches!(refused, Err(Error::HeapFull { .. })), "{refused:?}");
    }
    let after = settle_and_check(&heap).used_bytes;
    assert!(after <= before, "{after} bytes are in use, {before} before");
}

/// Goal: a parcel in pieces keeps its objects alive, and gives them up at its end.
#[test]
fn a_parcel_may_be_in_pieces() {
    let _alone = alone();
    let heap = heap(16);
    let books = map(&heap, "books");
    let large = numbered(2 * MIB);
    let mut out = Vec::new();
    let objects = settle_and_check(&heap).objects;
    scatter(&heap, &books);
    heap.with(|context| {
        let (inner, reference) = ledger::create(context, &coheap_core::MapRecipe)?;
        let target = (inner.handle().at, inner.handle().generation);
        let mut bytes = large.clone();
        let packed = parcel::pack(context, &mut bytes, &[target, target])?;
        books.set(context, b"parcel", &bytes)?;
        parcel::discard(context, &packed)?;
        ledger::release(context, &reference)?;
        assert!(books.get(context, b"parcel", &mut out)?);
        assert!(parcel::value_in(&out) == large, "another value");
        Ok(())
    })
    .expect("a parcel");
    assert_eq!(settle_and_check(&heap).objects, objects + 1);
    let removed = heap.with(|context| {
        let is_there = books.remove(context, b"parcel", &mut out)?;
        parcel::let_go(context)?;
        Ok(is_there)
    });
    assert_eq!(removed, Ok(true));
    assert!(parcel::value_in(&out) == large, "another value");
    assert_eq!(settle_and_check(&heap).objects, objects);
}
