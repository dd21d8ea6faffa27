//! A map in the order of insertion, from std's maps.
//!
//! What always holds: the numbers of insertions lead to the same entries as the keys.

use std::collections::{BTreeMap, HashMap};

use super::random::Random;

/// A key and its value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// A map in the order of insertion: entries by the number of their insertion.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    pub(crate) entries: BTreeMap<u64, Pair>,
    numbers: HashMap<Vec<u8>, u64>,
    next: u64,
}

impl Plain {
    pub(crate) fn set(&mut self, key: &[u8], value: &[u8]) {
        let number = *self.numbers.entry(key.to_vec()).or_insert(self.next);
        self.next += u64::from(number == self.next);
        self.entries.insert(number, (key.to_vec(), value.to_vec()));
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Pair> {
        self.entries.remove(&self.numbers.remove(key)?)
    }

    pub(crate) fn move_to_end(&mut self, key: &[u8]) -> bool {
        let moved = self.remove(key);
        if let Some((key, value)) = &moved {
            self.set(key, value);
        }
        moved.is_some()
    }

    pub(crate) fn some_key(&self, random: &mut Random) -> Option<Vec<u8>> {
        let from = random.below(self.next.max(1));
        let found = self.entries.range(from..).next().or_else(|| self.entries.iter().next());
        found.map(|(_, (key, _))| key.clone())
    }
}
