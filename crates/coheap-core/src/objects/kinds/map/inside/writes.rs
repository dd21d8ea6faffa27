//! The overlay of a map: the private writes of a transaction.
//!
//! Writes are kept in order, because a key that is new, or that was removed and inserted again,
//! goes to the end of the map, as in a dict.
//!
//! What always holds: the overlay of a map that is not locked has only additions whose current
//! values were not read. The positions in an overlay stay valid while the map is locked.
//!
//! Not here: how users fill it (the folder), and how it is applied (`commit`).

use std::collections::HashMap;

use smallvec::SmallVec;

use super::super::{Key, Map};
use crate::error::{Error, Result};
use crate::objects::overlay::{Lockable, Overlay, Transactional};

/// Writes that are looked through one by one; beyond, they are indexed.
const FEW: usize = 16;
/// Longest key or value that needs no memory of its own.
const SHORT: usize = 24;

/// Bytes of a key or a value.
pub(super) type Bytes = SmallVec<[u8; SHORT]>;

/// One thing to do.
#[derive(Debug, Clone)]
pub(super) struct Write {
    name: Bytes,
    hash: u32,
    pub(super) action: Action,
}

impl Write {
    /// Returns the key, as the map knows it.
    #[inline]
    pub(super) fn key(&self) -> Key<'_> {
        Key::hashed(&self.name, self.hash)
    }

    #[inline]
    fn is_of(&self, key: &[u8], hash: u32) -> bool {
        self.hash == hash && self.name.as_slice() == key
    }
}

/// What to do with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Add it at the end.
    Insert(Bytes),
    /// Replace its value, at this position.
    Replace(u64, Bytes),
    /// Take it out.
    Remove,
    /// Add to the integer there, or to 0 where there is none; nobody looked yet which.
    Add(i64),
    /// Nothing: it was there at a position, or it was not, and nothing was written.
    Known(Option<u64>),
    /// A later write undid this one.
    Nothing,
}

/// What a transaction knows of a key.
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

/// All writes to one map.
#[derive(Debug, Clone)]
pub(crate) struct Writes {
    pub(super) map: Map,
    writes: Vec<Write>,
    index: Index,
    /// Seed of the heap's hashes: the map finds a key by the hash that found it here.
    seed: u64,
    /// Whether there may be an `Action::Add`.
    has_unseen: bool,
    /// Where the entries are, once the commit has looked.
    pub(super) positions: Positions,
}

impl Transactional for Map {
    fn lockable(&self) -> Lockable {
        Lockable::new(self.handle, |handle, region| {
            Overlay::Map(Writes::new(Map { handle }, region.header().seed.get()))
        })
    }
}

/// Where the entries of a map are.
#[derive(Debug, Clone)]
pub(super) enum Positions {
    /// Where the writes say they are; the integers that are added to unseen here, in the order of
    /// the additions, `None` for a key that is new.
    Known(Vec<Option<u64>>),
    /// Positions were given out anew: each has to be looked up again.
    Forgotten,
}

impl Default for Positions {
    fn default() -> Self {
        Self::Known(Vec::new())
    }
}

/// Where the last write to each key is: number plus one, 0 where there is none. A power of two of
/// buckets, at most half of them taken.
#[derive(Debug, Clone, Default)]
struct Index {
    buckets: Vec<u32>,
    taken: usize,
}

impl Index {
    /// Returns the bucket of a key: where its last write is noted, or is to be.
    #[inline]
    fn bucket(&self, writes: &[Write], key: &[u8], hash: u32) -> usize {
        let mask = self.buckets.len() - 1;
        let mut at = hash as usize & mask;
        while self.buckets[at] != 0 && !writes[self.buckets[at] as usize - 1].is_of(key, hash) {
            at = (at + 1) & mask;
        }
        at
    }

    #[inline]
    fn note(&mut self, writes: &[Write], number: usize) {
        if self.taken * 2 >= self.buckets.len() {
            return self.rebuild(writes, (self.buckets.len() * 2).max(8 * FEW));
        }
        self.enter(writes, number);
    }

