//! A point of death: asked before every store to a heap when the feature `failpoints` is on.
//!
//! What always holds: without the feature `hit` is empty and costs nothing. With it, only the
//! thread that called `arm` counts, and it dies by SIGKILL, as real victims do, *before* the
//! store with the chosen number. It can be halted before an earlier one, so that others act between
//! two stores of it.

#[cfg(feature = "failpoints")]
mod armed {
    use std::cell::Cell;

    /// The number of a store, and what is called before it.
    type Halt = (u64, fn());

    thread_local! {
        static HITS: Cell<u64> = const { Cell::new(0) };
        static DIE_AT: Cell<u64> = const { Cell::new(u64::MAX) };
        static IN_BULK: Cell<u64> = const { Cell::new(0) };
        static HALT: Cell<Option<Halt>> = const { Cell::new(None) };
    }

    /// Starts counting in this thread from zero; the process dies before store number `die_at`.
    pub fn arm(die_at: u64) {
        HITS.set(0);
        IN_BULK.set(0);
        DIE_AT.set(die_at);
    }

    /// Calls `halt` before store number `at` after `arm`.
    pub fn halt_at(at: u64, halt: fn()) {
        HALT.set(Some((at, halt)));
    }

    /// Stops dying, and says how many stores this thread made since `arm`.
    pub fn disarm() -> u64 {
        DIE_AT.set(u64::MAX);
        HITS.get()
    }

    /// Says how many words this thread stored since `arm` in copies, behind the first one of each.
    pub fn in_bulk() -> u64 {
        IN_BULK.get()
    }

    /// Called before a copy of so many words that nobody can look at yet: it is one point of death.
    pub fn hit_in_bulk(words: usize) {
        if words > 0 {
            hit();
            IN_BULK.set(IN_BULK.get() + words as u64 - 1);
        }
    }

    /// Called before each store.
    #[inline]
    pub fn hit() {
        let hits = HITS.get();
        if let Some((_, halt)) = HALT.get().filter(|halt| halt.0 == hits) {
            HALT.set(None);
            halt();
        }
        if hits == DIE_AT.get() {
            super::super::system::die_now();
        }
        HITS.set(hits + 1);
    }
}

#[cfg(feature = "failpoints")]
pub use armed::{arm, disarm, halt_at, hit, hit_in_bulk, in_bulk};

/// Called before each store.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn hit() {}

/// Called before a copy of so many words.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn hit_in_bulk(_words: usize) {}
