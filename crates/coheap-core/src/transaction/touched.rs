//! What a transaction has touched: maps and values, with what it wants of them.
//!
//! What always holds: what was read is locked; a map that is only added to unseen is locked by
//! the commit.
//! Not here: queues, which are logical.

use super::overlay::Writes;
use crate::objects::{Handle, Map, Value};

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
    /// The handle of a map that is to be locked for the commit.
    pub(super) fn unlocked(&self) -> Option<Handle> {
        match self {
            Self::Map { map, writes, is_locked: false } if !writes.is_empty() => Some(map.handle),
            _ => None,
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
