//! A transaction over two maps of numbers.
//!
//! Both updates read what is there. A transaction that is given up because of a deadlock is tried
//! again, as the typed face does.

use std::rc::Rc;

use coheap_core::{Error, Heap, Result, Transaction};

use super::map::OurMap;
use super::number_bytes;

/// Two maps from numbers to numbers.
pub struct OurPair {
    /// The heap they are in.
    pub heap: Heap,
    maps: [OurMap; 2],
}

impl OurPair {
    /// Two maps with `keys` entries each.
    pub fn new(heap: &Heap, keys: u64) -> Self {
        let maps = ["first", "second"].map(|name| OurMap::new(heap, name));
        for map in &maps {
            (0..keys).for_each(|key| map.set(key, &number_bytes(0)));
        }
        Self { heap: heap.clone(), maps }
    }

    /// Takes from a number in one map and adds to one in the other, in one transaction.
    #[inline]
    pub fn transfer(&self, from: u64, to: u64) {
        for _ in 0..1_000 {
            match self.try_transfer(from, to) {
                Err(Error::Deadlock | Error::Doomed(_)) => {}
                other => return other.expect("transferred"),
            }
        }
        panic!("a transaction met a deadlock a thousand times");
    }

    fn try_transfer(&self, from: u64, to: u64) -> Result<()> {
        let context = self.heap.context()?;
        let mut transaction = Transaction::begin(Rc::clone(&context), None)?;
        transaction.on(&self.maps[0].map).add(&number_bytes(from), -1)?;
        transaction.on(&self.maps[1].map).add(&number_bytes(to), 1)?;
        transaction.commit()
    }
}
