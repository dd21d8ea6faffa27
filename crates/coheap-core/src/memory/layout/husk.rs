//! The layout of a husk: the remains of an object, which are taken apart in small steps.
//!
//! What always holds: a husk lies in a block of the same size as a record, whichever kind it comes
//! from. Its first two words are the same for all kinds, so a chain may mix them.
//!
//! Not here: what a kind keeps in the other words (`map`, `queue`), and how a husk is made and
//! taken apart (`objects::husk`).

use crate::memory::plain::{Plain, plain, view};
use crate::memory::word::Word;

plain! {
    /// What every husk begins with.
    pub struct Husk: 64 {
        /// Next husk of the chain.
        pub next: Word,
        /// Bits 0..8 flags of the kind; bits 8..16 a stage of the kind; bits 16..24 the kind.
        pub info: Word,
        /// The room for what the kind keeps: see [`Husk::view_as`].
        pub parts: [Word; 6],
    }
}

impl Husk {
    /// Returns the same words as the struct of the husk's kind.
    #[inline(always)]
    pub fn view_as<H: Plain>(&self) -> &H {
        view(self)
    }
}
