//! Transactions: the private changes of a user's block, until it commits.
//!
//! A transaction takes an object's long lock when it first touches the object, and keeps it to the
//! end. Its writes go to a private overlay, where its own reads find them. The commit applies all
//! overlays as one change. No other process sees a part of it, a death in user code leaves nothing
//! to undo, and an abort only drops the overlays.
//!
//! Queues are never locked: an item is leased at once, and acked by the commit or returned without
//! counting the attempt; a put reserves its place at once and becomes visible with the commit.
//!
//! # What always holds
//!
//! - **Transaction.1** Locks are taken one by one and released together, after the commit or the
//!   abort.
//! - **Transaction.2** `Deadlock` and `WouldBlock` doom the whole transaction, also if a single
//!   operation of the same thread returned them, and so does any error passed to
//!   [`Transaction::give_up`]. Every later call returns [`Error::Doomed`], and the transaction
//!   cannot commit. Its locks and items are returned at once, or at its end if a single operation
//!   doomed it.
//! - **Transaction.3** A copy of a transaction in a forked child touches nothing.

mod touched;
mod commit;

use std::rc::Rc;

use crate::allocator;
use crate::defect::{Mistake, defect};
use crate::error::{Error, Result};
use crate::journal::Context;
use crate::memory::Region;
use crate::objects::overlay::{Intent, Locking, Overlay};
use crate::objects::{Handle, Inside, Lockable, Transactional, husk, map, parcel};
use crate::sync::Patience;

use touched::TouchedObjects;

/// An open transaction.
#[derive(Debug)]
pub struct Transaction {
    context: Rc<Context>,
    touched: TouchedObjects,
    doomed: Option<Error>,
    is_over: bool,
}

/// A state to which a transaction can go back. The default is its beginning.
#[derive(Debug, Default)]
pub struct Savepoint(u64);

impl Transaction {
    /// Begins a transaction of the calling thread. `age` is the age of the previous attempt.
    ///
    /// # Errors
    ///
    /// [`Error::InTransaction`] when one is open already.
    pub fn begin(context: Rc<Context>, age: Option<u64>) -> Result<Self> {
        if !context.kept.transaction.begin() {
            return Err(Error::InTransaction);
        }
        Region::store(&context.row().age, age.unwrap_or(1).max(1));
        Ok(Self { context, touched: TouchedObjects::default(), doomed: None, is_over: false })
    }

    /// Returns the age of the transaction, for the next attempt.
    pub fn age(&self) -> u64 {
        self.context.row().age.get()
    }

    /// Returns the age of the thread's last transaction, for the next attempt. Returns `None` if it
    /// never waited.
    pub fn last_age(context: &Context) -> Option<u64> {
        Some(context.kept.transaction.last_age()).filter(|age| *age > 1)
    }

    /// Returns why the transaction was given up, if it was.
    pub fn doom(&self) -> Option<&Error> {
        self.doomed.as_ref().or(self.context.kept.transaction.doom())
    }

    /// Checks that the transaction may continue.
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

    /// Gives the transaction up if `answer` is an error that must not be ignored.
    fn or_doom<T>(&mut self, answer: Result<T>) -> Result<T> {
        if let (Err(error @ (Error::Deadlock | Error::WouldBlock)), false) =
            (&answer, defect(Mistake::GoOnAfterDeadlock))
        {
            self.give_up(error.clone());
        }
        answer
    }

    /// Gives the transaction up: its locks and items are returned, and every later call returns
    /// `why` in [`Error::Doomed`].
    pub fn give_up(&mut self, why: Error) {
        self.doomed = Some(why);
        self.give_everything_back();
    }

    fn lock(&mut self, handle: &Handle) -> Result<()> {
        let locked = handle.lock_for_transaction(&self.context, Patience::new(None));
        self.or_doom(locked)
    }

    /// Runs an operation of this transaction that waits until `deadline`: see
    /// [`Context::waiting_until`].
    #[inline]
    pub fn waiting_until<T>(&mut self, deadline: u64, operation: impl FnOnce(&mut Self) -> T) -> T {
        let context = Rc::clone(&self.context);
        context.waiting_until(deadline, |_| operation(self))
    }

