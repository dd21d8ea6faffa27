//! The engine on the pretend machine: peers that die, wakes that get lost, clocks that stop.
//!
//! `make sim` runs it with `--cfg sim` and the failpoints. It also runs under Miri, which sees every
//! access and every order that the language allows:
//! `MIRIFLAGS=-Zmiri-ignore-leaks cargo +nightly miri test --package coheap-core --test sim`. A killed
//! peer's thread is parked for ever, which is the leak.
//!
//! Not here: real processes (`tests/torture`) and a death at every single store (`tests/crash`).

#![cfg(any(miri, sim))]

mod death;
#[cfg(feature = "failpoints")]
mod halted;
#[cfg(feature = "failpoints")]
mod pages;
#[cfg(feature = "failpoints")]
mod parking;
#[cfg(feature = "failpoints")]
mod passes;
mod scenario;
mod time;

use std::time::{Duration, Instant};

use coheap_core::check::check;
use coheap_core::heap::Heap;
use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::objects::{Directory, Map, Mutex, Queue, Value};
use coheap_core::objects::{Recipe, map, mutex, queue, value};
use coheap_core::os::{self, HeapFile};

/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(if cfg!(miri) { 600 } else { 20 });

/// What all peers look for in the heap.
#[derive(Clone, Copy)]
struct Things {
    map: Map,
    queue: Queue,
    value: Value,
    mutex: Mutex,
}

fn make<R: Recipe>(heap: &Heap, name: &str, recipe: &R) -> R::Object {
    heap.with(|context| Directory.get_or_create(context, name, recipe)).expect("an object")
}

impl Things {
    fn find(heap: &Heap) -> Self {
        Self {
            map: make(heap, "map", &map::Recipe),
            queue: make(heap, "queue", &queue::Recipe { limit: 0, max_attempts: 0 }),
            value: make(heap, "value", &value::Recipe::of(&integer(0))),
            mutex: make(heap, "mutex", &mutex::Recipe::around(&integer(0))),
        }
    }
}

fn heap() -> Heap {
    Heap::anonymous(1 << 20).expect("an anonymous heap")
}

/// The numbers by which another peer finds the files of a heap.
fn descriptors(heap: &Heap) -> [i32; 3] {
    heap.files().map(HeapFile::number)
}

/// Attaches the calling peer to a heap.
fn attach(descriptors: [i32; 3]) -> Heap {
    let files = descriptors.map(|number| {
        HeapFile::from_descriptor(os::adopt_descriptor(number).expect("an open file"))
    });
    Heap::from_files(files).expect("a heap to attach to")
}

fn integer(value: i64) -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.extend_from_slice(&value.to_le_bytes());
    bytes
}

fn assert_whole(heap: &Heap) {
    heap.with(check).expect("a heap that is whole");
}

/// How many threads sleep on a lock or a queue of the heap.
fn sleepers(heap: &Heap) -> usize {
    let sleeps = |row: &u32| heap.region().context(*row).sleeps_on.get() != 0;
    (0..heap.region().real_rows()).filter(sleeps).count()
}

/// Waits for something that other threads bring about.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::yield_now();
    }
}
