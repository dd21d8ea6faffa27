//! Waiting for a lock that another thread holds.
//!
//! What always holds: a waiter is in the parking table, and has set the lock's `WAITERS` flag, before
//! it sleeps. It publishes the lock to the search for deadlocks only if it waits without a deadline.

use super::{Acquired, Mutex, refusal};
use crate::error::{Error, Result};
use crate::journal::Context;
use crate::memory::layout::Object;
use crate::objects::estate;
use crate::objects::wait::{Announced, Published, Wait, owner_of, who};
use crate::os;
use crate::sync::parking::offer::Took;
use crate::sync::parking::word::{Holder, LockWord};
use crate::sync::wait::{self, Pause, Place, Possession};
use crate::sync::{Owner, Patience, deadlock};

/// How often a waiter checks before it sleeps.
const LOOKS: u32 = 3;
/// Pauses before each check, some microseconds. A waiter that checks all the time takes the lock's
/// cache line from its holder, and takes the lock after a single use.
const PAUSES: u32 = if cfg!(any(loom, sim)) { 1 } else { 200 };
/// How long a cycle of plain locks must stay unchanged before it counts as a deadlock, in
/// nanoseconds.
const STABLE: u64 = 1_000_000_000;

/// What a look at the lock came to.
enum Look<T> {
    /// The wait is over.
    Over(T),
    /// A thread has the lock.
    Held(LockWord, Owner),
    /// It is offered to another thread.
    Offered(LockWord),
}

impl Mutex {
    fn place<'a>(&self, object: &'a Object, context: &'a Context) -> Place<'a> {
        let lock = self.lock_in(object);
        let (key, reason) = (lock.key, lock.reason);
        Place { key, reason, watch: &object.watch, waiter: context.waiter() }
    }

