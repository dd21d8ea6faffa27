//! The mutex's implementation of the methods that every kind has.
//!
//! What always holds: a mutex is built as the value that it guards, so it has the shape of a value.

use super::Traits;
use crate::allocator::Room;
use crate::error::Result;
use crate::journal::{Change, Context};
use crate::memory::layout::Object;
use crate::objects::{kinds, value};

pub(crate) use crate::objects::value::Shape;

/// A mutex, and the value that it guards.
#[derive(Debug, Clone, Copy)]
pub struct Recipe<'a> {
    /// The first value.
    pub value: &'a [u8],
    /// Whether it refuses every caller after a holder's death, until it is recovered.
    pub is_strict: bool,
}

impl Default for Recipe<'_> {
    /// Returns a mutex that guards nothing in the heap.
    fn default() -> Self {
        Self { value: &[0], is_strict: false }
    }
}

impl<'a> Recipe<'a> {
    /// Returns a mutex around a value, with this first value.
    pub fn around(value: &'a [u8]) -> Self {
        Self { value, ..Self::default() }
    }
}

impl kinds::Recipe for Recipe<'_> {
    type Object = super::Mutex;

    fn value(&self) -> Option<&[u8]> {
        Some(self.value)
    }

    fn prepare(&self, context: &Context, rooms: &mut Vec<Room>) -> Result<()> {
        value::prepare(context, self.value, rooms)
    }

    fn fill(&self, change: &mut Change<'_>, object: &Object) -> Result<()> {
        let traits = Traits { typecode: 0, is_strict: self.is_strict };
        value::fill(change, object, self.value, traits)
    }
}