    /// Returns an object inside this transaction, for operations on it.
    #[inline]
    pub fn on<T: Transactional>(&mut self, object: &T) -> Inside<'_, T> {
        Inside::new(self, object)
    }

    /// Locks an object without waiting. Returns `false` if another thread holds it.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`], [`Error::Doomed`].
    pub fn try_lock(&mut self, object: Lockable) -> Result<bool> {
        self.check()?;
        let is_locked = self.touched.is_locked(&object)
            || object.handle.try_lock_for_transaction(&self.context)?;
        if is_locked {
            self.enter_locked(&object);
        }
        Ok(is_locked)
    }

    /// Locks an object, in a wait that began at `started` and returns at `until`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] at `until`; [`Error::Deadlock`], [`Error::Interrupted`],
    /// [`Error::ObjectGone`], [`Error::Doomed`].
    pub fn lock_until(&mut self, object: Lockable, started: u64, until: u64) -> Result<()> {
        self.check()?;
        if self.touched.is_locked(&object) {
            return Ok(());
        }
        let patience = Patience::until(started, until);
        let locked = object.handle.lock_for_transaction(&self.context, patience);
        self.or_doom(locked)?;
        self.enter_locked(&object);
        Ok(())
    }

    fn enter_locked(&mut self, object: &Lockable) -> usize {
        let number = self.touched.enter(object, self.context.region());
        self.touched.get_mut(number).is_locked = true;
        number
    }

    /// Returns whether the transaction holds nothing that other threads could wait for.
    pub fn holds_nothing(&self) -> bool {
        self.touched.overlays().all(|overlay| overlay.holds_nothing())
    }

    /// Runs an operation of a lock or a queue that may wait. It waits only while this transaction
    /// holds nothing, and is not part of the transaction.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] if it would wait while the transaction holds something; else the error
    /// of the operation.
    pub fn beside<T>(&mut self, operation: impl FnOnce(&Context) -> Result<T>) -> Result<T> {
        self.check()?;
        let holds_any = !self.holds_nothing();
        let context = &self.context;
        let answer = context.kept.transaction.shown(holds_any, || operation(context));
        self.or_doom(answer)
    }

    /// Returns a savepoint, to which the transaction can go back. It takes no time, however much was
    /// written before.
    pub fn savepoint(&mut self) -> Savepoint {
        Savepoint(self.touched.savepoint())
    }

    /// Drops all writes since a savepoint. Locks that were taken since are kept. Savepoints that were
    /// taken since are then as good as this one.
    ///
    /// # Errors
    ///
    /// [`Error::Doomed`] when the transaction was given up.
    pub fn roll_back_to(&mut self, savepoint: Savepoint) -> Result<()> {
        self.check()?;
        self.touched.roll_back_to(&self.context, savepoint.0)
    }

    /// Applies all writes at once, and ends the transaction.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`], [`Error::TransactionTooLarge`], [`Error::LeaseLost`],
    /// [`Error::ObjectGone`], [`Error::Doomed`]; nothing was changed, and the transaction has
    /// ended.
    pub fn commit(mut self) -> Result<()> {
        self.try_commit()
    }

    /// As [`commit`](Self::commit), but the transaction stays open when the thread may not wait any
    /// longer for a turn: [`Context::waiting_until`] says how long it may.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`], [`Error::Interrupted`]: nothing was changed, and the transaction is open;
    /// commit it again, or drop it. Else as [`commit`](Self::commit).
    pub fn try_commit(&mut self) -> Result<()> {
        self.check()?;
        if self.is_over {
            return Err(Error::BadArgument("the transaction has ended"));
        }
        for number in 0..self.touched.len() {
            let touched = self.touched.get_mut(number);
            if touched.misses_lock() {
                let handle = touched.handle;
                self.lock(&handle)?;
                self.touched.get_mut(number).is_locked = true;
            }
        }
        let done = commit::commit(&self.context, &mut self.touched);
        if let Err(Error::Busy { .. } | Error::Interrupted) = done {
            return done;
        }
        self.end(done.is_ok());
        done.and(self.tidy())
    }

    /// Puts in order what the commit has left, and takes apart what it has cut loose.
    #[inline]
    fn tidy(&self) -> Result<()> {
        let context = &self.context;
        self.touched.overlays().try_for_each(|overlay| overlay.tidy(context))?;
        // What the commit cut loose serves every other object from now on.
        husk::dismantle_only(context)?;
        parcel::let_go(context)?;
        allocator::tidy(context)?;
        map::go_on(context)
    }

    /// Drops all writes and ends the transaction.
    pub fn abort(mut self) {
        self.give_everything_back();
    }

    fn give_everything_back(&mut self) {
        self.end(false);
    }

    /// Releases every lock, and returns every taken item unless the commit has acked it.
    fn end(&mut self, has_committed: bool) {
        if self.is_over || !self.context.is_own() {
            return;
        }
        self.is_over = true;
        if !has_committed {
            self.touched.overlays_mut().for_each(|overlay| overlay.give_back(&self.context));
        }
        for touched in self.touched.iter().filter(|touched| touched.is_locked) {
            touched.handle.unlock_after_transaction(&self.context);
        }
        let age = self.age();
        Region::store(&self.context.row().age, 0);
        self.context.kept.transaction.end(age);
        parcel::discard_put_off(&self.context);
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.give_everything_back();
    }
}

impl Intent for Transaction {
    #[inline]
    fn overlay(&mut self, object: &Lockable, locking: Locking) -> Result<(&mut Overlay, &Context)> {
        self.check()?;
        let found = self.touched.number(&object.handle);
        let is_locked = found.is_ok_and(|number| self.touched.get(number).is_locked);
        let number = if locking == Locking::Now && !is_locked {
            self.lock(&object.handle)?;
            self.enter_locked(object)
        } else {
            self.touched.enter_at(found, object, self.context.region())
        };
        Ok((&mut self.touched.get_mut(number).overlay, &self.context))
    }

    fn entered(&mut self, object: &Lockable) -> &mut Overlay {
        let number = self.touched.enter(object, self.context.region());
        &mut self.touched.get_mut(number).overlay
    }

    fn run_beside(&mut self, operation: &mut dyn FnMut(&Context) -> Result<()>) -> Result<()> {
        self.beside(|context| operation(context))
    }
}
