//! Which entries of a map change while somebody copies it.
//!
//! Whoever copies a large map beside writers does it in parts, and has to know what changed meanwhile. The
//! map then has a block, a ring, in which each operation notes the positions that it is about to change.
//!
//! What always holds: with the turn held and no change open, every position whose entry was changed since
//! a copier looked last is among those that were noted since, or the copier finds that it is too late for
//! them. Nothing is noted for copiers that have looked at nothing for a whole ring, so a dead one costs
//! no more than that.

use super::map_root;
use crate::allocator::{self, Room};
use crate::defect::{Mistake, defect};
use crate::error::{Corrupt, Result};
use crate::journal::{Change, Held};
use crate::memory::layout::{Object, TrailHead, WORD_BYTES};
use crate::memory::{Region, Word, reserve_private};
use crate::objects::walk::{Walk, broken};

/// log2 of the positions that a ring holds.
const LEAST_BITS: u64 = 13;
const MOST_BITS: u64 = 16;
/// Words that `give` saves at most.
pub(in super::super) const GIVE_WORDS: usize = 1 + allocator::GIVE_WORDS;

/// What a copier has seen of what a map notes.
#[derive(Debug)]
pub(in super::super) struct Trail {
    serial: u64,
    seen: u64,
}

/// Notes that an entry is about to change. The turn is held.
#[inline(always)]
pub(in super::super) fn note(
    region: &Region,
    object: &Object,
    position: u64,
) -> Result<(), Corrupt> {
    match word_of(object).get() {
        0 => Ok(()),
        at => note_in(region, at, position),
    }
}

#[cold]
fn note_in(region: &Region, at: u64, position: u64) -> Result<(), Corrupt> {
    let (head, ring) = ring_at(region, at)?;
    let (noted, until, len) = (head.noted.get(), head.until.get(), ring.len());
    if noted >= until || defect(Mistake::LeaveNoTrail) {
        return Ok(());
    }
    // Nobody has looked since the last note, so it stands for any number of changes of its entry.
    let last = noted.wrapping_sub(1) as usize & (len - 1);
    if noted > 0 && noted + len as u64 > until && ring[last].get() == position {
        return Ok(());
    }
    Region::build(&ring[noted as usize & (len - 1)], position);
    Region::store_after_all(&head.noted, noted + 1);
    Ok(())
}

/// The word of a map that leads to its ring.
fn word_of(object: &Object) -> &Word {
    &object.since
}

fn ring_at(region: &Region, at: u64) -> Result<(&TrailHead, &[Word]), Corrupt> {
    let head: &TrailHead = region.at(at)?;
    let bits = head.bits.get();
    if !(LEAST_BITS..=MOST_BITS).contains(&bits) {
        return Err(Corrupt { what: "ring of a map", at });
    }
    Ok((head, region.words(at + size_of::<TrailHead>() as u64, 1 << bits)?))
}

fn room(bits: u64) -> Room {
    Room::of(size_of::<TrailHead>() + (WORD_BYTES << bits) as usize)
}

impl Trail {
    /// Begins to note what changes. The turn is held, no change is open.
    ///
    /// # Errors
    ///
    /// [`HeapFull`](crate::Error::HeapFull): there is no room for a ring.
    pub(in super::super) fn begin(held: &Held<'_>, object: &Object) -> Result<Self> {
        let region = held.context().region();
        if word_of(object).get() == 0 {
            make(held, object)?;
        }
        let (head, ring) = ring_at(region, word_of(object).get())?;
        let trail = Self { serial: head.serial.get(), seen: head.noted.get() };
        trail.have_noted(head, ring);
        Ok(trail)
    }

    /// Adds to `changed` what was noted since the last look. Returns `false` if some of that is lost. The
    /// turn is held, no change is open.
    pub(in super::super) fn follow(
        &mut self,
        region: &Region,
        object: &Object,
        changed: &mut Vec<u64>,
    ) -> Result<bool> {
        let at = word_of(object).get();
        if at == 0 {
            return Ok(false);
        }
        let (head, ring) = ring_at(region, at)?;
        let new = head.noted.get().wrapping_sub(self.seen);
        if head.serial.get() != self.serial || new >= ring.len() as u64 {
            return Ok(false);
        }
        reserve_private(changed, new as usize)?;
        let positions = (self.seen..self.seen + new).map(|at| at as usize & (ring.len() - 1));
        changed.extend(positions.map(|at| ring[at].get()));
        self.seen += new;
        self.have_noted(head, ring);
        Ok(true)
    }

    /// Has as many positions noted as the ring holds.
    fn have_noted(&self, head: &TrailHead, ring: &[Word]) {
        let until = self.seen.wrapping_add(ring.len() as u64);
        if head.until.get() < until {
            Region::store(&head.until, until);
        }
    }
}

/// Makes the ring of a map.
fn make(held: &Held<'_>, object: &Object) -> Result<()> {
    let context = held.context();
    let region = context.region();
    let positions = (map_root(object).live.get() / 4).next_power_of_two();
    let bits = u64::from(positions.trailing_zeros()).clamp(LEAST_BITS, MOST_BITS);
    allocator::ensure(context, room(bits), 1)?;
    let mut change = Change::begin(held, allocator::TAKE_WORDS + 1)?;
    let at = allocator::take(&mut change, room(bits))?;
    let head: &TrailHead = region.at(at)?;
    change.put(&head.serial, Region::add(&region.header().serial, 1).wrapping_add(1));
    change.put(&head.noted, 0);
    change.put(&head.until, 0);
    change.put(&head.bits, bits);
    change.set(word_of(object), at);
    change.commit();
    Ok(())
}

/// Gives the ring back, if there is one. Who copies the map has to begin again.
pub(in super::super) fn give(change: &mut Change<'_>, object: &Object) -> Result<()> {
    let word = word_of(object);
    let at = word.get();
    if at == 0 {
        return Ok(());
    }
    let (head, _) = ring_at(change.region(), at)?;
    allocator::give(change, room(head.bits.get()), at)?;
    change.set(word, 0);
    Ok(())
}

/// As [`give`], as a change of its own. Returns whether there was one.
pub(in super::super) fn give_alone(held: &Held<'_>, object: &Object) -> Result<bool> {
    if word_of(object).get() == 0 {
        return Ok(false);
    }
    let mut change = Change::begin(held, GIVE_WORDS)?;
    give(&mut change, object)?;
    change.commit();
    Ok(true)
}

/// Walks the ring, if there is one.
pub(in super::super) fn walk(region: &Region, object: &Object, walk: &mut dyn Walk) -> Result<()> {
    let at = word_of(object).get();
    if at == 0 {
        return Ok(());
    }
    let (head, _) = ring_at(region, at).map_err(|_| broken("ring of a map", at))?;
    walk.claim(at, room(head.bits.get()))
}
