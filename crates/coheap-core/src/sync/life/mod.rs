//! The members of a heap: which processes are attached, since when, and whether they still live.
//!
//! Every process holds the byte of its slot in the life file, by a record lock that the kernel
//! drops when no thread of the process can run any more. A free byte alone does not prove a death,
//! because user code may have closed a descriptor; the identity of the process is checked, too.
//!
//! State word of a slot: epoch in bits 0..32, state in bits 32..35, and while a recovery runs the
//! recoverer: slot plus one in bits 35..48, low bits of its epoch in 48..64.
//!
//! # What always holds
//!
//! - **Life.1** `standing` never returns `Dead` for a process whose threads may still run.
//! - **Life.2** A state goes FREE, (UNBORN,) LIVE, (LEAVING,) RECOVERING, ESTATE, FREE, each step by
//!   compare-and-swap; the epoch grows when a slot is taken. A process that leaves in peace skips
//!   RECOVERING, and ESTATE, too, if nothing is listed.
//! - **Life.3** An UNBORN slot is alive while any process holds its byte of the birth file: a lock
//!   on an open file description that parent and child share, until the child holds its own byte.
//! - **Life.4** The life descriptor is never closed while this process is attached; if other code
//!   closes it, it is opened again before its next use (`lasting`).
//! - **Life.5** Once a process is LEAVING, no thread of it adds a record to its list (checked under
//!   the slot's turn), anybody may settle the list, and nobody waits for its long locks. Its turns
//!   and journals are its own until the last of its threads is done.

use std::sync::Arc;

use super::{DueList, Incarnation, row};
use crate::defect::{Mistake, defect};
use crate::error::{Error, Result};
use crate::memory::Region;
use crate::memory::layout::{SLOT_COUNT, Slot};
use crate::os::{self, HeapFile, Identity, Latch, Pace, PrivateGuard, PrivateMutex, life};

mod lasting;
mod state;

pub use lasting::LastingFile;
pub use state::{LOW_EPOCH, State, StateWord};

/// What is known about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its threads may run.
    Alive,
    /// Its threads may run, but it has left the heap: its long locks and records are not its own
    /// any more.
    Left,
    /// It can never run again, and was not recovered yet.
    Dead,
    /// It is dead, and its turns and journals are in order.
    Settled,
}

/// What a process needs to judge whether others live: the region, the life file, and its own
/// identity.
#[derive(Debug)]
pub struct Census {
    region: Arc<Region>,
    life: LastingFile,
    birth: LastingFile,
    data_inode: u64,
    me: Identity,
    /// The kernel grants a byte to every thread of a process; this lock elects one thread.
    byte_calls: PrivateMutex<()>,
}

impl Census {
    /// Starts to use the life file. This process must not have opened it before.
    pub fn new(region: Arc<Region>, life: LastingFile, birth: LastingFile) -> Self {
        let (data_inode, me) = (region.inode(), Identity::mine());
        Self { region, life, birth, data_inode, me, byte_calls: PrivateMutex::new(()) }
    }

    /// Returns the heap's bytes.
    #[inline(always)]
    pub fn region(&self) -> &Arc<Region> {
        &self.region
    }

    fn checked_life(&self) -> Result<&HeapFile> {
        self.life.checked(&self.region, &|| self.others())
    }

    fn checked_birth(&self) -> Result<&HeapFile> {
        self.birth.checked(&self.region, &|| self.others())
    }

    /// Returns the process ids of the other members that this process can see.
    fn others(&self) -> Vec<u32> {
        let slots = (0..self.region.real_slots()).map(|index| self.region.slot(index));
        let living = slots.filter(|slot| StateWord(slot.state.acquire()).state() == State::Live);
        let seen = living.map(identity_in).filter(|other| !other.is_foreign_to(&self.me));
        seen.map(|other| other.pid).filter(|pid| *pid != self.me.pid).collect()
    }

    /// Returns whether every other member is known to run: none is stopped, and none is out of sight.
    pub fn all_run(&self) -> bool {
        (0..self.region.real_slots()).all(|index| {
            let slot = self.region.slot(index);
            let word = StateWord(slot.state.acquire());
            if !matches!(word.state(), State::Live | State::Leaving) {
                return word.state() != State::Unborn;
            }
            let other = identity_in(slot);
            other.pid == self.me.pid || !other.is_foreign_to(&self.me) && other.runs(&self.me)
        })
    }

