//! A lock that tells its next holder when the last one died, with a value beside it.
//!
//! Every value has a lock beside it, so a handle to a value is also a handle to its lock. The
//! caller decides whether the holder may acquire the lock again: `lock_again` and `leave` count,
//! `unlock` does not.
//!
//! What always holds: all words of the lock lie in the header, and change by the rules of
//! `sync::parking`. Recovery does not touch them, so the lock of a dead holder stays held until
//! another caller wants it. Who takes it over, or releases it for another, has the object's turn.
//!
//! Not here: waiting for the lock (`waiting`).

mod shape;
#[cfg(all(test, not(any(loom, miri, sim))))]
mod tests;
mod waiting;

pub use crate::objects::value::Traits;
pub use shape::Recipe;
pub(crate) use shape::Shape;

use crate::error::{Error, Result};
use crate::journal::Context;
use crate::memory::Region;
use crate::memory::layout::{MutexRoot, Object};
use crate::objects::header::Handle;
use crate::objects::value::STRICT;
use crate::objects::wait::{owner_of, who};
use crate::objects::{Value, estate};
use crate::os;
use crate::sync::parking::offer::{Lock, Took};
use crate::sync::parking::word::{self, LockWord, MARK};
use crate::sync::parking::{Reason, Who};
use crate::sync::{Owner, Patience, row, wait};

/// A handle to a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mutex {
    pub(in crate::objects) handle: Handle,
}

/// How a caller acquired a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquired {
    /// The previous holder released it.
    Clean,
    /// The process with this id died while it held the lock: the guarded data may be incomplete.
    OwnerDied(u32),
}

/// The holder of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// The system's id of the thread; `None` if it died before the id was stored.
    pub thread: Option<u32>,
    /// When it acquired the lock, in nanoseconds of [`os::now`], to some milliseconds; `None` if
    /// the time was not stored.
    pub since: Option<u64>,
}

