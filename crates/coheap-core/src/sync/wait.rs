//! Waiting for another process, and detecting that it will never act.
//!
//! Every sleep has an end, and wakes do not cause a storm:
//!
//! - a *watcher* for all who wait for an object checks each 4 ms whether the owner of the awaited
//!   thing lives; a second one each 16 ms, because the first may be stopped; if the thing is
//!   nobody's, there is one, which looks each 8 ms, in its first 100 ms;
//! - in the first 100 ms the others look each 8 to 12 ms, or, if the thing is nobody's, each 40 ms
//!   whether there is a watcher;
//! - after 100 ms two *tickers* for the whole heap, elected by time, keep short slices and check a
//!   part of all slots at each tick; all other waiters sleep for two to six seconds at a time, and the
//!   recovery of a dead process wakes them.
//!
//! What always holds: a sleeper publishes that it sleeps; all times are absolute; a signal of the
//! system interrupts the wait, and one that begins again goes on where it was.

use super::holder::{self, Holder};
use super::row::RowWord;
use super::tickers::{Candidate, Elected, FOR_LONG, TICK};
use super::{Member, Owner};
use crate::defect::{Mistake, defect};
use crate::error::{Error, Result};
use crate::memory::{Ordering, Region, Word, fence};
use crate::os::{self, Wake};
use crate::sync::parking::table::waiter::Waiter;
use crate::sync::parking::{Key, Reason, ring};

const MILLISECOND: u64 = 1_000_000;
/// How long a waiter counts as new, in nanoseconds: tickers are of no use to it.
const NEW: u64 = 100 * MILLISECOND;
/// The first watcher's slice.
const WATCH: u64 = 4 * MILLISECOND;
/// The second watcher's slice, where somebody has what is waited for.
const SECOND_WATCH: u64 = 16 * MILLISECOND;
const WATCHERS: u32 = 2;
/// The slice of a new waiter beside a watcher, which may die or be stopped, where nobody has what is
/// waited for.
const STANDBY: u64 = 40 * MILLISECOND;
/// The slice of all other waiters, at least: it is up to three times as long, so that one of many
/// looks early.
const LONG: u64 = 2_000 * MILLISECOND;
/// How many slices there are.
const SPREAD: u32 = 64;
/// The number of parts of the slots; each tick checks one part.
pub const PARTS: u32 = 2;

/// Why a waiter should act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Check the awaited thing again.
    Look,
    /// The deadline has passed: check one last time.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
    /// The owner of the awaited thing will never release it.
    OwnerGone,
    /// This waiter is a ticker: check part `0..PARTS` of the slots, then the awaited thing.
    Tick(u32),
}

/// What a wait that a signal of the system interrupted has to keep, for when its caller begins it
/// again: somebody who is interrupted all the time would else never look whether the owner lives,
/// and never have waited long.
#[derive(Debug, Clone, Copy)]
pub struct Interrupted {
    /// What was waited for.
    thing: u64,
    /// When the wait was interrupted.
    at: u64,
    started: u64,
    next_watch: u64,
    next_tick: u64,
    ticks: u32,
}

/// The place in line of a wait, for when its caller looks at something else for a moment, between two
/// slices or for a signal, and then goes on with it.
#[derive(Debug, Clone, Copy)]
pub struct InLine {
    key: Key,
    reason: Reason,
    /// When the wait began: another one for the same thing began at another time.
    started: u64,
    ticket: u64,
}

/// A wait for the same that begins within this time goes on, in nanoseconds.
const SAME_WAIT: u64 = 1_000 * MILLISECOND;

/// Who has what is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Possession {
    /// A thread.
    Of(Owner),
    /// A thread is offered it, and may be stopped: the watcher withdraws the offer in time.
    Offered,
    /// It is nobody's, as an item that is not there.
    Nobodys,
}

impl Possession {
    fn owner(self) -> Option<Owner> {
        match self {
            Self::Of(owner) => Some(owner),
            Self::Offered | Self::Nobodys => None,
        }
    }
}

/// What a thread waits for, and what it sleeps on.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The object.
    pub key: Key,
    /// What of it.
    pub reason: Reason,
    /// When the watchers of the awaited thing looked last: a word of the object's header.
    pub watch: &'a Word,
    /// The thread's cells and bell.
    pub waiter: &'a Waiter,
}

