//! What a transaction has touched: maps and values, with what it wants of them.
//!
//! What always holds: what was read is locked; a map that is only added to unseen is locked by
//! the commit.
//! Not here: what it does to queues, which it does not lock.

use super::overlay::Writes;
use crate::objects::{Handle, Map, Value};

/// An object that a transaction can lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lockable {
    /// A map.
    Map(Map),
    /// A value.
    Value(Value),
}

impl Lockable {
    /// The object.
    pub fn handle(&self) -> &Handle {
        match self {
            Self::Map(map) => &map.handle,
            Self::Value(value) => &value.handle,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Touched {
    /// A map that is only added to unseen is not locked before the commit: its content says
    /// nothing to this transaction yet.
    Map {
        map: Map,
        writes: Writes,
        is_locked: bool,
    },
    Value {
        value: Value,
        new: Option<Vec<u8>>,
    },
}

impl Touched {
    /// Where the object's header is.
    pub(super) fn at(&self) -> u64 {
        match self {
            Self::Map { map, .. } => map.handle.at,
            Self::Value { value, .. } => value.handle.at,
        }
    }

    /// A map that is to be locked for the commit.
    pub(super) fn unlocked(&self) -> Option<Map> {
        match self {
            Self::Map { map, writes, is_locked: false } if !writes.is_empty() => Some(*map),
            _ => None,
        }
    }

    /// Whether this thread has its lock.
    fn is_locked(&self) -> bool {
        match self {
            Self::Map { is_locked, .. } => *is_locked,
            Self::Value { .. } => true,
        }
    }

    /// A lock that was taken since is kept.
    pub(super) fn keep_lock_of(&mut self, later: &Self) {
        if let (Self::Map { is_locked, .. }, Self::Map { is_locked: is_now, .. }) = (self, later) {
            *is_locked |= is_now;
        }
    }

    pub(super) fn without_writes(&self) -> Self {
        match self {
            Self::Map { map, writes, is_locked } => {
                Self::Map { map: *map, writes: writes.emptied(), is_locked: *is_locked }
            }
            Self::Value { value, .. } => Self::Value { value: *value, new: None },
        }
    }
}

/// All objects that were touched, by the offset of its header.
#[derive(Debug, Clone, Default)]
pub(super) struct TouchedObjects {
    sorted: Vec<Touched>,
}

impl TouchedObjects {
    /// The number of the object at an offset, entered as `fresh` if it is not there.
    #[inline]
    pub(super) fn enter(&mut self, at: u64, fresh: impl FnOnce() -> Touched) -> usize {
        match self.number(at) {
            Ok(number) => number,
            Err(number) => {
                self.sorted.insert(number, fresh());
                number
            }
        }
    }

    #[inline]
    fn number(&self, at: u64) -> Result<usize, usize> {
        self.sorted.binary_search_by_key(&at, Touched::at)
    }

    pub(super) fn contains(&self, at: u64) -> bool {
        self.number(at).is_ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// Whether the object at an offset is locked.
    pub(super) fn is_locked(&self, at: u64) -> bool {
        self.number(at).is_ok_and(|number| self.sorted[number].is_locked())
    }

    /// Enters an object that was just locked, of a heap with this seed.
    pub(super) fn enter_locked(&mut self, lockable: Lockable, seed: u64) {
        let fresh = || match lockable {
            Lockable::Map(map) => Touched::Map { map, writes: Writes::new(seed), is_locked: true },
            Lockable::Value(value) => Touched::Value { value, new: None },
        };
        let number = self.enter(lockable.handle().at, fresh);
        if let Touched::Map { is_locked, .. } = &mut self.sorted[number] {
            *is_locked = true;
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Touched> {
        self.sorted.get_mut(number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Touched> {
        self.sorted.iter()
    }

    /// What was there before, with the locks that were taken since.
    pub(super) fn rolled_back_to(&self, mut before: Self) -> Self {
        for now in &self.sorted {
            let is_new = !before.contains(now.at());
            let number = before.enter(now.at(), || now.without_writes());
            if let (false, Some(each)) = (is_new, before.get_mut(number)) {
                each.keep_lock_of(now);
            }
        }
        before
    }
}
