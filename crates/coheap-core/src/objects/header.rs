//! The header that every object begins with, and the handle that finds it again.
//!
//! What always holds:
//!
//! - **Header.1** The generation of a header is odd while its object lives. It only ever grows,
//!   also when the header serves another object later. A handle is therefore valid exactly while
//!   the header has the generation that the handle knows.
//! - **Header.2** A header changes its kind, its turns or its generation only under its turn, or
//!   before any handle to it can exist.

use crate::allocator::{self, HEADER_CLASS, Room};
use crate::defect::{Mistake, defect};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context, Held};
use crate::kind::Kind;
use crate::memory::Region;
use crate::memory::layout::{OBJECT_TURNS, Object, ObjectShape};
use crate::objects::wait::{Announced, Published, Wait, owner_of, who};
use crate::os;
use crate::sync::parking::offer::{Lock, Took};
use crate::sync::parking::word::LockWord;
use crate::sync::parking::{Key, Reason, Who};
use crate::sync::wait::{Pause, Place, Possession};
use crate::sync::{Owner, Patience, deadlock, row};

/// How often a caller checks before it sleeps: most transactions end in less than a microsecond.
const SPINS: u32 = if cfg!(loom) { 1 } else { 200 };

/// The offset of an object, and the object's generation when the handle was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handle {
    /// Offset of the header.
    pub at: u64,
    /// Generation of the header.
    pub generation: u64,
    /// The turn that guards it.
    pub turn: u32,
    /// Its second turn, for a queue.
    pub second_turn: u32,
}

impl Handle {
    /// Returns a handle to the living object whose header is at `at`, and its kind.
    pub(crate) fn any(region: &Region, at: u64, generation: u64) -> Result<(Self, Kind)> {
        let shape = shape_of(region, at, generation)?;
        let broken = Corrupt { what: "kind of an object", at };
        let kind = Kind::of(ObjectShape::of(shape).kind).ok_or(broken)?;
        Ok((Self::of(shape, at, generation)?, kind))
    }

    fn of(shape: u64, at: u64, generation: u64) -> Result<Self> {
        let ObjectShape { turn, second_turn, .. } = ObjectShape::of(shape);
        if turn >= OBJECT_TURNS || second_turn >= OBJECT_TURNS {
            return Err(Corrupt { what: "turns of an object", at: shape }.into());
        }
        Ok(Self { at, generation, turn, second_turn })
    }

