//! Items outside the chain, on the queue's own lists: returned items, and failed items.
//!
//! What always holds: an item moves from the list of a slot to one of these lists in one change,
//! under the turns of both: the queue's head and the slot's.

use crate::allocator;
use crate::defect::{Mistake, defect};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Held};
use crate::memory::Region;
use crate::memory::layout::{QueueBody, Record};
use crate::objects::cell::{self, Cell, Later};
use crate::objects::ledger::record::{MOVE_WORDS, RECORD, ReturnReason};

/// Takes the first returned item.
pub(super) fn take_returned<'a>(
    held: &Held<'a>,
    body: &QueueBody,
    out: &mut Vec<u8>,
) -> Result<Later<'a>> {
    let region = held.context().region();
    let at = body.returned.get();
    let record = first_returned(region, body)?;
    let cell = Cell::load(&record.cell);
    let late = cell.begin(held.context(), out)?;
    let mut change = Change::begin(held, MOVE_WORDS)?;
    pop_returned(&mut change, body, record);
    change.set(&record.serial, 0);
    cell::free(&mut change, cell)?;
    allocator::give(&mut change, RECORD, at)?;
    change.commit();
    Ok(late)
}

/// Returns the first record of the returned list, which is not empty.
///
/// # Errors
///
/// [`Corrupt`] when the record is on lease, or was freed: a damaged list leads back to it, and
/// would never be empty.
pub(super) fn first_returned<'a>(region: &'a Region, body: &QueueBody) -> Result<&'a Record> {
    let at = body.returned.get();
    let record: &Record = region.at(at)?;
    if record.serial.get() == 0 || record.state.get() >> Record::SIGNED != 0 {
        return Err(broken(at));
    }
    Ok(record)
}

/// Takes the first record off the returned list.
pub(super) fn pop_returned(change: &mut Change<'_>, body: &QueueBody, record: &Record) {
    let next = record.next.get();
    change.set(&body.returned, next);
    if next == 0 {
        change.set(&body.returned_last, 0);
    }
    change.set(&body.returned_count, body.returned_count.get().saturating_sub(1));
}

/// Moves a leased item, already off its slot's list, to the returned or the failed list.
///
/// `reason`: why the item was returned; `None` if a transaction returned it, and the attempt does
/// not count.
pub(super) fn give_back(
    change: &mut Change<'_>,
    body: &QueueBody,
    record: &Record,
    reason: Option<ReturnReason>,
) -> Result<()> {
    let region = change.region();
    let at = region.offset_of(record);
    let state = record.state.get();
    let attempts = Record::attempts(state);
    let counted = attempts + u64::from(reason.is_some() && !defect(Mistake::CountNoAttempts));
    let noted = reason.map_or(Record::reason(state), |reason| reason as u64);
    let max = body.max_attempts.get();
    let failed = reason.is_some() && max != 0 && counted >= max;
    let (first, last) = if failed {
        (&body.failed, &body.failed_last)
    } else {
        change.set(&body.returned_count, body.returned_count.get().wrapping_add(1));
        (&body.returned, &body.returned_last)
    };
    change.set(&record.state, Record::returned(counted, noted));
    if reason.is_none() {
        // It was never taken: it is the next one again.
        change.set(&record.next, first.get());
        change.set(first, at);
        if last.get() == 0 {
            change.set(last, at);
        }
    } else {
        change.set(&record.next, 0);
        match last.get() {
            0 => change.set(first, at),
            before => change.set(&region.at::<Record>(before)?.next, at),
        }
        change.set(last, at);
    }
    change.set(&body.leased, body.leased.get().saturating_sub(1));
    Ok(())
}

/// What a damaged list is called in an error.
pub(super) const LIST: &str = "list of a queue";

/// Returns the corrupt-list error of this file.
pub(super) fn broken(at: u64) -> Error {
    Corrupt { what: LIST, at }.into()
}