    #[inline]
    fn enter(&mut self, writes: &[Write], number: usize) {
        let write = &writes[number];
        let at = self.bucket(writes, &write.name, write.hash);
        self.taken += usize::from(self.buckets[at] == 0);
        self.buckets[at] = number as u32 + 1;
    }

    /// Notes all writes anew, in as many buckets.
    #[cold]
    fn rebuild(&mut self, writes: &[Write], buckets: usize) {
        self.taken = 0;
        self.buckets = vec![0; buckets];
        for (number, write) in writes.iter().enumerate() {
            if write.action != Action::Nothing {
                self.enter(writes, number);
            }
        }
    }
}

/// Additions to the integers of a map.
#[derive(Debug)]
pub struct Additions<'a> {
    pub(super) writes: &'a mut Writes,
}

impl Additions<'_> {
    /// Adds to the integer under a key. `false`: the transaction did something else to this key
    /// before, so
    /// [`Inside::add`](crate::objects::Inside::add) has to do it.
    ///
    /// # Errors
    ///
    /// [`Error::BadArgument`] for a key without bytes.
    #[inline]
    pub fn add(&mut self, key: &[u8], more: i64) -> Result<bool> {
        if key.is_empty() {
            return Err(Error::BadArgument("a key needs at least one byte"));
        }
        Ok(self.writes.add_unseen(key, more))
    }
}

impl Writes {
    /// No writes, to a map of a heap with this seed.
    pub(super) fn new(map: Map, seed: u64) -> Self {
        let (index, positions) = (Index::default(), Positions::default());
        Self { map, writes: Vec::new(), index, seed, has_unseen: false, positions }
    }

    /// No writes, to the same map.
    pub(super) fn emptied(&self) -> Self {
        Self::new(self.map, self.seed)
    }

