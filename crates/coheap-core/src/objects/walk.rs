//! The interface between the integrity walk and the kinds of objects.
//!
//! The walk, a floor above, accounts for every block and recounts every number. Each kind reports
//! to it here which blocks and numbers belong to one of its objects.
//!
//! What always holds: nothing that is read is trusted. The walk of a damaged heap ends, with an
//! error.

use crate::allocator::Room;
use crate::error::{Corrupt, Error, Result};
use crate::memory::Region;
use crate::memory::Word;
use crate::memory::layout::{Object, Record};
use crate::objects::cell::Cell;
use crate::objects::ledger::record::RECORD;
use crate::objects::parcel::{self, Target};

/// Records that name an object, which the object counts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Owed {
    /// Items of it that are on lease.
    pub(crate) leases: u64,
    /// Places of it that are promised.
    pub(crate) promises: u64,
}

/// Who accounts for everything.
pub(crate) trait Walk {
    /// A block is part of what is walked: of nothing else, and not free.
    fn claim(&mut self, at: u64, room: Room) -> Result<()>;

    /// A value refers to an object.
    fn refer(&mut self, target: Target);

    /// An object counts so many records, which slots have.
    fn owe(&mut self, object: &Object, owed: Owed);
}

/// Walks the value in a cell.
pub(crate) fn cell(walk: &mut dyn Walk, region: &Region, cell: Cell) -> Result<()> {
    if cell.is_parcel() {
        return parcel(walk, region, cell.1);
    }
    if let Some((len, at)) = cell.block() {
        region.words(at, (len as usize).div_ceil(8))?;
        return walk.claim(at, Room::of(len as usize));
    }
    if cell.is_nothing() || cell.len() > 15 {
        return Err(broken("cell", cell.0));
    }
    Ok(())
}

/// Walks a parcel; what it refers to is met later.
pub(crate) fn parcel(walk: &mut dyn Walk, region: &Region, at: u64) -> Result<()> {
    let (room, targets) = parcel::counted(region, at)?;
    targets.into_iter().for_each(|target| walk.refer(target));
    walk.claim(at, room)
}

/// Walks a list of records with their values. Answers how many there are, and which is the last.
pub(crate) fn records(walk: &mut dyn Walk, region: &Region, first: &Word) -> Result<(u64, u64)> {
    let (mut at, mut last, mut count) = (first.get(), 0, 0);
    while at != 0 {
        walk.claim(at, RECORD)?;
        let record: &Record = region.at(at)?;
        cell(walk, region, Cell::load(&record.cell))?;
        count += 1;
        last = at;
        at = record.next.get();
    }
    Ok((count, last))
}

/// What a walk says of something that cannot be.
pub(crate) fn broken(what: &'static str, at: u64) -> Error {
    Corrupt { what, at }.into()
}
