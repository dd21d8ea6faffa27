//! The workloads of the table in `docs/performance.md`, one file each.
//!
//! What always holds: both sides do the same work on the same data with the same processes, and
//! what comes out of either is a vector or number of its own.

pub mod lock;
pub mod map;
pub mod mixed;
pub mod queue;
pub mod transaction;

use std::time::Duration;

use crate::process::Board;
use crate::report::Report;

/// What every workload gets.
pub struct Bench<'a> {
    /// Where its workers meet.
    pub board: &'static Board,
    /// Where it writes what came out.
    pub report: &'a mut Report,
    /// How many rounds.
    pub rounds: u32,
    /// How many entries a map has.
    pub entries: u64,
}

/// How long a round lasts that is timed rather than counted.
pub const ROUND: Duration = Duration::from_millis(300);

/// A sequence of numbers that looks random and costs next to nothing.
pub struct Dice(u64);

impl Dice {
    /// Starts the sequence of a seed; every seed has another one.
    pub fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number below `limit`.
    #[inline(always)]
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0) * u128::from(limit)) >> 64) as u64
    }
}
