//! What a user's block wants to change: private until it commits.
//!
//! A transaction takes an object's long lock at first touch and keeps it to the end. What it
//! writes goes to a private overlay, where its own reads find it; the commit applies everything
//! as one change. So nobody reads half of it, a death in user code has nothing to undo, and an
//! error costs nothing.
//!
//! Queues are logical: an item is leased at once and acked by the commit, or given back without
//! counting the attempt; a put takes its place at once and appears with the commit.
//!
//! # What always holds
//!
//! - **X1** Locks are taken one by one and given back together, after the commit or the abort.
//! - **X2** `Deadlock` and `WouldBlock` doom the whole transaction, also where a single operation
//!   of the same thread answered them, and whatever [`Transaction::give_up`] is told: every later
//!   call answers [`Error::Doomed`], and it cannot commit. What it has is given back at once, or
//!   with its end for a single operation.
//! - **X3** A copy of a transaction in a forked child touches nothing.

mod overlay;
mod touched;
mod commit;
mod maps;

use std::rc::Rc;

use smallvec::SmallVec;

use crate::defect::defect;
use crate::error::{Error, Result};
use crate::journal::Context;
use crate::kind::Kind;
use crate::memory::Region;
use crate::memory::layout::Object;
use crate::objects::cell::{self, Cell};
use crate::objects::queue::{Promise, Why};
use crate::objects::{Handle, Lease, Map, Queue, Value, parcel};
use crate::sync::{Patience, lock};

pub use overlay::Additions;
pub use touched::Thing;
use touched::{Things, Touched};

/// A transaction that is open.
#[derive(Debug)]
pub struct Transaction {
    context: Rc<Context>,
    /// Objects, locked but for maps that are only added to.
    touched: Things,
    queues: Vec<Logical>,
    doomed: Option<Error>,
    is_over: bool,
}

/// What happened to a queue.
#[derive(Debug, Clone)]
enum Logical {
    /// Leased in this transaction: acked by the commit, given back by an abort.
    Taken { queue: Queue, lease: Lease },
    /// Leased before: acked by the commit.
    Acked { queue: Queue, lease: Lease },
    /// Goes back with the commit, and the attempt counts. If it was taken in this transaction,
    /// that entry stands before this one.
    Nacked { queue: Queue, lease: Lease },
    /// Appears with the commit.
    Put { queue: Queue, promise: Promise, item: Vec<u8> },
}

/// A moment of a transaction that it can go back to. The default is its beginning.
#[derive(Debug, Default)]
pub struct Savepoint {
    touched: Things,
    queues: usize,
}

impl Transaction {
    /// Begins a transaction of the calling thread. `age`: that of the attempt before this one.
    ///
    /// # Errors
    ///
    /// [`Error::InTransaction`] when one is open already.
    pub fn begin(context: Rc<Context>, age: Option<u64>) -> Result<Self> {
        if !context.kept.transaction.begin() {
            return Err(Error::InTransaction);
        }
        Region::store(&context.entry().age, age.unwrap_or(1).max(1));
        Ok(Self {
            context,
            touched: Things::default(),
            queues: Vec::new(),
            doomed: None,
            is_over: false,
        })
    }

    /// How old it is, for the next attempt.
    pub fn age(&self) -> u64 {
        self.context.entry().age.get()
    }

    /// How old the thread's last transaction was, for the next attempt. `None`: it never waited.
    pub fn last_age(context: &Context) -> Option<u64> {
        Some(context.kept.transaction.last_age()).filter(|age| *age > 1)
    }

    /// Why it was given up, if it was.
    pub fn doom(&self) -> Option<&Error> {
        self.doomed.as_ref().or(self.context.kept.transaction.doom())
    }

    /// Whether this transaction may go on at all.
    fn check(&self) -> Result<()> {
        if !self.context.is_own() {
            return Err(Error::ForkedInside);
        }
        if self.context.member().is_closed() {
            return Err(Error::Closed);
        }
        match self.doom() {
            Some(why) => Err(Error::Doomed(Box::new(why.clone()))),
            None => Ok(()),
        }
    }

    /// Gives everything back when `answer` is an error that nobody may ignore.
    fn or_doom<T>(&mut self, answer: Result<T>) -> Result<T> {
        if let (Err(error @ (Error::Deadlock | Error::WouldBlock)), false) = (&answer, defect(21)) {
            self.give_up(error.clone());
        }
        answer
    }

    /// Gives everything back: the transaction cannot go on, and `why` is what it says from now on.
    pub fn give_up(&mut self, why: Error) {
        self.doomed = Some(why);
        self.give_everything_back();
    }

    fn lock(&mut self, handle: &Handle) -> Result<()> {
        let locked = handle.lock_for_transaction(&self.context, Patience::new(None));
        self.or_doom(locked)
    }

    /// Locks something without waiting. `false`: another has it.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`], [`Error::Doomed`].
    pub fn try_lock(&mut self, thing: Thing) -> Result<bool> {
        self.check()?;
        if self.touched.is_locked(thing.handle().at) {
            return Ok(true);
        }
        let is_locked = thing.handle().try_lock_for_transaction(&self.context)?;
        if is_locked {
            self.touched.enter_locked(thing, self.context.region().header().seed.get());
        }
        Ok(is_locked)
    }

