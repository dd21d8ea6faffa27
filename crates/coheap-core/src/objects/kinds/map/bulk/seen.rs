//! Which keys of one call came before.
//!
//! What always holds: at most half of the buckets are taken, so a search ends.

/// Numbers of the keys of one call, found by their hashes: buckets of number plus one, at most half
/// of them taken.
pub(super) struct Seen {
    buckets: Vec<u32>,
}

impl Seen {
    pub(super) fn new(count: usize) -> Self {
        Self { buckets: vec![0; (count * 2).next_power_of_two()] }
    }

    /// Returns the number of a key that was entered before. Otherwise enters it as `number`.
    #[inline]
    pub(super) fn enter(
        &mut self,
        hash: u32,
        number: usize,
        is_same: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let mask = self.buckets.len() - 1;
        let mut at = hash as usize & mask;
        while let Some(before) = self.buckets[at].checked_sub(1) {
            if is_same(before as usize) {
                return Some(before as usize);
            }
            at = (at + 1) & mask;
        }
        self.buckets[at] = number as u32 + 1;
        None
    }
}
