//! Reading a buffer without a turn, while a name in the thread's row keeps it.
//!
//! What always holds: what a [`Reading`] copies is what was there when it began, however long that
//! takes and whatever becomes of the value meanwhile.

use super::each_piece;
use crate::error::Result;
use crate::journal::Context;
use crate::memory::layout::HAZARDS;
use crate::memory::reserve_private;
use crate::sync::hazard;

/// The name that may stand for every buffer.
const EVERY: usize = HAZARDS - 1;

/// A buffer that this thread reads.
#[derive(Debug)]
pub struct Reading<'a> {
    context: &'a Context,
    at: u64,
    len: u64,
    name: usize,
}

impl<'a> Reading<'a> {
    /// Begins to read the `len` bytes of the buffer at `at`. The caller holds the turn under which it
    /// found the buffer, or looks again whether it is still there.
    pub fn begin(context: &'a Context, at: u64, len: u64) -> Self {
        let names = &context.kept.names;
        let name = names.take(EVERY);
        let word = &context.control().hazards[name];
        if name < EVERY {
            hazard::name(word, at);
        } else {
            // Named again, although it is there already: the fence is needed in each case.
            hazard::name(word, hazard::EVERY);
        }
        Self { context, at, len, name }
    }

    /// Returns its offset.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Returns the number of bytes.
    pub fn bytes(&self) -> u64 {
        self.len
    }

    /// Appends the bytes to `out`.
    ///
    /// # Errors
    ///
    /// [`Error::NoMemory`](crate::Error::NoMemory); nothing was copied.
    pub fn append_to(&self, out: &mut Vec<u8>) -> Result<()> {
        let (region, at, len) = (self.context.region(), self.at, self.len);
        reserve_private(out, len as usize)?;
        self.context.apart(len, || {
            each_piece(region, at, len, |at, len| {
                region.append_still(at, len as usize, out)?;
                Ok(true)
            })
        })
    }

    /// Returns whether the buffer holds exactly these bytes.
    pub fn is(&self, bytes: &[u8]) -> Result<bool> {
        if self.len != bytes.len() as u64 {
            return Ok(false);
        }
        Ok(super::equals(self.context.region(), self.at, bytes)?)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if self.context.kept.names.give(self.name, EVERY) {
            hazard::clear(&self.context.control().hazards[self.name]);
        }
    }
}
