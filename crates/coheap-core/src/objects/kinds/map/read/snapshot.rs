//! All entries of a map as they were at one moment.
//!
//! A map that nobody changes meanwhile is copied part by part, and so is a large one that others change:
//! it notes what changes (`trail`), and that is copied again, and again, until it is little enough
//! to be copied with the turn held. The moment of the copy is that one, and nobody has waited for longer than that.
//!
//! What always holds: all entries of a finished copy are those of the map at a moment between the
//! call and its answer.

use super::super::Map;
use super::super::pairs::{Pairs, Take};
use super::super::table::Table;
use super::super::table::trail::Trail;
use super::copy::{Copy, Seen};
use super::{Part, add_batch};
use crate::error::{Error, Result};
use crate::journal::Context;
use crate::memory::layout::ENTRY_BYTES;
use crate::sync::turn;

/// Most entries that are copied under the turn.
const PART: u64 = 512;
/// Changed entries that are read at once.
const AGAIN: usize = 256;
/// So many changed entries are few enough to be copied with the turn held.
const FEW: usize = 256;
/// A map with fewer entries is copied under its lock where writers keep it from being copied without: they
/// wait for less than a millisecond.
const LARGE: u64 = 1 << 14;
/// How often a copy is begun again that has lost what changed.
const TRIES: u32 = 3;
/// How often what changed is copied again. Writers that change entries faster than these are copied
/// have to wait.
const ROUNDS: u32 = 32;

impl Map {
    /// Returns all entries as they were at one moment, in order.
    ///
    /// Where writers keep a copy from finishing, what they have changed meanwhile is copied again. They
    /// wait, as for a transaction that has locked the map, for the copy of a small map, and in a heap with
    /// no room to note what they change.
    ///
    /// # Errors
    ///
    /// [`ObjectGone`](Error::ObjectGone) after the map was removed; those of a wait for the transaction
    /// that has locked it.
    pub fn snapshot(&self, context: &Context) -> Result<Pairs> {
        self.snapshot_of(context, Take::Both)
    }

    /// As [`snapshot`](Self::snapshot), of the keys or of the values alone.
    ///
    /// # Errors
    ///
    /// Those of [`snapshot`](Self::snapshot).
    pub fn snapshot_of(&self, context: &Context, take: Take) -> Result<Pairs> {
        let len = self.len(context)?;
        if len <= PART || context.kept.transaction.is_open() {
            let all = self.copy_parts(context, take, u64::MAX, || true)?;
            return Ok(all.unwrap_or_default());
        }
        let turn = context.region().turn(self.handle.turn);
        let before = turn::begin_read(turn);
        let unchanged = || before.is_some_and(|before| turn::is_unchanged(turn, before));
        if let Some(all) = self.copy_parts(context, take, PART, unchanged)? {
            return Ok(all);
        }
        for _ in 0..if len < LARGE { 0 } else { TRIES } {
            match self.copy_beside_writers(context, take) {
                Ok(Some(all)) => return Ok(all),
                Ok(None) => {}
                Err(Error::HeapFull { .. }) => break,
                Err(other) => return Err(other),
            }
        }
        let _locked = self.handle.lock_alone(context)?;
        let all = self.copy_parts(context, take, PART, || true)?;
        Ok(all.unwrap_or_default())
    }

    /// Copies all entries, in parts of `most`. `None`: after one of them, `is_whole` said no.
    fn copy_parts(
        &self,
        context: &Context,
        take: Take,
        most: u64,
        is_whole: impl Fn() -> bool,
    ) -> Result<Option<Pairs>> {
        let (mut all, mut long, mut next) = (Pairs::default(), Vec::new(), Some(0));
        while let Some(from) = next {
            let (count, long_count) = (all.len(), long.len());
            next = self.read(context, |table| {
                all.truncate(count);
                long.truncate(long_count);
                let part = Part { take, from, most };
                add_batch(context, table, part, &mut all, &mut long, |_| {})
            })?;
            if !is_whole() {
                return Ok(None);
            }
            if count == 0 {
                all.expect(self.expected(context)?);
            }
        }
        all.fill_in(&long)?;
        Ok(Some(all))
    }

    /// How many entries a copy will have, about.
    fn expected(&self, context: &Context) -> Result<u64> {
        // A damaged number has no memory allocated for more than there can be.
        Ok(self.len(context)?.min(context.region().used_bytes() / ENTRY_BYTES))
    }

