//! Numbers for kills: which worker, and when.
//!
//! What always holds: the same seed gives the same numbers; `COHEAP_SEED` chooses it.
//! Not here: anything that has to be hard to guess.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use crate::failure::Failure;

/// Says which seed to use instead of a new one.
const VARIABLE: &str = "COHEAP_SEED";

/// A source of numbers (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// A source with the seed of the environment, or a new one.
    pub(crate) fn from_environment() -> Result<Self, Failure> {
        let seed = match std::env::var(VARIABLE) {
            Ok(text) => text.parse().map_err(|_| {
                Failure::Usage(format!(
                    "{VARIABLE}={text} is not a seed; use a number from 0 to 2^64 - 1"
                ))
            })?,
            Err(_) => RandomState::new().build_hasher().finish(),
        };
        Ok(Self::new(seed))
    }

    /// A source with this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// The seed.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A time between two events that come once in a unit of time on average.
    pub(crate) fn exponential(&mut self) -> f64 {
        let fraction = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        -(1.0 - fraction).ln()
    }
}
