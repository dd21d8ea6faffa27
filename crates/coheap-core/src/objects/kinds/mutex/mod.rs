//! A lock that tells its next holder when the last one died, with a value beside it.
//!
//! Every value has a lock beside it, so a handle to a value is also a handle to its lock. The
//! caller decides whether the holder may acquire the lock again: `lock_again` and `leave` count,
//! `unlock` does not.
//!
//! What always holds: the lock word changes by the rules of `sync::lock`. Recovery does not touch
//! it, so the lock of a dead holder stays held until another caller wants it. Only the holder
//! writes the words that count how often it holds the lock and since when; they mean nothing while
//! the lock is free.
//!
//! Not here: waiting for the lock (`waiting`).

mod shape;
mod waiting;

pub use crate::objects::value::Traits;
pub use shape::Recipe;
pub(crate) use shape::Shape;

use crate::error::{Error, Result};
use crate::journal::Context;
use crate::memory::Region;
use crate::memory::layout::MutexRoot;
use crate::objects::header::Handle;
use crate::objects::value::STRICT;
use crate::objects::{Value, estate};
use crate::os;
use crate::sync::{Owner, Patience, lock, row, wait};

/// The part of `held` that counts how often the holder has the lock. The bits above it are the
/// time, in units of this many nanoseconds.
const DEPTH: u64 = (1 << 20) - 1;

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
    #[inline(always)]
    fn root<'a>(&self, region: &'a Region) -> Result<&'a MutexRoot> {
        let object = self.handle.object(region)?;
        Ok(object.root_as())
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
        let root = self.root(context.region())?;
        Ok(Traits { typecode: root.traits.get() as u8, is_strict: is_strict(root) })
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
        let root = self.root(context.region())?;
        if lock::try_take(&root.lock, context.me()) {
            return taken_at(root, context, now).map(Some);
        }
        self.try_lock_slowly(root, context)
    }

    /// As [`try_lock_at`](Self::try_lock_at), for a caller that waits afterwards: checks for some
    /// microseconds whether the lock becomes free, but not whether its holder lives.
    ///
    /// # Errors
    ///
    /// As [`try_lock`](Self::try_lock).
    #[inline]
    pub fn lock_soon(&self, context: &Context, now: u64) -> Result<Option<Acquired>> {
        let root = self.root(context.region())?;
        if lock::try_take(&root.lock, context.me()) || waiting::is_taken_soon(root, context) {
            return taken_at(root, context, now).map(Some);
        }
        Ok(None)
    }

    /// Takes a held lock if its holder is dead.
    #[cold]
    fn try_lock_slowly(&self, root: &MutexRoot, context: &Context) -> Result<Option<Acquired>> {
        let owner = Owner::of(root.lock.acquire());
        if !owner.is_nobody() && wait::is_gone(context.member(), context.index(), owner)? {
            estate::bury(context, owner)?;
            return inherit(root, owner, context);
        }
        match root.died.get() {
            // Another caller, which is being refused, holds the lock for a moment.
            died if died != 0 && is_strict(root) => Err(refusal(died)),
            _ => Ok(None),
        }
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
        let root = self.root(context.region())?;
        if lock::try_take(&root.lock, context.me()) {
            return taken(root, context);
        }
        self.lock_slowly(root, context, Patience::new(deadline))
    }

    /// As [`lock`](Self::lock) without a deadline, but returns at `until`, for callers that have to
    /// check something else from time to time. `started` is when the whole wait began.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] at `until`; else as [`lock`](Self::lock).
    pub fn lock_until(&self, context: &Context, started: u64, until: u64) -> Result<Acquired> {
        let root = self.root(context.region())?;
        if lock::try_take(&root.lock, context.me()) {
            return taken(root, context);
        }
        self.lock_slowly(root, context, Patience::until(started, until))
    }

    /// Returns how often this thread has acquired the lock.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after it was removed.
    pub fn depth(&self, context: &Context) -> Result<u64> {
        let root = self.root(context.region())?;
        let is_own = Owner::of(root.lock.get()) == context.me();
        Ok(if is_own { (root.held.get() & DEPTH).max(1) } else { 0 })
    }

    /// Takes the lock once more if this thread holds it already, and returns whether it does.
    ///
    /// # Errors
    ///
    /// [`Error::BadArgument`] when this thread holds it 1,048,575 times already;
    /// [`Error::ObjectGone`].
    #[inline]
    pub fn lock_again(&self, context: &Context) -> Result<bool> {
        let root = self.root(context.region())?;
        if Owner::of(root.lock.get()) != context.me() {
            return Ok(false);
        }
        let held = root.held.get();
        if held & DEPTH == DEPTH {
            return Err(Error::BadArgument(
                "this thread holds the lock 1,048,575 times already, which is the limit",
            ));
        }
        Region::store(&root.held, held + 1);
        Ok(true)
    }

    /// Releases the lock, which this thread holds.
    ///
    /// # Errors
    ///
    /// [`Error::NotOwner`], [`Error::ObjectGone`]; nothing was changed.
    #[inline(always)]
    pub fn unlock(&self, context: &Context) -> Result<()> {
        let root = self.root(context.region())?;
        if !lock::give(&root.lock, &root.signal, context.me()) {
            return Err(Error::NotOwner);
        }
        context.kept.locks.one_less();
        Ok(())
    }

    /// As [`unlock`](Self::unlock), but the lock stays held until this thread has released it as
    /// often as it acquired it.
    ///
    /// # Errors
    ///
    /// As [`unlock`](Self::unlock).
    #[inline]
    pub fn leave(&self, context: &Context) -> Result<()> {
        let root = self.root(context.region())?;
        let held = root.held.get();
        if held & DEPTH <= 1 {
            return self.unlock(context);
        }
        if Owner::of(root.lock.get()) != context.me() {
            return Err(Error::NotOwner);
        }
        Region::store(&root.held, held - 1);
        Ok(())
    }

    /// As [`unlock`](Self::unlock), and marks the lock again, so that the next holder is told that
    /// process `pid` died: this caller could not handle it.
    ///
    /// # Errors
    ///
    /// As [`unlock`](Self::unlock).
    pub fn unlock_marked(&self, context: &Context, pid: u32) -> Result<()> {
        let root = self.root(context.region())?;
        if Owner::of(root.lock.get()) != context.me() {
            return Err(Error::NotOwner);
        }
        Region::store(&root.died, u64::from(pid) + 1);
        self.unlock(context)
    }

    /// Clears the mark of a dead holder, releases the lock if a dead process holds it, and returns
    /// whether there was a death to clear. A lock that a living process holds stays held.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after it was removed.
    pub fn recover(&self, context: &Context) -> Result<bool> {
        let root = self.root(context.region())?;
        let owner = Owner::of(root.lock.acquire());
        let is_gone =
            !owner.is_nobody() && wait::is_gone(context.member(), context.index(), owner)?;
        if is_gone {
            estate::bury(context, owner)?;
        }
        // In this order, a death between the two steps keeps the report of the holder's death.
        let was_marked = Region::swap(&root.died, 0) != 0;
        let was_held = is_gone && lock::give(&root.lock, &root.signal, owner);
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
        let root = self.root(context.region())?;
        Region::store(&root.held, root.held.get() & DEPTH | os::now_roughly() & !DEPTH);
        Ok(())
    }

    /// Releases the lock, whichever thread holds it.
    ///
    /// # Errors
    ///
    /// [`Error::NotOwner`] when the lock is free, [`Error::ObjectGone`]; nothing was changed.
    pub fn unlock_for_another(&self, context: &Context) -> Result<()> {
        let root = self.root(context.region())?;
        match lock::give_for_another(&root.lock, &root.signal) {
            None => return Err(Error::NotOwner),
            Some(holder) if holder == context.me() => context.kept.locks.one_less(),
            Some(holder) => row::released_for(context.region(), holder),
        }
        Ok(())
    }

    /// Returns the holder, dead or alive, or `None` if the lock is free.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after it was removed.
    pub fn holder(&self, context: &Context) -> Result<Option<Holder>> {
        let root = self.root(context.region())?;
        let owner = Owner::of(root.lock.acquire());
        if owner.is_nobody() {
            return Ok(None);
        }
        let (pid, noted) = (pid_of(root, owner, context.region()), root.holder.get());
        let thread = Some((noted >> 32) as u32).filter(|_| noted as u32 == pid);
        let since = Some(root.held.get() & !DEPTH).filter(|since| *since != 0);
        Ok(Some(Holder { pid, thread, since }))
    }
}

