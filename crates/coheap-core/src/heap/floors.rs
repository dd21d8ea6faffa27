//! What tests of the engine see of a heap and a context, and nobody else.
//!
//! What always holds: nothing is done here, each method is the engine's own of the same name.
//!
//! Not here: the floors themselves, which the feature `floors` opens in `lib.rs`.

use crate::error::Result;
use crate::heap::Heap;
use crate::journal::{Context, Held};
use crate::memory::Region;
use crate::memory::layout::ContextRow;
use crate::sync::Member;

/// The bytes of a heap.
pub trait HeapFloors {
    /// Returns the heap's bytes.
    fn region(&self) -> &Region;
}

impl HeapFloors for Heap {
    fn region(&self) -> &Region {
        Self::region(self)
    }
}

/// What a context is made of.
pub trait ContextFloors {
    /// Returns the heap's bytes.
    fn region(&self) -> &Region;

    /// Returns the process.
    fn member(&self) -> &Member;

    /// Returns the number of its row.
    fn index(&self) -> u32;

    /// Returns its row.
    fn row(&self) -> &ContextRow;

    /// Takes a turn.
    ///
    /// # Errors
    ///
    /// As the engine's.
    fn hold(&self, turn: u32) -> Result<Held<'_>>;
}

impl ContextFloors for Context {
    fn region(&self) -> &Region {
        Self::region(self)
    }

    fn member(&self) -> &Member {
        Self::member(self)
    }

    fn index(&self) -> u32 {
        Self::index(self)
    }

    fn row(&self) -> &ContextRow {
        Self::row(self)
    }

    fn hold(&self, turn: u32) -> Result<Held<'_>> {
        Self::hold(self, turn)
    }
}
