//! A cell: sixteen bytes that hold a short value, or say where a long one is.
//!
//! | low byte of word 0 | meaning                                                   |
//! |--------------------|-----------------------------------------------------------|
//! | 0                  | nothing                                                   |
//! | 1..=15             | that many bytes follow, in the rest of the two words       |
//! | 0xfe               | a removed entry                                           |
//! | 0xff               | length in bits 8..56, bit 56 for a parcel, bit 57 for a pin, offset of the block in word 1 |
//!
//! What always holds: unused bytes of an inline cell are zero, so equal values of up to 15 bytes
//! have equal cells; a block is filled with zeros to a full word.
//!
//! Not here: how a value that is too long for a block is built, copied (`long`) and compared.
//!
//! The one value the engine understands is the integer: tag 3 and eight bytes, always inline.

mod compare;
mod long;

pub use compare::{Expected, Step};
pub use long::{Late, Later, Long, finish, has_room, is_long, make_room};

use crate::allocator::{self, Room, buffer};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context, Held};
use crate::memory::Region;
use crate::memory::layout::{CellWords, WORD_BYTES};
use crate::memory::word::word_of;
use crate::objects::parcel;
use crate::wire::{INT_BYTES, Tag};

/// Longest value that lies in the cell itself.
pub const INLINE: usize = 15;
/// Low byte of a removed entry's key cell.
pub const REMOVED: u64 = 0xfe;
/// Low word of an integer's cell, in its low 16 bits.
const INTEGER: u64 = INT_BYTES as u64 | (Tag::Int as u64) << 8;
const BLOCK: u64 = 0xff;
/// Bit of a cell whose block is a parcel.
const PARCEL: u64 = 1 << 56;
/// Bit of a cell that shares its buffer: the buffer counts it as a pin.
const PIN: u64 = 1 << 57;
/// Longest value that is overwritten in place.
const IN_PLACE: u64 = 256;
/// Shortest value that is too long for a block.
const LONG: u64 = allocator::LONGEST_BLOCK as u64 + 1;
/// Words that `replace` saves at most, without those for blocks that are taken and freed.
pub const REPLACE_WORDS: usize = 2 + IN_PLACE as usize / 8;

/// Returns the integer that the bytes encode.
///
/// # Errors
///
/// [`Error::NotAnInteger`].
#[inline]
pub fn decode_integer(bytes: &[u8]) -> Result<i64> {
    Cell::inline(bytes).and_then(Cell::as_integer).ok_or(Error::NotAnInteger)
}

/// The two words of a cell, in private memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cell(pub u64, pub u64);

impl Cell {
    /// The empty cell.
    pub const NOTHING: Self = Self(0, 0);

    /// Reads two words.
    #[inline(always)]
    pub fn load(words: &CellWords) -> Self {
        Self(words[0].get(), words[1].get())
    }

    /// Returns a short value as a cell.
    #[inline]
    pub fn inline(bytes: &[u8]) -> Option<Self> {
        let len = bytes.len();
        if len == 0 || len > INLINE {
            return None;
        }
        let (low, high) = match bytes.split_first_chunk() {
            Some((first, rest)) => {
                let low = u64::from_le_bytes(*first);
                (low, low >> 56 | word_of(rest) << 8)
            }
            None => (word_of(bytes), 0),
        };
        Some(Self(len as u64 | low << 8, high))
    }

    /// Returns an integer as a cell.
    #[inline]
    pub fn integer(value: i64) -> Self {
        let bits = value as u64;
        Self(INTEGER | bits << 16, bits >> 48)
    }

    /// Returns the integer in the cell, if it holds one.
    #[inline]
    pub fn as_integer(self) -> Option<i64> {
        let is_integer = self.0 & 0xffff == INTEGER;
        is_integer.then_some((self.0 >> 16 | self.1 << 48) as i64)
    }

    /// Returns whether the cell is empty.
    #[inline(always)]
    pub fn is_nothing(self) -> bool {
        self.0 & 0xff == 0
    }

    /// Returns whether it is the key cell of a removed entry.
    #[inline(always)]
    pub fn is_removed(self) -> bool {
        self.0 & 0xff == REMOVED
    }

    /// Returns the length of a long value and the offset of its block.
    #[inline]
    pub fn block(self) -> Option<(u64, u64)> {
        (self.0 & 0xff == BLOCK).then_some((self.0 >> 8 & 0xffff_ffff_ffff, self.1))
    }

    /// Returns whether the block is a parcel, which refers to objects.
    #[inline]
    pub fn is_parcel(self) -> bool {
        self.0 & (0xff | PARCEL) == BLOCK | PARCEL
    }

    /// Returns whether the cell is a pin of its buffer.
    pub fn is_pin(self) -> bool {
        self.0 & (0xff | PIN) == BLOCK | PIN
    }

    /// Returns the length of the value in bytes.
    pub(crate) fn len(self) -> u64 {
        match self.block() {
            Some((len, _)) => len,
            None => self.0 & 0xff,
        }
    }