impl Place<'_> {
    fn thing(&self) -> u64 {
        self.key.at | self.reason as u64
    }
}

/// One wait, over all its slices.
#[derive(Debug)]
pub struct Patience {
    started: u64,
    deadline: Option<u64>,
    /// Whether the deadline is that of a slice, in a wait without a deadline.
    is_endless: bool,
    ticks: u32,
    /// When a ticker checks next, even if it is woken before. 0 if this waiter is not a ticker.
    next_tick: u64,
    /// When the owner is checked next, even if the waiter is woken before: others may wake it all
    /// the time.
    next_watch: u64,
    watched_at: Option<Watched>,
    /// Whether somebody had the thing when it watched last.
    watches_owner: bool,
    /// From the first sleep on: the thread as one that can be a ticker.
    candidate: Option<Candidate>,
}

impl Patience {
    /// Returns a wait that begins now and ends at `deadline` (nanoseconds of [`os::now`]), or
    /// never.
    pub fn new(deadline: Option<u64>) -> Self {
        Self::new_or_again(os::now(), deadline, deadline.is_none())
    }

    /// Returns a wait without a deadline that began at `started` and returns at `until`, for a
    /// caller that has to check something else from time to time.
    pub fn until(started: u64, until: u64) -> Self {
        Self::new_or_again(started, Some(until), true)
    }

    fn new_or_again(started: u64, deadline: Option<u64>, is_endless: bool) -> Self {
        let next_watch = started.saturating_add(WATCH);
        Self {
            started,
            deadline,
            is_endless,
            ticks: 0,
            next_tick: 0,
            next_watch,
            watched_at: None,
            watches_owner: false,
            candidate: None,
        }
    }

    /// Returns what is to be kept of this wait, which a signal of the system interrupts.
    pub fn interrupted(&self, place: &Place<'_>) -> Interrupted {
        Interrupted {
            thing: place.thing(),
            at: os::now(),
            started: self.started,
            next_watch: self.next_watch,
            next_tick: self.next_tick,
            ticks: self.ticks,
        }
    }

    /// Goes on with a wait for the same thing that was interrupted a moment ago. Returns whether it is
    /// that.
    pub fn go_on(&mut self, place: &Place<'_>, before: Interrupted) -> bool {
        let is_same =
            before.thing == place.thing() && self.started.saturating_sub(before.at) < SAME_WAIT;
        if is_same && !defect(Mistake::BeginAnewAfterSignal) {
            self.started = self.started.min(before.started);
            self.next_watch = before.next_watch;
            self.next_tick = before.next_tick;
            self.ticks = before.ticks;
        }
        is_same
    }

    /// Returns what is to be kept of this wait, which has this ticket.
    pub fn in_line(&self, place: &Place<'_>, ticket: u64) -> InLine {
        InLine { key: place.key, reason: place.reason, started: self.started, ticket }
    }

    /// Returns the ticket that this wait had before, if `last` is of this wait.
    pub fn ticket(&self, place: &Place<'_>, last: InLine) -> Option<u64> {
        let is_same =
            (last.key, last.reason, last.started) == (place.key, place.reason, self.started);
        is_same.then_some(last.ticket)
    }

    /// Returns whether this wait has slept through its first short slices.
    pub fn is_settled_in(&self) -> bool {
        os::now() - self.started >= WATCH
    }

    /// Returns whether this wait is too short to rely on a ticker.
    pub fn is_new(&self) -> bool {
        os::now() - self.started < NEW
    }

