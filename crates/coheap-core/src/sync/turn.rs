//! Turns: short exclusion from a fixed table.
//!
//! Turns are always taken in index order, so they cannot deadlock. No list of held turns is needed:
//! recovery searches the table. A turn's sequence is odd while a change is open under it, so that a
//! reader without a turn detects the change and retries; a change of a single word moves the
//! sequence from even to even. It only ever grows.
//!
//! What always holds:
//!
//! - **Turn.1** The owner word goes from free to a living owner by compare-and-swap, and back to
//!   free by its owner or by the recovery of its owner's process. No other thread takes a held
//!   turn.
//! - **Turn.2** A thread that releases a turn and sees `WAITERS` wakes one sleeper, which keeps the
//!   flag set.

use super::Incarnation;
use super::holder::{self, Holder};
use super::life::Census;
use super::owner::{Owner, WAITERS};
use crate::defect::{Mistake, defect};
use crate::error::{Corrupt, Result};
use crate::memory::layout::Turn;
use crate::memory::{Ordering, Region, Word, fence};
use crate::os;

/// How often a waiter checks before it sleeps.
const SPINS: u32 = if cfg!(loom) { 1 } else { 60 };
/// The longest sleep between two checks whether the owner lives, in nanoseconds.
const SLICE: u64 = 4_000_000;

/// The result of waiting for a turn.
pub enum Taken {
    /// The caller holds the turn.
    Yes,
    /// Its owner is dead: recover the process, then try again.
    OwnerDead(Incarnation),
    /// The deadline has passed.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

/// Takes a free turn. Returns `false` if another thread holds it.
#[inline(always)]
pub fn try_take(turn: &Turn, me: Owner) -> bool {
    Region::compare_exchange(&turn.owner, 0, me.bits()).is_ok()
}

/// Takes a turn that becomes free within some microseconds.
pub fn take_soon(turn: &Turn, me: Owner) -> bool {
    (0..SPINS).any(|_| {
        std::hint::spin_loop();
        turn.owner.get() == 0 && try_take(turn, me)
    })
}

/// Waits until the caller holds the turn, or until its owner is found dead. Without a deadline,
/// signals do not interrupt the wait.
///
/// The caller holds no other turn, so that nobody waits for a thread that sleeps here.
pub fn wait_for(turn: &Turn, me: Owner, census: &Census, deadline: Option<u64>) -> Result<Taken> {
    wait_judging(turn, me, deadline, |turn| dead_owner(turn, me, census))
}

/// As [`wait_for`], with any test for a dead owner.
#[inline]
pub fn wait_judging(
    turn: &Turn,
    me: Owner,
    deadline: Option<u64>,
    dead_owner: impl Fn(&Turn) -> Result<Option<Incarnation>>,
) -> Result<Taken> {
    let mut next_look = os::now() + SLICE;
    loop {
        let seen = turn.signal.seen();
        let word = turn.owner.acquire();
        if word & !WAITERS == 0 {
            if try_take_with_flag(turn, me) {
                return Ok(Taken::Yes);
            }
            continue;
        }
        let now = os::now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Ok(leave(turn, Taken::TimedOut));
        }
        if word & WAITERS == 0
            && Region::compare_exchange(&turn.owner, word, word | WAITERS).is_err()
        {
            continue;
        }
        let slice = deadline.map_or(next_look, |deadline| deadline.min(next_look));
        let wake = os::wait(turn.signal.futex(), seen, slice);
        // A caller that begins again after each signal would never come to the end of a slice.
        if wake != os::Wake::Woken || os::now() >= next_look {
            next_look = os::now() + SLICE;
            if let Some(dead) = dead_owner(turn)? {
                return Ok(Taken::OwnerDead(dead));
            }
        }
        if wake == os::Wake::Interrupted && deadline.is_some() {
            return Ok(leave(turn, Taken::Interrupted));
        }
    }
}

