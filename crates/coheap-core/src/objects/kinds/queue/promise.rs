//! Promises: places in a queue that are reserved for a transaction. An item that it puts becomes
//! visible with its commit, but its place is taken at once, so that the commit cannot find the
//! queue full or closed.
//!
//! What always holds: a promise is a record on the list of its process's slot, and counts as one in
//! the queue's `reserved`.

use crate::allocator;
use crate::error::{Error, Result};
use crate::journal::{Change, Context};
use crate::memory::Region;
use crate::memory::layout::{QueueBody, Record, SLOT_TURNS};
use crate::objects::cell::{self, Cell};
use crate::objects::ledger;
use crate::objects::wait::ring;
use crate::sync::parking::Reason;

use super::{Queue, check_place};
use crate::objects::ledger::record::{self, MOVE_WORDS, RECORD};

/// A promised place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Promise {
    record: u64,
    serial: u64,
}

/// Words that keeping or cancelling a promise saves at most.
pub(crate) const FULFIL_WORDS: usize = 8;

impl Queue {
    /// Reserves a place at the back, without putting an item there yet.
    pub(crate) fn promise(&self, context: &Context) -> Result<Promise> {
        let region = context.region();
        let own = context.member().slot();
        allocator::ensure(context, RECORD, 1)?;
        let (held, body, head) = self.hold_tail_for_place(context, Some(SLOT_TURNS + own))?;
        check_place(body, head, 1)?;
        let serial = Region::add(&region.header().serial, 1).wrapping_add(1);
        let mut change = Change::begin(&held, MOVE_WORDS)?;
        let at = allocator::take(&mut change, RECORD)?;
        let record: &Record = region.at(at)?;
        change.put(&record.object, self.handle.at);
        change.put(&record.generation, self.handle.generation);
        cell::put(&change, &record.cell, Cell::NOTHING);
        change.put(&record.state, Record::RESERVED);
        change.put(&record.serial, serial);
        record::link(&mut change, own, record, true)?;
        change.set(&body.reserved, body.reserved.get().wrapping_add(1));
        change.commit();
        Ok(Promise { record: at, serial })
    }

    /// Releases a promised place, without waiting for a turn, as [`Queue::nack`] does.
    pub(crate) fn cancel(&self, context: &Context, promise: Promise) -> Result<()> {
        let give = || self.cancel_now(context, promise);
        ledger::give_back(context, promise.record, promise.serial, None, give)
    }

    fn cancel_now(&self, context: &Context, promise: Promise) -> Result<()> {
        let own = context.member().slot();
        let held = context.hold_all(&[self.handle.second_turn, SLOT_TURNS + own])?;
        let body = self.body(context.region())?;
        let mut change = Change::begin(&held, FULFIL_WORDS)?;
        fulfil_within(&mut change, body, promise)?;
        change.commit();
        drop(held);
        // On a closed queue, this promise may have been the last thing that others wait for.
        ring(context.region(), self.handle.key(), Reason::Place, 1);
        self.ring_for_the_end(context.region());
        Ok(())
    }
}

/// Ends a promise within an open change under the tail's and the slot's turn.
pub(crate) fn fulfil_within(
    change: &mut Change<'_>,
    body: &QueueBody,
    promise: Promise,
) -> Result<()> {
    record::check_membership(change.context())?;
    let region = change.region();
    let record: &Record = region.at(promise.record)?;
    if record.serial.get() != promise.serial {
        return Err(Error::LeaseLost);
    }
    record::unlink(change, region.slot(change.context().member().slot()), record)?;
    allocator::give(change, RECORD, promise.record)?;
    change.set(&body.reserved, body.reserved.get().saturating_sub(1));
    Ok(())
}