    /// Returns when this wait, or its slice, ends, in nanoseconds of [`os::now`].
    pub fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    /// Returns whether the deadline has passed.
    pub fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| os::now() >= deadline)
    }

    /// Returns whether the wait has a deadline.
    pub fn has_deadline(&self) -> bool {
        !self.is_endless
    }

    /// Ends the wait. A watcher leaves its role to another thread that waits for the same thing: at once
    /// if somebody has it, else to the next that looks whether there is one.
    pub fn leave(&mut self, region: &Region, place: &Place<'_>) {
        if let Some(watched) = self.watched_at.take().filter(|_| !defect(Mistake::KeepWatch)) {
            if watched.leave(place.watch) && self.watches_owner {
                // The first of them may be the other watcher.
                ring::ring(region, place.key, place.reason, WATCHERS);
            }
        }
    }

    /// Returns how long this wait has lasted, in nanoseconds.
    pub fn age(&self) -> u64 {
        os::now() - self.started
    }

    /// Sleeps on the bell of the thread until there is something to do, unless it was rung since the
    /// caller took it down. `at_most` is the longest sleep, in nanoseconds.
    ///
    /// `possession` says who has the awaited thing.
    pub fn pause(
        &mut self,
        member: &Member,
        place: &Place<'_>,
        at_most: u64,
        possession: Possession,
    ) -> Result<Pause> {
        let pause = loop {
            if let Some(pause) = self.slice(member, place, at_most, possession).transpose() {
                break pause;
            }
        };
        let region = member.region();
        Region::store(&region.context(place.waiter.who().row).sleeps_on, 0);
        pause
    }

    /// Sleeps one slice. `None`: it is over, and others look after everything. That is so where nobody
    /// has what is waited for: a wait for what somebody has may be part of a deadlock.
    fn slice(
        &mut self,
        member: &Member,
        place: &Place<'_>,
        at_most: u64,
        possession: Possession,
    ) -> Result<Option<Pause>> {
        let (context, owner) = (place.waiter.who().row, possession.owner());
        let now = os::now();
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            // A wait with no time left must still detect a dead owner.
            let is_gone = owner.map_or(Ok(false), |owner| is_gone(member, context, owner))?;
            return Ok(Some(if is_gone { Pause::OwnerGone } else { Pause::TimedOut }));
        }
        let role = self.role(member, context, place, possession, now);
        if role != Role::Ticker {
            self.next_tick = 0;
        } else if now >= self.next_tick {
            return Ok(Some(self.tick()));
        }
        let slice = match role {
            Role::Watcher if possession == Possession::Nobodys => 2 * WATCH,
            Role::Watcher => self.watched_at.map_or(WATCH, Watched::slice),
            Role::Ticker => self.next_tick - now,
            Role::New if possession == Possession::Nobodys => STANDBY,
            Role::New => 2 * WATCH + u64::from(context % 8) * MILLISECOND / 2,
            Role::Sleeper if possession == Possession::Nobodys => {
                LONG + u64::from(context % SPREAD) * (2 * LONG / u64::from(SPREAD))
            }
            Role::Sleeper => LONG,
        };
        let until = now + slice.min(at_most);
        let until = self.deadline.map_or(until, |deadline| deadline.min(until));
        member.hold_byte(now)?;
        let region = member.region();
        let row = region.context(context);
        let for_long = if role == Role::Sleeper { FOR_LONG } else { 0 };
        Region::store(&row.sleeps_on, place.key.at | for_long);
        // A thread that closes the heap sees this sleeper, or this sleeper sees that it is closed.
        fence(Ordering::SeqCst);
        let is_called = role == Role::Sleeper && self.is_wanted_as_ticker(now);
        if is_called || member.is_closed() {
            return if is_called { Ok(Some(Pause::Look)) } else { Err(Error::Closed) };
        }
        let is_looked_after = possession == Possession::Nobodys && at_most == u64::MAX;
        let pause = match place.waiter.sleep(region, until) {
            Wake::Interrupted if os::now() >= self.next_watch => {
                let found = self.watch(member, context, role, owner)?;
                if found == Pause::Look { Pause::Interrupted } else { found }
            }
            Wake::Interrupted => Pause::Interrupted,
            Wake::TimedOut if role == Role::Ticker && slice <= at_most => self.tick(),
            Wake::TimedOut if matches!(role, Role::New | Role::Sleeper) && is_looked_after => {
                return Ok(None);
            }
            Wake::TimedOut => self.watch(member, context, role, owner)?,
            Wake::Woken if os::now() >= self.next_watch => {
                self.watch(member, context, role, owner)?
            }
            Wake::Woken => Pause::Look,
        };
        Ok(Some(pause))
    }

    /// Checks whether the owner lives, if that is the task of this waiter.
    fn watch(
        &mut self,
        member: &Member,
        context: u32,
        role: Role,
        owner: Option<Owner>,
    ) -> Result<Pause> {
        self.next_watch = os::now() + WATCH;
        if let (Role::Watcher | Role::New, Some(owner)) = (role, owner) {
            if is_gone(member, context, owner)? {
                return Ok(Pause::OwnerGone);
            }
        }
        Ok(Pause::Look)
    }

    fn is_wanted_as_ticker(&self, now: u64) -> bool {
        self.candidate.as_ref().is_some_and(|candidate| candidate.is_wanted(now))
    }

    fn tick(&mut self) -> Pause {
        let now = os::now();
        let is_alone = self.candidate.as_ref().is_some_and(|candidate| candidate.is_alone(now));
        self.next_tick = now + if is_alone { TICK / 2 } else { TICK };
        self.ticks = self.ticks.wrapping_add(1);
        Pause::Tick(self.ticks % PARTS)
    }

    fn role(
        &mut self,
        member: &Member,
        context: u32,
        place: &Place<'_>,
        possession: Possession,
        now: u64,
    ) -> Role {
        let is_new = now - self.started < NEW;
        let may_watch = is_new || possession != Possession::Nobodys;
        let watchers = if possession == Possession::Nobodys { 1 } else { WATCHERS };
        let is_watcher = may_watch && self.is_watcher(place.watch, watchers, now);
        if is_watcher {
            self.watches_owner = possession != Possession::Nobodys;
        } else {
            self.watched_at = None;
        }
        let candidate = self.candidate.get_or_insert_with(|| Candidate::new(member, context));
        if is_watcher || is_new {
            candidate.pass_on();
            return if is_watcher { Role::Watcher } else { Role::New };
        }
        match candidate.elect(now) {
            Some(Elected { which, is_new }) => {
                if is_new || self.next_tick == 0 {
                    self.ticks = which * (PARTS / 2);
                    self.next_tick = now + TICK;
                }
                Role::Ticker
            }
            None => Role::Sleeper,
        }
    }

    fn is_watcher(&mut self, watch: &Word, watchers: u32, now: u64) -> bool {
        let stamp = (now / MILLISECOND) as u32;
        self.watched_at = loop {
            let last = watch.get();
            let is_mine = |watched: &Watched| self.watched_at == Some(*watched);
            let is_lost = |watched: &Watched| watched.is_lost(stamp);
            let seen = || (0..watchers).map(|which| Watched::of(last, which));
            let Some(old) = seen().find(is_mine).or_else(|| seen().find(is_lost)) else {
                break None;
            };
            let watched = Watched { stamp, ..old };
            if Region::compare_exchange(watch, last, watched.in_word(last)).is_ok() {
                break Some(watched);
            }
        };
        self.watched_at.is_some()
    }
}

