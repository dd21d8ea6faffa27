//! Reading a map.
//!
//! What always holds: a read takes no turn unless writers keep it from finishing, and holds that for a
//! few entries at most. What it copied was found unchanged after the copy; long values are named, found
//! unchanged after that, and copied then.
//!
//! Not here: both ends of a map (`ends`), several keys and all of it at one moment (`many`, `snapshot`).

mod copy;
mod ends;
mod many;
mod snapshot;

pub use many::FoundMany;

use super::pairs::{LongEntry, Pairs, Take};
use super::table::{Table, gap};
use super::{Key, Map};
use crate::error::Result;
use crate::journal::Context;
use crate::memory::layout::SEGMENT_ENTRIES;
use crate::objects::cell::{self, Cell, Later};
use crate::objects::value::LOOKS;
use crate::sync::turn;

/// The number of entries for which memory is allocated in advance at most: without the turn, the
/// number that was read may be anything.
const EXPECTED: u64 = 1 << 16;

/// Some entries, and where to continue.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The entries, in order.
    pub entries: Pairs,
    /// The position at which to continue; `None` after the last entry.
    pub next: Option<u64>,
    /// Positions are valid while this number is the same.
    pub numbering: u64,
}

impl Map {
    /// Returns what the creator of the map noted: a number that means nothing here, 0 if nothing.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) after the map was removed.
    pub fn note(&self, context: &Context) -> Result<u8> {
        Ok(self.handle.object(context.region())?.holder.get() as u8)
    }

    /// Replaces `out` by the value of a key. Returns `false` if the key is missing.
    ///
    /// # Errors
    ///
    /// [`ObjectGone`](crate::Error::ObjectGone) after the map was removed.
    #[inline]
    pub fn get(&self, context: &Context, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let key = Key::new(context.region(), key)?;
        let is_read = self.read(context, |table| match table.find(&key)? {
            Some(found) => Cell::load(&found.entry.value).read_short(table.region, out).map(Some),
            None => Ok(None),
        })?;
        match is_read {
            Some(false) => self.get_long(context, &key, out),
            found => Ok(found.is_some()),
        }
    }

    /// As `get`, for a value that seems to be long.
    #[cold]
    fn get_long(&self, context: &Context, key: &Key<'_>, out: &mut Vec<u8>) -> Result<bool> {
        let found = self.read(context, |table| match table.find(key)? {
            Some(found) => Cell::load(&found.entry.value).begin(context, out).map(Some),
            None => Ok(None),
        })?;
        match found {
            Some(late) => cell::finish(late, out).map(|()| true),
            None => Ok(false),
        }
    }

