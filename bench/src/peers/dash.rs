//! DashMap, inside one process, with its own default hasher.
//!
//! What is read is cloned out of the map, so that it can be kept like what comes from every other
//! map here.

use dashmap::DashMap;

/// A map from numbers to bytes, in private memory.
pub struct Dash(DashMap<u64, Vec<u8>>);

impl Dash {
    /// A map of `keys` entries with one value.
    pub fn new(keys: u64, value: &[u8]) -> Self {
        let map = DashMap::new();
        for key in 0..keys {
            map.insert(key, value.to_vec());
        }
        Self(map)
    }

    /// The value of a key that is there, in a vector of its own.
    #[inline]
    pub fn get(&self, key: u64) -> Vec<u8> {
        self.0.get(&key).expect("is there").clone()
    }
}