/// The stamp of a watcher in the watch word of an object: when it looked last, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Watched {
    which: u32,
    stamp: u32,
}

impl Watched {
    fn of(word: u64, which: u32) -> Self {
        Self { which, stamp: (word >> (32 * which)) as u32 }
    }

    fn slice(self) -> u64 {
        if self.which == 0 { WATCH } else { SECOND_WATCH }
    }

    /// Returns whether the watcher was not seen for so long that it is replaced.
    fn is_lost(self, now: u32) -> bool {
        now.wrapping_sub(self.stamp) > (2 * self.slice() / MILLISECOND) as u32 + 2
    }

    /// Returns the word with this stamp.
    fn in_word(self, word: u64) -> u64 {
        let shift = 32 * self.which;
        word & !(u64::from(u32::MAX) << shift) | u64::from(self.stamp) << shift
    }

    /// Leaves the role to another one. Returns `false` if it was taken over.
    fn leave(self, watch: &Word) -> bool {
        let lost = Self { stamp: self.stamp.wrapping_sub(1_000_000), ..self };
        loop {
            let last = watch.get();
            if Self::of(last, self.which) != self {
                return false;
            }
            if Region::compare_exchange(watch, last, lost.in_word(last)).is_ok() {
                return true;
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Watcher,
    Ticker,
    New,
    Sleeper,
}

/// Returns whether the thread with row `own` does not wait for what an owner holds: its process is
/// dead or has left, or it is a frozen thread of this process.
pub fn is_gone(member: &Member, own: u32, owner: Owner) -> Result<bool> {
    let is_gone = match holder::look(member.census(), owner, "owner of a lock")? {
        Holder::Alive if os::OTHERS_ARE_FROZEN.is_raised() => owner.row().is_some_and(|row| {
            let state = RowWord(member.region().context(row).state.acquire());
            row != own && state.is_of(member.slot())
        }),
        Holder::Alive => false,
        Holder::Left | Holder::Dead(_) | Holder::Gone => true,
    };
    Ok(is_gone)
}
