//! Long locks: an owner word and a signal, held as long as the user likes.
//!
//! Without waiters, a lock is acquired and released by one compare-and-swap. Recovery never touches
//! the word: a waiter that finds the owner dead takes the lock over, and is told.
//!
//! What always holds: the word changes only by compare-and-swap or swap. A thread that frees the
//! word while `WAITERS` is set wakes one sleeper. A thread that may have slept sets the flag again.

use super::owner::{Owner, SHARED, WAITERS};
use crate::memory::{Region, Signal, Word};
use crate::sync::wait;

/// Takes a free lock.
#[inline(always)]
pub fn try_take(word: &Word, me: Owner) -> bool {
    if Region::compare_exchange(word, 0, me.bits()).is_ok() {
        return true;
    }
    let seen = word.get();
    Owner::of(seen).is_nobody()
        && Region::compare_exchange(word, seen, me.bits() | (seen & (WAITERS | SHARED))).is_ok()
}

/// Announces a sleeper on a held lock. Returns `false` if the word has changed: check again.
pub fn announce(word: &Word, seen: u64) -> bool {
    seen & WAITERS != 0 || Region::compare_exchange(word, seen, seen | WAITERS).is_ok()
}

/// Takes a free lock for a thread that may have slept. Others may still sleep, so `WAITERS` stays
/// set.
pub fn try_take_after_sleep(word: &Word, me: Owner) -> bool {
    let seen = word.acquire();
    Owner::of(seen).is_nobody()
        && Region::compare_exchange(word, seen, me.bits() | WAITERS | (seen & SHARED)).is_ok()
}

/// Takes a lock over from a dead owner. Returns `false` if another thread was faster.
pub fn take_over(word: &Word, dead: Owner, me: Owner) -> bool {
    let seen = word.acquire();
    Owner::of(seen) == dead
        && Region::compare_exchange(word, seen, me.bits() | WAITERS | (seen & SHARED)).is_ok()
}

/// Releases a lock that `me` holds, which is the caller or dead. Returns `false` if `me` does not
/// hold it.
#[inline(always)]
pub fn give(word: &Word, signal: &Signal, me: Owner) -> bool {
    Region::compare_exchange(word, me.bits(), 0).is_ok() || give_slowly(word, signal, me)
}

#[cold]
fn give_slowly(word: &Word, signal: &Signal, me: Owner) -> bool {
    loop {
        let seen = word.acquire();
        if Owner::of(seen) != me {
            return false;
        }
        if Region::compare_exchange(word, seen, seen & SHARED).is_ok() {
            if seen & WAITERS != 0 {
                wait::wake(signal, 1);
            }
            return true;
        }
    }
}

/// Releases a lock, whichever thread holds it, as `multiprocessing` allows. Returns the holder, or
/// `None` if the lock is free.
pub fn give_for_another(word: &Word, signal: &Signal) -> Option<Owner> {
    loop {
        let seen = word.acquire();
        let holder = Owner::of(seen);
        if holder.is_nobody() {
            return None;
        }
        if Region::compare_exchange(word, seen, SHARED).is_ok() {
            if seen & WAITERS != 0 {
                wait::wake(signal, 1);
            }
            return Some(holder);
        }
    }
}
