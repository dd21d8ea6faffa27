//! Comparing the value in a cell with an expected one, for operations that depend on it.
//!
//! What always holds: a long value is compared without a turn, while it is named. As long as it is, its
//! buffer serves nothing else, so the same cell means the same bytes.

use super::{Cell, Late};
use crate::error::Result;
use crate::memory::Region;

/// What comes next in an operation that compares first. No turn is held then.
pub enum Step<'a, T> {
    /// Nothing: this is the answer.
    Done(T),
    /// To compare this long value.
    Compare(Cell, Box<Late<'a>>),
    /// To build the new value, which is long and will be needed.
    Build,
}

/// An expected value, and the last long value that was compared with it.
pub struct Expected<'a, 'v> {
    bytes: &'v [u8],
    inline: Option<Cell>,
    compared: Option<(Cell, Box<Late<'a>>, bool)>,
}

impl<'a, 'v> Expected<'a, 'v> {
    /// Begins with nothing compared.
    #[inline]
    pub fn new(bytes: &'v [u8]) -> Self {
        Self { bytes, inline: Cell::inline(bytes), compared: None }
    }

    /// Returns whether the value in a cell, whose turn is held, is the expected one. `None`: it is
    /// long, and [`compare`](Self::compare) is to find that out.
    #[inline]
    pub fn is(&self, region: &Region, cell: Cell, late: Option<&Late<'_>>) -> Result<Option<bool>> {
        match late {
            Some(late) if late.bytes() == self.bytes.len() as u64 => Ok(self.known(cell)),
            _ => Ok(Some(cell.is(region, self.bytes, self.inline)?)),
        }
    }

    fn known(&self, cell: Cell) -> Option<bool> {
        let (_, _, is_equal) = self.compared.as_ref().filter(|(of, ..)| *of == cell)?;
        Some(*is_equal)
    }

    /// Compares a long value. No turn is held.
    pub fn compare(&mut self, cell: Cell, late: Box<Late<'a>>) -> Result<()> {
        let is_equal = late.is(self.bytes)?;
        self.compared = Some((cell, late, is_equal));
        Ok(())
    }
}