    /// Returns the room of its block.
    fn room(self, region: &Region) -> Result<Option<(Room, u64)>, Corrupt> {
        let Some((len, at)) = self.block() else { return Ok(None) };
        if len > region.span_limit() * crate::memory::layout::SPAN_BYTES {
            return Err(Corrupt { what: "length of a value", at: len });
        }
        Ok(Some((Room::of(len as usize), at)))
    }

    /// Replaces `out` by the value's bytes.
    #[inline]
    pub fn read(self, region: &Region, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        self.append_to(region, out)
    }

    /// Appends the value's bytes to `out`.
    #[inline]
    pub fn append_to(self, region: &Region, out: &mut Vec<u8>) -> Result<()> {
        match (self.append_short(region, out)?, self.block()) {
            (false, Some((len, at))) => buffer::append_to(region, at, len, out),
            _ => Ok(()),
        }
    }

    /// Replaces `out` by the value's bytes, if it is not long. Returns whether it is not.
    #[inline]
    pub fn read_short(self, region: &Region, out: &mut Vec<u8>) -> Result<bool> {
        out.clear();
        self.append_short(region, out)
    }

    #[inline(always)]
    fn append_short(self, region: &Region, out: &mut Vec<u8>) -> Result<bool> {
        let len = (self.0 & 0xff) as usize;
        if len <= INLINE {
            let mut both = [0u8; 16];
            both[..8].copy_from_slice(&self.0.to_le_bytes());
            both[8..].copy_from_slice(&self.1.to_le_bytes());
            // All of them, and then fewer: a copy of unknown length costs a call.
            let end = out.len() + len;
            out.extend_from_slice(&both[1..]);
            out.truncate(end);
            return Ok(true);
        }
        match self.block() {
            Some((LONG.., _)) => Ok(false),
            Some((len, at)) => region.append_to(at, len as usize, out).map(|()| true),
            None => Err(Corrupt { what: "cell", at: self.0 }.into()),
        }
    }

    /// Returns whether the value is exactly `bytes`, whose short form is `inline`.
    #[inline(always)]
    pub fn is(self, region: &Region, bytes: &[u8], inline: Option<Self>) -> Result<bool, Corrupt> {
        if let Some(inline) = inline {
            return Ok(self == inline);
        }
        match self.block() {
            Some((len, at)) if len == bytes.len() as u64 => match len {
                LONG.. => buffer::equals(region, at, bytes),
                _ => region.equals(at, bytes),
            },
            _ => Ok(false),
        }
    }
}

/// Returns the block that a value needs outside its cell. A long value needs none that is pending: it
/// is built before.
pub fn room_of(bytes: &[u8]) -> Option<Room> {
    (bytes.len() > INLINE && !is_long(bytes)).then(|| Room::of(bytes.len()))
}

/// Makes the block that `make` needs pending. Call it before the change begins.
pub fn ensure(context: &Context, bytes: &[u8]) -> Result<()> {
    match room_of(bytes) {
        Some(room) => allocator::ensure(context, room, 1),
        None if bytes.is_empty() => Err(Error::BadArgument("a value needs at least one byte")),
        None => Ok(()),
    }
}

/// Builds a cell for a value; a longer one is stored in a pending block, and a long one was built
/// before.
pub fn make(change: &mut Change<'_>, bytes: &[u8]) -> Result<Cell> {
    if let Some(inline) = Cell::inline(bytes) {
        return Ok(inline);
    }
    if let Some(packed) = packed(change, bytes)? {
        return Ok(packed);
    }
    if is_long(bytes) {
        return make_long(change, bytes);
    }
    let at = allocator::take(change, Room::of(bytes.len()))?;
    Ok(build(change.region(), at, bytes)?)
}

/// Returns the cell of a long value, which was built before.
#[cold]
pub fn make_long(change: &mut Change<'_>, bytes: &[u8]) -> Result<Cell> {
    Ok(Cell(BLOCK | (bytes.len() as u64) << 8, long::take(change, bytes)?))
}

/// Returns the cell of a parcel that this thread has packed.
#[inline]
pub fn packed(change: &mut Change<'_>, bytes: &[u8]) -> Result<Option<Cell>> {
    if bytes.first() != Some(&parcel::TAG) {
        return Ok(None);
    }
    let block = parcel::take_built(change, bytes)?;
    Ok(block.map(|at| Cell(BLOCK | PARCEL | (bytes.len() as u64) << 8, at)))
}

/// Returns the offset of a parcel that this thread has packed.
fn packed_at(context: &Context, bytes: &[u8]) -> Result<Option<u64>> {
    if bytes.first() != Some(&parcel::TAG) {
        return Ok(None);
    }
    parcel::built_at(context, bytes)
}

/// Returns the cell of a value, written to a block that no other process can reach yet.
pub fn build(region: &Region, at: u64, bytes: &[u8]) -> Result<Cell, Corrupt> {
    region.copy_in(at, bytes)?;
    Ok(Cell(BLOCK | (bytes.len() as u64) << 8, at))
}

/// Frees the block of a value when the change commits.
pub fn free(change: &mut Change<'_>, cell: Cell) -> Result<()> {
    match cell.room(change.region())? {
        Some((_, at)) if cell.is_parcel() => parcel::free(change, at),
        Some((_, at)) if cell.is_pin() => buffer::unpin(change, at),
        Some((room, at)) => allocator::give(change, room, at),
        None => Ok(()),
    }
}

