//! Our side of each workload, a file for each kind of object.
//!
//! What always holds: a value that is read comes in a vector of its own, as it does from every
//! peer; a forked worker attaches itself at its first operation and leaves with [`leave`].

pub mod lock;
pub mod map;
pub mod queue;
pub mod transaction;

use coheap_core::Heap;

/// A heap with room for a workload.
pub fn heap() -> Heap {
    Heap::anonymous(8 << 30).expect("an anonymous heap")
}

/// Leaves the heap, so that nobody has to clear up after this worker.
pub fn leave(heap: &Heap) {
    heap.close().expect("left the heap");
}

/// A number as the nine bytes that the typed face gives it.
#[inline(always)]
pub fn number_bytes(number: u64) -> [u8; 9] {
    let [bytes @ .., _, _, _, _, _, _, _] = (u128::from(number) << 8 | 3).to_le_bytes();
    bytes
}
