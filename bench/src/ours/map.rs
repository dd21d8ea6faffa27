//! A map of the heap: numbers to bytes.
//!
//! Each call finds the thread's context anew, as a call of the typed face does, and what is read
//! comes in a vector of its own.

use coheap_core::{Directory, Heap, Map, MapRecipe};

use super::number_bytes;

/// A map from numbers to bytes.
pub struct OurMap {
    /// The heap it is in.
    pub heap: Heap,
    /// The engine's handle.
    pub map: Map,
}

impl OurMap {
    /// The map of this name.
    pub fn new(heap: &Heap, name: &str) -> Self {
        let map =
            heap.with(|context| Directory.get_or_create(context, name, &MapRecipe)).expect("a map");
        Self { heap: heap.clone(), map }
    }

    /// Stores a value.
    #[inline]
    pub fn set(&self, key: u64, value: &[u8]) {
        self.heap.with(|context| self.map.set(context, &number_bytes(key), value)).expect("stored");
    }

    /// The value of a key that is there.
    #[inline]
    pub fn get(&self, key: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let found = self
            .heap
            .with(|context| self.map.get(context, &number_bytes(key), &mut out))
            .expect("read");
        assert!(found, "key {key} is not there");
        out
    }
}
