//! A wait of the calling thread for something of an object, from its cell in the parking table to
//! the last look.
//!
//! ```text
//! bell down -> cell and tag -> announced -> look -> sleep -> bell down -> look -> ... -> leave
//! ```
//!
//! What always holds: a thread that leaves without what it waited for, although it was rung, rings
//! the next one. A wait that the table has no room for looks by itself, less and less often.
//!
//! Not here: what is looked at, and who rings.

use crate::defect::{Mistake, defect};
use crate::error::{Error, Result};
use crate::journal::Context;
use crate::memory::layout::Object;
use crate::memory::{Ordering, Region, Word, fence};
use crate::sync::parking::bell::Heard;
use crate::sync::parking::offer::Lock;
use crate::sync::parking::table::waiter::full_slice;
use crate::sync::parking::want::{self, Line};
use crate::sync::parking::{Key, Manner, Parked, Reason, Who, ring};
use crate::sync::wait::{Pause, Place, Possession};
use crate::sync::{Owner, Patience, deadlock};

/// What ends a sleep of the wait: the word that makers change or read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Announced<'a> {
    /// The word of a lock, which whoever lets go of it reads.
    In(Lock<'a>),
    /// The want-bits of the object.
    By(&'a Word),
}

/// One wait.
pub(crate) struct Wait<'a> {
    context: &'a Context,
    place: Place<'a>,
    announced: Announced<'a>,
    is_looker: bool,
    patience: Patience,
    parked: Option<Parked>,
    /// How often the table had no room.
    refusals: u32,
}

impl<'a> Wait<'a> {
    /// Begins a wait. `is_looker`: the thread only looks, and takes nothing.
    pub(crate) fn new(
        context: &'a Context,
        place: Place<'a>,
        announced: Announced<'a>,
        is_looker: bool,
        mut patience: Patience,
    ) -> Self {
        context.go_on(&mut patience, &place);
        Self { context, place, announced, is_looker, patience, parked: None, refusals: 0 }
    }

    /// Returns how long it may last, and what it has lasted.
    pub(crate) fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Takes the bell down, to be called before each look. Returns whether it was rung. The first call
    /// enters the thread in the table.
    pub(crate) fn listen(&mut self) -> Heard {
        let region = self.context.region();
        let heard = self.place.waiter.hush(region);
        if self.parked.is_some() {
            return heard;
        }
        let manner = Manner {
            is_looker: self.is_looker,
            is_untimed: !self.patience.has_deadline(),
            ticket: self.take_place_in_line(),
            ..Manner::default()
        };
        let Place { key, reason, waiter, .. } = self.place;
        self.parked = waiter.park(region, key, reason, manner);
        if let Some(parked) = &self.parked {
            let in_line = self.patience.in_line(&self.place, parked.ticket);
            self.context.kept.in_line.keep(in_line);
        }
        if !defect(Mistake::WantAfterLook) {
            self.want();
        }
        Heard::Nothing
    }

    /// Returns the ticket that this wait had before its caller looked at something else for a moment,
    /// and forgets it.
    fn take_place_in_line(&self) -> Option<u64> {
        self.context.kept.in_line.take(|last| self.patience.ticket(&self.place, last))
    }

    /// Says in the want-bits that somebody waits.
    fn want(&self) {
        if let (Some(_), Announced::By(wants)) = (&self.parked, self.announced) {
            match self.is_looker {
                true => want::raise_for_looker(wants, self.place.reason),
                false => want::raise(wants, self.place.reason),
            }
            // What is looked at next is read after that.
            fence(Ordering::SeqCst);
        }
    }

    /// Sleeps until there is something to do, unless the bell was rung since it was taken down.
    /// `possession` says who has what is waited for. A ticker calls `estate::tick`.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`]; [`Error::Closed`].
    pub(crate) fn sleep(&mut self, possession: Possession) -> Result<Pause> {
        self.sleep_for(u64::MAX, possession)
    }

    /// As [`sleep`](Self::sleep), but not longer than `at_most`, in nanoseconds.
    pub(crate) fn sleep_for(&mut self, at_most: u64, possession: Possession) -> Result<Pause> {
        if defect(Mistake::WantAfterLook) {
            self.want();
        }
        let at_most = match self.parked {
            Some(_) => at_most,
            None => {
                self.refusals += 1;
                full_slice(self.refusals - 1).min(at_most)
            }
        };
        let pause = self.context.pause(&mut self.patience, &self.place, at_most, possession)?;
        match pause {
            Pause::Interrupted => Err(Error::Interrupted),
            other => Ok(other),
        }
    }

    /// Ends the wait with an answer. Who has what it waited for has no place in line any more.
    pub(crate) fn over<T>(self, answer: Result<T>) -> Result<T> {
        if answer.is_ok() {
            self.take_place_in_line();
        }
        answer
    }

