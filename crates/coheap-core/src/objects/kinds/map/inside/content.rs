//! What the writes of a transaction make of a map: notes of keys, and the order of those that are new.
//!
//! What always holds: nothing of the map is to be seen before position `front`, or from `back` on. A note
//! says that its key is added at the end exactly if the order has it in that slot.

use smallvec::SmallVec;

use super::super::shape::CUT_WORDS;
use super::super::{Numbers, SHRINK_WORDS};
use super::notes::{Note, Notes, Now};
use super::order::Order;
use crate::allocator;

/// Words that a clear saves at most, with those for the first segment, leaf and directories of a new
/// table. The others are few: a segment for 512 entries, a leaf for at least a hundred.
pub(super) const CLEAR_WORDS: usize = CUT_WORDS + 10 + 4 * allocator::TAKE_WORDS;
/// Words that the numbers of the map and giving positions back save at most.
pub(super) const GIVE_BACK_WORDS: usize = Numbers::WORDS + SHRINK_WORDS;

/// What the writes make of the map.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) notes: Notes,
    pub(super) order: Order,
    /// Notes from here on may be additions that nobody looked at.
    pub(super) unseen: Option<usize>,
    /// Nothing that the map has is there any more.
    pub(super) is_cleared: bool,
    /// Words that a change saves for the notes at most.
    pub(super) words: usize,
    /// By how much the map grows.
    pub(super) growth: i64,
    pub(super) front: u64,
    pub(super) back: u64,
}

impl Default for Content {
    fn default() -> Self {
        let (notes, order) = (Notes::default(), Order::default());
        let (growth, front, back) = (0, 0, u64::MAX);
        Self { notes, order, unseen: None, is_cleared: false, words: 0, growth, front, back }
    }
}

impl Content {
    /// What storing a value does to a key that the map has not.
    #[inline]
    pub(super) fn inserted(&self, value: &[u8], form: Option<Box<[u8]>>) -> Now {
        Now::Inserted { slot: self.order.next_slot(), value: SmallVec::from_slice(value), form }
    }

    /// Words that a change saves at most.
    #[inline]
    pub(super) fn words(&self) -> usize {
        match (self.is_cleared, self.notes.is_empty()) {
            (true, _) => CLEAR_WORDS + self.words,
            (false, true) => 0,
            (false, false) => GIVE_BACK_WORDS + self.words,
        }
    }

    /// Notes what is done with a key that has no note. Returns the number of the note.
    #[inline]
    pub(super) fn enter(&mut self, note: Note) -> usize {
        let number = self.notes.push(note);
        let note = self.notes.get(number);
        if let Now::Inserted { slot, .. } = note.now {
            self.order.put_in(slot, number);
        }
        self.growth += note.growth();
        self.words += note.words(self.is_cleared);
        number
    }

    /// Notes something else to be done with a key. Returns what was to be done.
    pub(super) fn put(&mut self, number: usize, now: Now) -> Now {
        let note = self.notes.get_mut(number);
        let (was_hidden, growth, slot) = (note.hidden(), note.growth(), note.slot());
        let words = note.words(self.is_cleared);
        let before = std::mem::replace(&mut note.now, now);
        self.growth += note.growth() - growth;
        self.words = self.words + note.words(self.is_cleared) - words;
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
        self.words -= note.words(self.is_cleared);
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
