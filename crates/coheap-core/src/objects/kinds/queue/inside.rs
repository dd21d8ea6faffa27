//! A queue inside a transaction: leases and puts that take effect with the commit.
//!
//! A transaction never locks a queue. An item is leased at once; the commit acks it, and an abort
//! returns it without counting the attempt. A put reserves its place at once and becomes visible
//! with the commit.
//!
//! What always holds: each item and each place in the overlay is on the list of this process's
//! slot, so it is returned if the process dies.
//!
//! Not here: the commit (`commit`).

use super::{AppendPlan, FULFIL_WORDS, Lease, PUT_WORDS, Promise, Queue};
use crate::defect::{Mistake, defect};
use crate::error::{Error, Result};
use crate::journal::Context;
use crate::objects::ledger::record::{MOVE_WORDS, ReturnReason};
use crate::objects::overlay::{Inside, Lockable, Locking, Overlay, Transactional, charge, recount};
use crate::sync::Patience;

/// Words that the commit saves for an item that is acked, one that is given back, and one that is put.
const ACK_WORDS: usize = MOVE_WORDS;
const NACK_WORDS: usize = 2 * MOVE_WORDS;
const PROMISED_WORDS: usize = PUT_WORDS + FULFIL_WORDS;

/// An operation on an item of the queue.
#[derive(Debug)]
pub(super) enum QueueOperation {
    /// Leased in this transaction: acked by the commit, returned by an abort.
    Taken(Lease),
    /// Leased before: acked by the commit.
    Acked(Lease),
    /// Returned by the commit, and the attempt counts. If the item was taken in this transaction,
    /// that operation precedes this one.
    Nacked(Lease),
    /// Put by the commit.
    Put(Promise, Vec<u8>),
}

/// The operations of a transaction on a queue, in order.
#[derive(Debug)]
pub(crate) struct Operations {
    pub(super) queue: Queue,
    pub(super) list: Vec<QueueOperation>,
    /// The plan for the items that are put, once the commit has made it.
    pub(super) plan: Option<AppendPlan>,
}

impl Transactional for Queue {
    fn lockable(&self) -> Lockable {
        Lockable::new(self.handle, |handle, _| {
            Overlay::Queue(Operations { queue: Queue { handle }, list: Vec::new(), plan: None })
        })
    }
}

