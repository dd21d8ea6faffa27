//! Values that are too long for a block: no turn is held while one is copied.
//!
//! An operation that stores one builds it first, in a buffer that no other thread can reach; under the
//! turn it only stores where that is. An operation that reads one names the buffer while it looks at
//! the cell, and copies afterwards.
//!
//! What always holds: nothing whose cost depends on the length of a long value is done under a turn.

use super::{BLOCK, Cell, PIN, packed_at};
use crate::allocator::{self, LONGEST_BLOCK, buffer};
use crate::error::{Corrupt, Result};
use crate::journal::{Change, Context};
use crate::memory::{Word, private_list};

/// Returns whether a value is too long for a block.
#[inline(always)]
pub fn is_long(bytes: &[u8]) -> bool {
    bytes.len() > LONGEST_BLOCK
}

/// The long values that an operation stores. It may be run again, and builds them once.
pub struct Long<'a> {
    context: &'a Context,
    built: usize,
}

impl<'a> Long<'a> {
    /// Begins with none.
    #[inline(always)]
    pub fn new(context: &'a Context) -> Self {
        Self { context, built: 0 }
    }

    /// Returns the thread.
    pub fn context(&self) -> &'a Context {
        self.context
    }

    /// Builds those of these values that are long; at each call they are the same ones. Call it before
    /// a turn is taken.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`](crate::Error::HeapFull).
    #[inline(always)]
    pub fn build<'v>(&mut self, values: impl IntoIterator<Item = &'v [u8]>) -> Result<()> {
        let mut number = 0;
        for bytes in values {
            if is_long(bytes) {
                self.build_one(&mut number, bytes)?;
            }
        }
        Ok(())
    }

    /// As [`build`](Self::build), for the long values that `each` calls its argument with.
    #[inline]
    pub fn build_with(
        &mut self,
        each: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let mut number = 0;
        each(&mut |bytes| self.build_one(&mut number, bytes))
    }

    /// Returns whether this value, the only one of the operation, is long and not built.
    #[inline(always)]
    pub fn lacks(&self, bytes: &[u8]) -> bool {
        is_long(bytes) && self.built == 0
    }

    /// Builds the next long value, unless it is built already.
    #[cold]
    fn build_one(&mut self, number: &mut usize, bytes: &[u8]) -> Result<()> {
        *number += 1;
        if *number <= self.built {
            return Ok(());
        }
        if self.built == 0 {
            self.context.kept.built.begin();
        }
        if packed_at(self.context, bytes)?.is_none() {
            let at = allocator::build(self.context, bytes, 0)?;
            self.context.kept.built.add(bytes, at);
        }
        self.built = *number;
        Ok(())
    }
}

impl Drop for Long<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // What was not stored stays pending, for the next long value of this length.
        if self.built > 0 && self.context.kept.built.clear() {
            self.context.kept.pending.set_untidy(true);
        }
    }
}

/// Returns the offset of the buffer that was built for a value, which becomes part of an object.
pub(super) fn take(change: &mut Change<'_>, bytes: &[u8]) -> Result<u64> {
    let built = change.context().kept.built.take(bytes);
    let at =
        built.ok_or(Corrupt { what: "long value that was not built", at: bytes.len() as u64 })?;
    buffer::take_built(change, at)?;
    Ok(at)
}

/// A long value that is to be copied, if there is one. Boxed: a short value has none, and pays for no
/// more than a word.
pub type Later<'a> = Option<Box<Late<'a>>>;

/// A long value whose cell was found, and that is to be copied.
#[derive(Debug)]
pub struct Late<'a> {
    reading: buffer::Reading<'a>,
    /// The first word of a parcel, which changes when the parcel is freed.
    first: Option<u64>,
}

impl Cell {
    /// Returns whether the value is too long for a block.
    #[inline(always)]
    pub fn is_long(self) -> bool {
        self.block().is_some_and(|(len, _)| len > LONGEST_BLOCK as u64)
    }

    /// Begins to read the value: replaces `out` by a short one. A long one is only named, and is left
    /// to [`finish`]. The caller holds the turn of the cell until then, or looks between the two
    /// whether the cell is still the same.
    #[inline]
    pub fn begin<'a>(self, context: &'a Context, out: &mut Vec<u8>) -> Result<Later<'a>> {
        match self.read_short(context.region(), out)? {
            true => Ok(None),
            false => self.late(context),
        }
    }

    /// Names a long value.
    #[inline]
    pub(crate) fn late(self, context: &Context) -> Result<Later<'_>> {
        match self.block() {
            Some((len, at)) if len > LONGEST_BLOCK as u64 => self.name(context, len, at),
            _ => Ok(None),
        }
    }

    #[cold]
    fn name(self, context: &Context, len: u64, at: u64) -> Result<Later<'_>> {
        // Torn or damaged, it is an error, and not a failure after the value was taken out.
        buffer::check_pieces(context.region(), at, len)?;
        let reading = buffer::Reading::begin(context, at, len);
        let first = match self.is_parcel() {
            true => Some(context.region().at::<Word>(at)?.get()),
            false => None,
        };
        Ok(Some(Box::new(Late { reading, first })))
    }
}

impl Late<'_> {
    /// Returns the number of bytes.
    pub fn bytes(&self) -> u64 {
        self.reading.bytes()
    }

    /// Returns the turn under which pins of the buffer are counted. `None`: it cannot be pinned, for it
    /// refers to objects.
    pub fn turn(&self) -> Option<u32> {
        self.first.is_none().then(|| buffer::turn_of(self.reading.at()))
    }

    /// Pins the buffer, and returns the cell that is its pin.
    pub(in crate::objects) fn pin(&self, change: &mut Change<'_>) -> Result<Cell> {
        buffer::pin(change, self.reading.at())?;
        Ok(Cell(BLOCK | PIN | self.bytes() << 8, self.reading.at()))
    }

    /// Adds the value to `out`.
    pub fn append_to(&self, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        self.reading.append_to(out)?;
        if let (Some(first), Some(word)) = (self.first, out[start..].first_chunk_mut()) {
            *word = first.to_le_bytes();
        }
        Ok(())
    }

    /// Returns whether the value is exactly these bytes.
    pub fn is(&self, bytes: &[u8]) -> Result<bool> {
        self.reading.is(bytes)
    }
}

/// Copies the long value that was named, if one was.
#[inline(always)]
pub fn finish(late: Later<'_>, out: &mut Vec<u8>) -> Result<()> {
    match late {
        Some(late) => late.append_to(out),
        None => Ok(()),
    }
}

/// Returns whether `out` has room for the value, if it is long: who takes it out of an object has room
/// for it first.
#[inline(always)]
pub fn has_room(cell: Cell, out: &Vec<u8>) -> bool {
    !cell.is_long() || out.capacity() as u64 >= cell.len()
}

/// Makes room in `out` for a long value, which may be gone by now.
///
/// # Errors
///
/// [`Error::NoMemory`](crate::Error::NoMemory).
#[cold]
pub fn make_room(context: &Context, cell: Cell, out: &mut Vec<u8>) -> Result<()> {
    // A length that no value can have is an error of its own.
    cell.room(context.region())?;
    *out = private_list(cell.len())?;
    Ok(())
}
