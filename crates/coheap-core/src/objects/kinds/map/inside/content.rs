//! What the writes of a transaction make of a map: notes of keys, and the order of those that are new.
//!
//! What always holds: nothing of the map is to be seen before position `front`, or from `back` on. A note
//! says that its key is added at the end exactly if the order has it in that slot.

use smallvec::SmallVec;

use super::super::Key;
use super::notes::{Bytes, Note, Notes, Now};
use super::order::Order;

/// What the writes make of the map.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) notes: Notes,
    pub(super) order: Order,
    /// Notes from here on may be additions that nobody looked at.
    pub(super) unseen: Option<usize>,
    /// Nothing that the map has is there any more.
    pub(super) is_cleared: bool,
    /// By how much the map grows.
    pub(super) growth: i64,
    pub(super) front: u64,
    pub(super) back: u64,
}

impl Default for Content {
    fn default() -> Self {
        let (notes, order) = (Notes::default(), Order::default());
        let (growth, front, back) = (0, 0, u64::MAX);
        Self { notes, order, unseen: None, is_cleared: false, growth, front, back }
    }
}

impl Content {
    /// What storing a value does to a key that the map has at a position, or has not.
    #[inline]
    pub(super) fn stored(&self, at: Option<u64>, value: &[u8]) -> Now {
        let value: Bytes = SmallVec::from_slice(value);
        match at {
            Some(_) => Now::Replaced(value),
            None => Now::Inserted(self.order.next_slot(), value),
        }
    }

    /// Notes what is done with a key that has no note. Returns the number of the note.
    #[inline]
    pub(super) fn enter(&mut self, key: &Key<'_>, at: Option<u64>, now: Now) -> usize {
        let number = self.notes.push(Note::new(key, at, now));
        let note = self.notes.get(number);
        if let Now::Inserted(slot, _) = note.now {
            self.order.put_in(slot, number);
        }
        self.growth += note.growth();
        number
    }

    /// Notes something else to be done with a key. Returns what was to be done.
    pub(super) fn put(&mut self, number: usize, now: Now) -> Now {
        let note = self.notes.get_mut(number);
        let (was_hidden, growth, slot) = (note.hidden(), note.growth(), note.slot());
        let before = std::mem::replace(&mut note.now, now);
        self.growth += note.growth() - growth;
        let (is_hidden, new_slot) = (note.hidden(), note.slot());
        if slot != new_slot {
            slot.into_iter().for_each(|slot| self.order.take_out(slot));
            new_slot.into_iter().for_each(|slot| self.order.put_in(slot, number));
        }
        if is_hidden.is_none() {
            self.show(was_hidden);
        }
        before
    }

    /// Takes the note out that was entered last.
    pub(super) fn leave(&mut self) {
        let Some(note) = self.notes.pop() else { return };
        self.growth -= note.growth();
        note.slot().into_iter().for_each(|slot| self.order.take_out(slot));
        self.show(note.hidden());
        self.unseen = self.unseen.filter(|number| *number < self.notes.len());
    }

    /// Nobody has looked at an addition any more.
    pub(super) fn forget(&mut self, number: usize) {
        self.unseen = Some(self.unseen.map_or(number, |first| first.min(number)));
    }

    /// An entry of the map, at this position, is to be seen again.
    fn show(&mut self, hidden: Option<u64>) {
        if let Some(at) = hidden {
            self.front = self.front.min(at);
            self.back = self.back.max(at + 1);
        }
    }
}
