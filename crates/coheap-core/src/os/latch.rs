//! A flag of private memory that is raised once.
//!
//! What always holds: raising it is one store, so a child that is forked meanwhile finds it raised or
//! not, and never waits for the thread that was raising it, as it would for a cell that is filled
//! once.

use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that is never lowered.
#[derive(Debug, Default)]
pub struct Latch(AtomicBool);

impl Latch {
    /// Raises the flag.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Returns whether it is raised.
    #[inline(always)]
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
