//! The integrity walk: looks at the whole heap and trusts nothing in it.
//!
//! It holds every turn, so nothing changes meanwhile, and accounts for every block: each is free
//! in its arena, pending in one context, or part of exactly one thing that can be reached. A heap
//! that passes has lost nothing and owns nothing twice.

mod blocks;
mod free;
mod shapes;

use crate::error::{Corrupt, Error, Result};
use crate::heap::Heap;
use crate::journal::Context;
use crate::memory::Region;
use crate::memory::layout::ARENA_COUNT;
use crate::sync::life::{State, StateWord};
use crate::sync::row;

use blocks::Blocks;
use shapes::Found;

/// The result of a walk that found no damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Living objects.
    pub objects: u64,
    /// Blocks that are part of something.
    pub blocks: u64,
    /// Blocks that are pending in a context.
    pub pending: u64,
    /// Bytes of spans in use.
    pub used_bytes: u64,
    /// Attached processes, including dead ones that were not detected yet.
    pub members: u64,
}

impl Heap {
    /// Walks the whole heap, and accounts for every block of it.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] with what is wrong and where; as [`context`](Self::context).
    pub fn check(&self) -> Result<Report> {
        self.with(check)
    }
}

/// Walks the whole heap.
///
/// # Errors
///
/// [`Error::Corrupt`], which says what is damaged and where.
pub fn check(context: &Context) -> Result<Report> {
    let region = context.region();
    // The numbers only grow, up to the sizes of the tables.
    loop {
        let (slots, rows) = (region.real_slots(), region.real_rows());
        let answer = check_below(context, slots, rows);
        // The turns of slots that are new since were not held.
        if (region.real_slots(), region.real_rows()) == (slots, rows) {
            return answer;
        }
    }
}

/// Walks the whole heap while it has that many real slots and rows.
fn check_below(context: &Context, slots: u32, rows: u32) -> Result<Report> {
    let region = context.region();
    let all: Vec<u32> = Region::real_turns(slots).collect();
    let _held = context.hold_all(&all)?;
    check_tables(region, &all, rows)?;
    debug_assert!(!context.is_changing.get());
    let mut found = Found::new(region, Blocks::survey(region)?);
    let mut report = Report::default();
    for arena in (0..ARENA_COUNT).map(|index| region.arena(index)) {
        found.claim_husks(&arena.husks)?;
        found.claim_parcels(&arena.freed)?;
    }
    for index in 0..rows {
        report.pending += found.blocks.claim_pending(region, index)?;
        let control = region.control(index);
        found.claim_husks(&control.husks)?;
        found.claim_parcels(&control.built)?;
        found.claim_parcels(&control.freed)?;
    }
    report.objects = found.claim_objects()?;
    report.blocks = found.blocks.finish(region)? - report.pending;
    report.used_bytes = region.used_bytes();
    report.members = (0..slots)
        .filter(|slot| StateWord(region.slot(*slot).state.get()).state() == State::Live)
        .count() as u64;
    Ok(report)
}

/// Checks that no change is open, and that no row without an owner has journal chunks.
fn check_tables(region: &Region, turns: &[u32], rows: u32) -> Result<()> {
    for index in turns {
        let turn = region.turn(*index);
        if turn.sequence.get() & 1 == 1 {
            return Err(broken("open sequence of a turn", u64::from(*index)));
        }
    }
    for index in 0..rows {
        let row = region.context(index);
        if row.saved.get() != 0 {
            return Err(broken("open journal", u64::from(index)));
        }
        if row::is_left(region, index) && row.chunks.get() != 0 {
            return Err(broken("journal chunks without an owner", u64::from(index)));
        }
    }
    Ok(())
}

fn broken(what: &'static str, at: u64) -> Error {
    Corrupt { what, at }.into()
}