    /// Returns the process that has a slot, or had it last.
    pub fn in_slot(&self, slot: u32) -> Incarnation {
        let epoch = StateWord(self.region.slot(slot).state.acquire()).epoch();
        Incarnation { slot, epoch }
    }

    /// Returns what is known about a process.
    pub fn standing(&self, who: Incarnation) -> Result<Standing> {
        let slot = self.region.slot(who.slot);
        let word = StateWord(slot.state.acquire());
        if word.epoch() != who.epoch || matches!(word.state(), State::Free | State::Estate) {
            return Ok(Standing::Settled);
        }
        let alive = match word.state() {
            State::Leaving => Standing::Left,
            _ => Standing::Alive,
        };
        // A process whose byte is held lives. A free byte means something only in the right file.
        let byte = u64::from(who.slot);
        if life::is_held(self.life.file(), byte).unwrap_or(false)
            || life::is_held(self.checked_life()?, byte)?
        {
            return Ok(alive);
        }
        if word.state() == State::Unborn {
            let is_held = life::is_held(self.checked_birth()?, byte)?;
            // A child that starts meanwhile releases the birth byte; it holds its life byte then.
            let was_born = slot.state.acquire() != word.0;
            let lives = is_held || was_born || life::is_held(self.checked_life()?, byte)?;
            return Ok(if lives { Standing::Alive } else { Standing::Dead });
        }
        let identity = identity_in(slot);
        // The slot may have got another owner during the read; the result is about that owner then.
        if StateWord(slot.state.acquire()).epoch() != who.epoch {
            return Ok(Standing::Settled);
        }
        let dead = defect(Mistake::FreeByteIsDeath)
            || identity.is_foreign_to(&self.me)
            || identity.is_dead(&self.me)
            || !defect(Mistake::ExecIsNoDeath)
                && (identity.pid != self.me.pid
                    && !identity
                        .maps_inode(self.data_inode)
                        .unwrap_or(!defect(Mistake::UnreadableIsDeath)));
        Ok(if dead { Standing::Dead } else { alive })
    }

    /// Serialises byte calls of this process's threads.
    pub fn byte_calls(&self) -> PrivateGuard<'_, ()> {
        self.byte_calls.lock()
    }

    /// Takes the byte of a dead process. Returns `false` if another process holds it.
    pub fn claim_byte(&self, slot: u32) -> Result<bool> {
        let file = self.checked_life()?;
        Ok(!life::is_held(file, u64::from(slot))? && life::claim(file, u64::from(slot))?)
    }

    /// Releases the byte of a slot that turned out to have an owner. If the owner is a second copy
    /// of the engine in this process, the byte belongs to that copy, too, and is kept.
    pub fn release_unless_siblings(&self, index: u32) -> Result<()> {
        let pid_in = |index: u32| self.region.slot(index).pid.get();
        let word = StateWord(self.region.slot(index).state.acquire());
        let holder = match word.state() {
            State::Live | State::Leaving => Some(index),
            State::Recovering => {
                word.recoverer().map(|by| by.0).filter(|by| *by < self.region.real_slots())
            }
            State::Free | State::Unborn | State::Estate => None,
        };
        if holder.is_some_and(|holder| pid_in(holder) == u64::from(self.me.pid)) {
            return Ok(());
        }
        self.release_byte(index)
    }

    /// Releases a byte.
    pub fn release_byte(&self, slot: u32) -> Result<()> {
        life::release(self.checked_life()?, u64::from(slot))
    }
}

/// How often a process that sleeps checks whether it holds its life byte, in nanoseconds.
const BYTE_CHECK: u64 = 200_000_000;

/// A process that is attached to a heap.
#[derive(Debug)]
pub struct Member {
    census: Census,
    incarnation: Incarnation,
    generation: u64,
    closed: Latch,
    /// Nothing is on the list of the slot, and nothing will be.
    settled: Latch,
    due: DueList,
    /// When the life byte was checked.
    byte_checks: Pace,
}

