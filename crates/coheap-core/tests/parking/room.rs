//! How much of the table waits take, and what happens when it is full.
//!
//! The figures are those of the design: lines for who waits for one object, blocks for one row that
//! waits for many.

use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::memory::layout::{BLOCK_CELLS, BLOCK_COUNT, FIXED_END, ROW_CELLS};
use coheap_core::sync::parking::table::waiter::{Waiter, full_slice};
use coheap_core::sync::parking::table::watch;
use coheap_core::sync::parking::{Manner, Parked, Reason, want};

use super::{heap, key, park, waiter};

/// Goal: an empty heap stays below a megabyte, and ordinary waits need no new memory.
#[test]
fn an_ordinary_wait_needs_no_memory() {
    let heap = heap();
    let region = heap.region();
    const { assert!(FIXED_END < 512 << 10) };
    let waiter = waiter(&heap, 0);
    let before = region.file().allocated_bytes().expect("a number");
    assert!(before < 1 << 20, "{before}");
    let parked = [0, 1].map(|object| park(&heap, &waiter, key(object), Reason::Item));
    for parked in parked {
        want::leave(region, &region.parking().spare[0], &parked);
        waiter.end(region, parked, false);
    }
    assert_eq!(region.file().allocated_bytes().expect("a number"), before);
}

/// Goal: 500 who wait for one object are 72 lines, and 5,000 objects for one row 79 blocks.
#[test]
fn many_waits_take_the_room_that_the_design_says() {
    let heap = heap();
    let region = heap.region();
    let waiters: Vec<Waiter> = (0..500).map(|number| waiter(&heap, number)).collect();
    for waiter in &waiters {
        park(&heap, waiter, key(7), Reason::Place);
    }
    assert_eq!(watch::fill(region).lines[0] + 1, 72);
    assert_eq!(watch::fill(region).blocks[0], 0);
    for object in 0..5_000 {
        park(&heap, &waiters[0], key(object), Reason::Item);
    }
    assert_eq!(watch::fill(region).blocks[0], 79);
}

/// Goal: a full table refuses the next wait and nothing else, and one that leaves makes room.
/// Method: one row takes every cell of every block.
#[test]
fn a_full_table_refuses_and_recovers() {
    let heap = heap();
    let region = heap.region();
    let (greedy, late) = (waiter(&heap, 0), waiter(&heap, 1));
    let all = u64::from(BLOCK_COUNT * BLOCK_CELLS + ROW_CELLS);
    let mut parked: Vec<Parked> =
        (0..all).map(|object| park(&heap, &greedy, key(object), Reason::Item)).collect();
    assert_eq!(greedy.park(region, key(0), Reason::Item, Manner::default()).map(|_| ()), None);
    // The cells of another row are its own.
    let own = [0, 1].map(|object| park(&heap, &late, key(object), Reason::Item));
    assert_eq!(late.park(region, key(0), Reason::Item, Manner::default()).map(|_| ()), None);
    for parked in parked.drain(..2 * BLOCK_CELLS as usize + 2).chain(own) {
        want::leave(region, &region.parking().spare[0], &parked);
        let whose = if parked.who == late.who() { &late } else { &greedy };
        whose.end(region, parked, false);
    }
    for object in 0..3 {
        park(&heap, &late, key(object), Reason::Item);
    }
    assert_eq!(watch::fill(region).blocks[0], u64::from(BLOCK_COUNT));
}

/// Goal: slices of a wait without a place double from 4 to 250 ms.
#[test]
fn slices_without_a_place_double() {
    let slices: Vec<u64> = (0..8).map(|number| full_slice(number) / 1_000_000).collect();
    assert_eq!(slices, [4, 8, 16, 32, 64, 128, 250, 250]);
    assert_eq!(full_slice(u32::MAX) / 1_000_000, 250);
}
