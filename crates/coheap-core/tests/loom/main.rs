//! The lock protocol, every interleaving: what loom finds no counterexample for.
//!
//! `make loom` runs it with `--cfg loom`. The functions of `sync` run here as they are; their words
//! lie on the stack instead of in a heap, and a sleep ends only by a wake (`os/sim/futex_loom.rs`).
//! So whoever misses a wake sleeps for ever, and loom reports a deadlock.
//!
//! Not here: what happens when a process dies for real (`tests/crash`), and time.

#![cfg(loom)]

mod hazard;
mod parking;
mod planted;
mod row;
mod ticker;
mod turn;

use coheap_core::memory::layout::Turn;
use coheap_core::memory::{Signal, Word};
use coheap_core::sync::turn::{Taken, try_take, wait_judging};
use coheap_core::sync::{Incarnation, Owner};
use loom::cell::UnsafeCell;

/// A plain number that loom watches: it reports two threads that are here at once, and one that
/// does not see what the one before it did.
struct Watched(UnsafeCell<u32>);

impl Watched {
    fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    fn add_one(&self) {
        // SAFETY: loom stops the model before two threads are here at once.
        self.0.with_mut(|value| unsafe { *value += 1 });
    }

    fn get(&self) -> u32 {
        // SAFETY: as above.
        self.0.with(|value| unsafe { *value })
    }
}

/// Runs a model through all interleavings with at most `preemptions` that nobody asked for.
/// `LOOM_MAX_PREEMPTIONS` overrides it.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(model);
}

/// A thread of a process of its own, the first with this row.
fn owner(number: u32) -> Owner {
    Owner::new(number, 1)
}

fn new_turn() -> Turn {
    let spare = std::array::from_fn(|_| Word::new(0));
    Turn { owner: Word::new(0), sequence: Word::new(0), signal: Signal::never_woken(), spare }
}

/// Takes a turn whose owners all live.
fn take(turn: &Turn, me: Owner) {
    if !try_take(turn, me) {
        let taken =
            wait_judging(turn, me, None, |_| Ok(None)).expect("nobody looks at a damaged word");
        assert!(matches!(taken, Taken::Yes));
    }
}

/// The process of an owner: each has the slot with the number of its row.
fn process(owner: Owner) -> Incarnation {
    Incarnation { slot: owner.row().expect("an owner made here"), epoch: 1 }
}