/// Returns whether `replace` needs no new block, because the new value fits in place of the old
/// one.
pub fn fits(region: &Region, old: Cell, bytes: &[u8]) -> Result<bool, Corrupt> {
    if bytes.len() <= INLINE {
        return Ok(true);
    }
    if old.is_parcel() || bytes.first() == Some(&parcel::TAG) {
        return Ok(false);
    }
    let same = |(room, _)| room == Room::of(bytes.len()) && bytes.len() as u64 <= IN_PLACE;
    Ok(old.room(region)?.is_some_and(same))
}

/// Where a value is written over the old one, in its block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// If that saves no more words than a new block would.
    #[default]
    IfShort,
    /// Wherever it fits: this needs no room.
    IfItFits,
}

/// The longest value whose bytes are no more words than a change saves for a block.
const SHORT: usize = WORD_BYTES as usize * (1 + allocator::GIVE_WORDS);

/// Returns whether a value is written over the old one, in its block.
pub fn is_overwritten(
    region: &Region,
    old: Cell,
    bytes: &[u8],
    overwrite: Overwrite,
) -> Result<bool, Corrupt> {
    let is_short = bytes.len() <= SHORT || overwrite == Overwrite::IfItFits;
    Ok(bytes.len() > INLINE && is_short && fits(region, old, bytes)?)
}

/// Replaces the value of the cell at `words`.
pub fn replace(change: &mut Change<'_>, words: &CellWords, bytes: &[u8]) -> Result<()> {
    let old = Cell::load(words);
    if bytes.len() > INLINE && fits(change.region(), old, bytes)? {
        return overwrite(change, words, old, bytes);
    }
    let new = make(change, bytes)?;
    free(change, old)?;
    store(change, words, new);
    Ok(())
}

/// Saves and stores a cell's two words.
#[inline]
pub fn store(change: &mut Change<'_>, words: &CellWords, cell: Cell) {
    change.set(&words[0], cell.0);
    change.set(&words[1], cell.1);
}

/// Stores a cell that no other process can reach yet, or whose words are saved already.
#[inline(always)]
pub fn put(change: &Change<'_>, words: &CellWords, cell: Cell) {
    change.put(&words[0], cell.0);
    change.put(&words[1], cell.1);
}

/// As [`store`], without saving a word that does not change.
#[inline]
pub fn update(change: &mut Change<'_>, words: &CellWords, cell: Cell) {
    for (word, value) in words.iter().zip([cell.0, cell.1]) {
        if word.get() != value {
            change.set(word, value);
        }
    }
}

/// Replaces a short value by a short one, as a change of its own: no block is taken or freed. If
/// the two differ in one word only, one store is the whole change.
#[inline(always)]
pub fn exchange(held: &Held<'_>, words: &CellWords, old: Cell, new: Cell) -> Result<()> {
    if old.1 == new.1 {
        held.store_one(&words[0], new.0);
        return Ok(());
    }
    if old.0 == new.0 {
        held.store_one(&words[1], new.1);
        return Ok(());
    }
    let mut change = Change::begin(held, 2)?;
    update(&mut change, words, new);
    change.commit();
    Ok(())
}

fn overwrite(change: &mut Change<'_>, words: &CellWords, old: Cell, bytes: &[u8]) -> Result<()> {
    let region = change.region();
    let block = region.words(old.1, bytes.len().div_ceil(8))?;
    for (chunk, word) in bytes.chunks(8).zip(block) {
        let value = word_of(chunk);
        if word.get() != value {
            change.set(word, value);
        }
    }
    let first = BLOCK | (bytes.len() as u64) << 8;
    if first != old.0 {
        change.set(&words[0], first);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_has_the_bytes_of_its_encoding() {
        for value in [0, 1, -1, 256, i64::MAX, i64::MIN, 0x0123_4567_89ab_cdef] {
            let mut bytes = vec![Tag::Int as u8];
            bytes.extend_from_slice(&value.to_le_bytes());
            assert_eq!(Cell::inline(&bytes), Some(Cell::integer(value)));
            assert_eq!(Cell::integer(value).as_integer(), Some(value));
        }
        assert_eq!(Cell::inline(&[4; 9]).and_then(Cell::as_integer), None);
    }

    #[test]
    fn a_cell_takes_one_to_fifteen_bytes() {
        assert_eq!(Cell::inline(&[]), None);
        assert_eq!(Cell::inline(&[0; 16]), None);
        for len in 1..=INLINE {
            let bytes: Vec<u8> = (1..=len as u8).map(|byte| byte * 17).collect();
            let cell = Cell::inline(&bytes).expect("short");
            let mut whole = cell.0.to_le_bytes().to_vec();
            whole.extend(cell.1.to_le_bytes());
            assert_eq!(whole[0], len as u8);
            assert_eq!(whole[1..=len], bytes);
            assert!(whole[len + 1..].iter().all(|byte| *byte == 0));
        }
    }
}
