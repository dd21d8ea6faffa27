//! The order of the keys that a transaction adds at the end of a map.
//!
//! Each has a slot. A key that is removed leaves its slot free, for good or until that is undone; free
//! slots at the end are given back.
//!
//! What always holds: the last slot is taken, so the newest key is found at once. No slot before `head`
//! is taken.

use std::ops::Range;

use smallvec::SmallVec;

/// Slots that need no memory of their own.
const SHORT: usize = 4;
/// A slot without a key.
const FREE: u32 = u32::MAX;

/// The numbers of the keys' notes, by slots.
#[derive(Debug, Default)]
pub(super) struct Order {
    slots: SmallVec<[u32; SHORT]>,
    head: usize,
}

impl Order {
    /// Returns the slot for the next key.
    #[inline]
    pub(super) fn next_slot(&self) -> u32 {
        self.slots.len() as u32
    }

    #[inline]
    pub(super) fn put_in(&mut self, slot: u32, number: usize) {
        let slot = slot as usize;
        if slot >= self.slots.len() {
            self.slots.resize(slot + 1, FREE);
        }
        self.slots[slot] = number as u32;
        self.head = self.head.min(slot);
    }

    pub(super) fn take_out(&mut self, slot: u32) {
        self.slots[slot as usize] = FREE;
        while self.slots.last() == Some(&FREE) {
            self.slots.pop();
        }
        self.head = self.head.min(self.slots.len());
    }

    /// Returns the oldest key.
    pub(super) fn first(&mut self) -> Option<usize> {
        while self.slots.get(self.head) == Some(&FREE) {
            self.head += 1;
        }
        self.slots.get(self.head).map(|number| *number as usize)
    }

    /// Returns the newest key.
    pub(super) fn last(&self) -> Option<usize> {
        self.slots.last().map(|number| *number as usize)
    }

    /// Returns the keys and their slots, from a slot on.
    pub(super) fn from(&self, slot: u64) -> impl Iterator<Item = (u64, usize)> {
        self.taken(self.place(slot)..self.slots.len())
    }

    /// Returns the keys and their slots, from the last one before a slot back to the first one.
    pub(super) fn before(&self, slot: u64) -> impl Iterator<Item = (u64, usize)> {
        self.taken(self.head..self.place(slot)).rev()
    }

    fn place(&self, slot: u64) -> usize {
        usize::try_from(slot).unwrap_or(usize::MAX).clamp(self.head, self.slots.len())
    }

    fn taken(&self, slots: Range<usize>) -> impl DoubleEndedIterator<Item = (u64, usize)> {
        slots.filter(|slot| self.slots[*slot] != FREE).map(|slot| (slot as u64, self.number(slot)))
    }

    #[inline]
    fn number(&self, slot: usize) -> usize {
        self.slots[slot] as usize
    }

    /// Returns the keys in order.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.slots.iter().filter(|number| **number != FREE).map(|number| *number as usize)
    }
}
