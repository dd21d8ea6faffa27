//! A flag of private memory that is raised once.
//!
//! What always holds: raising it is one store, so a child that is forked meanwhile finds it raised or
//! not, and never waits for the thread that was raising it, as it would for a cell that is filled
//! once.

use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that is never lowered.
#[derive(Debug, Default)]
pub struct Latch(AtomicBool);

/// Raised when all threads of this process but one are frozen for good, as the interpreter does with
/// them when it ends, though the process lives.
pub static OTHERS_ARE_FROZEN: Latch = Latch::new();

impl Latch {
    /// Returns a flag that is not raised.
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

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
