//! What a transaction wants to write to a map, before anyone else can see it.
//!
//! Writes are kept in order, for a key that is new, or that was removed and comes back, goes to
//! the end of the map, as in a dict.

use std::collections::HashMap;

/// Writes that are looked through one by one; beyond, they are indexed.
const FEW: usize = 16;

/// One thing to do.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) key: Vec<u8>,
    pub(super) action: Action,
}

/// What to do with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Add it at the end.
    Insert(Vec<u8>),
    /// Replace its value.
    Replace(Vec<u8>),
    /// Take it out.
    Remove,
    /// Add to the integer there, or to 0 where there is none; nobody looked yet which.
    Add(i64),
    /// Nothing: it was there, or it was not, and nothing was written.
    Known(bool),
    /// A later write undid this one.
    Nothing,
}

/// All writes to one map.
#[derive(Debug, Clone, Default)]
pub(super) struct Writes {
    writes: Vec<Write>,
    index: HashMap<Vec<u8>, usize>,
    /// Whether there may be an `Action::Add`.
    has_unseen: bool,
}

impl Writes {
    /// The writes in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Write> {
        self.writes.iter()
    }

    /// The last write to a key.
    fn last(&self, key: &[u8]) -> Option<usize> {
        if self.writes.len() > FEW {
            return self.index.get(key).copied();
        }
        self.writes.iter().rposition(|write| write.key == key && write.action != Action::Nothing)
    }

    fn push(&mut self, key: &[u8], action: Action) {
        self.writes.push(Write { key: key.to_vec(), action });
        if self.writes.len() == FEW + 1 {
            let known = self.writes.iter().enumerate();
            self.index = known
                .filter(|(_, write)| write.action != Action::Nothing)
                .map(|(at, write)| (write.key.clone(), at))
                .collect();
        } else if self.writes.len() > FEW {
            self.index.insert(key.to_vec(), self.writes.len() - 1);
        }
    }

    /// Whether it is known of a key if the map has it.
    pub(super) fn knows(&self, key: &[u8]) -> bool {
        self.last(key).is_some()
    }

    /// Notes whether the map has a key, unless that is known.
    pub(super) fn learn(&mut self, key: &[u8], is_there: bool) {
        if !self.knows(key) {
            self.push(key, Action::Known(is_there));
        }
    }

    /// What this transaction wrote: `None` nothing, `Some(None)` removed it.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        match &self.writes[self.last(key)?].action {
            Action::Insert(value) | Action::Replace(value) => Some(Some(value)),
            Action::Remove => Some(None),
            Action::Known(false) => Some(None),
            Action::Known(true) | Action::Nothing | Action::Add(_) => None,
        }
    }

    /// Adds to the integer under a key of which nothing is known. `false`: something is.
    pub(super) fn add_unseen(&mut self, key: &[u8], more: i64) -> bool {
        if self.knows(key) {
            return false;
        }
        self.has_unseen = true;
        self.push(key, Action::Add(more));
        true
    }

    /// Takes the additions that nobody looked at out of the writes.
    pub(super) fn take_unseen(&mut self) -> Vec<(Vec<u8>, i64)> {
        if !std::mem::take(&mut self.has_unseen) {
            return Vec::new();
        }
        let mut unseen = Vec::new();
        for write in &mut self.writes {
            if let Action::Add(more) = write.action {
                unseen.push((write.key.clone(), more));
                write.action = Action::Nothing;
            }
        }
        for (key, _) in &unseen {
            self.index.remove(key);
        }
        unseen
    }

    /// Writes a value under a key of which it is known whether the map has it.
    pub(super) fn set(&mut self, key: &[u8], value: &[u8]) {
        let Some(at) = self.last(key) else {
            return self.push(key, Action::Insert(value.to_vec()));
        };
        let action = &mut self.writes[at].action;
        match action {
            Action::Insert(old) | Action::Replace(old) => {
                old.clear();
                old.extend_from_slice(value);
            }
            Action::Known(true) => *action = Action::Replace(value.to_vec()),
            Action::Known(false) => {
                // The place of a new key is where it was first written.
                *action = Action::Nothing;
                self.push(key, Action::Insert(value.to_vec()));
            }
            Action::Remove | Action::Nothing | Action::Add(_) => {
                self.push(key, Action::Insert(value.to_vec()))
            }
        }
    }

    /// Removes a key that is there.
    pub(super) fn remove(&mut self, key: &[u8]) {
        let Some(at) = self.last(key) else { return };
        let was_inserted = matches!(self.writes[at].action, Action::Insert(_));
        if !was_inserted {
            self.writes[at].action = Action::Remove;
            return;
        }
        self.writes[at].action = Action::Nothing;
        let was_removed_before = self.writes[..at]
            .iter()
            .any(|write| write.key == key && write.action == Action::Remove);
        if !was_removed_before {
            self.push(key, Action::Known(false));
        } else if self.writes.len() > FEW {
            let before = self.writes[..at].iter().rposition(|write| write.key == key);
            if let Some(before) = before {
                self.index.insert(key.to_vec(), before);
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

    /// A map's pairs as they will be.
    pub(super) fn applied_to(&self, pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut pairs: Vec<Option<(Vec<u8>, Vec<u8>)>> = pairs.into_iter().map(Some).collect();
        let mut places: HashMap<Vec<u8>, usize> = pairs
            .iter()
            .enumerate()
            .filter_map(|(at, pair)| Some((pair.as_ref()?.0.clone(), at)))
            .collect();
        for write in &self.writes {
            match &write.action {
                Action::Insert(value) => {
                    places.insert(write.key.clone(), pairs.len());
                    pairs.push(Some((write.key.clone(), value.clone())));
                }
                Action::Replace(value) => {
                    if let Some(at) = places.get(&write.key) {
                        pairs[*at] = Some((write.key.clone(), value.clone()));
                    }
                }
                Action::Remove => {
                    if let Some(at) = places.remove(&write.key) {
                        pairs[at] = None;
                    }
                }
                Action::Known(_) | Action::Nothing | Action::Add(_) => {}
            }
        }
        pairs.into_iter().flatten().collect()
    }
}
