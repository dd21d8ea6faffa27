//! The value's implementation of the methods that every kind has.
//!
//! What always holds: a value is created with a free lock beside it.

use super::cell_words;
use crate::allocator::Room;
use crate::error::Result;
use crate::journal::{Change, Context};
use crate::memory::Region;
use crate::memory::layout::{MutexRoot, Object};
use crate::objects::cell::{self, Cell};
use crate::objects::kinds;
use crate::objects::walk::{self, Walk};
use crate::sync::parking::word;

/// The bit of `traits` that makes a lock strict.
pub(in crate::objects) const STRICT: u64 = 1 << 8;

/// The properties that a lock, or the value beside it, was created with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traits {
    /// The letter of the value's typecode; 0 if it may be anything.
    pub typecode: u8,
    /// Whether the lock refuses every caller after a holder's death, until it is recovered.
    pub is_strict: bool,
}

/// A value, and the lock beside it.
#[derive(Debug, Clone, Copy)]
pub struct Recipe<'a> {
    /// The first value.
    pub bytes: &'a [u8],
    /// The letter of a typecode, for faces that have typecodes; 0 if it may be anything.
    pub typecode: u8,
}

impl<'a> Recipe<'a> {
    /// Returns a value without a typecode, with this first value.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, typecode: 0 }
    }
}

impl kinds::Recipe for Recipe<'_> {
    type Object = super::Value;

    fn value(&self) -> Option<&[u8]> {
        Some(self.bytes)
    }

    fn prepare(&self, context: &Context, rooms: &mut Vec<Room>) -> Result<()> {
        prepare(context, self.bytes, rooms)
    }

    fn fill(&self, change: &mut Change<'_>, object: &Object) -> Result<()> {
        fill(change, object, self.bytes, Traits { typecode: self.typecode, is_strict: false })
    }
}

/// Adds the blocks of a value and the lock beside it.
pub(in crate::objects) fn prepare(
    context: &Context,
    bytes: &[u8],
    rooms: &mut Vec<Room>,
) -> Result<()> {
    cell::ensure(context, bytes)?;
    rooms.extend(cell::room_of(bytes));
    Ok(())
}

/// Stores a value and the lock beside it.
pub(in crate::objects) fn fill(
    change: &mut Change<'_>,
    object: &Object,
    bytes: &[u8],
    traits: Traits,
) -> Result<()> {
    let cell = cell::make(change, bytes)?;
    let root: &MutexRoot = object.root_as();
    let strict = if traits.is_strict { STRICT } else { 0 };
    if traits.is_strict {
        Region::raise(&object.mutex, word::STRICT);
    }
    cell::put(change, &root.cell, cell);
    change.put(&root.traits, u64::from(traits.typecode) | strict);
    Ok(())
}

/// The shape of a value, and of every kind that is a lock around a value.
pub(crate) struct Shape;

impl kinds::Shape for Shape {
    fn detach(&self, change: &mut Change<'_>, object: &Object) -> Result<()> {
        cell::free(change, Cell::load(cell_words(object)))
    }

    fn walk(&self, region: &Region, object: &Object, walk: &mut dyn Walk) -> Result<()> {
        walk::cell(walk, region, Cell::load(cell_words(object)))
    }
}
