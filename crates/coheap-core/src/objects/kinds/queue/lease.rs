//! Leases: an item is taken, and returns to the queue unless it is acked.
//!
//! What always holds: this process holds a lease while its record is on the list of the process's
//! slot and has the lease's serial number.

use crate::allocator;
use crate::defect::{Mistake, defect};
use crate::error::{Error, Result};
use crate::journal::{Change, Context};
use crate::memory::layout::{QueueBody, Record, SLOT_TURNS};
use crate::memory::{Chain, Region};
use crate::objects::cell::{self, Cell};
use crate::objects::{estate, husk, ledger};
use crate::sync::parking::Reason;

use super::records;
use super::{Failed, Lease, Queue, next};
use crate::objects::ledger::record::{self, MOVE_WORDS, RECORD, ReturnReason};
use crate::objects::wait::ring;

impl Queue {
    /// Takes the item at the front on lease and replaces `out` by it.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]; [`Error::ShutDown`] when the queue is closed and every item in it is done;
    /// [`Error::HeapFull`], [`Error::ObjectGone`]; nothing was changed.
    pub fn lease(&self, context: &Context, out: &mut Vec<u8>) -> Result<Lease> {
        self.recall(context)?;
        estate::or_after_sweep(context, || self.try_lease(context, out))
    }

    /// Returns the leased items of dead processes, also in a queue that never runs empty. No turn
    /// may be held.
    pub(super) fn recall(&self, context: &Context) -> Result<()> {
        // Read without a turn: the caller checks afterwards whether the queue still lives.
        match self.body(context.region()) {
            Ok(body) if body.leased.get() != 0 => estate::sweep_seldom(context),
            _ => Ok(()),
        }
    }

    /// As `lease`, without a check for dead processes.
    pub(super) fn try_lease(&self, context: &Context, out: &mut Vec<u8>) -> Result<Lease> {
        let region = context.region();
        let own = context.member().slot();
        // On a full heap, the queue's own reserve allows one lease at a time.
        let ensured = allocator::ensure(context, RECORD, 1);
        let (held, body, cell) = loop {
            let (held, body, tail) = self.hold_head_for_item(context, Some(SLOT_TURNS + own))?;
            let Some(cell) = next(&held, body, tail)? else {
                return Err(self.nothing(context, held, tail));
            };
            if cell::has_room(cell, out) {
                break (held, body, cell);
            }
            drop(held);
            cell::make_room(context, cell, out)?;
        };
        let serial = Region::add(&region.header().serial, 1).wrapping_add(1);
        let late;
        let lease = if body.returned.get() != 0 {
            let at = body.returned.get();
            let record = records::first_returned(region, body)?;
            late = cell.begin(context, out)?;
            let attempt = (Record::attempts(record.state.get()) as u32).wrapping_add(1);
            let mut change = Change::begin(&held, MOVE_WORDS)?;
            records::pop_returned(&mut change, body, record);
            record::link(&mut change, own, record, false)?;
            change.set(&record.serial, serial);
            change.set(&body.leased, body.leased.get().wrapping_add(1));
            change.commit();
            Lease { record: at, serial, attempt }
        } else {
            match ensured {
                Err(Error::HeapFull { .. }) if body.reserve.get() != 0 => {}
                other => other?,
            }
            late = cell.begin(context, out)?;
            let mut change = Change::begin(&held, MOVE_WORDS)?;
            let at = husk::take_or_reserve(&mut change, &body.reserve)?;
            let record: &Record = region.at(at)?;
            let queue = [self.handle.at, self.handle.generation];
            change.put(&record.object, queue[0]);
            change.put(&record.generation, queue[1]);
            cell::put(&change, &record.cell, cell);
            change.put(&record.state, 0);
            change.put(&record.serial, serial);
            record::link(&mut change, own, record, true)?;
            if defect(Mistake::MoveHeadUnsaved) {
                change.put(&body.head, body.head.get().wrapping_add(1));
            } else {
                change.set(&body.head, body.head.get().wrapping_add(1));
            }
            change.set(&body.leased, body.leased.get().wrapping_add(1));
            change.commit();
            Lease { record: at, serial, attempt: 1 }
        };
        self.after_get(context.region(), held, body);
        cell::finish(late, out)?;
        Ok(lease)
    }

    /// Ends a lease: the item is done.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] when this process no longer holds it; nothing was changed.
    pub fn ack(&self, context: &Context, lease: &Lease) -> Result<()> {
        let own = context.member().slot();
        let held = context.hold_all(&[self.handle.turn, SLOT_TURNS + own])?;
        let body = self.body(context.region())?;
        let record = find_lease(context, self, lease)?;
        let mut change = Change::begin(&held, MOVE_WORDS)?;
        ack_within(&mut change, body, record)?;
        change.commit();
        self.after_get(context.region(), held, body);
        allocator::tidy(context)
    }

