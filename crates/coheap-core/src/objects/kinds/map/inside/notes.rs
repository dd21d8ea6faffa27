//! What a transaction knows of the keys of a map, and what it does with them: one note for each key.
//!
//! What always holds: a key has one note at most, and a note keeps its number while it is there.
//!
//! Not here: in which order new keys stand (`order`), and who writes the notes (`writes`).

use smallvec::SmallVec;

use super::super::{DELETE_WORDS, INSERT_WORDS, Key};
use crate::allocator;
use crate::objects::cell::INLINE;
use crate::wire::canonical;

/// Words that an addition to an integer saves at most.
pub(super) const ADD_WORDS: usize = 2;
/// Notes that are looked through one by one; beyond, they are indexed.
const FEW: usize = 16;
/// Longest key or value that needs no memory of its own.
const SHORT: usize = 24;

/// Bytes of a key or a value.
pub(super) type Bytes = SmallVec<[u8; SHORT]>;

/// What is known of a key.
#[derive(Debug)]
pub(super) struct Note {
    name: Bytes,
    hash: u32,
    /// Where the map has the key, if it has it. Of an addition that nobody looked at, the commit notes it.
    pub(super) at: Option<u64>,
    pub(super) now: Now,
    /// The last mark since which it is known how to undo what is done with the key.
    pub(super) kept_since: u32,
}

/// What the transaction does with a key.
#[derive(Debug)]
pub(super) enum Now {
    /// Nothing: it is there or not, as in the map.
    Untouched,
    /// It takes the entry of the map out.
    Removed,
    /// It replaces the value in the map, for which a change saves so many words.
    Replaced(u32, Bytes),
    /// It adds the key at the end, in this slot of the order, and takes the entry of the map out if
    /// there is one. A key that comes back may come in another form than the one that was noted.
    Inserted { slot: u32, value: Bytes, form: Option<Box<[u8]>> },
    /// It adds to the integer there, or to 0 where there is none; nobody looked yet which.
    Added(i64),
}

/// What a transaction says of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    /// It has this value, written here.
    Value(&'a [u8]),
    /// It is not there.
    Nothing,
    /// It is there, with the value that the map has.
    InMap,
    /// Nothing.
    Never,
}

impl Note {
    #[inline]
    pub(super) fn new(key: &Key<'_>, at: Option<u64>, now: Now) -> Self {
        Self { name: SmallVec::from_slice(key.bytes), hash: key.hash, at, now, kept_since: 0 }
    }

    /// Returns the key, as the map knows it.
    #[inline]
    pub(super) fn key(&self) -> Key<'_> {
        match &self.now {
            Now::Inserted { form: Some(form), .. } => Key::hashed(form, self.hash),
            _ => Key::hashed(&self.name, self.hash),
        }
    }

    /// Returns the form of a key, with its canonical bytes, if it is not the one that was noted.
    #[inline]
    pub(super) fn other_form(&self, key: &Key<'_>) -> Option<Box<[u8]>> {
        (self.name.as_slice() != key.bytes).then(|| key.bytes.into())
    }

    #[inline]
    fn is_of(&self, key: &Key<'_>) -> bool {
        self.hash == key.hash && canonical(&self.name) == key.canonical
    }

    /// Returns whether an entry of the map with this key is no longer there.
    #[inline]
    pub(super) fn hides(&self) -> bool {
        matches!(self.now, Now::Removed | Now::Inserted { .. })
    }

    /// Returns where the entry of the map is that is no longer there.
    #[inline]
    pub(super) fn hidden(&self) -> Option<u64> {
        if self.hides() { self.at } else { None }
    }

    /// Returns whether the value is one that was written here.
    #[inline]
    pub(super) fn is_written(&self) -> bool {
        matches!(self.now, Now::Replaced(..) | Now::Inserted { .. })
    }

    /// Returns the slot of a key that is added at the end.
    #[inline]
    pub(super) fn slot(&self) -> Option<u32> {
        match self.now {
            Now::Inserted { slot, .. } => Some(slot),
            _ => None,
        }
    }

    /// By how much the map grows by what is done with this key.
    #[inline]
    pub(super) fn growth(&self) -> i64 {
        match self.now {
            Now::Inserted { .. } if self.at.is_none() => 1,
            Now::Removed => -1,
            _ => 0,
        }
    }

    /// Words that a change saves for it at most. What an addition needs that nobody looked at, nobody
    /// knows: it is the least.
    #[inline]
    pub(super) fn words(&self, is_cleared: bool) -> usize {
        match &self.now {
            Now::Untouched => 0,
            Now::Added(_) => ADD_WORDS,
            Now::Removed => DELETE_WORDS,
            Now::Replaced(words, _) => *words as usize,
            Now::Inserted { value, .. } if is_cleared => fresh_words(self.key().bytes, value),
            Now::Inserted { .. } if self.at.is_some() => INSERT_WORDS + DELETE_WORDS,
            Now::Inserted { .. } => INSERT_WORDS,
        }
    }

    #[inline]
    pub(super) fn seen(&self) -> Seen<'_> {
        match &self.now {
            Now::Replaced(_, value) | Now::Inserted { value, .. } => Seen::Value(value),
            Now::Untouched if self.at.is_some() => Seen::InMap,
            Now::Untouched | Now::Removed => Seen::Nothing,
            Now::Added(_) => Seen::Never,
        }
    }
}