    /// Names the value of a key, if that is long.
    pub(in crate::objects) fn late<'a>(
        &self,
        context: &'a Context,
        key: &[u8],
    ) -> Result<Later<'a>> {
        let key = Key::new(context.region(), key)?;
        self.read(context, |table| match table.find(&key)? {
            Some(found) => Cell::load(&found.entry.value).late(context),
            None => Ok(None),
        })
    }

    /// Returns the position of a key and the cell of its value, for a caller that has locked the
    /// map.
    #[inline]
    pub(crate) fn find(&self, context: &Context, key: &Key<'_>) -> Result<Option<(u64, Cell)>> {
        self.read(context, |table| {
            let found = table.find(key)?;
            Ok(found.map(|found| (found.position, Cell::load(&found.entry.value))))
        })
    }

    /// Returns whether the map contains a key.
    ///
    /// # Errors
    ///
    /// [`ObjectGone`](crate::Error::ObjectGone) after the map was removed.
    pub fn contains(&self, context: &Context, key: &[u8]) -> Result<bool> {
        let key = Key::new(context.region(), key)?;
        self.read(context, |table| Ok(table.find(&key)?.is_some()))
    }

    /// Returns the number of entries.
    ///
    /// # Errors
    ///
    /// [`ObjectGone`](crate::Error::ObjectGone) after the map was removed.
    pub fn len(&self, context: &Context) -> Result<u64> {
        self.read(context, |table| Ok(table.live()))
    }

    /// Returns whether there are no entries.
    ///
    /// # Errors
    ///
    /// [`ObjectGone`](crate::Error::ObjectGone) after the map was removed.
    pub fn is_empty(&self, context: &Context) -> Result<bool> {
        Ok(self.len(context)? == 0)
    }

    /// Reads up to `most` entries from a position on, as they were at one moment.
    ///
    /// # Errors
    ///
    /// [`ObjectGone`](crate::Error::ObjectGone) after the map was removed.
    pub fn scan(&self, context: &Context, from: u64, most: u64) -> Result<Batch> {
        let (mut batch, long) = self.read(context, |table| batch(context, table, from, most))?;
        batch.entries.fill_in(&long)?;
        Ok(batch)
    }

    /// As [`scan`](Self::scan), from the entry after that of a key on: where positions were given out anew.
    /// `None`: the key is missing.
    ///
    /// # Errors
    ///
    /// [`ObjectGone`](crate::Error::ObjectGone) after the map was removed.
    pub fn scan_after(&self, context: &Context, key: &[u8], most: u64) -> Result<Option<Batch>> {
        let key = Key::new(context.region(), key)?;
        let seen = self.read(context, |table| match table.find(&key)? {
            Some(found) => batch(context, table, found.position + 1, most).map(Some),
            None => Ok(None),
        })?;
        let Some((mut batch, long)) = seen else { return Ok(None) };
        batch.entries.fill_in(&long)?;
        Ok(Some(batch))
    }

    /// As [`scan`](Self::scan), from the last entry before a position back.
    pub(super) fn scan_back(&self, context: &Context, before: u64, most: u64) -> Result<Batch> {
        let (mut batch, long) = self.read(context, |table| {
            let mut batch = Batch { numbering: table.root.numbering.get(), ..Batch::default() };
            let (mut long, mut before) = (Vec::new(), before);
            while (batch.entries.len() as u64) < most {
                let Some(position) = table.previous_living(before)? else {
                    return Ok((batch, long));
                };
                let entry = table.entry(position)?;
                let cells = [&entry.key, &entry.value].map(Cell::load);
                batch.entries.load(context, Take::Both, cells, &mut long)?;
                before = position;
            }
            batch.next = Some(before);
            Ok((batch, long))
        })?;
        batch.entries.fill_in(&long)?;
        Ok(batch)
    }

    /// Reads without the turn a few times, then with it.
    #[inline(always)]
    pub(super) fn read<T>(
        &self,
        context: &Context,
        mut look: impl FnMut(&Table<'_>) -> Result<T>,
    ) -> Result<T> {
        let region = context.region();
        let turn = region.turn(self.handle.turn);
        for _ in 0..LOOKS {
            let Some(sequence) = turn::begin_read(turn) else {
                std::hint::spin_loop();
                continue;
            };
            let seen =
                self.handle.object(region).and_then(|object| look(&Table::new(region, object)));
            if turn::is_unchanged(turn, sequence) {
                // Not moved as a whole: the processor would wait for the parts that were just
                // written.
                return match seen {
                    Ok(seen) => Ok(seen),
                    Err(error) => Err(error),
                };
            }
        }
        let _held = context.hold(self.handle.turn)?;
        look(&Table::new(region, self.handle.object(region)?))
    }
}

/// Reads some entries. The long ones among them are named, and to be filled in.
fn batch<'a>(
    context: &'a Context,
    table: &Table<'_>,
    from: u64,
    most: u64,
) -> Result<(Batch, Vec<LongEntry<'a>>)> {
    let mut batch = Batch { numbering: table.root.numbering.get(), ..Batch::default() };
    let mut long = Vec::new();
    let part = Part { take: Take::Both, from, most };
    batch.next = add_batch(context, table, part, &mut batch.entries, &mut long, |_| {})?;
    Ok((batch, long))
}

/// A part of a map: up to `most` entries from a position on.
#[derive(Debug, Clone, Copy)]
struct Part {
    take: Take,
    from: u64,
    most: u64,
}

/// Adds a part to other entries, and returns where to continue. `each` gets the position of each entry.
fn add_batch<'a>(
    context: &'a Context,
    table: &Table<'_>,
    part: Part,
    entries: &mut Pairs,
    long: &mut Vec<LongEntry<'a>>,
    mut each: impl FnMut(u64),
) -> Result<Option<u64>> {
    let Part { take, from, most } = part;
    if entries.is_empty() {
        entries.reserve(table.live().min(most).min(EXPECTED) as usize);
    }
    let end = (entries.len() as u64).saturating_add(most);
    let (mut at, used) = (from.max(table.root.first.get()), table.used());
    while at < used {
        let Some(run) = table.run(at, used)? else {
            at = (at / SEGMENT_ENTRIES + 1) * SEGMENT_ENTRIES;
            continue;
        };
        let mut inside = 0;
        while let Some(entry) = run.get(inside) {
            let key = Cell::load(&entry.key);
            if key.is_removed() {
                inside += gap::onward(key.0) as usize;
                continue;
            }
            let position = at + inside as u64;
            if entries.len() as u64 >= end {
                return Ok(Some(position));
            }
            entries.load(context, take, [key, Cell::load(&entry.value)], long)?;
            each(position);
            inside += 1;
        }
        at += run.len() as u64;
    }
    Ok(None)
}