    /// Returns the header, if the object still lives. It cannot end while its turn is held.
    #[inline(always)]
    pub(crate) fn object<'a>(&self, region: &'a Region) -> Result<&'a Object> {
        let object: &Object = region.at(self.at)?;
        if object.generation.get() == self.generation || defect(Mistake::StaleGeneration) {
            Ok(object)
        } else {
            Err(Error::ObjectGone)
        }
    }

    /// Returns the object as the parking table knows it.
    #[inline(always)]
    pub(crate) fn key(&self) -> Key {
        Key { at: self.at, generation: self.generation }
    }

    /// Returns the transaction lock. It is taken and offered under the turn only; letting go of it
    /// needs none, so `is_offering` is for holders of the turn.
    fn transaction_lock<'a>(&self, object: &'a Object, is_offering: bool) -> Lock<'a> {
        Lock {
            word: &object.lock,
            handing: is_offering.then_some(&object.transaction_handing),
            key: self.key(),
            reason: Reason::Transaction,
        }
    }

    /// Takes the object's turn for a single write: waits while a transaction holds the object.
    #[inline(always)]
    pub(crate) fn hold<'a>(&self, context: &'a Context) -> Result<(Held<'a>, &'a Object)> {
        let held = context.hold(self.turn)?;
        let object = self.object(context.region())?;
        if LockWord(object.lock.get()).is_nobodys() {
            return Ok((held, object));
        }
        drop(held);
        self.hold_after_transaction(context)
    }

    #[cold]
    fn hold_after_transaction<'a>(&self, context: &'a Context) -> Result<(Held<'a>, &'a Object)> {
        let deadline = context.kept.waiting.deadline();
        if deadline == Some(0) {
            return Err(Error::WouldBlock);
        }
        // The transaction may need that turn to end.
        context.give_grant_back();
        match self.wait_while_locked(context, Patience::new(deadline), false) {
            Err(Error::Deadlock) => Err(context.kept.transaction.doomed_by(&Error::Deadlock)),
            Err(Error::TimedOut) => Err(Error::WouldBlock),
            other => other,
        }
    }

    /// Takes the object's transaction lock for the calling thread, if it is free or about to be.
    /// Returns `false` if a thread holds it, perhaps this one.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`].
    pub(crate) fn try_lock_for_transaction(&self, context: &Context) -> Result<bool> {
        for look in 0..=SPINS {
            let seems_free = look == 0 || {
                std::hint::spin_loop();
                LockWord(self.object(context.region())?.lock.acquire()).is_nobodys()
            };
            if seems_free {
                let _held = context.hold(self.turn)?;
                let object = self.object(context.region())?;
                let lock = self.transaction_lock(object, true);
                let free = LockWord::free(self.key());
                if Region::compare_exchange(&object.lock, free.0, context.me().bits()).is_ok() {
                    lock.check_own(context.region(), who(context));
                    return Ok(true);
                }
                if lock.take_fairly(context.region(), who(context), os::now()) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Takes the object's transaction lock for the calling thread, and waits until it is free.
    ///
    /// # Errors
    ///
    /// [`Error::Deadlock`] when this thread is the one to give up; [`Error::TimedOut`] when the
    /// deadline passes; [`Error::Interrupted`]; [`Error::ObjectGone`].
    pub(crate) fn lock_for_transaction(&self, context: &Context, patience: Patience) -> Result<()> {
        match context.within(&patience, || self.try_lock_for_transaction(context)) {
            Ok(true) => return Ok(()),
            Err(Error::Busy { .. }) if patience.is_over() => return Err(Error::TimedOut),
            Ok(false) => {}
            Err(other) => return Err(other),
        }
        self.wait_while_locked(context, patience, true).map(|_| ())
    }

    /// Takes the object's transaction lock for one operation, which holds no other.
    ///
    /// # Errors
    ///
    /// As [`lock_for_transaction`](Self::lock_for_transaction); [`Error::WouldBlock`] at the deadline.
    pub(crate) fn lock_alone<'a>(&self, context: &'a Context) -> Result<LockedAlone<'a>> {
        let patience = Patience::new(context.kept.waiting.deadline());
        match self.lock_for_transaction(context, patience) {
            Ok(()) => Ok(LockedAlone { handle: *self, context }),
            Err(Error::TimedOut) => Err(Error::WouldBlock),
            Err(other) => Err(other),
        }
    }

    /// Takes the turn at a moment when no transaction holds the object, and with `is_taking` the
    /// transaction lock as well.
    fn wait_while_locked<'a>(
        &self,
        context: &'a Context,
        patience: Patience,
        is_taking: bool,
    ) -> Result<(Held<'a>, &'a Object)> {
        let region = context.region();
        let object = self.object(region)?;
        let lock = self.transaction_lock(object, true);
        let place = Place {
            key: lock.key,
            reason: lock.reason,
            watch: &object.transaction_watch,
            waiter: context.waiter(),
        };
        let mut wait = Wait::new(context, place, Announced::In(lock), false, patience);
        let mut published = Published::new(context);
        let mut is_late = false;
        loop {
            wait.listen();
            let held = match context.within(wait.patience(), || context.hold(self.turn)) {
                Err(Error::Busy { .. }) if wait.patience().is_over() => {
                    return Err(Error::TimedOut);
                }
                other => other?,
            };
            let object = self.object(region)?;
            let (seen, owner) = match lock.take(region, who(context), false, os::now()) {
                Took::Yes(_) => {
                    // First, or letting go would offer the lock to this thread.
                    wait.leave_with_lock();
                    let is_closed = context.member().is_closed();
                    if !is_taking || is_closed {
                        lock.release(region, who(context));
                    }
                    return if is_closed { Err(Error::Closed) } else { Ok((held, object)) };
                }
                Took::Held(seen) => (seen, seen.thread().map(owner_of)),
                Took::Offered(seen) => (seen, None),
                Took::Refused(_) | Took::Gone => return Err(damaged(object)),
            };
            if owner == Some(context.me()) {
                return Err(Error::InTransaction);
            }
            if is_late {
                return Err(Error::TimedOut);
            }
            if !lock.announce(seen) {
                continue;
            }
            drop(held);
            date_transaction(context);
            published.publish(region.offset_of(&object.lock));
            if deadlock::is_victim(context.member(), context.index()) {
                return Err(Error::Deadlock);
            }
            let possession = owner.map_or(Possession::Offered, Possession::Of);
            match (wait.sleep(possession)?, owner) {
                (Pause::OwnerGone, Some(owner)) => {
                    match context.within(wait.patience(), || self.break_dead_lock(context, owner)) {
                        Err(Error::Busy { .. }) if wait.patience().is_over() => is_late = true,
                        other => other?,
                    }
                }
                (Pause::Tick(part), _) => super::estate::tick(context, part, wait.patience())?,
                (Pause::TimedOut, _) => is_late = true,
                _ => {}
            }
        }
    }

    /// Releases the transaction lock of an owner that is gone: the changes were private and are lost
    /// with it.
    fn break_dead_lock(&self, context: &Context, dead: Owner) -> Result<()> {
        super::estate::bury(context, dead)?;
        let region = context.region();
        let _held = context.hold(self.turn)?;
        let object = self.object(region)?;
        if let Some(dead) = Who::of(dead.bits()) {
            self.transaction_lock(object, false).release_of_dead(region, dead);
        }
        Ok(())
    }

    /// Releases the transaction lock, which the calling thread has taken. It takes no turn.
    pub(crate) fn unlock_after_transaction(&self, context: &Context) {
        let region = context.region();
        // Where the object has ended, its successor may be locked by this thread, too.
        if let Ok(object) = self.object(region) {
            self.transaction_lock(object, false).release(region, who(context));
        }
    }
}