    /// Ends a lease: the item returns to the front of the queue, behind those that returned before, or joins
    /// the failed items if this was its last attempt. `reason` is `None` for an attempt that does not count:
    /// then the item is the next one, as if it had not been taken.
    ///
    /// It does not wait for a turn: where one is missing, the process is due to return the item with
    /// one of its next operations.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] when this process no longer holds it; nothing was changed.
    pub fn nack(
        &self,
        context: &Context,
        lease: &Lease,
        reason: Option<ReturnReason>,
    ) -> Result<()> {
        let give = || self.nack_now(context, lease, reason);
        ledger::give_back(context, lease.record, lease.serial, reason, give)
    }

    fn nack_now(
        &self,
        context: &Context,
        lease: &Lease,
        reason: Option<ReturnReason>,
    ) -> Result<()> {
        let region = context.region();
        let own = context.member().slot();
        let held = context.hold_all(&[self.handle.turn, SLOT_TURNS + own])?;
        let body = self.body(region)?;
        let record = find_lease(context, self, lease)?;
        let mut change = Change::begin(&held, 2 * MOVE_WORDS)?;
        nack_within(&mut change, body, record, reason)?;
        change.commit();
        let idle = self.is_over(region, body);
        drop(held);
        ring(region, self.handle.key(), Reason::Item, 1);
        if idle {
            self.ring_for_the_end(region);
        }
        Ok(())
    }

    /// Returns the items that were given up, the oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after the queue was removed.
    pub fn failed(&self, context: &Context) -> Result<Vec<Failed>> {
        self.recall(context)?;
        let region = context.region();
        let held = context.hold(self.handle.turn)?;
        let body = self.body(region)?;
        let mut failed = Vec::new();
        let mut long = Vec::new();
        let mut at = body.failed.get();
        let mut chain = Chain::new(records::LIST);
        while at != 0 {
            chain.step(at)?;
            let record: &Record = region.at(at)?;
            let mut value = Vec::new();
            let late = Cell::load(&record.cell).begin(context, &mut value)?;
            long.extend(late.map(|late| (failed.len(), late)));
            let attempts = Record::attempts(record.state.get()) as u32;
            failed.push(Failed { value, attempts, reason: ReturnReason::of(record.state.get()) });
            at = record.next.get();
        }
        drop(held);
        for (number, late) in long {
            late.append_to(&mut failed[number].value)?;
        }
        Ok(failed)
    }
}

/// Returns the record of a lease, if this process still holds it. The slot's turn is held.
pub(crate) fn find_lease<'a>(
    context: &'a Context,
    queue: &Queue,
    lease: &Lease,
) -> Result<&'a Record> {
    let region = context.region();
    record::check_membership(context)?;
    if defect(Mistake::AckWithoutLease) {
        return Ok(region.at(lease.record)?);
    }
    let record: &Record = region.at(lease.record)?;
    // A record that is free or serves another lease has another serial number. A record that was
    // returned, or that belongs to the parent of a forked child, is not signed by this process.
    let signed = record.state.get() >> Record::SIGNED;
    let is_ours = record.serial.get() == lease.serial
        && signed == u64::from(context.member().slot() + 1)
        && record.object.get() == queue.handle.at
        && record.generation.get() == queue.handle.generation;
    if is_ours { Ok(record) } else { Err(Error::LeaseLost) }
}

/// Returns the item of a lease, within an open change under the head's and the slot's turn.
pub(crate) fn nack_within(
    change: &mut Change<'_>,
    body: &QueueBody,
    record: &Record,
    reason: Option<ReturnReason>,
) -> Result<()> {
    let slot = change.region().slot(change.context().member().slot());
    record::unlink(change, slot, record)?;
    records::give_back(change, body, record, reason)
}

/// Ends a lease within an open change under the head's and the slot's turn.
pub(crate) fn ack_within(change: &mut Change<'_>, body: &QueueBody, record: &Record) -> Result<()> {
    let region = change.region();
    let slot = region.slot(change.context().member().slot());
    record::unlink(change, slot, record)?;
    cell::free(change, Cell::load(&record.cell))?;
    change.set(&record.serial, 0);
    let at = region.offset_of(record);
    match body.reserve.get() {
        0 => change.set(&body.reserve, at),
        _ => allocator::give(change, RECORD, at)?,
    }
    change.set(&body.leased, body.leased.get().saturating_sub(1));
    Ok(())
}
