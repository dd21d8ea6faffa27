//! The operations of a map, alone and inside a block.
//!
//! What always holds: inside a block the map is locked, so a value that was read is still there when
//! it is replaced. Operations that a transaction does not have are composed of those that it has.

use std::ops::Range;

use coheap_core::Transaction;
use coheap_core::{Batch, FoundMany, Map, Pairs, Take};
use coheap_core::{Error, Result};

use super::Access;
use super::Access::{Alone, Inside};
use crate::scratch::Scratch;

/// An end of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Where the entry is that was inserted first.
    First,
    /// Where the entry is that was inserted last.
    Last,
}

impl Access<'_> {
    /// Replaces `out` by the bytes under a key. `false`: there is no such key.
    #[inline(always)]
    pub(crate) fn map_get(self, map: &Map, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        match self {
            Alone(context) => map.get(context, key, out),
            Inside(block) => block.on(map).get(key, out),
        }
    }

    #[inline(always)]
    pub(crate) fn map_contains(self, map: &Map, key: &[u8]) -> Result<bool> {
        match self {
            Alone(context) => map.contains(context, key),
            Inside(block) => block.on(map).get(key, &mut Scratch::new()),
        }
    }

    #[inline(always)]
    pub(crate) fn map_len(self, map: &Map) -> Result<u64> {
        match self {
            Alone(context) => map.len(context),
            Inside(block) => block.on(map).len(),
        }
    }

    #[inline(always)]
    pub(crate) fn map_set(self, map: &Map, key: &[u8], value: &[u8]) -> Result<()> {
        match self {
            Alone(context) => map.set(context, key, value).map(|_| ()),
            Inside(block) => block.on(map).set(key, value),
        }
    }

    /// Writes some of these entries, or returns an error and none. In a block they may be any number.
    pub(crate) fn map_set_part(
        self,
        map: &Map,
        entries: &Pairs,
        numbers: Range<usize>,
    ) -> Result<()> {
        match (self, entries.get(0)) {
            (Alone(context), Some((key, value))) if entries.len() == 1 => {
                map.set(context, key, value).map(|_| ())
            }
            (Alone(context), _) => map.set_part(context, entries, numbers).map(|_| ()),
            (Inside(block), _) => whole(block, |block| {
                let mut some = numbers.clone().filter_map(|number| entries.get(number));
                some.try_for_each(|(key, value)| block.on(map).set(key, value))
            }),
        }
    }

    /// Puts a value under a key that has none, and returns whether it did; else replaces `out` by
    /// what is there.
    #[inline(always)]
    pub(crate) fn map_set_default(
        self,
        map: &Map,
        key: &[u8],
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        match self {
            Alone(context) => map.set_default(context, key, value, out),
            Inside(block) => {
                let is_there = block.on(map).get(key, out)?;
                if !is_there {
                    block.on(map).set(key, value)?;
                }
                Ok(!is_there)
            }
        }
    }

    /// Puts `new` under a key (or removes it) if what is there is `expected`, byte for byte.
    #[inline(always)]
    pub(crate) fn map_compare_and_set(
        self,
        map: &Map,
        key: &[u8],
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool> {
        match self {
            Alone(context) => map.compare_and_set(context, key, expected, new),
            Inside(block) => compare_and_set(block, map, key, expected, new),
        }
    }

    /// Removes a key. `false`: there is none.
    #[inline(always)]
    pub(crate) fn map_remove(self, map: &Map, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        match self {
            Alone(context) => map.remove(context, key, out),
            Inside(block) => block.on(map).remove(key, out),
        }
    }

    /// Replaces `key` and `value` by those of the entry at an end. `false`: there is none.
    pub(crate) fn map_end(
        self,
        map: &Map,
        end: End,
        key: &mut Vec<u8>,
        value: &mut Vec<u8>,
    ) -> Result<bool> {
        match (self, end) {
            (Alone(context), End::First) => map.first(context, key, value),
            (Alone(context), End::Last) => map.last(context, key, value),
            (Inside(block), End::First) => block.on(map).first(key, value),
            (Inside(block), End::Last) => block.on(map).last(key, value),
        }
    }

    /// Removes the entry at an end if it is this one still.
    pub(crate) fn map_remove_end(
        self,
        map: &Map,
        end: End,
        key: &[u8],
        value: &[u8],
    ) -> Result<bool> {
        match (self, end) {
            (Alone(context), End::First) => map.remove_first(context, key, value),
            (Alone(context), End::Last) => map.remove_last(context, key, value),
            (Inside(block), _) => compare_and_set(block, map, key, Some(value), None),
        }
    }

    /// Removes a key that is there and sets it again, in a block.
    pub(crate) fn map_move_to_end(self, map: &Map, key: &[u8], value: &[u8]) -> Result<()> {
        match self {
            Alone(_) => Err(Error::BadArgument("the block of coheap.atomic is over")),
            Inside(block) => whole(block, |block| {
                let mut first_form = Vec::new();
                block.on(map).first_form(key, &mut first_form)?;
                block.on(map).remove(key, &mut Vec::new())?;
                block.on(map).set(&first_form, value)
            }),
        }
    }

    pub(crate) fn map_clear(self, map: &Map) -> Result<()> {
        match self {
            Alone(context) => map.clear(context),
            Inside(block) => block.on(map).clear(),
        }
    }

    /// Adds to the integer under a key, and returns the sum.
    #[inline(always)]
    pub(crate) fn map_add(self, map: &Map, key: &[u8], more: i64) -> Result<i64> {
        match self {
            Alone(context) => map.add(context, key, more),
            Inside(block) => block.on(map).add(key, more),
        }
    }

    /// Adds to all these integers, or returns an error and to none. In a block they may be any number.
    pub(crate) fn map_add_part(self, map: &Map, additions: &[(&[u8], i64)]) -> Result<()> {
        match self {
            Alone(context) => map.add_part(context, additions),
            Inside(block) => whole(block, |block| {
                additions
                    .iter()
                    .try_for_each(|(key, more)| block.on(map).add(key, *more).map(|_| ()))
            }),
        }
    }

    /// All entries, or at least what is to be taken of them, as they are at one moment.
    pub(crate) fn map_entries(self, map: &Map, take: Take) -> Result<Pairs> {
        match self {
            Alone(context) => map.snapshot_of(context, take),
            Inside(block) => block.on(map).scan(0, u64::MAX).map(|all| all.entries),
        }
    }

    /// The numbers of those of these keys that are there, and their values, as they are at one moment.
    pub(crate) fn map_get_many(self, map: &Map, keys: &Pairs) -> Result<FoundMany> {
        let block = match self {
            Alone(context) => return map.get_many(context, keys),
            Inside(block) => block,
        };
        let (mut found, mut value) = (FoundMany::default(), Vec::new());
        for (number, (key, _)) in keys.iter().enumerate() {
            if block.on(map).get(key, &mut value)? {
                found.numbers.push(number);
                found.values.extend([(&[], &value)]);
            }
        }
        Ok(found)
    }

    /// How many entries there are, and up to `most` of them, from the first one on.
    pub(crate) fn map_beginning(self, map: &Map, most: u64) -> Result<(u64, Pairs)> {
        match self {
            Alone(context) => Ok((map.len(context)?, map.scan(context, 0, most)?.entries)),
            Inside(block) => {
                let len = block.on(map).len()?;
                Ok((len, block.on(map).scan(0, most)?.entries))
            }
        }
    }

    /// Up to `most` entries, from a position on.
    pub(crate) fn map_scan(self, map: &Map, from: u64, most: u64) -> Result<Batch> {
        match self {
            Alone(context) => map.scan(context, from, most),
            Inside(block) => block.on(map).scan(from, most),
        }
    }

    /// As [`map_scan`](Self::map_scan) in a block, from the last entry before a position back.
    pub(crate) fn map_scan_back(self, map: &Map, before: u64, most: u64) -> Result<Batch> {
        match self {
            Alone(_) => Err(Error::BadArgument("the block of coheap.atomic is over")),
            Inside(block) => block.on(map).scan_back(before, most),
        }
    }
}

fn compare_and_set(
    block: &mut Transaction,
    map: &Map,
    key: &[u8],
    expected: Option<&[u8]>,
    new: Option<&[u8]>,
) -> Result<bool> {
    let mut old = Vec::new();
    let is_there = block.on(map).get(key, &mut old)?;
    if expected != is_there.then_some(old.as_slice()) {
        return Ok(false);
    }
    match new {
        Some(value) => block.on(map).set(key, value)?,
        None => drop(block.on(map).remove(key, &mut old)?),
    }
    Ok(true)
}

/// Undoes an operation of many steps when one of them fails.
fn whole(
    block: &mut Transaction,
    steps: impl FnOnce(&mut Transaction) -> Result<()>,
) -> Result<()> {
    let before = block.savepoint();
    let done = steps(block);
    if done.is_err() && block.doom().is_none() {
        block.roll_back_to(before)?;
    }
    done
}