impl Member {
    /// Takes a slot in this state for this process: a free one, or that of a dead process, whose
    /// estate the caller then settles as its own.
    ///
    /// # Errors
    ///
    /// [`Error::TableFull`] when no slot is in this state.
    pub fn enter(census: Census, state: State) -> Result<Self, Box<(Census, Error)>> {
        match take_slot(&census, state) {
            Ok(Some(incarnation)) => Ok(Self::of(census, incarnation)),
            Ok(None) => {
                let full = Error::TableFull { table: "processes", rows: u64::from(SLOT_COUNT) };
                Err(Box::new((census, full)))
            }
            Err(error) => Err(Box::new((census, error))),
        }
    }

    /// Takes the slot that the parent prepared before it forked this process. Returns `None` if the
    /// slot is lost.
    pub fn be_born(census: Census, unborn: Unborn) -> Option<Self> {
        match take_unborn(&census, &unborn) {
            Ok(true) => Some(Self::of(census, unborn.incarnation)),
            _ => None,
        }
    }

    fn of(census: Census, incarnation: Incarnation) -> Self {
        let generation = os::generation();
        let (closed, settled) = (Latch::default(), Latch::default());
        let (due, byte_checks) = (DueList::default(), Pace::default());
        Self { census, incarnation, generation, closed, settled, due, byte_checks }
    }

    /// Takes a slot for a child that is about to be forked. Returns `None` if there is none; the
    /// child looks for one itself then.
    pub fn expect_child(&self) -> Result<Option<Unborn>> {
        let held = self.census.checked_birth()?.reopened()?;
        for slot in 0..SLOT_COUNT {
            if slot >= self.region().real_slots() && !self.region().grow_slots(slot)? {
                break;
            }
            let state = &self.region().slot(slot).state;
            let word = StateWord(state.acquire());
            if word.state() != State::Free || !life::claim_shared(&held, u64::from(slot))? {
                continue;
            }
            let epoch = word.epoch().wrapping_add(1);
            let unborn = StateWord::new(epoch, State::Unborn, None).0;
            let is_free = !life::is_held(self.census.checked_life()?, u64::from(slot))?;
            if is_free && Region::compare_exchange(state, word.0, unborn).is_ok() {
                return Ok(Some(Unborn { incarnation: Incarnation { slot, epoch }, _held: held }));
            }
            life::release_shared(&held, u64::from(slot))?;
        }
        Ok(None)
    }

    /// Returns the heap's bytes.
    #[inline(always)]
    pub fn region(&self) -> &Region {
        &self.census.region
    }

    /// Returns what this process needs to judge others.
    #[inline(always)]
    pub fn census(&self) -> &Census {
        &self.census
    }

    /// Returns the row of this process.
    #[inline(always)]
    pub fn slot(&self) -> u32 {
        self.incarnation.slot
    }

    /// Process id.
    #[inline(always)]
    pub fn pid(&self) -> u32 {
        self.census.me.pid
    }

    /// Returns the incarnation of this process.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Returns whether the calling process is the one that entered, and not a forked copy of it.
    #[inline(always)]
    pub fn is_own(&self) -> bool {
        self.generation == os::generation()
    }

    /// Begins to leave: operations that are under way in this process return `Closed`, and other
    /// processes no longer wait for its long locks.
    pub fn close(&self) {
        // The threads of this process know it before any other process acts on it.
        self.closed.raise();
        if self.is_own() {
            let _ = self.step(State::Live, State::Leaving);
        }
    }

    /// Returns whether this process has closed the heap.
    #[inline(always)]
    pub fn is_closed(&self) -> bool {
        self.closed.is_raised()
    }

    /// Notes that the list of the slot was seen empty, under the slot's turn, after `close`.
    pub fn note_settled(&self) {
        self.settled.raise();
    }

    fn step(&self, from: State, to: State) -> bool {
        let Incarnation { slot, epoch } = self.incarnation;
        let word = |state| StateWord::new(epoch, state, None).0;
        Region::compare_exchange(&self.region().slot(slot).state, word(from), word(to)).is_ok()
    }

    /// Returns what this process is due to give back.
    #[inline(always)]
    pub fn due(&self) -> &DueList {
        &self.due
    }

