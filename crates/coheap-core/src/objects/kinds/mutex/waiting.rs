//! Waiting for a lock that another thread holds.
//!
//! What always holds: a waiter sets the lock's `WAITERS` flag before it sleeps. It publishes the
//! lock to the search for deadlocks only if it waits without a deadline.

use super::{Acquired, Mutex, inherit, taken};
use crate::error::{Error, Result};
use crate::journal::Context;
use crate::memory::layout::MutexRoot;
use crate::objects::estate;
use crate::sync::wait::{self, Pause};
use crate::sync::{Owner, Patience, deadlock, lock};

/// How often a waiter checks before it sleeps.
const LOOKS: u32 = 3;
/// Pauses before each check, some microseconds. A waiter that checks all the time takes the lock's
/// cache line from its holder, and takes the lock after a single use.
const PAUSES: u32 = if cfg!(any(loom, sim)) { 1 } else { 200 };
/// How long a cycle of plain locks must stay unchanged before it counts as a deadlock, in
/// nanoseconds.
const STABLE: u64 = 1_000_000_000;

impl Mutex {
    /// Waits until the lock is free or its holder is dead, without acquiring it. Returns at
    /// `until`, and looks for deadlocks, as [`lock_until`](Self::lock_until) does.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], [`Error::Deadlock`], [`Error::Interrupted`], [`Error::ObjectGone`].
    pub fn wait_until_free(&self, context: &Context, started: u64, until: u64) -> Result<()> {
        let root = self.root(context.region())?;
        let mut patience = Patience::until(started, until);
        let answer = self.sleep_until_free(root, context, &mut patience);
        deadlock::withdraw(context.region(), context.index());
        patience.leave(&root.signal);
        // The wake may have been for another sleeper, so it is passed on.
        wait::wake(&root.signal, 1);
        answer
    }

    fn sleep_until_free(
        &self,
        root: &MutexRoot,
        context: &Context,
        patience: &mut Patience,
    ) -> Result<()> {
        let (region, member) = (context.region(), context.member());
        let mut is_published = false;
        context.begin_wait(patience, &root.signal);
        loop {
            self.handle.object(region)?;
            let seen = root.signal.seen();
            let word = root.lock.acquire();
            let owner = Owner::of(word);
            if owner.is_nobody() {
                return Ok(());
            }
            if !lock::announce(&root.lock, word) {
                continue;
            }
            if !is_published && patience.is_settled_in() {
                deadlock::publish(region, context.index(), region.offset_of(&root.lock));
                is_published = true;
            }
            match context.pause(patience, &root.signal, seen, Some(owner))? {
                Pause::Look => {}
                // Who is interrupted all the time finds the deadlock, too.
                Pause::Interrupted if !is_deadlocked(context, patience) => {
                    return Err(Error::Interrupted);
                }
                Pause::Interrupted => return Err(Error::Deadlock),
                Pause::Tick(part) => estate::tick(context, part)?,
                Pause::OwnerGone => return Ok(()),
                Pause::TimedOut if wait::is_gone(member, context.index(), owner)? => return Ok(()),
                Pause::TimedOut if !is_deadlocked(context, patience) => {
                    return Err(Error::TimedOut);
                }
                Pause::TimedOut => {}
            }
            if is_deadlocked(context, patience) {
                return Err(Error::Deadlock);
            }
        }
    }

    #[cold]
    pub(super) fn lock_slowly(
        &self,
        root: &MutexRoot,
        context: &Context,
        mut patience: Patience,
    ) -> Result<Acquired> {
        if is_taken_soon(root, context) {
            return taken(root, context);
        }
        if context.kept.transaction.is_open() {
            // The lock of a dead holder needs no wait.
            let acquired = self.try_lock_slowly(root, context)?;
            return acquired.ok_or_else(|| context.kept.transaction.doomed_by(&Error::WouldBlock));
        }
        let region = context.region();
        let answer = self.wait_for(root, context, &mut patience);
        deadlock::withdraw(region, context.index());
        patience.leave(&root.signal);
        answer
    }

    fn wait_for(
        &self,
        root: &MutexRoot,
        context: &Context,
        patience: &mut Patience,
    ) -> Result<Acquired> {
        let region = context.region();
        let mut is_published = false;
        context.begin_wait(patience, &root.signal);
        loop {
            let seen = root.signal.seen();
            let word = root.lock.acquire();
            let owner = Owner::of(word);
            if owner.is_nobody() {
                if lock::try_take_after_sleep(&root.lock, context.me()) {
                    return taken(root, context);
                }
                continue;
            }
            if !lock::announce(&root.lock, word) {
                continue;
            }
            if !patience.has_deadline() && !is_published && patience.is_settled_in() {
                deadlock::publish(region, context.index(), region.offset_of(&root.lock));
                is_published = true;
            }
            match context.pause(patience, &root.signal, seen, Some(owner))? {
                Pause::Look => {}
                // Who is interrupted all the time finds the deadlock, too.
                Pause::Interrupted if !is_deadlocked(context, patience) => {
                    return Err(Error::Interrupted);
                }
                Pause::Interrupted => return Err(Error::Deadlock),
                Pause::Tick(part) => estate::tick(context, part)?,
                Pause::TimedOut => {
                    let acquired = self.try_lock(context)?;
                    let is_over = acquired.is_none() && is_deadlocked(context, patience);
                    let late = if is_over { Error::Deadlock } else { Error::TimedOut };
                    return acquired.ok_or(late);
                }
                Pause::OwnerGone => {
                    estate::bury(context, owner)?;
                    if let Some(acquired) = inherit(root, owner, context)? {
                        return Ok(acquired);
                    }
                }
            }
            self.handle.object(region)?;
            if is_deadlocked(context, patience) {
                return Err(Error::Deadlock);
            }
        }
    }
}

/// Takes the lock if it becomes free within some microseconds.
#[cold]
pub(super) fn is_taken_soon(root: &MutexRoot, context: &Context) -> bool {
    (0..LOOKS).any(|_| {
        (0..PAUSES).for_each(|_| std::hint::spin_loop());
        Owner::of(root.lock.get()).is_nobody() && lock::try_take(&root.lock, context.me())
    })
}

/// Returns whether a wait without a deadline is in a stable cycle, and this thread is the one to
/// give up.
fn is_deadlocked(context: &Context, patience: &Patience) -> bool {
    let is_stable = !patience.has_deadline() && patience.age() > STABLE;
    is_stable && deadlock::is_victim(context.member(), context.index())
}
