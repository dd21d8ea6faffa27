//! Tags, lengths and scalars, read from untrusted bytes.
//!
//! What always holds: any bytes give a value or [`Broken`]; nothing is read beyond their end.

use super::Tag;

/// What is wrong with bytes that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// They end before the value does.
    CutOff {
        /// Bytes that the next part takes.
        needed: u64,
        /// Bytes that there are.
        left: usize,
    },
    /// A container says that it has more items than the bytes behind it could hold.
    TooFewItems {
        /// Bytes that the items take at least.
        needed: u64,
        /// Bytes that there are.
        left: usize,
    },
    /// A length or count beyond 64 bits.
    LongLength,
    /// A tag that this version does not know.
    UnknownTag(u8),
    /// A `Str` that is not UTF-8.
    NotUtf8,
    /// There are bytes behind the value.
    Trailing {
        /// How many.
        left: usize,
    },
}

/// What is still to be read.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the first of some bytes on.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns what was not read yet.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Refuses bytes behind the value.
    #[inline]
    pub fn end(&self) -> Result<(), Broken> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(Broken::Trailing { left }),
        }
    }

    /// Returns whether the next value is `None`. Reads nothing.
    #[inline]
    pub fn is_none_next(&self) -> bool {
        self.rest.first() == Some(&(Tag::None as u8))
    }

    /// Reads the tag of the next value.
    #[inline]
    pub fn tag(&mut self) -> Result<Tag, Broken> {
        let [byte] = self.array()?;
        Tag::of(byte)
    }

    /// Reads the payload of an `Int`.
    #[inline]
    pub fn int(&mut self) -> Result<i64, Broken> {
        self.array().map(i64::from_le_bytes)
    }

    /// Reads the payload of a `Float`, or half of a `Complex`.
    #[inline]
    pub fn float(&mut self) -> Result<f64, Broken> {
        self.array().map(f64::from_le_bytes)
    }

    /// Reads a length and that many bytes.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let len = self.varint()?;
        let split = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let (taken, rest) = split.ok_or_else(|| self.cut_off(len))?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads the payload of a `Str`.
    #[inline]
    pub fn str(&mut self) -> Result<&'a str, Broken> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Broken::NotUtf8)
    }

    /// Reads how many items follow. Each takes at least a byte, so a count that the rest cannot
    /// hold is refused here, before anyone makes room for it.
    #[inline]
    pub fn count(&mut self) -> Result<u64, Broken> {
        let count = self.varint()?;
        self.need(count)?;
        Ok(count)
    }

    /// Reads how many pairs follow; as [`Reader::count`], with two bytes each.
    #[inline]
    pub fn count_pairs(&mut self) -> Result<u64, Broken> {
        let count = self.varint()?;
        self.need(count.saturating_mul(2))?;
        Ok(count)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Broken> {
        let [first] = self.array()?;
        if first < 0x80 { Ok(u64::from(first)) } else { self.long_varint(first) }
    }

    #[cold]
    fn long_varint(&mut self, first: u8) -> Result<u64, Broken> {
        let mut value = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let [byte] = self.array()?;
            let group = u64::from(byte & 0x7f);
            if group << shift >> shift != group {
                return Err(Broken::LongLength);
            }
            value |= group << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Broken::LongLength)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(|| self.cut_off(N as u64))?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    fn need(&self, needed: u64) -> Result<(), Broken> {
        let left = self.rest.len();
        if needed > left as u64 { Err(Broken::TooFewItems { needed, left }) } else { Ok(()) }
    }

    #[cold]
    fn cut_off(&self, needed: u64) -> Broken {
        Broken::CutOff { needed, left: self.rest.len() }
    }
}

/// Returns the integer that the bytes of a whole value are, if they are an `Int`.
#[inline]
pub fn int_in(bytes: &[u8]) -> Option<i64> {
    match bytes.split_first() {
        Some((tag, rest)) if *tag == Tag::Int as u8 => rest.try_into().ok().map(i64::from_le_bytes),
        _ => None,
    }
}

/// Returns whether the payload of a `BigInt` holds what needs more than 64 bits, and no byte too
/// many.
pub fn is_minimal(payload: &[u8]) -> bool {
    match payload {
        [.., _, _, _, _, _, _, _, before, last] => {
            *last != if before & 0x80 == 0 { 0x00 } else { 0xff }
        }
        _ => false,
    }
}
