//! What a block of `atomic` does with a dict beyond single keys.
//!
//! What always holds: the dict is locked, so what is read first is still there when it is written
//! to. All of it is made of the few operations that a transaction has.

use coheap_core::Result;
use coheap_core::objects::Map;
use coheap_core::objects::map::Pairs;
use coheap_core::transaction::Transaction;

/// As `Map::last`.
pub(super) fn last(
    block: &mut Transaction,
    map: &Map,
    key: &mut Vec<u8>,
    value: &mut Vec<u8>,
) -> Result<bool> {
    let Some(last) = block.on(map).snapshot()?.pop() else { return Ok(false) };
    (*key, *value) = last;
    Ok(true)
}

/// As `Map::clear`.
pub(super) fn clear(block: &mut Transaction, map: &Map) -> Result<()> {
    let mut out = Vec::new();
    for (key, _) in block.on(map).snapshot()? {
        block.on(map).remove(&key, &mut out)?;
    }
    Ok(())
}

/// As `Map::set_default`.
pub(super) fn set_default(
    block: &mut Transaction,
    map: &Map,
    key: &[u8],
    value: &[u8],
    out: &mut Vec<u8>,
) -> Result<bool> {
    if block.on(map).get(key, out)? {
        return Ok(false);
    }
    block.on(map).set(key, value)?;
    Ok(true)
}

/// As `Map::compare_and_set`.
pub(super) fn compare_and_set(
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

/// Writes all entries, or answers an error and none.
pub(super) fn set_all<'a>(
    block: &mut Transaction,
    map: &Map,
    entries: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<()> {
    whole(block, |block| {
        for (key, value) in entries {
            block.on(map).set(key, value)?;
        }
        Ok(())
    })
}

/// Adds to all integers, or answers an error and to none.
pub(super) fn add_all<'a>(
    block: &mut Transaction,
    map: &Map,
    additions: impl Iterator<Item = (&'a [u8], i64)>,
) -> Result<()> {
    whole(block, |block| {
        for (key, more) in additions {
            block.on(map).add(key, more)?;
        }
        Ok(())
    })
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

/// The entries as the block sees them.
pub(super) fn pairs(block: &mut Transaction, map: &Map) -> Result<Pairs> {
    Ok(block.on(map).snapshot()?.into_iter().collect())
}
