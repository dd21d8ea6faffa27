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
use crate::sync::life::StateWord;
use crate::sync::{Owner, Patience, lock, wait};

/// The part of `held` that says how often; above it, the time in units of as many nanoseconds.
const DEPTH: u64 = (1 << 20) - 1;

/// A handle to a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mutex {
    pub(in crate::objects) handle: Handle,
}

/// How a lock came to its new holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquired {
    /// The last holder let it go.
    Clean,
    /// The process with this id died holding it: what it guards may be half done.
    OwnerDied(u32),
}

/// Who holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// The system's number of the thread. `None`: it died before it wrote that down.
    pub thread: Option<u32>,
    /// When it took the lock, in nanoseconds of [`os::now`], to some milliseconds. `None`: it did
    /// not say.
    pub since: Option<u64>,
}

impl Mutex {
    #[inline(always)]
    fn root<'a>(&self, region: &'a Region) -> Result<&'a MutexRoot> {
        let object = self.handle.object(region)?;
        Ok(object.root_as())
    }

    /// The value that the lock guards. Reading and writing it takes no notice of the lock.
    pub fn value(&self) -> Value {
        Value { handle: self.handle }
    }

    /// What it was made with.
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

    /// As [`try_lock`](Self::try_lock), and writes down that the holder has it since `now`, in
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

    /// As [`try_lock_at`](Self::try_lock_at), for who is going to wait if need be: looks for a
    /// moment whether the lock becomes free, and not whether its holder lives.
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
        if !owner.is_nobody() {
            if let Some(dead) = wait::dead_owner_of(context.member(), owner)? {
                estate::bury(context, dead)?;
                return inherit(root, owner, context);
            }
        }
        match root.died.get() {
            // Another who is refused it has it for the moment.
            died if died != 0 && is_strict(root) => Err(refusal(died)),
            _ => Ok(None),
        }
    }

    /// Takes the lock, waiting until `deadline` or for ever.
    ///
    /// # Errors
    ///
    /// [`Error::OwnerDied`] as [`try_lock`](Self::try_lock); [`Error::TimedOut`];
    /// [`Error::Deadlock`] when every holder in a circle has waited for the next one for a second;
    /// [`Error::Interrupted`]; [`Error::ObjectGone`].
    #[inline(always)]
    pub fn lock(&self, context: &Context, deadline: Option<u64>) -> Result<Acquired> {
        let root = self.root(context.region())?;
        if lock::try_take(&root.lock, context.me()) {
            return taken(root, context);
        }
        self.lock_slowly(root, context, Patience::new(deadline))
    }

    /// As [`lock`](Self::lock) without a deadline, but comes back at `until`, for callers that
    /// have to look at something else now and then; `started` is when the whole wait began.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] when it is time to look; else as [`lock`](Self::lock).
    pub fn lock_until(&self, context: &Context, started: u64, until: u64) -> Result<Acquired> {
        let root = self.root(context.region())?;
        if lock::try_take(&root.lock, context.me()) {
            return taken(root, context);
        }
        self.lock_slowly(root, context, Patience::until(started, until))
    }

    /// How often this thread has the lock.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after it was removed.
    pub fn depth(&self, context: &Context) -> Result<u64> {
        let root = self.root(context.region())?;
        let is_own = Owner::of(root.lock.get()) == context.me();
        Ok(if is_own { (root.held.get() & DEPTH).max(1) } else { 0 })
    }

    /// Takes the lock once more if this thread has it already. Answers whether it does.
    ///
    /// # Errors
    ///
    /// [`Error::BadArgument`] when it has it a million times; [`Error::ObjectGone`].
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

    /// Lets the lock go that this thread holds.
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

    /// As [`unlock`](Self::unlock), but only when this thread has let go as often as it took it.
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

    /// As [`unlock`](Self::unlock), and the next holder is told once more that process `pid` died,
    /// for whoever was told would not hear of it.
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

    /// Forgets that a holder died, and frees the lock if a dead process holds it. One whom a living
    /// process holds stays held. Answers whether there was a death to forget.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after it was removed.
    pub fn recover(&self, context: &Context) -> Result<bool> {
        let root = self.root(context.region())?;
        let owner = Owner::of(root.lock.acquire());
        let dead = match owner.is_nobody() {
            true => None,
            false => wait::dead_owner_of(context.member(), owner)?,
        };
        if let Some(dead) = dead {
            estate::bury(context, dead)?;
        }
        // In this order a death between the two leaves the news of the holder's.
        let was_marked = Region::swap(&root.died, 0) != 0;
        let was_held = dead.is_some() && lock::give(&root.lock, &root.signal, owner);
        Ok(was_held || was_marked)
    }

    /// Writes down that the holder, who is the caller, has it since now.
    ///
    /// Not part of taking it, for looking at the clock takes as long.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after it was removed.
    pub fn note_time(&self, context: &Context) -> Result<()> {
        let root = self.root(context.region())?;
        Region::store(&root.held, root.held.get() & DEPTH | os::now_roughly() & !DEPTH);
        Ok(())
    }

    /// Lets the lock go, whoever holds it.
    ///
    /// # Errors
    ///
    /// [`Error::NotOwner`] when nobody does, [`Error::ObjectGone`]; nothing was changed.
    pub fn unlock_for_another(&self, context: &Context) -> Result<()> {
        let root = self.root(context.region())?;
        let was_own = Owner::of(root.lock.acquire()) == context.me();
        if !lock::give_for_another(&root.lock, &root.signal) {
            return Err(Error::NotOwner);
        }
        if was_own {
            context.kept.locks.one_less();
        }
        Ok(())
    }

    /// Who holds it, dead or alive.
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

/// The lock is this thread's: signs it, and looks for the mark of a death.
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

/// A holder died: who has the lock now is told, or refused it.
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

/// What a mark says to who is refused the lock.
fn refusal(died: u64) -> Error {
    Error::OwnerDied { pid: (died - 1) as u32 }
}

/// Process id of a holder. It may have died between taking the lock and writing the number down:
/// then its slot says it, as long as nobody else has the slot.
fn pid_of(root: &MutexRoot, holder: Owner, region: &Region) -> u32 {
    let noted = root.holder.get() as u32;
    let Some(process) = holder.process() else { return noted };
    let slot = region.slot(process.slot);
    let pid = slot.pid.get() as u32;
    if StateWord(slot.state.acquire()).epoch() == process.epoch { pid } else { noted }
}

/// Takes the lock over from a dead holder. `None`: somebody was faster.
fn inherit(root: &MutexRoot, dead: Owner, context: &Context) -> Result<Option<Acquired>> {
    let pid = pid_of(root, dead, context.region());
    if !lock::take_over(&root.lock, dead, context.me()) {
        return Ok(None);
    }
    // Should this heir die before it is back in user code, the next one is still told.
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