    /// Locks something in a wait that began at `started`, and comes back at `until`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] at `until`; [`Error::Deadlock`], [`Error::Interrupted`],
    /// [`Error::ObjectGone`], [`Error::Doomed`].
    pub fn lock_until(&mut self, thing: Thing, started: u64, until: u64) -> Result<()> {
        self.check()?;
        if self.touched.is_locked(thing.handle().at) {
            return Ok(());
        }
        let patience = Patience::until(started, until);
        let locked = thing.handle().lock_for_transaction(&self.context, patience);
        self.or_doom(locked)?;
        self.touched.enter_locked(thing, self.context.region().header().seed.get());
        Ok(())
    }

    /// Whether nobody waits for anything that this transaction has.
    pub fn holds_nothing(&self) -> bool {
        self.touched.is_empty() && self.queues.is_empty()
    }

    /// Runs an operation of a lock or a queue that may wait, which it does while this transaction
    /// holds nothing. It is no part of the transaction.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] where it would wait otherwise; what the operation answers.
    pub fn beside<T>(&mut self, operation: impl FnOnce(&Context) -> Result<T>) -> Result<T> {
        self.check()?;
        let holds_any = !self.holds_nothing();
        let context = &self.context;
        let answer = context.kept.transaction.shown(holds_any, || operation(context));
        self.or_doom(answer)
    }

    fn touch_value(&mut self, value: &Value) -> Result<&mut Option<Vec<u8>>> {
        self.check()?;
        if !self.touched.contains(value.handle.at) {
            self.lock(&value.handle)?;
        }
        let fresh = || Touched::Value { value: *value, new: None };
        let number = self.touched.enter(value.handle.at, fresh);
        match self.touched.get_mut(number) {
            Some(Touched::Value { new, .. }) => Ok(new),
            _ => Err(Error::WrongKind { found: Kind::Map, wanted: Kind::Value }),
        }
    }

    /// As [`Value::get`], through this transaction's own writes.
    ///
    /// # Errors
    ///
    /// As [`Value::get`]; [`Error::Deadlock`].
    pub fn value_get(&mut self, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        if let Some(new) = self.touch_value(value)? {
            out.clone_from(new);
            return Ok(());
        }
        value.get(&self.context, out)
    }

