//! Waiting for an item, for a free place, or for the end of all work.
//!
//! A thread enters the parking table and raises the want-bit of what it waits for, then looks once
//! more: either the thread that makes it sees the bit, or the waiter sees what was made. Each thing
//! that is made rings one waiter. Who was rung and leaves without taking rings the next.

use super::guard::{Guard, Looked};
use super::promise::Promise;
use super::shape::{seems_left, seems_there};
use super::{Lease, Queue, check_place, is_idle};
use crate::error::{Error, Result};
use crate::journal::Context;
use crate::memory::Region;
use crate::objects::cell::Long;
use crate::objects::estate;
use crate::objects::wait::{Announced, Wait, is_wanted, ring};
use crate::sync::Patience;
use crate::sync::parking::Reason;
use crate::sync::parking::bell::Heard;
use crate::sync::wait::{Pause, Place, Possession};

/// How often a waiter checks before it sleeps.
const SPINS: u32 = 300;
/// How often it lets others run before that: whoever makes what it waits for may be ready to run.
const YIELDS: u32 = 24;

/// Pauses before a look.
fn pause(look: u32) {
    if look < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
}

/// Checks whether other processes died, in the first slices of a wait; later the tickers do.
fn look_at_others(context: &Context, patience: &Patience) -> Result<()> {
    if patience.is_new() {
        estate::sweep_if_due(context)?;
    }
    Ok(())
}

/// Makes the last attempt of a wait. Items of dead processes may just have returned; in a wait that
/// continues afterwards, the tickers detect that.
fn last_look<T>(
    context: &Context,
    patience: &Patience,
    attempt: &mut dyn FnMut() -> Result<T>,
) -> Result<T> {
    if patience.has_deadline() { estate::or_after_sweep(context, attempt) } else { attempt() }
}

/// Runs a part of a wait, and returns `late` when the deadline passed while it waited for a turn.
fn within<T>(
    context: &Context,
    patience: &Patience,
    late: &Error,
    part: impl FnMut() -> Result<T>,
) -> Result<T> {
    match context.within(patience, || context.retried(part)) {
        Err(Error::Busy { .. }) if patience.is_over() => Err(late.clone()),
        other => other,
    }
}

impl Queue {
    /// As [`get`](Self::get), but waits until `deadline` or for ever.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] when the deadline passed; [`Error::Interrupted`]; else as `get`.
    #[inline]
    pub fn get_wait(
        &self,
        context: &Context,
        deadline: Option<u64>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        if self.get_quickly(context, out) {
            return Ok(());
        }
        self.wait_for_item(
            context,
            || Patience::new(deadline),
            false,
            || self.try_get(context, out),
        )
    }

    /// As [`lease`](Self::lease), but waits until `deadline` or for ever.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] when the deadline passed; [`Error::Interrupted`]; else as `lease`.
    pub fn lease_wait(
        &self,
        context: &Context,
        deadline: Option<u64>,
        out: &mut Vec<u8>,
    ) -> Result<Lease> {
        self.wait_for_item(
            context,
            || Patience::new(deadline),
            false,
            || self.try_lease(context, out),
        )
    }

    /// As [`lease_wait`](Self::lease_wait), but returns at `until`, for callers that have to check
    /// something else from time to time. `started` is when the whole wait began.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] at `until`; else as [`lease_wait`](Self::lease_wait).
    pub fn lease_until(
        &self,
        context: &Context,
        started: u64,
        until: u64,
        out: &mut Vec<u8>,
    ) -> Result<Lease> {
        let patience = || Patience::until(started, until);
        self.wait_for_item(context, patience, false, || self.try_lease(context, out))
    }

    #[inline]
    fn wait_for_item<T>(
        &self,
        context: &Context,
        patience: impl FnOnce() -> Patience,
        is_looker: bool,
        mut attempt: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        match context.waiting_until(0, |_| attempt()) {
            Err(Error::Empty | Error::Busy { .. }) => {}
            other => return other,
        }
        if let Some(answer) = self.spin(context, Reason::Item, &mut attempt) {
            return answer;
        }
        self.sleep_for_item(context, patience(), is_looker, &mut attempt)
    }

    /// Looks without sleeping, for about as long as a sleep would cost. `None`: nothing was there.
    #[inline]
    fn spin<T>(
        &self,
        context: &Context,
        reason: Reason,
        mut attempt: impl FnMut() -> Result<T>,
    ) -> Option<Result<T>> {
        let region = context.region();
        for look in 0..SPINS + YIELDS {
            pause(look);
            let object = self.handle.object(region).ok()?;
            if seems_left(region, object, reason) {
                match context.waiting_until(0, |_| attempt()) {
                    Err(Error::Empty | Error::Full | Error::Busy { .. }) => {}
                    other => return Some(other),
                }
            }
        }
        None
    }