    /// Returns the fork generation of this membership.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Checks, before a sleep, that this process holds its life byte, and claims it again if not. Its
    /// file is looked at each time; the byte within 200 ms, or at once if the file had to be got back.
    pub fn hold_byte(&self, now: u64) -> Result<()> {
        let file = self.census.checked_life()?;
        if !self.byte_checks.is_due(now, BYTE_CHECK, &lasting::REGAINED) {
            return Ok(());
        }
        if !life::is_held(file, u64::from(self.slot()))? {
            life::claim(file, u64::from(self.slot()))?;
        }
        Ok(())
    }

    fn leave(&self) -> Result<()> {
        // Rows of threads that ended while they held a lock.
        for index in 0..self.region().real_rows() {
            if !defect(Mistake::FreeSlotWithRows) {
                row::free_of(self.region(), index, self.slot());
            }
        }
        let free_if = |is_empty| if is_empty { State::Free } else { State::Estate };
        // Others settle the list of a LEAVING slot: that it is empty proves nothing without its turn.
        let is_empty = self.region().slot(self.slot()).leases.get() == 0;
        if self.step(State::Leaving, free_if(self.settled.is_raised()))
            || self.step(State::Live, free_if(is_empty))
        {
            let _elected = self.census.byte_calls();
            self.census.release_byte(self.slot())?;
        }
        Ok(())
    }
}

/// The last thread that used the heap releases the slot. The property of the process was settled
/// before; a forked copy has nothing to release.
impl Drop for Member {
    fn drop(&mut self) {
        if self.generation == os::generation() {
            // A slot that is not released is recovered by others once this process is dead.
            let _ = self.leave();
        }
    }
}

/// A slot for a child that does not run yet. Dropping it leaves the slot to the child alone.
#[derive(Debug)]
pub struct Unborn {
    incarnation: Incarnation,
    /// Holds the byte of the birth file, together with the copy that the child inherits.
    _held: HeapFile,
}

impl Unborn {
    /// Returns the incarnation of the child.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }
}

fn take_unborn(census: &Census, unborn: &Unborn) -> Result<bool> {
    let _elected = census.byte_calls();
    let Incarnation { slot: index, epoch } = unborn.incarnation;
    let slot = census.region.slot(index);
    let expected = StateWord::new(epoch, State::Unborn, None).0;
    if slot.state.acquire() != expected || !census.claim_byte(index)? {
        return Ok(false);
    }
    write_identity(slot, census);
    let live = StateWord::new(epoch, State::Live, None).0;
    Ok(Region::compare_exchange(&slot.state, expected, live).is_ok())
}

fn take_slot(census: &Census, state: State) -> Result<Option<Incarnation>> {
    let _elected = census.byte_calls();
    for index in 0..SLOT_COUNT {
        if index >= census.region.real_slots() && !census.region.grow_slots(index)? {
            break;
        }
        let slot = census.region.slot(index);
        let word = StateWord(slot.state.acquire());
        if word.state() != state || !census.claim_byte(index)? {
            continue;
        }
        // The byte is held for a child that another process is forking.
        if life::is_held(census.checked_birth()?, u64::from(index))? {
            census.release_byte(index)?;
            continue;
        }
        if slot.state.acquire() == word.0 {
            write_identity(slot, census);
            let epoch = word.epoch().wrapping_add(1);
            let live = StateWord::new(epoch, State::Live, None).0;
            if Region::compare_exchange(&slot.state, word.0, live).is_ok() {
                return Ok(Some(Incarnation { slot: index, epoch }));
            }
        }
        census.release_unless_siblings(index)?;
    }
    Ok(None)
}

fn write_identity(slot: &Slot, census: &Census) {
    Region::store(&slot.pid, u64::from(census.me.pid));
    Region::store(&slot.pidfd_inode, census.me.pidfd_inode);
    Region::store(&slot.start_time, census.me.start_time);
    Region::store(&slot.pid_namespace, census.me.pid_namespace);
    Region::store(&slot.time_namespace, census.me.time_namespace);
    Region::store(&slot.life_descriptor, census.life.file().number() as u64);
    Region::store(&slot.data_descriptor, census.region.file().number() as u64);
}

/// Returns the identity written in a slot.
pub fn identity_in(slot: &Slot) -> Identity {
    Identity {
        pid: slot.pid.get() as u32,
        pidfd_inode: slot.pidfd_inode.get(),
        start_time: slot.start_time.get(),
        pid_namespace: slot.pid_namespace.get(),
        time_namespace: slot.time_namespace.get(),
    }
}