impl Mutex {
    /// Returns the lock of an object that lives.
    #[inline(always)]
    fn lock_in<'a>(&self, object: &'a Object) -> Lock<'a> {
        Lock {
            word: &object.mutex,
            handing: Some(&object.handing),
            key: self.handle.key(),
            reason: Reason::Lock,
        }
    }

    #[inline(always)]
    fn object<'a>(&self, region: &'a Region) -> Result<&'a Object> {
        self.handle.object(region)
    }

    /// Returns the value that the lock guards. Reading and writing it ignores the lock.
    pub fn value(&self) -> Value {
        Value { handle: self.handle }
    }

    /// Returns the properties that the lock was created with.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after it was removed.
    pub fn traits(&self, context: &Context) -> Result<Traits> {
        let root: &MutexRoot = self.object(context.region())?.root_as();
        let traits = root.traits.get();
        Ok(Traits { typecode: traits as u8, is_strict: traits & STRICT != 0 })
    }

    /// Takes the lock if it is free, or if its holder is dead.
    ///
    /// # Errors
    ///
    /// [`Error::OwnerDied`] if it is strict and a holder died; [`Error::ObjectGone`] after it was
    /// removed.
    pub fn try_lock(&self, context: &Context) -> Result<Option<Acquired>> {
        self.try_lock_at(context, 0)
    }

    /// As [`try_lock`](Self::try_lock), and stores `now` as the time of the acquisition, in
    /// nanoseconds of [`os::now`].
    ///
    /// # Errors
    ///
    /// As [`try_lock`](Self::try_lock).
    #[inline]
    pub fn try_lock_at(&self, context: &Context, now: u64) -> Result<Option<Acquired>> {
        let object = self.object(context.region())?;
        if self.is_taken_at_once(object, context) {
            return Ok(Some(taken(object, context, now)));
        }
        self.try_lock_slowly(object, context, now)
    }

    /// Takes a lock that is free and that nobody waits for.
    #[inline(always)]
    fn is_taken_at_once(&self, object: &Object, context: &Context) -> bool {
        let free = LockWord::free(self.handle.key());
        let is_taken = Region::compare_exchange(&object.mutex, free.0, context.me().bits()).is_ok();
        if is_taken {
            self.lock_in(object).check_own(context.region(), who(context));
        }
        is_taken
    }

    /// As [`try_lock_at`](Self::try_lock_at), for a caller that waits afterwards: checks for some
    /// microseconds whether the lock becomes free, but not whether its holder lives.
    ///
    /// # Errors
    ///
    /// As [`try_lock`](Self::try_lock).
    #[inline]
    pub fn lock_soon(&self, context: &Context, now: u64) -> Result<Option<Acquired>> {
        let object = self.object(context.region())?;
        if self.is_taken_at_once(object, context) || self.is_taken_soon(object, context) {
            return Ok(Some(taken(object, context, now)));
        }
        Ok(None)
    }

    /// Takes the lock if nobody holds it, or if its holder is dead.
    #[cold]
    fn try_lock_slowly(
        &self,
        object: &Object,
        context: &Context,
        now: u64,
    ) -> Result<Option<Acquired>> {
        match self.lock_in(object).take(context.region(), who(context), true, now) {
            Took::Yes(before) => self.told(object, context, before, now).map(Some),
            Took::Held(seen) => {
                let inherit = |context: &Context| self.inherit_from_the_dead(object, context, seen);
                match context.waiting_until(0, inherit) {
                    Err(Error::Busy { .. }) => Ok(None),
                    other => other,
                }
            }
            Took::Offered(_) => Ok(None),
            Took::Refused(_) => Err(refusal(object)),
            Took::Gone => Err(Error::ObjectGone),
        }
    }

    /// Takes the lock over if the thread that holds it is gone.
    fn inherit_from_the_dead(
        &self,
        object: &Object,
        context: &Context,
        seen: LockWord,
    ) -> Result<Option<Acquired>> {
        let word::Holder::Thread(holder) = seen.holder() else { return Ok(None) };
        if !wait::is_gone(context.member(), context.index(), owner_of(holder))? {
            return Ok(None);
        }
        estate::bury(context, owner_of(holder))?;
        self.inherit(object, context, seen, holder)
    }

    /// Takes the lock, and waits for it until `deadline` or for ever.
    ///
    /// # Errors
    ///
    /// [`Error::OwnerDied`] as [`try_lock`](Self::try_lock); [`Error::TimedOut`];
    /// [`Error::Deadlock`] when every member of a cycle has waited for a second;
    /// [`Error::Interrupted`]; [`Error::ObjectGone`].
    #[inline(always)]
    pub fn lock(&self, context: &Context, deadline: Option<u64>) -> Result<Acquired> {
        let object = self.object(context.region())?;
        if self.is_taken_at_once(object, context) {
            return Ok(taken(object, context, 0));
        }
        self.lock_slowly(object, context, Patience::new(deadline))
    }

    /// As [`lock`](Self::lock) without a deadline, but returns at `until`, for callers that have to
    /// check something else from time to time. `started` is when the whole wait began.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] at `until`; else as [`lock`](Self::lock).
    pub fn lock_until(&self, context: &Context, started: u64, until: u64) -> Result<Acquired> {
        let object = self.object(context.region())?;
        if self.is_taken_at_once(object, context) {
            return Ok(taken(object, context, 0));
        }
        self.lock_slowly(object, context, Patience::until(started, until))
    }

    /// Returns how often this thread has acquired the lock.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after it was removed.
    pub fn depth(&self, context: &Context) -> Result<u64> {
        let word = LockWord(self.object(context.region())?.mutex.get());
        Ok(if word.is_held_by(who(context)) { word.depth() } else { 0 })
    }

    /// Takes the lock once more if this thread holds it already, and returns whether it does.
    ///
    /// # Errors
    ///
    /// [`Error::BadArgument`] when this thread holds it 4,096 times already;
    /// [`Error::ObjectGone`].
    #[inline]
    pub fn lock_again(&self, context: &Context) -> Result<bool> {
        let word = &self.object(context.region())?.mutex;
        loop {
            let seen = LockWord(word.get());
            if !seen.is_held_by(who(context)) {
                return Ok(false);
            }
            let Some(deeper) = seen.deeper() else {
                return Err(Error::BadArgument(
                    "this thread holds the lock 4,096 times already, which is the limit",
                ));
            };
            if Region::compare_exchange(word, seen.0, deeper.0).is_ok() {
                return Ok(true);
            }
        }
    }

    /// Releases the lock, which this thread holds.
    ///
    /// # Errors
    ///
    /// [`Error::NotOwner`], [`Error::ObjectGone`]; nothing was changed.
    #[inline(always)]
    pub fn unlock(&self, context: &Context) -> Result<()> {
        let region = context.region();
        let object = self.object(region)?;
        self.lock_in(object).check_own(region, who(context));
        let free = LockWord::free(self.handle.key());
        let is_done = Region::compare_exchange(&object.mutex, context.me().bits(), free.0).is_ok()
            || self.lock_in(object).release(region, who(context));
        if !is_done {
            return Err(self.not_owned(region));
        }
        context.kept.locks.one_less();
        Ok(())
    }

    /// Returns the error of a release by a thread that does not hold the lock: a removal may have taken
    /// it away meanwhile.
    #[cold]
    fn not_owned(&self, region: &Region) -> Error {
        self.object(region).err().unwrap_or(Error::NotOwner)
    }

    /// As [`unlock`](Self::unlock), but the lock stays held until this thread has released it as
    /// often as it acquired it.
    ///
    /// # Errors
    ///
    /// As [`unlock`](Self::unlock).
    #[inline]
    pub fn leave(&self, context: &Context) -> Result<()> {
        let word = &self.object(context.region())?.mutex;
        loop {
            let seen = LockWord(word.get());
            if !seen.is_held_by(who(context)) {
                return Err(self.not_owned(context.region()));
            }
            let Some(less_deep) = seen.less_deep() else { return self.unlock(context) };
            if Region::compare_exchange(word, seen.0, less_deep.0).is_ok() {
                return Ok(());
            }
        }
    }

    /// As [`unlock`](Self::unlock), and marks the lock again, so that the next holder is told that
    /// process `pid` died: this caller could not handle it.
    ///
    /// # Errors
    ///
    /// As [`unlock`](Self::unlock).
    pub fn unlock_marked(&self, context: &Context, pid: u32) -> Result<()> {
        let object = self.object(context.region())?;
        if !LockWord(object.mutex.get()).is_held_by(who(context)) {
            return Err(self.not_owned(context.region()));
        }
        Region::store(&object.died, u64::from(pid));
        self.lock_in(object).mark(who(context), true);
        self.unlock(context)
    }

    /// Clears the mark of a dead holder, releases the lock if a dead process holds it, and returns
    /// whether there was a death to clear. A lock that a living process holds stays held.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after it was removed.
    pub fn recover(&self, context: &Context) -> Result<bool> {
        let region = context.region();
        let object = self.object(region)?;
        let mut dead = None;
        if let word::Holder::Thread(holder) = LockWord(object.mutex.acquire()).holder() {
            if wait::is_gone(context.member(), context.index(), owner_of(holder))? {
                estate::bury(context, owner_of(holder))?;
                dead = Some(holder);
            }
        }
        let _held = context.hold(self.handle.turn)?;
        let object = self.object(region)?;
        // In this order, a death between the two steps keeps the report of the holder's death.
        let was_marked = Region::lower(&object.mutex, MARK) & MARK != 0;
        let was_held = dead.is_some_and(|dead| self.lock_in(object).release_of_dead(region, dead));
        Ok(was_held || was_marked)
    }

    /// Stores the current time as that of the acquisition. The caller is the holder.
    ///
    /// Not part of the acquisition, because reading the clock takes as long as that.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after it was removed.
    pub fn note_time(&self, context: &Context) -> Result<()> {
        Region::store(&self.object(context.region())?.since, os::now_roughly());
        Ok(())
    }

    /// Releases the lock, whichever thread holds it.
    ///
    /// # Errors
    ///
    /// [`Error::NotOwner`] when the lock is free, [`Error::ObjectGone`]; nothing was changed.
    pub fn unlock_for_another(&self, context: &Context) -> Result<()> {
        let region = context.region();
        if LockWord(self.object(region)?.mutex.get()).is_held_by(who(context)) {
            return self.unlock(context);
        }
        let _held = context.hold(self.handle.turn)?;
        let object = self.object(region)?;
        loop {
            let word::Holder::Thread(holder) = LockWord(object.mutex.acquire()).holder() else {
                return Err(Error::NotOwner);
            };
            if self.lock_in(object).release_for(region, holder) {
                row::released_for(region, owner_of(holder));
                return Ok(());
            }
        }
    }

    /// Returns the holder, dead or alive, or `None` if the lock is free.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after it was removed.
    pub fn holder(&self, context: &Context) -> Result<Option<Holder>> {
        let region = context.region();
        let object = self.object(region)?;
        let word::Holder::Thread(holder) = LockWord(object.mutex.acquire()).holder() else {
            return Ok(None);
        };
        let (pid, noted) = (pid_of(object, holder, region), object.holder.get());
        let thread = Some((noted >> 32) as u32).filter(|_| noted as u32 == pid);
        let since = Some(object.since.get()).filter(|since| *since != 0);
        Ok(Some(Holder { pid, thread, since }))
    }

    /// Takes the lock over from a holder that is gone. Returns `None` if another thread was faster.
    fn inherit(
        &self,
        object: &Object,
        context: &Context,
        seen: LockWord,
        dead: Who,
    ) -> Result<Option<Acquired>> {
        let region = context.region();
        let pid = pid_of(object, dead, region);
        {
            let _held = context.hold(self.handle.turn)?;
            let object = self.object(region)?;
            let now = LockWord(object.mutex.acquire());
            if now.holder() != seen.holder() {
                return Ok(None);
            }
            // If this new holder dies before it returns to user code, the next one is still told.
            Region::store(&object.died, u64::from(pid));
            if !self.lock_in(object).take_over(now, who(context), true) {
                return Ok(None);
            }
        }
        self.told(object, context, LockWord(MARK | seen.0), 0).map(Some)
    }

    /// Signs a lock that this thread has just acquired, and handles the mark of a dead holder: the
    /// new holder is told, or, for a strict lock, is refused.
    fn told(
        &self,
        object: &Object,
        context: &Context,
        before: LockWord,
        now: u64,
    ) -> Result<Acquired> {
        let acquired = taken(object, context, now);
        if !before.has(MARK) {
            return Ok(acquired);
        }
        if before.has(word::STRICT) {
            let refused = refusal(object);
            self.unlock(context)?;
            return Err(refused);
        }
        let pid = object.died.get() as u32;
        self.lock_in(object).mark(who(context), false);
        Ok(Acquired::OwnerDied(pid))
    }
}

/// Signs a lock that this thread has just acquired.
#[inline(always)]
fn taken(object: &Object, context: &Context, now: u64) -> Acquired {
    context.kept.locks.one_more();
    Region::store(&object.holder, context.signature());
    Region::store(&object.since, now);
    Acquired::Clean
}

/// Returns the error for a caller that is refused because of a mark.
fn refusal(object: &Object) -> Error {
    Error::OwnerDied { pid: object.died.get() as u32 }
}

/// Returns the process id of a holder: its row has it, until another thread takes the row, and the
/// lock, unless the holder died before it stored it.
fn pid_of(object: &Object, holder: Who, region: &Region) -> u32 {
    let owner: Owner = owner_of(holder);
    row::signature_of(region, owner).unwrap_or_else(|| object.holder.get()) as u32
}