/// An object that the calling thread has locked, until it is dropped.
pub(crate) struct LockedAlone<'a> {
    handle: Handle,
    context: &'a Context,
}

/// The error of a transaction lock that nobody gets any more: none is made strict, and the object of this
/// one lives.
#[cold]
fn damaged(object: &Object) -> Error {
    Corrupt { what: "transaction lock", at: object.lock.get() }.into()
}

impl Drop for LockedAlone<'_> {
    fn drop(&mut self) {
        self.handle.unlock_after_transaction(self.context);
    }
}

/// Returns the shape word of a living object. The offset is untrusted.
fn shape_of(region: &Region, at: u64, generation: u64) -> Result<u64> {
    let object: &Object = region.at(at)?;
    let shape = object.shape.get();
    if generation & 1 == 0 || object.generation.acquire() != generation {
        return Err(Error::ObjectGone);
    }
    Ok(shape)
}

/// Sets the age of a transaction at its first wait: one that never waits needs none.
fn date_transaction(context: &Context) {
    let age = &context.row().age;
    if context.kept.transaction.is_open() && age.get() <= 1 {
        Region::store(age, os::now());
    }
}

/// Makes the locks of a header free, as those of an object with this generation. They are swapped
/// without the turn, also by threads that are late: an exact swap of theirs fails from here on. Who
/// held the lock of the object that was here before will never release it, and his row could not be
/// free without that.
pub(super) fn free_locks(region: &Region, object: &Object, key: Key) {
    let free = LockWord::free(key);
    Region::swap(&object.lock, free.0);
    if let Some(holder) = LockWord(Region::swap(&object.mutex, free.0)).thread() {
        row::released_for(region, owner_of(holder));
    }
}

/// Words that `create` saves besides those of its caller.
pub const CREATE_WORDS: usize = allocator::TAKE_WORDS + 2;

/// Returns the next turn, in rotation.
pub fn deal_turn(region: &Region) -> u32 {
    (Region::add(&region.header().dealt, 1) % u64::from(OBJECT_TURNS)) as u32
}

/// The room of a header.
pub const ROOM: Room = Room::Class(HEADER_CLASS);

/// Creates an object in a pending header. No handle to it can exist before the change commits.
/// `fill` stores the root words that are not zero. The object gets this `turn`, or the next one.
pub fn create(
    change: &mut Change<'_>,
    kind: Kind,
    turn: Option<u32>,
    fill: impl FnOnce(&mut Change<'_>, &Object) -> Result<()>,
) -> Result<Handle> {
    let region = change.region();
    let turn = turn.unwrap_or_else(|| deal_turn(region));
    let second_turn = if kind.turns() == 2 { deal_turn(region) } else { turn };
    let at = allocator::take(change, Room::Class(HEADER_CLASS))?;
    let object: &Object = region.at(at)?;
    let generation = object.generation.get() | 1;
    change.set(&object.shape, ObjectShape { kind: kind as u8, turn, second_turn }.word());
    change.put(&object.references, 1);
    free_locks(region, object, Key { at, generation });
    let Object { handing, transaction_handing, watch, transaction_watch, holder, since, .. } =
        object;
    for word in [handing, transaction_handing, watch, transaction_watch, holder, since] {
        Region::store(word, 0);
    }
    for word in &object.root {
        change.put(word, 0);
    }
    fill(change, object)?;
    change.set(&object.generation, generation);
    Ok(Handle { at, generation, turn, second_turn })
}

/// Ends an object's life: handles return `ObjectGone` once the change commits. Everything that
/// hangs from its root words must have been moved away in the same change.
pub fn destroy(change: &mut Change<'_>, handle: &Handle) -> Result<()> {
    let object = handle.object(change.region())?;
    if !defect(Mistake::KeepGenerationOfRemoved) {
        change.set(&object.generation, handle.generation.wrapping_add(1));
    }
    allocator::give(change, Room::Class(HEADER_CLASS), handle.at)
}

/// Words that `destroy` saves.
pub const DESTROY_WORDS: usize = 1 + allocator::GIVE_WORDS;
