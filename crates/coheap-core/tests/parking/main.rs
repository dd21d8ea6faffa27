//! The parking table in a real heap: order, room, locks under contention, and what the dead leave.
//!
//! Rows are given to threads of the test here, or to nobody; the words that are waited for are spare
//! words of the table. What every interleaving does is shown by `tests/loom/parking`.
//!
//! Not here: processes that are killed or stopped at each store (`tests/sim`).

#[path = "../support/mod.rs"]
mod support;

mod locks;
mod order;
mod remains;
mod room;

use coheap_core::heap::Heap;
use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::memory::layout::Header;
use coheap_core::sync::parking::table::waiter::Waiter;
use coheap_core::sync::parking::{Key, Manner, Parked, Reason, Who};

/// The first row that no context of the test has.
const FIRST_ROW: u32 = 4;

fn heap() -> Heap {
    Heap::anonymous(1 << 20).expect("an anonymous heap")
}

/// Returns a row that is real, of a thread that never ran.
fn who(heap: &Heap, number: u32) -> Who {
    let (region, row) = (heap.region(), FIRST_ROW + number);
    while region.real_rows() <= row {
        region.grow_rows(region.real_rows()).expect("memory");
    }
    Who { row, epoch: 1 }
}

fn waiter(heap: &Heap, number: u32) -> Waiter {
    Waiter::new(who(heap, number))
}

/// The object that every heap has: its directory.
const DIRECTORY: Key = Key { at: std::mem::offset_of!(Header, directory) as u64, generation: 1 };

/// An object that nothing else is known of.
fn key(number: u64) -> Key {
    Key { at: 0x10_0000 + 128 * number, generation: 2 * number + 1 }
}

fn park(heap: &Heap, waiter: &Waiter, key: Key, reason: Reason) -> Parked {
    waiter.park(heap.region(), key, reason, Manner::default()).expect("room")
}
