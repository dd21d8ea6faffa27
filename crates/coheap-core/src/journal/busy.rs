//! Waiting for a turn: nobody sleeps who holds another one.
//!
//! A thread that needs a turn under another one does not sleep for it. It returns
//! [`Error::Busy`] to the frame that holds nothing, which waits for that turn, keeps it, and runs
//! the operation again; the other turns are only tried then. What was prepared stays pending.
//!
//! What always holds:
//!
//! - A thread that sleeps for a turn holds none, except for a millisecond in twenty after many
//!   rounds, so that an operation under contention ends.
//! - `Busy` and `Interrupted` come before the first store of an operation, or not at all.
//!
//! Not here: the turns that a thread holds (`held`).

use std::time::Duration;

use crate::defect::{Mistake, defect};
use crate::error::{Error, Result};
use crate::journal::context::Context;
use crate::journal::recovery;
use crate::memory::Region;
use crate::os;
use crate::sync::Patience;
use crate::sync::turn::{self, Taken};

/// The rounds after which a thread may wait although it holds a turn.
const ROUNDS: u32 = 8;
/// The longest such wait, and the shortest time between two of them, in nanoseconds.
const HOLD_ON: u64 = 1_000_000;
const PAUSE: u64 = 20_000_000;
/// In this time, somebody who was woken runs.
const AWAKE: Duration = Duration::from_micros(50);

impl Context {
    /// Runs an operation, and runs it again when it needed a turn that was not free.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when the thread may not wait, or not any longer; [`Error::Interrupted`];
    /// else those of the operation.
    #[inline(always)]
    pub(crate) fn retried<T>(&self, mut operation: impl FnMut() -> Result<T>) -> Result<T> {
        match operation() {
            Err(Error::Busy { turn }) => self.run_again(turn, &mut operation),
            other => other,
        }
    }

    /// Goes on with an operation that needed a turn: waits for it and runs the operation again.
    ///
    /// # Errors
    ///
    /// As [`retried`](Self::retried).
    #[cold]
    #[inline(never)]
    pub(crate) fn run_again<T>(
        &self,
        mut turn: u32,
        operation: &mut dyn FnMut() -> Result<T>,
    ) -> Result<T> {
        for round in 1u32.. {
            if self.holds_any() {
                break;
            }
            wait_for(self, turn)?;
            let granted = Granted::new(self, turn, round);
            let done = operation();
            drop(granted);
            match done {
                Err(Error::Busy { turn: next }) => turn = next,
                other => return other,
            }
        }
        Err(Error::Busy { turn })
    }

    /// Runs work that may as well be done later: it does not wait for a turn, and what it cannot
    /// do now it leaves.
    #[inline]
    pub(crate) fn in_passing(&self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        match self.kept.waiting.during(0, work) {
            Err(Error::Busy { .. }) => Ok(()),
            other => other,
        }
    }

    /// Runs work that others finish if it needs a turn that is not free before `until`. Returns
    /// whether it is done. It begins again after a signal.
    pub(crate) fn done_until(
        &self,
        until: u64,
        mut work: impl FnMut() -> Result<()>,
    ) -> Result<bool> {
        loop {
            match self.kept.waiting.during(until, &mut work) {
                Err(Error::Interrupted) => {}
                Err(Error::Busy { .. }) => return Ok(false),
                done => return done.map(|()| true),
            }
        }
    }

    /// Runs a part of a wait: no turn that it needs is waited for longer than the wait lasts.
    #[inline]
    pub(crate) fn within<T>(
        &self,
        patience: &Patience,
        part: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.until(patience.deadline(), part)
    }

    /// Lets those go first who have slept for a turn of this thread: between two parts of something
    /// large, which would else have taken it again before they are awake.
    pub(crate) fn let_others_go(&self) {
        if self.has_woken.take() {
            std::thread::sleep(AWAKE);
        }
    }

    /// Runs an operation as [`waiting_until`](Self::waiting_until), or without a deadline.
    #[inline]
    pub(crate) fn until<T>(&self, deadline: Option<u64>, operation: impl FnOnce() -> T) -> T {
        match deadline {
            Some(deadline) => self.kept.waiting.during(deadline, operation),
            None => operation(),
        }
    }