#[inline(always)]
fn taken(root: &MutexRoot, context: &Context) -> Result<Acquired> {
    taken_at(root, context, 0)
}

/// Signs a lock that this thread has just acquired, and checks for the mark of a death.
#[inline(always)]
fn taken_at(root: &MutexRoot, context: &Context, now: u64) -> Result<Acquired> {
    context.kept.locks.one_more();
    Region::store(&root.holder, context.signature());
    Region::store(&root.held, now & !DEPTH | 1);
    match root.died.get() {
        0 => Ok(Acquired::Clean),
        died => tell(root, context, died),
    }
}

/// Handles the mark of a dead holder: the new holder is told, or, for a strict lock, is refused.
#[cold]
fn tell(root: &MutexRoot, context: &Context, died: u64) -> Result<Acquired> {
    if is_strict(root) {
        lock::give(&root.lock, &root.signal, context.me());
        context.kept.locks.one_less();
        return Err(refusal(died));
    }
    Region::store(&root.died, 0);
    Ok(Acquired::OwnerDied((died - 1) as u32))
}

fn is_strict(root: &MutexRoot) -> bool {
    root.traits.get() & STRICT != 0
}

/// Returns the error for a caller that is refused because of a mark.
fn refusal(died: u64) -> Error {
    Error::OwnerDied { pid: (died - 1) as u32 }
}