    /// Ends the wait of a thread that holds the lock that it waited for.
    pub(crate) fn leave_with_lock(mut self) {
        self.take_place_in_line();
        let region = self.context.region();
        if let (Some(parked), Announced::In(lock)) = (self.parked.take(), self.announced) {
            lock.leave_with_it(region, &parked);
            self.place.waiter.end(region, parked, false);
        }
        self.patience.leave(region, &self.place);
    }

    /// Ends the wait without the lock. Returns `true` if the lock was just being offered: then the
    /// thread holds it.
    pub(crate) fn leave_without_lock(mut self) -> bool {
        self.leave()
    }

    /// Leaves the table, and then the role of the watcher, to another one.
    fn leave(&mut self) -> bool {
        let has_it = self.leave_table();
        self.patience.leave(self.context.region(), &self.place);
        has_it
    }

    fn leave_table(&mut self) -> bool {
        let region = self.context.region();
        let Some(parked) = self.parked.take() else { return false };
        let has_it = match self.announced {
            Announced::In(lock) => lock.leave_without(region, &parked),
            Announced::By(wants) => {
                want::leave(region, wants, &parked);
                false
            }
        };
        self.place.waiter.end(region, parked, false);
        has_it
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.patience.has_deadline() && self.patience.is_over() {
            self.take_place_in_line();
        }
        // An error ended the wait, so nobody wants the lock that was offered meanwhile.
        if self.leave() {
            if let Announced::In(lock) = self.announced {
                let locks = &self.context.kept.locks;
                let is_counted = lock.reason == Reason::Lock;
                if is_counted {
                    locks.one_more();
                }
                // A removal that takes it away counts it, too.
                if lock.release(self.context.region(), who(self.context)) && is_counted {
                    locks.one_less();
                }
            }
        }
    }
}

/// The lock that a thread waits for, as the search for deadlocks finds it, until this is dropped.
pub(crate) struct Published<'a> {
    context: &'a Context,
    is_published: bool,
}

impl<'a> Published<'a> {
    pub(crate) fn new(context: &'a Context) -> Self {
        Self { context, is_published: false }
    }

    pub(crate) fn publish(&mut self, lock: u64) {
        if !self.is_published {
            deadlock::publish(self.context.region(), self.context.index(), lock);
            self.is_published = true;
        }
    }
}

impl Drop for Published<'_> {
    fn drop(&mut self) {
        if self.is_published {
            deadlock::withdraw(self.context.region(), self.context.index());
        }
    }
}

/// Returns the calling thread as the parking table knows it.
#[inline(always)]
pub(crate) fn who(context: &Context) -> Who {
    context.waiter().who()
}

/// Returns the owner value of a thread.
pub(crate) fn owner_of(who: Who) -> Owner {
    Owner::new(who.row, who.epoch)
}

/// Rings for so many things of an object that were made available. The turn under which they were
/// made was given back.
#[inline(always)]
pub(crate) fn ring(region: &Region, key: Key, reason: Reason, things: u32) {
    if let Ok(object) = region.at::<Object>(key.at) {
        ring_of(region, object, key, reason, things);
    }
}

/// As [`ring`], for a caller that has the header: it stays one, whichever object's.
#[inline(always)]
pub(crate) fn ring_of(region: &Region, object: &Object, key: Key, reason: Reason, things: u32) {
    if want::is_wanted(&object.wants, reason) {
        ring_wanted(region, object, key, reason, things);
    }
}

#[cold]
#[inline(never)]
fn ring_wanted(region: &Region, object: &Object, key: Key, reason: Reason, things: u32) {
    match (things, reason) {
        (1, Reason::Item | Reason::Place) => line(object, key, reason).made_one(region),
        _ => want::made(region, &object.wants, key, reason, things),
    }
}

/// Returns the words of those who wait for items of a queue, or for places, one after the other.
#[inline(always)]
pub(crate) fn line(object: &Object, key: Key, reason: Reason) -> Line<'_> {
    let (last, guard) = match reason {
        Reason::Place => (&object.transaction_handing, &object.since),
        _ => (&object.handing, &object.holder),
    };
    Line { wants: &object.wants, last, guard, key, reason }
}

/// Returns whether anybody may wait for a reason.
pub(crate) fn is_wanted(region: &Region, key: Key, reason: Reason) -> bool {
    region.at::<Object>(key.at).is_ok_and(|object| want::is_wanted(&object.wants, reason))
}

/// Rings everybody who waits for the object with the header at `at`, whatever for.
pub(crate) fn ring_everybody(region: &Region, at: u64) {
    ring::ring_everybody(region, at);
}