/// Words that storing a key and its value in a new table saves at most, with its share of the table.
fn fresh_words(key: &[u8], value: &[u8]) -> usize {
    let blocks = [key, value].into_iter().filter(|bytes| bytes.len() > INLINE).count();
    1 + blocks * allocator::TAKE_WORDS
}

/// All notes of a map, in the order in which the keys were first touched.
#[derive(Debug, Default)]
pub(super) struct Notes {
    list: Vec<Note>,
    index: Index,
}

impl Notes {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    #[inline]
    pub(super) fn get(&self, number: usize) -> &Note {
        &self.list[number]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: usize) -> &mut Note {
        &mut self.list[number]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Note> {
        self.list.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Note> {
        self.list.iter_mut()
    }

    /// Returns the number of the note of a key.
    #[inline]
    pub(super) fn find(&self, key: &Key<'_>) -> Option<usize> {
        if self.list.len() > FEW {
            let bucket = self.index.bucket(&self.list, key);
            return (self.index.buckets[bucket] as usize).checked_sub(1);
        }
        self.list.iter().position(|note| note.is_of(key))
    }

    /// Adds the note of a key that has none, and returns its number.
    #[inline]
    pub(super) fn push(&mut self, note: Note) -> usize {
        self.list.push(note);
        if self.list.len() > FEW {
            self.index.enter_last(&self.list);
        }
        self.list.len() - 1
    }

    /// Takes the note out that was added last.
    pub(super) fn pop(&mut self) -> Option<Note> {
        if self.list.len() > FEW {
            let bucket = self.index.bucket(&self.list, &self.list[self.list.len() - 1].key());
            // No other key was entered after it, so no search passes its bucket.
            self.index.buckets[bucket] = 0;
        }
        self.list.pop()
    }
}

/// The number of each note plus one, by its key; 0 where there is none. A power of two of buckets, at
/// most half of them taken. Nobody asks it while there are few notes.
#[derive(Debug, Default)]
struct Index {
    buckets: Vec<u32>,
}

impl Index {
    /// Returns the bucket of a key: where its note is entered, or is to be.
    #[inline]
    fn bucket(&self, notes: &[Note], key: &Key<'_>) -> usize {
        let mask = self.buckets.len() - 1;
        let mut at = key.hash as usize & mask;
        while self.buckets[at] != 0 && !notes[self.buckets[at] as usize - 1].is_of(key) {
            at = (at + 1) & mask;
        }
        at
    }

    #[inline]
    fn enter_last(&mut self, notes: &[Note]) {
        if notes.len() == FEW + 1 || notes.len() * 2 > self.buckets.len() {
            return self.rebuild(notes, (notes.len() * 4).next_power_of_two());
        }
        self.enter(notes, notes.len() - 1);
    }

    #[inline]
    fn enter(&mut self, notes: &[Note], number: usize) {
        let at = self.bucket(notes, &notes[number].key());
        self.buckets[at] = number as u32 + 1;
    }

    /// Enters all notes anew, in so many buckets.
    #[cold]
    fn rebuild(&mut self, notes: &[Note], buckets: usize) {
        self.buckets = vec![0; buckets];
        (0..notes.len()).for_each(|number| self.enter(notes, number));
    }
}
