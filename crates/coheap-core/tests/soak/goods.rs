//! The bytes that are stored: of any length, and whoever reads them knows whether they are whole.
//!
//! A value is a stretch of one large piece of noise, which every process has. Where it begins follows
//! from its home, the object that it belongs to, and from a version, so a value of another home, or
//! the halves of two, are seen.
//!
//! What always holds: the noise is made before the first fork, and nobody changes it.

use crate::support::random::Random;

/// The longest value.
pub(crate) const LONGEST: usize = 64 << 20;
/// Most values may have lengths of so many bits, one in `LONG` of so many more.
const USUAL_BITS: u64 = 16;
const ALL_BITS: u64 = 26;
const LONG: u64 = 64;
/// So many values of one length and one home differ.
const VERSIONS: usize = 64;
/// So many homes there are.
const HOMES: usize = 64;
const WORD: usize = 8;

const _: () = assert!(1 << ALL_BITS == LONGEST);

/// The noise.
#[derive(Debug)]
pub(crate) struct Goods {
    noise: Vec<u8>,
}

impl Goods {
    pub(crate) fn new() -> Self {
        let mut dice = Random::seeded(11);
        let words = (LONGEST + HOMES * VERSIONS * WORD) / WORD;
        Self { noise: (0..words).flat_map(|_| dice.next().to_le_bytes()).collect() }
    }

    /// Some value of a home. The logarithm of its length is what is random.
    pub(crate) fn any(&self, home: usize, dice: &mut Random) -> &[u8] {
        let bits = if dice.one_in(LONG) { ALL_BITS } else { USUAL_BITS };
        let half = 1 << dice.below(bits);
        self.stretch(home, dice.below(VERSIONS as u64) as usize, (half + dice.below(half)) as usize)
    }

    /// Whether these are bytes of that home, all of one version.
    pub(crate) fn has(&self, home: usize, bytes: &[u8]) -> bool {
        let len = bytes.len();
        (1..=LONGEST).contains(&len)
            && (0..VERSIONS).any(|version| *bytes == *self.stretch(home, version, len))
    }

    fn stretch(&self, home: usize, version: usize, len: usize) -> &[u8] {
        assert!(home < HOMES && version < VERSIONS);
        let begin = (home * VERSIONS + version) * WORD;
        &self.noise[begin..begin + len]
    }
}