    /// Returns all entries as [`snapshot`](Self::snapshot) does beside writers, who do not wait. `None`: what
    /// they have changed is not known any more, or they are too fast.
    ///
    /// # Errors
    ///
    /// [`HeapFull`](Error::HeapFull) where there is no room to note what changes,
    /// [`ObjectGone`](Error::ObjectGone) after the map was removed.
    pub fn copy_beside_writers(&self, context: &Context, take: Take) -> Result<Option<Pairs>> {
        let trail = context.retried(|| {
            let held = context.hold(self.handle.turn)?;
            Trail::begin(&held, self.handle.object(context.region())?)
        })?;
        let mut copier = Copier { map: *self, context, take, trail, changed: Vec::new() };
        let Some(mut copy) = copier.copy()? else { return Ok(None) };
        for _ in 0..ROUNDS {
            match copier.copy_again(&mut copy)? {
                Round::More => {}
                Round::Done(used) => return copy.finish(used).map(Some),
                Round::Lost => break,
            }
        }
        Ok(None)
    }
}

/// Who copies a map beside writers.
struct Copier<'a> {
    map: Map,
    context: &'a Context,
    take: Take,
    trail: Trail,
    /// Positions whose entries have changed since they were copied.
    changed: Vec<u64>,
}

/// How a round of copying what has changed went.
enum Round {
    More,
    /// The copy is whole. Positions from this one on have no entry.
    Done(u64),
    Lost,
}

impl<'a> Copier<'a> {
    /// Copies all entries, while they change. `None`: what changed is not known any more.
    fn copy(&mut self) -> Result<Option<Copy>> {
        let (mut copy, mut long, mut next) = (Copy::default(), Vec::new(), Some(0));
        let (context, take) = (self.context, self.take);
        while let Some(from) = next {
            let (part, known) = (Part { take, from, most: PART }, self.changed.len());
            let Copy { all, places, .. } = &mut copy;
            next = match self.with_turn(|table, _| {
                add_batch(context, table, part, all, &mut long, |at| places.push(at))
            })? {
                Some(next) => next,
                None => return Ok(None),
            };
            if from == 0 {
                copy.all.expect(self.map.expected(context)?);
            }
            // What has yet to be copied is copied as it is then.
            let new = self.changed.split_off(known);
            self.changed.extend(new.into_iter().filter(|position| *position < from));
        }
        copy.all.fill_in(&long)?;
        Ok(Some(copy))
    }

    /// Does something with the turn held, and with all that has changed and was not copied again. `None`: some of
    /// that is lost. Without the turn, writers would not let a read of many entries finish.
    fn with_turn<T>(
        &mut self,
        act: impl FnOnce(&Table<'a>, &mut Vec<u64>) -> Result<T>,
    ) -> Result<Option<T>> {
        let context = self.context;
        let region = context.region();
        let _held = context.retried(|| context.hold(self.map.handle.turn))?;
        let object = self.map.handle.object(region)?;
        if !self.trail.follow(region, object, &mut self.changed)? {
            return Ok(None);
        }
        act(&Table::new(region, object), &mut self.changed).map(Some)
    }

    /// Copies again what has changed.
    fn copy_again(&mut self, copy: &mut Copy) -> Result<Round> {
        let mut changed = std::mem::take(&mut self.changed);
        sort(&mut changed);
        let (context, take) = (self.context, self.take);
        for positions in changed.chunks(AGAIN) {
            let (mut seen, mut long) = (Seen::default(), Vec::new());
            let is_known =
                self.with_turn(|table, _| seen.read(context, table, take, positions, &mut long))?;
            if is_known.is_none() {
                return Ok(Round::Lost);
            }
            seen.entries.fill_in(&long)?;
            copy.put(positions, &seen);
        }
        self.finish(copy)
    }

    /// Copies what has changed since, if that is little.
    fn finish(&mut self, copy: &mut Copy) -> Result<Round> {
        let (context, take) = (self.context, self.take);
        let (mut seen, mut long) = (Seen::default(), Vec::new());
        let copied = self.with_turn(|table, changed| {
            sort(changed);
            if changed.len() > FEW {
                return Ok(Round::More);
            }
            seen.read(context, table, take, changed, &mut long)?;
            Ok(Round::Done(table.used()))
        })?;
        if let Some(Round::Done(_)) = copied {
            seen.entries.fill_in(&long)?;
            copy.put(&self.changed, &seen);
        }
        Ok(copied.unwrap_or(Round::Lost))
    }
}

fn sort(positions: &mut Vec<u64>) {
    positions.sort_unstable();
    positions.dedup();
}
