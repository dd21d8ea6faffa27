//! The interface between the integrity walk and the kinds of objects.
//!
//! The walk, a floor above, accounts for every block and recounts every number. Each kind reports
//! to it here which blocks and numbers belong to one of its objects.
//!
//! What always holds: nothing that is read is trusted. The walk of a damaged heap ends, with an
//! error.

use crate::allocator::{LONGEST_BLOCK, Room, buffer};
use crate::error::{Corrupt, Error, Result};
use crate::memory::Region;
use crate::memory::Word;
use crate::memory::layout::{Object, Record, SPAN_BYTES};
use crate::objects::cell::Cell;
use crate::objects::ledger::record::RECORD;
use crate::objects::parcel::{self, Target};

/// The numbers of records that name an object; the object stores them, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Owed {
    /// Its items on lease.
    pub(crate) leases: u64,
    /// Its promised places.
    pub(crate) promises: u64,
}

/// The walk, which accounts for everything.
pub(crate) trait Walk {
    /// Claims a block for the walked structure: it must be part of nothing else, and not free.
    fn claim(&mut self, at: u64, room: Room) -> Result<()>;

    /// Notes a pin of a buffer, which is claimed once for all its shares.
    fn pin(&mut self, at: u64);

    /// Notes that a value refers to an object.
    fn refer(&mut self, target: Target);

    /// Notes how many records of slots an object counts.
    fn owe(&mut self, object: &Object, owed: Owed);
}

/// Walks the value in a cell.
pub(crate) fn cell(walk: &mut dyn Walk, region: &Region, cell: Cell) -> Result<()> {
    if cell.is_parcel() {
        return parcel(walk, region, cell.1);
    }
    if let Some((len, at)) = cell.block().filter(|_| cell.is_pin()) {
        buffer::check_pieces(region, at, len)?;
        walk.pin(at);
        return Ok(());
    }
    if let Some((len, at)) = cell.block() {
        return bytes(walk, region, at, len);
    }
    if cell.is_nothing() || cell.len() > 15 {
        return Err(broken("cell", cell.0));
    }
    Ok(())
}

/// Walks a parcel. The objects that it refers to are walked later.
pub(crate) fn parcel(walk: &mut dyn Walk, region: &Region, at: u64) -> Result<()> {
    let (len, targets) = parcel::counted(region, at)?;
    targets.into_iter().for_each(|target| walk.refer(target));
    bytes(walk, region, at, len)
}

/// Walks the block of a value, or the pieces of a buffer.
fn bytes(walk: &mut dyn Walk, region: &Region, at: u64, len: u64) -> Result<()> {
    if len <= LONGEST_BLOCK as u64 {
        region.words(at, (len as usize).div_ceil(8))?;
        return walk.claim(at, Room::of(len as usize));
    }
    buffer::each_piece(region, at, len, |at, part| {
        walk.claim(at, Room::of_spans(part.div_ceil(SPAN_BYTES))).map(|()| true)
    })
}

/// Walks a list of records with their values, and returns their number and the last one.
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

/// Returns the error of a walk for something invalid.
pub(crate) fn broken(what: &'static str, at: u64) -> Error {
    Corrupt { what, at }.into()
}
