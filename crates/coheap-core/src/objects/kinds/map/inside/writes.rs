//! The overlay of a map: the private writes of a transaction.
//!
//! The map is seen through it: the map's own entries by their positions, except for those that the
//! transaction takes out, and then the keys that it adds, in their order. A key that is new, or that was
//! removed and inserted again, goes to the end, as in a dict.
//!
//! What always holds: the overlay of a map that is not locked has only additions whose current
//! values were not read; they are the last notes. The positions in an overlay stay valid while the map
//! is locked.
//!
//! Not here: how users fill it (the folder), what the writes make of the map (`content`), how it is
//! looked through in order (`view`), and how it is applied (`commit`).

use smallvec::SmallVec;

use super::super::{Key, Map};
use super::content::{Content, GIVE_BACK_WORDS};
use super::notes::{Note, Now, Seen};
use super::undo::Undo;
use crate::error::{Error, Result};
use crate::journal::Context;
use crate::objects::cell::{Cell, INLINE, Overwrite};
use crate::objects::overlay::{Lockable, Overlay, Transactional, charge, replacement_words};

/// All writes to one map.
#[derive(Debug)]
pub(crate) struct Writes {
    pub(super) map: Map,
    /// Seed of the heap's hashes: the map finds a key by the hash that found it here.
    pub(super) seed: u64,
    pub(super) content: Content,
    pub(super) undo: Undo,
    /// What the commit was prepared with.
    pub(super) overwrite: Overwrite,
}

impl Transactional for Map {
    fn lockable(&self) -> Lockable {
        Lockable::new(self.handle, |handle, region| {
            Overlay::Map(Writes::new(Map { handle }, region.header().seed.get()))
        })
    }
}

/// Additions to the integers of a map.
#[derive(Debug)]
pub struct Additions<'a> {
    pub(super) writes: &'a mut Writes,
    pub(super) context: &'a Context,
}

impl Additions<'_> {
    /// Adds to the integer under a key. `false`: the transaction did something else to this key
    /// before, so
    /// [`Inside::add`](crate::objects::Inside::add) has to do it.
    ///
    /// # Errors
    ///
    /// [`Error::BadArgument`] for a key without bytes, [`Error::TransactionTooLarge`].
    #[inline]
    pub fn add(&mut self, key: &[u8], more: i64) -> Result<bool> {
        if key.is_empty() {
            return Err(Error::BadArgument("a key needs at least one byte"));
        }
        self.writes.add_unseen(self.context, key, more)
    }
}

impl Writes {
    /// No writes, to a map of a heap with this seed.
    fn new(map: Map, seed: u64) -> Self {
        Self {
            map,
            seed,
            content: Content::default(),
            undo: Undo::default(),
            overwrite: Overwrite::default(),
        }
    }

    /// Returns whether there are additions that nobody looked at.
    #[inline]
    pub(super) fn has_unseen(&self) -> bool {
        self.content.unseen.is_some()
    }

    /// Returns whether nothing was written or learnt.
    pub(super) fn is_empty(&self) -> bool {
        self.content.notes.is_empty() && !self.content.is_cleared
    }

    /// Returns where a locked map has a key of which nothing is known, and the cell of its value.
    #[inline]
    pub(super) fn find(&self, context: &Context, key: &Key<'_>) -> Result<Option<(u64, Cell)>> {
        if self.content.is_cleared { Ok(None) } else { self.map.find(context, key) }
    }

    /// Removes everything: what the map has, and what was written.
    pub(super) fn clear(&mut self, context: &Context) -> Result<()> {
        let empty = Content { is_cleared: true, front: u64::MAX, back: 0, ..Content::default() };
        charge(context, empty.words(), self.content.words())?;
        let before = std::mem::replace(&mut self.content, empty);
        self.undo.keep_all(before);
        Ok(())
    }

    /// Notes what is done with a key that has no note. Returns the number of the note.
    #[inline]
    fn enter(
        &mut self,
        context: &Context,
        key: &Key<'_>,
        at: Option<u64>,
        now: Now,
    ) -> Result<usize> {
        let is_first = self.is_empty();
        let note = Note::new(key, at, now);
        let words = note.words(self.content.is_cleared);
        charge(context, words + if is_first { GIVE_BACK_WORDS } else { 0 }, 0)?;
        let number = self.content.enter(note);
        self.undo.keep_entered(self.content.notes.get_mut(number));
        Ok(number)
    }

    /// Notes something else to be done with a key.
    fn put(&mut self, context: &Context, number: usize, now: Now) -> Result<()> {
        let (note, is_cleared) = (self.content.notes.get_mut(number), self.content.is_cleared);
        let less = note.words(is_cleared);
        let before = std::mem::replace(&mut note.now, now);
        let more = note.words(is_cleared);
        let now = std::mem::replace(&mut note.now, before);
        charge(context, more, less)?;
        let before = self.content.put(number, now);
        self.undo.keep(self.content.notes.get_mut(number), number, before);
        Ok(())
    }

