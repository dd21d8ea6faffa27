//! How a transaction goes back in its writes to a map: what was replaced since a mark, in order.
//!
//! What always holds: before the first mark, nothing is kept. What changes the order of the new keys is
//! always kept, so it is undone step by step, the last one first; of values that are replaced again and
//! again, only the one of the mark.

use super::content::Content;
use super::notes::{Note, Now};

/// What was there before each step.
#[derive(Debug, Default)]
pub(super) struct Undo {
    steps: Vec<Step>,
    /// How many marks were taken.
    marks: u32,
}

/// One thing to undo.
#[derive(Debug)]
enum Step {
    /// The last note was entered.
    Entered,
    /// Something else was to be done with the key of this note.
    Put(u32, Now),
    /// Everything was removed.
    Cleared(Box<Content>),
}

impl Undo {
    /// Returns a mark, which is a number of steps.
    pub(super) fn mark(&mut self) -> usize {
        self.marks = self.marks.wrapping_add(1);
        self.steps.len()
    }

    #[inline]
    pub(super) fn keep_entered(&mut self, note: &mut Note) {
        if self.marks != 0 {
            note.kept_since = self.marks;
            self.steps.push(Step::Entered);
        }
    }

    /// Keeps what was to be done with the key of a note.
    #[inline]
    pub(super) fn keep(&mut self, note: &mut Note, number: usize, before: Now) {
        if self.marks != 0 {
            self.keep_step(note, number, before);
        }
    }

    fn keep_step(&mut self, note: &mut Note, number: usize, before: Now) {
        let slot = match before {
            Now::Inserted { slot, .. } => Some(slot),
            _ => None,
        };
        if note.kept_since != self.marks || slot != note.slot() {
            note.kept_since = self.marks;
            self.steps.push(Step::Put(number as u32, before));
        }
    }

    pub(super) fn keep_all(&mut self, before: Content) {
        if self.marks != 0 {
            self.steps.push(Step::Cleared(Box::new(before)));
        }
    }

    /// Goes back to a mark.
    pub(super) fn back_to(&mut self, content: &mut Content, mark: usize) {
        while self.steps.len() > mark {
            match self.steps.pop() {
                Some(Step::Entered) => content.leave(),
                Some(Step::Put(number, before)) => {
                    let number = number as usize;
                    if matches!(before, Now::Added(_)) {
                        content.forget(number);
                    }
                    content.put(number, before);
                }
                Some(Step::Cleared(before)) => *content = *before,
                None => {}
            }
        }
    }
}
