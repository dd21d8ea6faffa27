//! What runs out, seen by a program: the heap's room is an error of its own.
//!
//! What always holds: a call that does not return fails its test; it does not hang the suite.
//! Not here: which blocks are left, and that a full heap can be emptied (`coheap-core`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::mpsc;
use std::time::Duration;

use coheap::{Error, Heap, Map, Result};

/// Runs a call in a thread of its own, and returns its answer.
fn answer<T: Send + 'static>(
    what: &str,
    call: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(call()));
    let patience = Duration::from_secs(20);
    told.recv_timeout(patience).unwrap_or_else(|_| panic!("{what}: no answer in {patience:?}"))
}

/// Sets ever shorter strings until nothing fits.
fn fill(map: &Map<u64, String>) {
    let mut length = 4000;
    let mut key = 0;
    while length > 0 {
        match map.set(&key, &"x".repeat(length)) {
            Ok(_) => key += 1,
            Err(Error::HeapFull { .. }) => length /= 2,
            Err(other) => panic!("{other}"),
        }
    }
}

/// Goal: an insertion into a map without entries fails at once in a full heap.
/// Method: a map that never had an entry and a cleared one; fill the heap; set, change, and write
/// in a transaction.
#[test]
fn an_empty_map_of_a_full_heap_answers_that_the_heap_is_full() {
    let heap = Heap::anonymous(1 << 20).unwrap();
    let [new, cleared] = ["new", "cleared"].map(|name| heap.map::<u64, String>(name).unwrap());
    (0..600).for_each(|key| assert!(cleared.set(&key, &"y".to_owned()).unwrap()));
    cleared.clear().unwrap();
    fill(&heap.map("filler").unwrap());
    for (what, map) in [("new", new), ("cleared", cleared)] {
        let is_full = |done: Result<()>| {
            assert!(matches!(done, Err(Error::HeapFull { .. })), "{what}: {done:?}");
        };
        let long = "z".repeat(5000);
        let (same, value) = (map.clone(), long.clone());
        is_full(answer("set", move || same.set(&1, &value).map(drop)));
        let (same, value) = (map.clone(), long.clone());
        is_full(answer("update_with", move || same.update_with(&1, |_| value.clone()).map(drop)));
        let (same, beside) = (map.clone(), heap.clone());
        is_full(answer("transaction", move || {
            beside.transaction(|tx| {
                (0..2000).try_for_each(|key| tx.set(&same, &key, &"y".to_owned()).map(drop))
            })
        }));
        assert!(map.is_empty().unwrap(), "what is refused changes nothing");
    }
    heap.check().unwrap();
}
