//! The commit of a transaction's operations on a queue.
//!
//! What always holds: `prepare` finds a lease that is no longer held, before the first store of the
//! commit.

use std::collections::BTreeSet;

use super::inside::{Operations, QueueOperation};
use super::{AppendPlan, ack_within, append, find_lease, fulfil_within, nack_within};
use crate::error::Result;
use crate::journal::{Change, Context, Held};
use crate::memory::Region;
use crate::memory::layout::SLOT_TURNS;
use crate::objects::Lease;
use crate::objects::cell;
use crate::objects::ledger::record::ReturnReason;
use crate::objects::overlay::{Needs, Overlaid, Turns, Wakes, recount};
use crate::sync::parking::Reason;

impl Operations {
    /// Returns the leases that the commit acks: those that were not returned later in the
    /// transaction.
    fn acks(&self) -> impl Iterator<Item = &Lease> {
        let nacked: BTreeSet<u64> = self.nacks().map(|lease| lease.serial).collect();
        self.list.iter().filter_map(move |operation| match operation {
            QueueOperation::Taken(lease) | QueueOperation::Acked(lease) => {
                (!nacked.contains(&lease.serial)).then_some(lease)
            }
            _ => None,
        })
    }

    fn nacks(&self) -> impl Iterator<Item = &Lease> {
        self.list.iter().filter_map(|operation| match operation {
            QueueOperation::Nacked(lease) => Some(lease),
            _ => None,
        })
    }

    fn puts(&self) -> u32 {
        self.list.iter().filter(|operation| matches!(operation, QueueOperation::Put(..))).count()
            as u32
    }

    fn roll_back_to(&mut self, context: &Context, len: usize) -> Result<()> {
        let undone = self.list.split_off(len.min(self.list.len()));
        recount(context, 0, undone.iter().map(QueueOperation::words).sum());
        undone.into_iter().rev().try_for_each(|it| it.give_back(context, &self.queue))
    }
}

impl Overlaid for Operations {
    fn holds_nothing(&self) -> bool {
        self.list.is_empty()
    }

    fn needs_lock(&self) -> bool {
        false
    }

    fn mark(&mut self) -> usize {
        self.list.len()
    }

    fn roll_back(&mut self, context: &Context, mark: Option<usize>) -> Result<()> {
        self.roll_back_to(context, mark.unwrap_or(0))
    }

    fn give_back(&mut self, context: &Context) {
        // A queue that was removed meanwhile takes nothing back.
        let _ = self.roll_back_to(context, 0);
    }

    fn turns(&self, context: &Context, turns: &mut Turns) {
        if self.list.is_empty() {
            return;
        }
        let puts = self.puts() as usize;
        if puts > 0 {
            turns.push(self.queue.handle.second_turn);
        }
        if puts < self.list.len() {
            turns.push(self.queue.handle.turn);
        }
        turns.push(SLOT_TURNS + context.member().slot());
    }

    fn build_long(&self, build: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let items = self.list.iter().filter_map(|operation| match operation {
            QueueOperation::Put(_, item) => Some(&item[..]),
            _ => None,
        });
        items.filter(|item| cell::is_long(item)).try_for_each(build)
    }

    fn prepare(&mut self, held: &Held<'_>, needs: &mut Needs) -> Result<()> {
        if self.list.is_empty() {
            return Ok(());
        }
        let context = held.context();
        let body = self.queue.body(context.region())?;
        for operation in &self.list {
            match operation {
                QueueOperation::Taken(lease)
                | QueueOperation::Acked(lease)
                | QueueOperation::Nacked(lease) => {
                    find_lease(context, &self.queue, lease)?;
                }
                QueueOperation::Put(_, item) => needs.value(item),
            }
            needs.words += operation.words();
        }
        let puts = self.puts();
        if puts > 0 {
            let plan = AppendPlan::new(context.region(), body, u64::from(puts))?;
            needs.rooms.extend(plan.rooms());
            self.plan = Some(plan);
        }
        Ok(())
    }

    fn apply(&self, change: &mut Change<'_>) -> Result<()> {
        if self.list.is_empty() {
            return Ok(());
        }
        let body = self.queue.body(change.region())?;
        for lease in self.acks() {
            let record = find_lease(change.context(), &self.queue, lease)?;
            ack_within(change, body, record)?;
        }
        for lease in self.nacks() {
            let record = find_lease(change.context(), &self.queue, lease)?;
            nack_within(change, body, record, Some(ReturnReason::Nacked))?;
        }
        for operation in &self.list {
            if let (QueueOperation::Put(promise, item), Some(plan)) = (operation, self.plan) {
                fulfil_within(change, body, *promise)?;
                append(change, body, item, plan)?;
            }
        }
        Ok(())
    }

    fn wakes(&self, region: &Region, wakes: &mut Wakes) {
        let Ok(body) = self.queue.body(region) else { return };
        let handle = self.queue.handle;
        let (puts, nacks) = (self.puts(), self.nacks().count() as u32);
        if puts + nacks > 0 {
            wakes.push((handle, Reason::Item, puts + nacks));
        }
        let has_ended = self.list.len() > puts as usize;
        if has_ended && self.queue.is_over(region, body) {
            wakes.push((handle, Reason::Done, u32::MAX));
            wakes.push((handle, Reason::Item, u32::MAX));
        }
    }
}