    /// Rings the next one, if more is there: makers may have left that to this thread.
    pub(super) fn ring_for_more(&self, region: &Region, reason: Reason) {
        if let Ok(object) = self.handle.object(region) {
            if is_wanted(region, self.handle.key(), reason) && seems_there(region, object, reason) {
                ring(region, self.handle.key(), reason, 1);
            }
        }
    }

    /// Begins a wait for something of the queue.
    fn wait<'a>(
        &self,
        context: &'a Context,
        reason: Reason,
        is_looker: bool,
        patience: Patience,
    ) -> Result<Wait<'a>> {
        let object = self.handle.object(context.region())?;
        let (key, waiter) = (self.handle.key(), context.waiter());
        let place = Place { key, reason, watch: &object.watch, waiter };
        Ok(Wait::new(context, place, Announced::By(&object.wants), is_looker, patience))
    }

    #[cold]
    fn sleep_for_item<T>(
        &self,
        context: &Context,
        patience: Patience,
        is_looker: bool,
        attempt: &mut dyn FnMut() -> Result<T>,
    ) -> Result<T> {
        self.sleep(context, Reason::Item, is_looker, patience, &Error::Empty, attempt)
    }

    /// Sleeps until an attempt answers anything but `late`, or the deadline has passed.
    fn sleep<T>(
        &self,
        context: &Context,
        reason: Reason,
        is_looker: bool,
        patience: Patience,
        late: &Error,
        attempt: &mut dyn FnMut() -> Result<T>,
    ) -> Result<T> {
        let mut wait = self.wait(context, reason, is_looker, patience)?;
        let mut guard: Option<Guard<'_>> = None;
        loop {
            look_at_others(context, wait.patience())?;
            let was_rung = wait.listen() != Heard::Nothing;
            let last = guard.take().map(Guard::look);
            match within(context, wait.patience(), late, &mut *attempt) {
                Err(error) if error == *late => {}
                other => return self.end_wait(context, wait, reason, other),
            }
            if context.kept.transaction.is_open() {
                return Err(context.kept.transaction.doomed_by(&Error::WouldBlock));
            }
            let mut at_most = u64::MAX;
            if !is_looker && reason != Reason::Done && (was_rung || last.is_some()) {
                if last.is_some_and(Looked::competes) {
                    if let Some(answer) = self.spin(context, reason, &mut *attempt) {
                        return self.end_wait(context, wait, reason, answer);
                    }
                }
                guard = self.stand_guard(context, reason, last)?;
                at_most = guard.as_ref().map_or(at_most, Guard::nap);
            }
            match wait.sleep_for(at_most, Possession::Nobodys)? {
                Pause::Tick(part) => estate::tick(context, part, wait.patience())?,
                Pause::TimedOut => {
                    wait.listen();
                    guard.take().map(Guard::look);
                    let last = within(context, wait.patience(), late, || {
                        last_look(context, wait.patience(), attempt)
                    });
                    return self.end_wait(context, wait, reason, last);
                }
                Pause::Look | Pause::Interrupted | Pause::OwnerGone => {}
            }
        }
    }

    /// Ends a wait with its answer. Makers may have left it to this thread to ring the next one.
    fn end_wait<T>(
        &self,
        context: &Context,
        wait: Wait<'_>,
        reason: Reason,
        answer: Result<T>,
    ) -> Result<T> {
        let answer = wait.over(answer);
        self.ring_for_more(context.region(), reason);
        answer
    }

    /// As [`put`](Self::put), but waits until `deadline` or for ever while the queue is full.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] when the deadline passed; [`Error::Interrupted`]; else as `put`.
    #[inline]
    pub fn put_wait(&self, context: &Context, deadline: Option<u64>, item: &[u8]) -> Result<()> {
        if self.put_quickly(context, item) {
            return Ok(());
        }
        let mut long = Long::new(context);
        match self.put_soon(context, item, &mut long) {
            Err(Error::Full | Error::Busy { .. }) => {
                let patience = Patience::new(deadline);
                let mut put = || self.try_put(context, item, &mut long);
                self.sleep_for_place(context, patience, false, &mut put)
            }
            other => other,
        }
    }

    /// As `try_put`, without waiting for a turn.
    fn put_soon(&self, context: &Context, item: &[u8], long: &mut Long<'_>) -> Result<()> {
        context.waiting_until(0, |_| context.retried(|| self.try_put(context, item, long)))
    }

    /// As [`put_wait`](Self::put_wait), but returns at `until`; see
    /// [`lease_until`](Self::lease_until).
    ///
    /// # Errors
    ///
    /// [`Error::Full`] at `until`; else as [`put_wait`](Self::put_wait).
    pub fn put_until(
        &self,
        context: &Context,
        started: u64,
        until: u64,
        item: &[u8],
    ) -> Result<()> {
        let mut long = Long::new(context);
        match self.put_soon(context, item, &mut long) {
            Err(Error::Full | Error::Busy { .. }) => {
                let patience = Patience::until(started, until);
                let mut put = || self.try_put(context, item, &mut long);
                self.sleep_for_place(context, patience, false, &mut put)
            }
            other => other,
        }
    }

    /// As [`promise`](Self::promise), but waits while the queue is full.
    pub(crate) fn promise_wait(&self, context: &Context, patience: Patience) -> Result<Promise> {
        match context.waiting_until(0, |_| self.promise(context)) {
            Err(Error::Full | Error::Busy { .. }) => {
                self.sleep_for_place(context, patience, false, &mut || self.promise(context))
            }
            other => other,
        }
    }

    /// Waits until an item could be leased, without leasing it. Returns at `until`, as
    /// [`lease_until`](Self::lease_until) does.
    ///
    /// # Errors
    ///
    /// As [`lease_until`](Self::lease_until).
    pub fn wait_until_ready(&self, context: &Context, started: u64, until: u64) -> Result<()> {
        let patience = || Patience::until(started, until);
        self.wait_for_item(context, patience, true, || self.check_item(context))
    }

    /// Checks whether an item could be taken now.
    fn check_item(&self, context: &Context) -> Result<()> {
        let (held, body, tail) = self.hold_head_and_look(context)?;
        let is_there = body.returned.get() != 0 || body.head.get() != tail.moved;
        if is_there { Ok(()) } else { Err(self.nothing(context, held, tail)) }
    }

    /// Waits until an item could be put, without putting one. Returns at `until`, as
    /// [`put_until`](Self::put_until) does.
    ///
    /// # Errors
    ///
    /// As [`put_until`](Self::put_until).
    pub fn wait_until_roomy(&self, context: &Context, started: u64, until: u64) -> Result<()> {
        let mut look = || self.check_room(context, 1);
        match context.waiting_until(0, |_| look()) {
            Err(Error::Full | Error::Busy { .. }) => {}
            other => return other,
        }
        self.sleep_for_place(context, Patience::until(started, until), true, &mut look)
    }

    #[cold]
    fn sleep_for_place<T>(
        &self,
        context: &Context,
        patience: Patience,
        is_looker: bool,
        attempt: &mut dyn FnMut() -> Result<T>,
    ) -> Result<T> {
        if let Some(answer) = self.spin(context, Reason::Place, &mut *attempt) {
            return answer;
        }
        self.sleep(context, Reason::Place, is_looker, patience, &Error::Full, attempt)
    }

    /// Waits until every item that was put is done, or until `deadline`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], [`Error::Interrupted`], [`Error::ObjectGone`].
    pub fn join(&self, context: &Context, deadline: Option<u64>) -> Result<()> {
        self.wait_until_done(context, Patience::new(deadline))
    }

    /// As [`join`](Self::join), but returns at `until`; see [`lease_until`](Self::lease_until).
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] at `until`; else as [`join`](Self::join).
    pub fn join_until(&self, context: &Context, started: u64, until: u64) -> Result<()> {
        self.wait_until_done(context, Patience::until(started, until))
    }

    fn wait_until_done(&self, context: &Context, patience: Patience) -> Result<()> {
        let mut look = || {
            let (_held, body, tail) = self.hold_head_and_look(context)?;
            if is_idle(body, tail) { Ok(()) } else { Err(Error::TimedOut) }
        };
        self.sleep(context, Reason::Done, false, patience, &Error::TimedOut, &mut look)
    }

    /// Checks whether `count` items could be put now.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::ShutDown`], [`Error::ObjectGone`].
    pub fn check_room(&self, context: &Context, count: u64) -> Result<()> {
        let (_held, body, head) = self.hold_tail_and_look(context)?;
        check_place(body, head, count)
    }
}