    /// Gives back the turn that the thread waited for and has not used, before it waits for something
    /// else.
    pub(crate) fn give_grant_back(&self) {
        if let Some(unused) = self.kept.waiting.end_grant() {
            _ = turn::give(self.region().turn(unused), self.me());
        }
    }

    /// Waits until a turn is free, or until `deadline`, in nanoseconds of [`os::now`]. For callers
    /// that were told [`Error::Busy`] and will try again.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] when a signal arrived; [`Error::Corrupt`].
    pub fn wait_for_turn(&self, turn: u32, deadline: u64) -> Result<()> {
        match self.waiting_until(deadline, |context| wait_for(context, turn)) {
            Ok(()) => _ = turn::give(self.region().turn(turn), self.me()),
            Err(Error::Busy { .. }) => {}
            Err(other) => return Err(other),
        }
        Ok(())
    }

    /// Does some work on so many bytes. What takes long is done as the face wants it, unless others may
    /// wait for a turn of this thread.
    pub(crate) fn apart<T: Send>(&self, bytes: u64, work: impl FnOnce() -> T + Send) -> T {
        if self.holds_any() {
            return work();
        }
        let (mut work, mut done) = (Some(work), None);
        os::apart(bytes, &mut || done = work.take().map(|work| work()));
        done.expect("whoever is around long work calls it")
    }

    /// Returns whether this thread holds a turn.
    fn holds_any(&self) -> bool {
        self.highest.get() != 0 || self.kept.waiting.has_grant()
    }
}

/// A turn that the thread waited for, until the operation that runs again has ended.
struct Granted<'a>(&'a Context);

impl<'a> Granted<'a> {
    fn new(context: &'a Context, turn: u32, round: u32) -> Self {
        context.kept.waiting.grant(turn, round);
        Self(context)
    }
}

impl Drop for Granted<'_> {
    fn drop(&mut self) {
        self.0.give_grant_back();
    }
}

/// Takes a turn that becomes free within some microseconds, or that the thread waited for.
#[cold]
#[inline(never)]
pub(super) fn take_soon(context: &Context, index: u32) -> bool {
    context.kept.waiting.use_grant(index)
        || turn::take_soon(context.region().turn(index), context.me())
}

/// Takes a turn that was not free at the first try.
#[cold]
#[inline(never)]
pub(super) fn take(context: &Context, index: u32) -> Result<()> {
    if take_soon(context, index) {
        return Ok(());
    }
    if !context.holds_any() || defect(Mistake::SleepHoldingTurn) {
        return wait_for(context, index);
    }
    if context.kept.waiting.rounds() >= ROUNDS {
        let now = os::now();
        if context.kept.waiting.may_hold_on(now, PAUSE) {
            return context.kept.waiting.during(now + HOLD_ON, || wait_for(context, index));
        }
    }
    Err(Error::Busy { turn: index })
}

/// Waits for a turn as long as the thread may, and takes it. A process that died while it held the
/// turn is recovered.
fn wait_for(context: &Context, index: u32) -> Result<()> {
    let turn = context.region().turn(index);
    let member = context.member();
    let deadline = context.kept.waiting.deadline();
    loop {
        match turn::wait_for(turn, context.me(), member.census(), deadline)? {
            Taken::Yes => return Ok(()),
            Taken::TimedOut => return Err(Error::Busy { turn: index }),
            Taken::Interrupted => return Err(Error::Interrupted),
            Taken::OwnerDead(_) if defect(Mistake::TakeTurnOfDead) => {
                // The turn is stolen, and the half-done change under it stays.
                let word = turn.owner.acquire();
                if Region::compare_exchange(&turn.owner, word, context.me().bits()).is_ok() {
                    return Ok(());
                }
            }
            Taken::OwnerDead(dead) => {
                recovery::recover(member.census(), Some(member.incarnation()), dead)?;
            }
        }
    }
}