    /// As [`Value::set`], when this transaction commits.
    ///
    /// # Errors
    ///
    /// [`Error::Deadlock`], [`Error::ObjectGone`].
    pub fn value_set(&mut self, value: &Value, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Err(Error::BadArgument("a value has at least one byte"));
        }
        *self.touch_value(value)? = Some(bytes.to_vec());
        Ok(())
    }

    /// As [`Value::add`], when this transaction commits.
    ///
    /// # Errors
    ///
    /// As [`Value::add`]; [`Error::Deadlock`].
    pub fn value_add(&mut self, value: &Value, more: i64) -> Result<i64> {
        let mut old = Vec::with_capacity(16);
        self.value_get(value, &mut old)?;
        let sum = integer(&old)?.checked_add(more).ok_or(Error::Overflow)?;
        self.value_set(value, &encode_integer(sum))?;
        Ok(sum)
    }

    /// Takes the item at the front on lease; the commit acks it, an abort gives it back.
    ///
    /// # Errors
    ///
    /// As [`Queue::lease`].
    pub fn queue_get(&mut self, queue: &Queue, out: &mut Vec<u8>) -> Result<Lease> {
        self.check()?;
        let lease = queue.lease(&self.context, out)?;
        self.queues.push(Logical::Taken { queue: *queue, lease });
        Ok(lease)
    }

    /// As [`queue_get`](Self::queue_get), waiting for an item while this transaction holds
    /// nothing, in a wait that began at `started` and comes back at `until`.
    ///
    /// # Errors
    ///
    /// As [`Queue::lease_until`]; [`Error::WouldBlock`].
    pub fn queue_get_until(
        &mut self,
        queue: &Queue,
        started: u64,
        until: u64,
        out: &mut Vec<u8>,
    ) -> Result<Lease> {
        let lease = self.beside(|context| queue.lease_until(context, started, until, out))?;
        self.queues.push(Logical::Taken { queue: *queue, lease });
        Ok(lease)
    }

    /// Acks a lease that was taken before, when this transaction commits.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] when it was acked in this transaction already.
    pub fn queue_ack(&mut self, queue: &Queue, lease: &Lease) -> Result<()> {
        self.check()?;
        let is_known = self.queues.iter().any(|logical| match logical {
            Logical::Acked { lease: known, .. }
            | Logical::Nacked { lease: known, .. }
            | Logical::Taken { lease: known, .. } => known == lease,
            Logical::Put { .. } => false,
        });
        if is_known {
            return Err(Error::LeaseLost);
        }
        self.queues.push(Logical::Acked { queue: *queue, lease: *lease });
        Ok(())
    }

    /// Gives a lease back when this transaction commits, to be tried again; the attempt counts.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] when it was acked or given back in this transaction already.
    pub fn queue_nack(&mut self, queue: &Queue, lease: &Lease) -> Result<()> {
        self.check()?;
        let is_ended = self.queues.iter().any(|logical| match logical {
            Logical::Acked { lease: known, .. } | Logical::Nacked { lease: known, .. } => {
                known == lease
            }
            Logical::Taken { .. } | Logical::Put { .. } => false,
        });
        if is_ended {
            return Err(Error::LeaseLost);
        }
        self.queues.push(Logical::Nacked { queue: *queue, lease: *lease });
        Ok(())
    }

    /// Puts an item at the back, when this transaction commits; its place is taken now.
    ///
    /// # Errors
    ///
    /// As [`Queue::put`].
    pub fn queue_put(&mut self, queue: &Queue, item: &[u8]) -> Result<()> {
        self.check()?;
        if item.is_empty() {
            return Err(Error::BadArgument("a value has at least one byte"));
        }
        let promise = queue.promise(&self.context)?;
        self.queues.push(Logical::Put { queue: *queue, promise, item: item.to_vec() });
        Ok(())
    }

    /// As [`queue_put`](Self::queue_put), waiting for a place while this transaction holds nothing,
    /// in a wait that began at `started` and comes back at `until`.
    ///
    /// # Errors
    ///
    /// As [`Queue::put_until`]; [`Error::WouldBlock`].
    pub fn queue_put_until(
        &mut self,
        queue: &Queue,
        started: u64,
        until: u64,
        item: &[u8],
    ) -> Result<()> {
        if item.is_empty() {
            return Err(Error::BadArgument("a value has at least one byte"));
        }
        let patience = Patience::until(started, until);
        let promise = self.beside(|context| queue.promise_wait(context, patience))?;
        self.queues.push(Logical::Put { queue: *queue, promise, item: item.to_vec() });
        Ok(())
    }

    /// A moment to go back to.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint { touched: self.touched.clone(), queues: self.queues.len() }
    }

    /// Forgets everything since a savepoint. Locks taken since are kept.
    ///
    /// # Errors
    ///
    /// [`Error::Doomed`] when there is nothing to go back to.
    pub fn roll_back_to(&mut self, savepoint: Savepoint) -> Result<()> {
        self.check()?;
        let Savepoint { touched, queues } = savepoint;
        self.touched = self.touched.rolled_back_to(touched);
        for logical in self.queues.split_off(queues).into_iter().rev() {
            logical.give_back(&self.context)?;
        }
        Ok(())
    }

    /// Makes everything real, at once, and ends the transaction.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`], [`Error::TransactionTooLarge`], [`Error::LeaseLost`],
    /// [`Error::ObjectGone`], [`Error::Doomed`]; nothing was changed and the transaction is over.
    pub fn commit(mut self) -> Result<()> {
        self.check()?;
        let unlocked: SmallVec<[Map; 4]> =
            self.touched.iter().filter_map(Touched::unlocked).collect();
        for map in unlocked {
            self.lock(&map.handle)?;
        }
        let done = commit::commit(&self.context, &self.touched, &self.queues);
        if done.is_ok() {
            self.queues.clear();
        }
        self.give_everything_back();
        let tidied = crate::allocator::tidy(&self.context);
        done.and(tidied)
    }

    /// Forgets everything and ends the transaction.
    pub fn abort(mut self) {
        self.give_everything_back();
    }

    fn give_everything_back(&mut self) {
        if self.is_over || !self.context.is_own() {
            return;
        }
        self.is_over = true;
        for logical in std::mem::take(&mut self.queues).into_iter().rev() {
            // A queue that was removed meanwhile has nothing to take back.
            let _ = logical.give_back(&self.context);
        }
        let region = self.context.region();
        for thing in self.touched.iter() {
            if let Ok(object) = region.at::<Object>(thing.at()) {
                lock::give(&object.lock, &object.signal, self.context.me());
            }
        }
        let age = self.age();
        Region::store(&self.context.entry().age, 0);
        self.context.kept.transaction.end(age);
        parcel::discard_put_off(&self.context);
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.give_everything_back();
    }
}

impl Logical {
    fn give_back(self, context: &Context) -> Result<()> {
        match self {
            Self::Taken { queue, lease } => {
                let counted = defect(22).then_some(Why::Dropped);
                queue.nack(context, &lease, counted)
            }
            Self::Acked { .. } | Self::Nacked { .. } => Ok(()),
            Self::Put { queue, promise, .. } => queue.cancel(context, promise),
        }
    }
}

fn integer(bytes: &[u8]) -> Result<i64> {
    Cell::inline(bytes).and_then(Cell::as_integer).ok_or(Error::NotAnInteger)
}

fn encode_integer(value: i64) -> [u8; 9] {
    let mut bytes = [cell::INT_TAG; 9];
    bytes[1..].copy_from_slice(&value.to_le_bytes());
    bytes
}
