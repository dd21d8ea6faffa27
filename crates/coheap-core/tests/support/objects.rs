//! Heaps and objects by name, without ceremony.
//!
//! What cannot fail in a test that is right panics here, so that tests read as what they try.

use coheap_core::check::{Report, check};
use coheap_core::error::Result;
use coheap_core::heap::Heap;
use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::objects::{Directory, Map, Mutex, Queue, RecursiveMutex, Value, estate};
use coheap_core::objects::{Recipe, map, mutex, queue, recursive_mutex, value};

/// An anonymous heap of `mebibytes`.
pub(crate) fn heap(mebibytes: u64) -> Heap {
    Heap::anonymous(mebibytes << 20).expect("an anonymous heap")
}

/// The object of this name.
pub(crate) fn object<R: Recipe>(heap: &Heap, name: &str, recipe: &R) -> Result<R::Object> {
    heap.with(|context| Directory.get_or_create(context, name, recipe))
}

/// The map of this name.
pub(crate) fn map(heap: &Heap, name: &str) -> Map {
    object(heap, name, &map::Recipe).expect("a map")
}

/// The queue of this name, without limits if it is new.
pub(crate) fn queue(heap: &Heap, name: &str) -> Queue {
    bounded_queue(heap, name, 0, 0)
}

/// The queue of this name.
pub(crate) fn bounded_queue(heap: &Heap, name: &str, limit: u64, max_attempts: u64) -> Queue {
    object(heap, name, &queue::Recipe { limit, max_attempts }).expect("a queue")
}

/// The value of this name, an integer 0 if it is new.
pub(crate) fn value(heap: &Heap, name: &str) -> Value {
    object(heap, name, &value::Recipe::of(&integer(0))).expect("a value")
}

/// The lock of this name.
pub(crate) fn mutex(heap: &Heap, name: &str) -> Mutex {
    object(heap, name, &mutex::Recipe::around(&integer(0))).expect("a lock")
}

/// The recursive lock of this name.
pub(crate) fn recursive_mutex(heap: &Heap, name: &str) -> RecursiveMutex {
    object(heap, name, &recursive_mutex::Recipe::default()).expect("a lock")
}

/// An integer as the engine counts with it.
pub(crate) fn integer(number: i64) -> [u8; 9] {
    let mut bytes = [3; 9];
    bytes[1..].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// The integer in a value's bytes.
pub(crate) fn number_in(bytes: &[u8]) -> Option<i64> {
    let (tag, rest) = bytes.split_first()?;
    (*tag == 3).then(|| rest.try_into().ok().map(i64::from_le_bytes))?
}

/// The integer under a key, 0 if there is none.
pub(crate) fn count(heap: &Heap, map: &Map, key: &[u8]) -> i64 {
    let mut out = Vec::new();
    let found = heap.with(|context| map.get(context, key, &mut out)).expect("a read");
    if found { number_in(&out).expect("an integer") } else { 0 }
}

/// Recovers and settles whoever died, then walks the whole heap.
pub(crate) fn settle_and_check(heap: &Heap) -> Report {
    heap.with(|context| {
        estate::sweep(context)?;
        check(context)
    })
    .expect("a heap that is whole")
}

/// How many processes were recovered so far.
pub(crate) fn recovered(heap: &Heap) -> u64 {
    heap.region().header().tally.recovered.get()
}