    /// What storing a value does to a key that the map has at a position, with this value.
    #[inline]
    fn replaced(context: &Context, old: Cell, value: &[u8]) -> Result<Now> {
        let words = replacement_words(context.region(), old, value, Overwrite::IfShort)?;
        Ok(Now::Replaced(words as u32, SmallVec::from_slice(value)))
    }

    /// Returns the number of the note of a key.
    #[inline]
    pub(super) fn number(&self, key: &Key<'_>) -> Option<usize> {
        self.content.notes.find(key)
    }

    /// What is known of a key.
    #[inline]
    pub(super) fn get(&self, key: &Key<'_>) -> Seen<'_> {
        match self.number(key) {
            Some(number) => self.content.notes.get(number).seen(),
            None if self.content.is_cleared => Seen::Nothing,
            None => Seen::Never,
        }
    }

    /// Adds to the integer under a key of which nothing is known but other additions. `false`: more
    /// is known, or they are too many.
    pub(super) fn add_unseen(&mut self, context: &Context, key: &[u8], more: i64) -> Result<bool> {
        let key = Key::seeded(key, self.seed);
        if let Some(number) = self.number(&key) {
            let Now::Added(before) = self.content.notes.get(number).now else { return Ok(false) };
            let Some(sum) = before.checked_add(more) else { return Ok(false) };
            self.put(context, number, Now::Added(sum))?;
            return Ok(true);
        }
        if self.content.is_cleared {
            return Ok(false);
        }
        let number = self.enter(context, &key, None, Now::Added(more))?;
        self.content.unseen.get_or_insert(number);
        Ok(true)
    }

    /// Returns the first addition that nobody looked at, with the number of its note.
    pub(super) fn next_unseen(&mut self) -> Option<(usize, i64)> {
        let from = self.content.unseen?;
        for number in from..self.content.notes.len() {
            if let Now::Added(more) = self.content.notes.get(number).now {
                self.content.unseen = Some(number);
                return Some((number, more));
            }
        }
        self.content.unseen = None;
        None
    }

    /// Notes the sum of an addition. `found`: where the map has the key, and with which value.
    pub(super) fn settle(
        &mut self,
        context: &Context,
        number: usize,
        found: Option<(u64, Cell)>,
        sum: &[u8],
    ) -> Result<()> {
        self.content.notes.get_mut(number).at = found.map(|(position, _)| position);
        let now = match found {
            Some((_, old)) => Self::replaced(context, old, sum)?,
            None => self.content.inserted(sum, None),
        };
        self.put(context, number, now)
    }

    /// Writes a value under a key that has this note.
    pub(super) fn set(
        &mut self,
        context: &Context,
        key: &Key<'_>,
        number: usize,
        value: &[u8],
    ) -> Result<()> {
        let note = self.content.notes.get(number);
        let now = match (&note.now, note.at) {
            (Now::Inserted { slot, form, .. }, _) => {
                let (value, form) = (SmallVec::from_slice(value), form.clone());
                Now::Inserted { slot: *slot, value, form }
            }
            // A key that comes back stands at the end.
            (Now::Removed, _) | (_, None) => self.content.inserted(value, note.other_form(key)),
            // A short value never lies where the old one did.
            (_, Some(_)) if value.len() <= INLINE => Self::replaced(context, Cell::NOTHING, value)?,
            (_, Some(_)) => {
                let found = self.map.find(context, &note.key())?;
                Self::replaced(context, found.map_or(Cell::NOTHING, |(_, old)| old), value)?
            }
        };
        self.put(context, number, now)
    }

    /// Writes a value under a key of which nothing was known, and that the map has at this
    /// position with this value, or has not.
    #[inline]
    pub(super) fn set_found(
        &mut self,
        context: &Context,
        key: &Key<'_>,
        found: Option<(u64, Cell)>,
        value: &[u8],
    ) -> Result<()> {
        let (at, now) = match found {
            Some((at, old)) => (Some(at), Self::replaced(context, old, value)?),
            None => (None, self.content.inserted(value, None)),
        };
        self.enter(context, key, at, now).map(|_| ())
    }

    /// Removes a key that has this note and is there.
    pub(super) fn remove(&mut self, context: &Context, number: usize) -> Result<()> {
        let now = match self.content.notes.get(number).at {
            Some(_) => Now::Removed,
            None => Now::Untouched,
        };
        self.put(context, number, now)
    }

    /// Removes a key of which nothing was known, and that the map has at this position.
    pub(super) fn remove_found(&mut self, context: &Context, key: &Key<'_>, at: u64) -> Result<()> {
        self.enter(context, key, Some(at), Now::Removed).map(|_| ())
    }
}
