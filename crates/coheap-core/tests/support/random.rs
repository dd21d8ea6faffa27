//! Dice that can be thrown again: each run prints its seed, `COHEAP_SEED` puts it back.
//!
//! The dice repeat; the kernel's schedule does not.

/// A small random number generator (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Dice for this run: seeded by `COHEAP_SEED`, or by the kernel. Prints the seed.
    pub(crate) fn for_run(test: &str) -> Self {
        Self::for_run_or(test, coheap_core::os::random_u64().expect("a random number"))
    }

    /// Dice for this run: seeded by `COHEAP_SEED`, or else always the same. Prints the seed.
    #[allow(dead_code, reason = "not every program wants the same dice each time")]
    pub(crate) fn for_run_or(test: &str, usual: u64) -> Self {
        Self(Self::seed_of_run(test, usual))
    }

    /// The seed of this run: `COHEAP_SEED`, or else `usual`. Prints it.
    pub(crate) fn seed_of_run(test: &str, usual: u64) -> u64 {
        let seed = match std::env::var("COHEAP_SEED") {
            Ok(text) => text.trim().parse().expect("COHEAP_SEED is a decimal number"),
            Err(_) => usual,
        };
        super::say(&format!("{test}: COHEAP_SEED={seed}"));
        seed
    }

    /// Dice with a seed.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice for somebody else, who throws independently.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }

    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is above zero.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// `true` once in `times`.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}