    fn wait<'a>(
        &self,
        object: &'a Object,
        context: &'a Context,
        is_looker: bool,
        patience: Patience,
    ) -> Wait<'a> {
        let announced = Announced::In(self.lock_in(object));
        Wait::new(context, self.place(object, context), announced, is_looker, patience)
    }

    /// Waits until the lock is free or its holder is dead, without acquiring it. Returns at
    /// `until`, and looks for deadlocks, as [`lock_until`](Self::lock_until) does.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], [`Error::Deadlock`], [`Error::Interrupted`], [`Error::ObjectGone`].
    pub fn wait_until_free(&self, context: &Context, started: u64, until: u64) -> Result<()> {
        let object = self.object(context.region())?;
        let mut wait = self.wait(object, context, true, Patience::until(started, until));
        let mut look = || {
            let seen = LockWord(self.object(context.region())?.mutex.after_change());
            Ok(match seen.holder() {
                Holder::Thread(holder) => Look::Held(seen, owner_of(holder)),
                Holder::Nobody | Holder::Offered(_) => Look::Over(()),
            })
        };
        self.sleep_until(object, context, &mut wait, &mut look, &mut |_, _| Ok(Some(())))
    }

    #[cold]
    pub(super) fn lock_slowly(
        &self,
        object: &Object,
        context: &Context,
        patience: Patience,
    ) -> Result<Acquired> {
        if self.is_taken_soon(object, context) {
            return Ok(super::taken(object, context, 0));
        }
        if context.kept.transaction.is_open() {
            // The lock of a dead holder needs no wait.
            let acquired = self.try_lock_slowly(object, context, 0)?;
            return acquired.ok_or_else(|| context.kept.transaction.doomed_by(&Error::WouldBlock));
        }
        let deadline = patience.deadline();
        let mut wait = self.wait(object, context, false, patience);
        let mut look = || {
            let took = self.lock_in(object).take(context.region(), who(context), false, os::now());
            Ok(match took {
                Took::Yes(before) => Look::Over(self.told(object, context, before, 0)),
                Took::Held(seen) => match seen.holder() {
                    Holder::Thread(holder) => Look::Held(seen, owner_of(holder)),
                    _ => Look::Offered(seen),
                },
                Took::Offered(seen) => Look::Offered(seen),
                Took::Refused(_) => Look::Over(Err(refusal(object))),
                Took::Gone => Look::Over(Err(Error::ObjectGone)),
            })
        };
        let mut inherit = |seen: LockWord, _: Owner| {
            let inherit = || self.inherit_from_the_dead(object, context, seen);
            match context.until(deadline, inherit) {
                Err(Error::Busy { .. }) if deadline.is_some_and(|it| os::now() >= it) => {
                    Err(Error::TimedOut)
                }
                other => other.map(|acquired| acquired.map(Ok)),
            }
        };
        let answer = self.sleep_until(object, context, &mut wait, &mut look, &mut inherit);
        let answer = match answer {
            Ok(Ok(acquired)) => {
                wait.leave_with_lock();
                Ok(acquired)
            }
            // Who is refused rings the next one, who is refused, too.
            Ok(refused) => refused,
            // The lock may be offered to this thread at the very end.
            Err(error) => match wait.leave_without_lock() {
                true => self.told(object, context, LockWord(object.mutex.get()), 0),
                false => Err(error),
            },
        };
        if context.member().is_closed() { self.give_up(context, answer) } else { answer }
    }

    /// Ends a wait whose process has closed the heap meanwhile: to the others the lock is one of a
    /// process that has left.
    #[cold]
    fn give_up(&self, context: &Context, answer: Result<Acquired>) -> Result<Acquired> {
        let _ = match answer {
            Ok(Acquired::Clean) => self.unlock(context),
            Ok(Acquired::OwnerDied(pid)) => self.unlock_marked(context, pid),
            Err(_) => Ok(()),
        };
        Err(Error::Closed)
    }

    /// Sleeps until a look says that the wait is over, or until the holder is gone and `inherit`
    /// says so.
    fn sleep_until<T>(
        &self,
        object: &Object,
        context: &Context,
        wait: &mut Wait<'_>,
        look: &mut dyn FnMut() -> Result<Look<T>>,
        inherit: &mut dyn FnMut(LockWord, Owner) -> Result<Option<T>>,
    ) -> Result<T> {
        let region = context.region();
        let lock = self.lock_in(object);
        let mut published = Published::new(context);
        loop {
            wait.listen();
            let (seen, owner) = match look()? {
                Look::Over(answer) => return Ok(answer),
                Look::Held(seen, owner) => (seen, Some(owner)),
                Look::Offered(seen) => (seen, None),
            };
            if !lock.announce(seen) {
                continue;
            }
            if !wait.patience().has_deadline() && wait.patience().is_settled_in() {
                published.publish(region.offset_of(&object.mutex));
            }
            let possession = owner.map_or(Possession::Offered, Possession::Of);
            let pause = wait.sleep(possession)?;
            if let Pause::Tick(part) = pause {
                estate::tick(context, part, wait.patience())?;
            }
            let is_gone = match (pause, owner) {
                (Pause::OwnerGone, _) => true,
                (Pause::TimedOut, Some(owner)) => {
                    wait::is_gone(context.member(), context.index(), owner)?
                }
                _ => false,
            };
            if let (true, Some(owner)) = (is_gone, owner) {
                if let Some(answer) = inherit(seen, owner)? {
                    return Ok(answer);
                }
                continue;
            }
            if is_deadlocked(context, wait.patience()) {
                return Err(Error::Deadlock);
            }
            if pause == Pause::TimedOut {
                wait.listen();
                return match look()? {
                    Look::Over(answer) => Ok(answer),
                    _ => Err(Error::TimedOut),
                };
            }
            self.object(region)?;
        }
    }

    /// Takes the lock if it becomes free within some microseconds.
    #[cold]
    pub(super) fn is_taken_soon(&self, object: &Object, context: &Context) -> bool {
        let lock = self.lock_in(object);
        (0..=LOOKS).any(|look| {
            (0..look.min(1) * PAUSES).for_each(|_| std::hint::spin_loop());
            lock.take_free(context.region(), who(context))
        })
    }
}

/// Returns whether a wait without a deadline is in a stable cycle, and this thread is the one to
/// give up.
fn is_deadlocked(context: &Context, patience: &Patience) -> bool {
    let is_stable = !patience.has_deadline() && patience.age() > STABLE;
    is_stable && deadlock::is_victim(context.member(), context.index())
}
