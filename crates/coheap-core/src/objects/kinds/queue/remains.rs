//! Taking a removed queue apart.
//!
//! What always holds: the body hangs from a husk, so no other thread reaches it. Every step is one
//! bounded change that leaves a consistent rest. Freed parts are marked, so that a damaged chain
//! that leads back to them ends there. Items on lease are not here: they are on the lists of their
//! slots, and are freed there when their queue is found to be gone.

use crate::allocator;
use crate::error::Result;
use crate::journal::Change;
use crate::memory::Word;
use crate::memory::layout::{QueueBody, Record};
use crate::objects::cell::{self, Cell};
use crate::objects::husk;
use crate::objects::ledger::record::RECORD;

use super::BODY;
use super::ends::Segment;
use super::records::broken;

/// The number of things freed in one step.
const STEP: u64 = 8;

/// Frees a part of everything that hangs from the body at an offset, and the body last. Returns
/// `false` if nothing is left.
pub(super) fn take_apart(change: &mut Change<'_>, at: u64) -> Result<bool> {
    let body: &QueueBody = change.region().at(at)?;
    if free_some(change, body)? {
        return Ok(true);
    }
    match body.reserve.get() {
        0 => {}
        reserve => allocator::give(change, husk::ROOM, reserve)?,
    }
    allocator::give(change, BODY, at)?;
    Ok(false)
}

/// Frees a part of everything that hangs from a body. Returns `false` if only the body is left.
fn free_some(change: &mut Change<'_>, body: &QueueBody) -> Result<bool> {
    if free_records(change, &body.returned)? || free_records(change, &body.failed)? {
        return Ok(true);
    }
    let region = change.region();
    let at = body.head_segment.get();
    if at == 0 {
        return Ok(false);
    }
    let segment = Segment::at(region, at)?;
    let (head, base) = (body.head.get(), segment.head.first.get());
    if head < base {
        // Segments follow each other without a gap, which would be walked place by place.
        return Err(broken(at));
    }
    let end = base.saturating_add(segment.head.places.get()).min(body.tail.get());
    let stop = end.min(head.saturating_add(STEP));
    for position in head..stop {
        if let Some(words) = segment.cell(position) {
            cell::free(change, Cell::load(words))?;
        }
    }
    change.set(&body.head, stop.max(head));
    if stop >= end {
        change.set(&body.head_segment, segment.head.next.get());
        change.set(&segment.head.places, 0);
        allocator::give(change, segment.room(), at)?;
    }
    Ok(true)
}

/// Frees records from the front of a list. Returns `false` if there were none.
fn free_records(change: &mut Change<'_>, first: &Word) -> Result<bool> {
    let mut at = first.get();
    let mut freed = 0;
    while at != 0 && freed < STEP {
        let record: &Record = change.region().at(at)?;
        if record.serial.get() == 0 {
            return Err(broken(at));
        }
        change.set(&record.serial, 0);
        cell::free(change, Cell::load(&record.cell))?;
        allocator::give(change, RECORD, at)?;
        at = record.next.get();
        freed += 1;
    }
    if freed > 0 {
        change.set(first, at);
    }
    Ok(freed > 0)
}