    /// Returns the writes in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Write> {
        self.writes.iter()
    }

    /// Returns whether there are additions that nobody looked at.
    pub(super) fn has_unseen(&self) -> bool {
        self.has_unseen
    }

    /// Returns whether nothing was written or learnt.
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Returns the last write to a key.
    #[inline]
    fn last(&self, key: &Key<'_>) -> Option<usize> {
        if self.writes.len() > FEW {
            let bucket = self.index.bucket(&self.writes, key.bytes, key.hash);
            return (self.index.buckets[bucket] as usize).checked_sub(1);
        }
        self.writes
            .iter()
            .rposition(|write| write.is_of(key.bytes, key.hash) && write.action != Action::Nothing)
    }

    #[inline]
    fn push(&mut self, key: &Key<'_>, action: Action) {
        let name = SmallVec::from_slice(key.bytes);
        self.writes.push(Write { name, hash: key.hash, action });
        if self.writes.len() > FEW {
            self.index.note(&self.writes, self.writes.len() - 1);
        }
    }

    /// Notes at which position the map has a key of which nothing is known, if it has it.
    pub(super) fn learn(&mut self, key: &Key<'_>, found: Option<u64>) {
        self.push(key, Action::Known(found));
    }

    /// What is known of a key.
    pub(super) fn get(&self, key: &Key<'_>) -> Seen<'_> {
        match self.last(key).map(|at| &self.writes[at].action) {
            Some(Action::Insert(value) | Action::Replace(_, value)) => Seen::Value(value),
            Some(Action::Remove | Action::Known(None)) => Seen::Nothing,
            Some(Action::Known(Some(_))) => Seen::InMap,
            None | Some(Action::Nothing | Action::Add(_)) => Seen::Never,
        }
    }

    /// Adds to the integer under a key of which nothing is known but other additions. `false`: more
    /// is known, or they are too many.
    pub(super) fn add_unseen(&mut self, key: &[u8], more: i64) -> bool {
        let key = Key::seeded(key, self.seed);
        if let Some(at) = self.last(&key) {
            let Action::Add(before) = &mut self.writes[at].action else { return false };
            let Some(sum) = before.checked_add(more) else { return false };
            *before = sum;
            return true;
        }
        self.has_unseen = true;
        self.push(&key, Action::Add(more));
        true
    }

    /// Takes the additions that nobody looked at out of the writes.
    pub(super) fn take_unseen(&mut self) -> Vec<(Bytes, i64)> {
        if !std::mem::take(&mut self.has_unseen) {
            return Vec::new();
        }
        let mut unseen = Vec::new();
        for write in &mut self.writes {
            if let Action::Add(more) = write.action {
                unseen.push((write.name.clone(), more));
                write.action = Action::Nothing;
            }
        }
        if self.writes.len() > FEW {
            self.index.rebuild(&self.writes, self.index.buckets.len());
        }
        unseen
    }

    /// Writes a value under a key of which it is known whether the map has it.
    pub(super) fn set(&mut self, key: &Key<'_>, value: &[u8]) {
        let value = SmallVec::from_slice(value);
        let Some(at) = self.last(key) else { return self.push(key, Action::Insert(value)) };
        let action = &mut self.writes[at].action;
        match action {
            Action::Insert(old) | Action::Replace(_, old) => *old = value,
            Action::Known(Some(position)) => *action = Action::Replace(*position, value),
            Action::Known(None) => {
                // A new key stands where it was first written.
                *action = Action::Nothing;
                self.push(key, Action::Insert(value));
            }
            Action::Remove | Action::Nothing | Action::Add(_) => {
                self.push(key, Action::Insert(value));
            }
        }
    }

    /// Writes a value under a key of which nothing was known, and that the map has at this
    /// position, or has not.
    #[inline]
    pub(super) fn set_found(&mut self, key: &Key<'_>, found: Option<u64>, value: &[u8]) {
        let value = SmallVec::from_slice(value);
        match found {
            Some(position) => self.push(key, Action::Replace(position, value)),
            None => self.push(key, Action::Insert(value)),
        }
    }

    /// Removes a key that is there.
    pub(super) fn remove(&mut self, key: &Key<'_>) {
        let Some(at) = self.last(key) else { return };
        let was_inserted = matches!(self.writes[at].action, Action::Insert(_));
        if !was_inserted {
            self.writes[at].action = Action::Remove;
            return;
        }
        self.writes[at].action = Action::Nothing;
        let is_of_key = |write: &Write| write.is_of(key.bytes, key.hash);
        let before = &self.writes[..at];
        let was_removed_before =
            before.iter().any(|write| is_of_key(write) && write.action == Action::Remove);
        if !was_removed_before {
            self.push(key, Action::Known(None));
        } else if self.writes.len() > FEW {
            let has_effect = |write: &Write| is_of_key(write) && write.action != Action::Nothing;
            if let Some(before) = before.iter().rposition(has_effect) {
                self.index.note(&self.writes, before);
            }
        }
    }

    /// By how much the map grows.
    pub(super) fn growth(&self) -> i64 {
        self.writes
            .iter()
            .map(|write| match write.action {
                Action::Insert(_) => 1,
                Action::Remove => -1,
                _ => 0,
            })
            .sum()
    }

    /// Returns a map's pairs as they will be.
    pub(super) fn applied_to(&self, pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut pairs: Vec<Option<(Vec<u8>, Vec<u8>)>> = pairs.into_iter().map(Some).collect();
        let mut numbers: HashMap<Vec<u8>, usize> = pairs
            .iter()
            .enumerate()
            .filter_map(|(at, pair)| Some((pair.as_ref()?.0.clone(), at)))
            .collect();
        for write in &self.writes {
            match &write.action {
                Action::Insert(value) => {
                    numbers.insert(write.name.to_vec(), pairs.len());
                    pairs.push(Some((write.name.to_vec(), value.to_vec())));
                }
                Action::Replace(_, value) => {
                    if let Some(at) = numbers.get(write.name.as_slice()) {
                        pairs[*at] = Some((write.name.to_vec(), value.to_vec()));
                    }
                }
                Action::Remove => {
                    if let Some(at) = numbers.remove(write.name.as_slice()) {
                        pairs[at] = None;
                    }
                }
                Action::Known(_) | Action::Nothing | Action::Add(_) => {}
            }
        }
        pairs.into_iter().flatten().collect()
    }
}
