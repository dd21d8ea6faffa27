//! What a map could give back in a full heap, and what it needs no room for: before anybody hears
//! `HeapFull`.
//!
//! Here: rings of maps that were copied, leaves of an index that is too large, holes, values that fit into
//! the blocks of others. That rooms of one kind serve others is in `room`.

use coheap_core::check::check;
use coheap_core::heap::Heap;
use coheap_core::journal::Context;
use coheap_core::objects::Map;
use coheap_core::objects::map::{Pairs, Take};

use crate::support::objects::{heap, map};

const LARGE: usize = 1 << 20;

fn fill(heap: &Heap, other: &Map, context: &Context, left: u64) {
    let used = || heap.stats().expect("figures").used_bytes;
    for number in 0u64.. {
        if used() + left >= heap.max_bytes() {
            break;
        }
        other.set(context, &number.to_le_bytes(), &[2; 12_000]).expect("room");
    }
}

/// Goal: whoever asks first gets the room that a pass over a map gives, whether the map has a ring, too.
#[test]
fn a_ring_does_not_stand_for_a_pass() {
    for has_ring in [false, true] {
        let heap = heap(24);
        let (sparse, other) = (map(&heap, "sparse"), map(&heap, "other"));
        let context = heap.context().expect("a member");
        let all: Pairs = (0..200_000u64).map(|key| (key.to_le_bytes(), [1; 8])).collect();
        sparse.set_many(&context, &all).expect("room");
        if has_ring {
            sparse.copy_beside_writers(&context, Take::Both).expect("room").expect("no writer");
        }
        fill(&heap, &other, &context, 200 << 10);
        for key in (0..200_000u64).filter(|key| key % 4 != 0) {
            sparse.remove(&context, &key.to_le_bytes(), &mut Vec::new()).expect("an entry");
        }
        assert_eq!(other.set(&context, b"large", &vec![3; LARGE]), Ok(true), "{has_ring}");
        heap.with(check).expect("a heap that is whole");
    }
}

/// Goal: an index that is too large for its map gives all its room at once.
#[test]
fn leaves_that_can_be_merged_are_room() {
    let heap = heap(8);
    let (small, other) = (map(&heap, "small"), map(&heap, "other"));
    let context = heap.context().expect("a member");
    let all: Pairs = (0..100_000u64).map(|key| (key.to_le_bytes(), [1; 8])).collect();
    small.set_many(&context, &all).expect("room");
    for key in (10_000..100_000u64).rev() {
        small.remove(&context, &key.to_le_bytes(), &mut Vec::new()).expect("an entry");
    }
    fill(&heap, &other, &context, 100 << 10);
    assert_eq!(other.set(&context, b"large", &vec![3; LARGE]), Ok(true));
    heap.with(check).expect("a heap that is whole");
}

/// Goal: a call with many values, which replace others of their length, needs no room.
#[test]
fn many_values_are_replaced_in_a_full_heap() {
    let heap = heap(4);
    let full = map(&heap, "full");
    let context = heap.context().expect("a member");
    let set = |number: u64, len: usize| full.set(&context, &number.to_le_bytes(), &vec![1; len]);
    let count = (0..).find(|number| set(*number, 200).is_err()).expect("a full heap");
    for (from, len) in (1u64..).map(|number| number << 32).zip([100, 50, 30, 16, 8]) {
        let _ = (from..).find(|number| set(*number, len).is_err());
    }
    for part in [1, 10, 2000] {
        let all: Pairs = (0..part).map(|number: u64| (number.to_le_bytes(), [9; 200])).collect();
        assert_eq!(full.set_many(&context, &all), Ok(0), "{part} of {count}");
    }
    let mut value = Vec::new();
    assert_eq!(full.get(&context, &1999u64.to_le_bytes(), &mut value), Ok(true));
    assert_eq!(value, [9; 200]);
    heap.with(check).expect("a heap that is whole");
}