/// Ends a wait without the turn. The last wake may have been for this thread, so it is passed on.
fn leave(turn: &Turn, taken: Taken) -> Taken {
    if turn.owner.get() & !WAITERS == 0 {
        wake_one(turn);
    }
    taken
}

/// Takes a turn for a thread that may have slept. Others may still sleep, so the flag stays set.
fn try_take_with_flag(turn: &Turn, me: Owner) -> bool {
    let word = turn.owner.get();
    let free = word & !WAITERS == 0;
    free && Region::compare_exchange(&turn.owner, word, me.bits() | WAITERS).is_ok()
}

fn dead_owner(turn: &Turn, me: Owner, census: &Census) -> Result<Option<Incarnation>> {
    let word = turn.owner.acquire();
    if word & !WAITERS == 0 {
        return Ok(None);
    }
    let owner = Owner::of(word);
    let broken = Corrupt { what: "owner of a turn", at: word };
    // No thread waits for a turn that it holds.
    if owner == me {
        return Err(broken.into());
    }
    match holder::look(census, owner, broken.what)? {
        Holder::Alive | Holder::Left => Ok(None),
        Holder::Dead(process) => Ok(Some(process)),
        // Recovery releases the turns of a process before it frees the rows.
        Holder::Gone if Owner::of(turn.owner.acquire()) == owner => Err(broken.into()),
        Holder::Gone => Ok(None),
    }
}

/// Releases a turn that the caller holds. Returns whether somebody slept for it, and was woken.
#[inline(always)]
pub fn give(turn: &Turn, me: Owner) -> bool {
    let word = Region::swap(&turn.owner, 0);
    paranoid!(Owner::of(word) == me, "a turn is not ours: {word:#x}");
    if word & WAITERS != 0 {
        wake_one(turn);
    }
    word & WAITERS != 0
}

/// Releases the turn of a dead owner. Only a waiter's flag can change the word meanwhile.
pub fn free_of_dead(turn: &Turn, dead: Owner) {
    let mut seen = turn.owner.acquire();
    while Owner::of(seen) == dead {
        match Region::compare_exchange(&turn.owner, seen, 0) {
            Ok(_) if seen & WAITERS != 0 => return wake_one(turn),
            Ok(_) => return,
            Err(now) => seen = now,
        }
    }
}

#[cold]
fn wake_one(turn: &Turn) {
    Region::bump(&turn.signal);
    os::wake(turn.signal.futex(), 1);
}

/// Makes the sequence odd: readers without the turn will retry.
#[inline(always)]
pub fn open(turn: &Turn) {
    let sequence = turn.sequence.get();
    Region::store(&turn.sequence, sequence | 1);
    fence(Ordering::Release);
}

/// Makes the sequence even again, greater than every earlier value.
#[inline(always)]
pub fn close(turn: &Turn) {
    let sequence = turn.sequence.get();
    Region::publish(&turn.sequence, (sequence | 1).wrapping_add(1));
}

/// Stores one word that the turn guards, as a change of its own, and moves the sequence to the next
/// even number: a reader without the turn that saw the old word detects the change and retries.
///
/// After a death between the two stores, recovery moves the sequence.
#[inline(always)]
pub fn store_one(turn: &Turn, word: &Word, value: u64) {
    // A reader that sees this word also sees the earlier store to the sequence.
    fence(Ordering::Release);
    Region::store(word, value);
    if !defect(Mistake::SingleWordKeepsSequence) {
        Region::publish(&turn.sequence, turn.sequence.get().wrapping_add(2));
    }
}

/// Begins a read without the turn. Returns `None` if a change is open.
#[inline(always)]
pub fn begin_read(turn: &Turn) -> Option<u64> {
    let sequence = turn.sequence.acquire();
    (sequence & 1 == 0).then_some(sequence)
}

/// Returns whether nothing changed since `begin_read` returned `sequence`.
#[inline(always)]
pub fn is_unchanged(turn: &Turn, sequence: u64) -> bool {
    fence(Ordering::Acquire);
    turn.sequence.get() == sequence
}