/// Returns the process id of a holder: its row has it, until another thread takes the row, and the
/// lock, unless the holder died before it stored it.
fn pid_of(root: &MutexRoot, holder: Owner, region: &Region) -> u32 {
    row::signature_of(region, holder).unwrap_or_else(|| root.holder.get()) as u32
}

/// Takes the lock over from a dead holder. Returns `None` if another thread was faster.
fn inherit(root: &MutexRoot, dead: Owner, context: &Context) -> Result<Option<Acquired>> {
    let pid = pid_of(root, dead, context.region());
    if !lock::take_over(&root.lock, dead, context.me()) {
        return Ok(None);
    }
    // If this new holder dies before it returns to user code, the next one is still told.
    Region::store(&root.died, u64::from(pid) + 1);
    taken(root, context).map(Some)
}

#[cfg(all(test, not(any(loom, miri, sim))))]
mod tests {
    use super::*;
    use crate::heap::Heap;
    use crate::objects::Directory;
    use crate::objects::mutex;

    const SLICE: u64 = 50_000_000;

    fn mutex(heap: &Heap, name: &str) -> Mutex {
        heap.with(|context| Directory.get_or_create(context, name, &mutex::Recipe::around(&[0])))
            .expect("a lock")
    }

    /// Goal: a wait in slices comes back when it should, and still hears of a circle.
    /// Method: two threads take a lock each, then wait for the other's in slices; exactly one is
    /// told, once both have waited for a second.
    #[test]
    fn a_wait_in_slices_finds_a_deadlock() {
        let heap = Heap::anonymous(1 << 20).expect("a heap");
        let locks = [mutex(&heap, "first"), mutex(&heap, "second")];
        let barrier = std::sync::Barrier::new(2);
        let wait = |own: usize| {
            heap.with(|context| locks[own].lock(context, None)).expect("free");
            barrier.wait();
            let started = os::now();
            let mut slices = 0;
            let answer = loop {
                let until = os::now() + SLICE;
                let slice = |context: &Context| locks[1 - own].lock_until(context, started, until);
                match heap.with(slice) {
                    Err(Error::TimedOut | Error::Interrupted) => slices += 1,
                    other => break other,
                }
            };
            heap.with(|context| locks[own].unlock(context)).expect("held");
            (answer, slices)
        };
        let answers = std::thread::scope(|scope| {
            [scope.spawn(|| wait(0)), scope.spawn(|| wait(1))].map(|it| it.join().expect("calm"))
        });
        let told = answers.iter().filter(|(answer, _)| *answer == Err(Error::Deadlock)).count();
        assert_eq!(told, 1, "{answers:?}");
        assert!(answers.iter().all(|(_, slices)| *slices > 0), "{answers:?}");
    }
}