impl Inside<'_, Queue> {
    /// Takes the item at the front on lease; the commit acks it, an abort returns it.
    ///
    /// # Errors
    ///
    /// As [`Queue::lease`].
    pub fn get(&mut self, out: &mut Vec<u8>) -> Result<Lease> {
        let (operations, context) = self.operations()?;
        let lease = charged(context, ACK_WORDS, || operations.queue.lease(context, out))?;
        operations.list.push(QueueOperation::Taken(lease));
        Ok(lease)
    }

    /// As [`get`](Self::get), but waits for an item while the transaction holds nothing, in a wait
    /// that began at `started` and returns at `until`.
    ///
    /// # Errors
    ///
    /// As [`Queue::lease_until`]; [`Error::WouldBlock`].
    pub fn get_until(&mut self, started: u64, until: u64, out: &mut Vec<u8>) -> Result<Lease> {
        let queue = self.object;
        let lease = self.beside(|context| {
            charged(context, ACK_WORDS, || queue.lease_until(context, started, until, out))
        })?;
        self.enter(QueueOperation::Taken(lease))?;
        Ok(lease)
    }

    /// Acks a lease that was taken before, when the transaction commits.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] when it was acked in this transaction already.
    pub fn ack(&mut self, lease: &Lease) -> Result<()> {
        let (operations, context) = self.operations()?;
        let is_known = operations.list.iter().any(|operation| match operation {
            QueueOperation::Acked(known)
            | QueueOperation::Nacked(known)
            | QueueOperation::Taken(known) => known == lease,
            QueueOperation::Put(..) => false,
        });
        if is_known {
            return Err(Error::LeaseLost);
        }
        charge(context, ACK_WORDS, 0)?;
        operations.list.push(QueueOperation::Acked(*lease));
        Ok(())
    }

    /// Returns a leased item for another attempt, when the transaction commits. This attempt
    /// counts.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] when it was acked or returned in this transaction already.
    pub fn nack(&mut self, lease: &Lease) -> Result<()> {
        let (operations, context) = self.operations()?;
        let is_ended = operations.list.iter().any(|operation| match operation {
            QueueOperation::Acked(known) | QueueOperation::Nacked(known) => known == lease,
            QueueOperation::Taken(_) | QueueOperation::Put(..) => false,
        });
        if is_ended {
            return Err(Error::LeaseLost);
        }
        charge(context, NACK_WORDS, 0)?;
        operations.list.push(QueueOperation::Nacked(*lease));
        Ok(())
    }

    /// Puts an item at the back, when the transaction commits. Its place is reserved now.
    ///
    /// # Errors
    ///
    /// As [`Queue::put`].
    pub fn put(&mut self, item: &[u8]) -> Result<()> {
        let (operations, context) = self.operations()?;
        check_item(item)?;
        let promise = charged(context, PROMISED_WORDS, || operations.queue.promise(context))?;
        operations.list.push(QueueOperation::Put(promise, item.to_vec()));
        Ok(())
    }

    /// As [`put`](Self::put), but waits for a place while the transaction holds nothing, in a wait
    /// that began at `started` and returns at `until`.
    ///
    /// # Errors
    ///
    /// As [`Queue::put_until`]; [`Error::WouldBlock`].
    pub fn put_until(&mut self, started: u64, until: u64, item: &[u8]) -> Result<()> {
        check_item(item)?;
        let queue = self.object;
        let patience = || Patience::until(started, until);
        let promise = self.beside(|context| {
            charged(context, PROMISED_WORDS, || queue.promise_wait(context, patience()))
        })?;
        self.enter(QueueOperation::Put(promise, item.to_vec()))
    }

    fn operations(&mut self) -> Result<(&mut Operations, &Context)> {
        match self.intent.overlay(&self.object.lockable(), Locking::Never)? {
            (Overlay::Queue(operations), context) => Ok((operations, context)),
            _ => Err(another()),
        }
    }

    /// Runs an operation that may wait, and returns its result.
    fn beside<T>(&mut self, mut operation: impl FnMut(&Context) -> Result<T>) -> Result<T> {
        let mut answer = None;
        self.intent.run_beside(&mut |context| {
            answer = Some(operation(context)?);
            Ok(())
        })?;
        answer.ok_or(Error::Interrupted)
    }

    /// Enters an operation that was done already.
    fn enter(&mut self, operation: QueueOperation) -> Result<()> {
        match self.intent.entered(&self.object.lockable()) {
            Overlay::Queue(operations) => operations.list.push(operation),
            _ => return Err(another()),
        }
        Ok(())
    }
}

/// Runs an operation that takes effect at once, for which the commit will save so many words.
fn charged<T>(context: &Context, words: usize, operation: impl FnOnce() -> Result<T>) -> Result<T> {
    charge(context, words, 0)?;
    operation().inspect_err(|_| recount(context, 0, words))
}

/// Returns the error when the header serves another object: one of the two handles is stale.
#[cold]
fn another() -> Error {
    Error::ObjectGone
}

fn check_item(item: &[u8]) -> Result<()> {
    if item.is_empty() {
        Err(Error::BadArgument("a value needs at least one byte"))
    } else {
        Ok(())
    }
}

impl QueueOperation {
    /// Words that the commit saves for it at most.
    pub(super) fn words(&self) -> usize {
        match self {
            Self::Taken(_) | Self::Acked(_) => ACK_WORDS,
            Self::Nacked(_) => NACK_WORDS,
            Self::Put(..) => PROMISED_WORDS,
        }
    }

    /// Undoes an operation that took effect at once.
    pub(super) fn give_back(self, context: &Context, queue: &Queue) -> Result<()> {
        match self {
            Self::Taken(lease) => {
                let counted = defect(Mistake::AbortCountsAttempt).then_some(ReturnReason::Dropped);
                queue.nack(context, &lease, counted)
            }
            Self::Acked(_) | Self::Nacked(_) => Ok(()),
            Self::Put(promise, _) => queue.cancel(context, promise),
        }
    }
}
