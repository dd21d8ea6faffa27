//! A lock that tells its next holder when the last one died, with a value beside it.
//!
//! Root words: 0 and 1 the value's cell, 2 the lock word, 3 the signal, 4 the holder's process id,
//! 5 the process id of a holder that died, plus one, until somebody is told.
//!
//! What always holds: the lock word is changed by the rules of `sync::lock`; recovery leaves it
//! alone, so a dead holder's lock stays held until somebody wants it.

use crate::error::{Error, Result};
use crate::journal::Context;
use crate::memory::Region;
use crate::memory::layout::MutexRoot;
use crate::objects::header::Handle;
use crate::objects::{Value, estate};
use crate::sync::life::StateWord;
use crate::sync::wait::{self, Pause};
use crate::sync::{Owner, Patience, deadlock, lock};

/// Looks before a waiter goes to sleep.
const SPINS: u32 = 40;
/// How long a plain lock must stand still in a cycle before it is called a deadlock.
const STABLE: u64 = 1_000_000_000;

/// A handle to a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mutex {
    /// Where it is.
    pub handle: Handle,
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
    /// Row of the thread.
    pub context: u32,
}

impl Mutex {
    #[inline(always)]
    fn root<'a>(&self, region: &'a Region) -> Result<&'a MutexRoot> {
        let object = self.handle.object(region)?;
        Ok(Region::view(&object.root))
    }

    /// The value that the lock guards. Reading and writing it takes no notice of the lock.
    pub fn value(&self) -> Value {
        Value { handle: self.handle }
    }

    /// Takes the lock if it is free, or if its holder is dead.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after it was removed.
    pub fn try_lock(&self, context: &Context) -> Result<Option<Acquired>> {
        let root = self.root(context.region())?;
        if lock::try_take(&root.lock, context.me()) {
            return Ok(Some(taken(root, context)));
        }
        let owner = Owner::of(root.lock.acquire());
        if owner.is_nobody() {
            return Ok(None);
        }
        match wait::gone_owner(context.member(), owner)? {
            Some(dead) => {
                estate::bury(context, dead)?;
                Ok(inherit(root, owner, context))
            }
            None => Ok(None),
        }
    }

    /// Takes the lock, waiting until `deadline` or for ever.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]; [`Error::Deadlock`] when every holder in a circle has waited for the
    /// next one for a second; [`Error::Interrupted`]; [`Error::ObjectGone`].
    #[inline(always)]
    pub fn lock(&self, context: &Context, deadline: Option<u64>) -> Result<Acquired> {
        let root = self.root(context.region())?;
        if lock::try_take(&root.lock, context.me()) {
            return Ok(taken(root, context));
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
            return Ok(taken(root, context));
        }
        self.lock_slowly(root, context, Patience::until(started, until))
    }

    #[cold]
    fn lock_slowly(
        &self,
        root: &MutexRoot,
        context: &Context,
        mut patience: Patience,
    ) -> Result<Acquired> {
        for _ in 0..SPINS {
            std::hint::spin_loop();
            if Owner::of(root.lock.get()).is_nobody() && lock::try_take(&root.lock, context.me()) {
                return Ok(taken(root, context));
            }
        }
        if context.in_transaction.get() {
            return Err(context.doomed_by(&Error::WouldBlock));
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
        loop {
            let seen = root.signal.seen();
            let word = root.lock.acquire();
            let owner = Owner::of(word);
            if owner.is_nobody() {
                if lock::try_take_after_sleep(&root.lock, context.me()) {
                    return Ok(taken(root, context));
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
            let member = context.member();
            match patience.pause(member, context.index(), &root.signal, seen, Some(owner))? {
                Pause::Look => {}
                Pause::Interrupted => return Err(Error::Interrupted),
                Pause::Tick(part) => estate::tick(context, part)?,
                Pause::TimedOut => {
                    let acquired = self.try_lock(context)?;
                    let is_over = acquired.is_none() && is_deadlocked(context, patience);
                    let late = if is_over { Error::Deadlock } else { Error::TimedOut };
                    return acquired.ok_or(late);
                }
                Pause::OwnerGone(dead) => {
                    estate::bury(context, dead)?;
                    if let Some(acquired) = inherit(root, owner, context) {
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
        context.own_locks.set(context.own_locks.get().saturating_sub(1));
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
            context.own_locks.set(context.own_locks.get().saturating_sub(1));
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
        let holder = owner.context().filter(|_| !owner.is_nobody());
        let pid = pid_of(root, owner, context.region()) as u32;
        Ok(holder.map(|context| Holder { pid, context }))
    }
}

#[inline(always)]
fn taken(root: &MutexRoot, context: &Context) -> Acquired {
    context.own_locks.set(context.own_locks.get() + 1);
    Region::store(&root.pid, u64::from(context.member().pid()));
    match root.died.get() {
        0 => Acquired::Clean,
        died => {
            Region::store(&root.died, 0);
            Acquired::OwnerDied((died - 1) as u32)
        }
    }
}

/// Whether a wait without an end stands still in a circle, and this thread is the one to give up.
fn is_deadlocked(context: &Context, patience: &Patience) -> bool {
    let is_stable = !patience.has_deadline() && patience.age() > STABLE;
    is_stable && deadlock::is_victim(context.member(), context.index())
}

/// Process id of a holder. It may have died between taking the lock and writing the number down:
/// then its slot says it, as long as nobody else has the slot.
fn pid_of(root: &MutexRoot, holder: Owner, region: &Region) -> u64 {
    let Some(slot) = holder.slot().map(|slot| region.slot(slot)) else { return root.pid.get() };
    let pid = slot.pid.get();
    if StateWord(slot.state.acquire()).epoch() == holder.epoch() { pid } else { root.pid.get() }
}

/// Takes the lock over from a dead holder. `None`: somebody was faster.
fn inherit(root: &MutexRoot, dead: Owner, context: &Context) -> Option<Acquired> {
    let pid = pid_of(root, dead, context.region());
    if !lock::take_over(&root.lock, dead, context.me()) {
        return None;
    }
    // Should this heir die before it is back in user code, the next one is still told.
    Region::store(&root.died, pid.wrapping_add(1));
    Some(taken(root, context))
}

#[cfg(all(test, not(any(loom, miri, sim))))]
mod tests {
    use super::*;
    use crate::heap::Heap;
    use crate::objects::Directory;
    use crate::objects::Recipe;
    use crate::os;

    const SLICE: u64 = 50_000_000;

    fn mutex(heap: &Heap, name: &str) -> Mutex {
        let made =
            heap.with(|context| Directory.get_or_create(context, name, &Recipe::Mutex(&[0])));
        Mutex { handle: made.expect("a lock") }
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
