//! Tags, lengths and the bytes behind them, as `docs/values.md` has them.
//!
//! What always holds: writers use the shortest varint, readers accept padding; every length is
//! checked against the bytes that are there before anyone makes room for it.
//!
//! Not here: Python objects.

/// Containers that may lie inside one another.
pub(super) const MAX_DEPTH: u32 = 64;

/// The first byte of each kind of value.
pub(super) mod tag {
    pub(crate) const NONE: u8 = 0x00;
    pub(crate) const FALSE: u8 = 0x01;
    pub(crate) const TRUE: u8 = 0x02;
    pub(crate) const INT: u8 = 0x03;
    pub(crate) const BIG_INT: u8 = 0x04;
    pub(crate) const FLOAT: u8 = 0x05;
    pub(crate) const STR: u8 = 0x06;
    pub(crate) const BYTES: u8 = 0x07;
    pub(crate) const TUPLE: u8 = 0x08;
    pub(crate) const LIST: u8 = 0x09;
    pub(crate) const DICT: u8 = 0x0a;
    pub(crate) const SET: u8 = 0x0b;
    pub(crate) const FROZENSET: u8 = 0x0c;
    pub(crate) const COMPLEX: u8 = 0x0d;
    pub(crate) const STR_SURROGATES: u8 = 0x0e;
    pub(crate) const BYTEARRAY: u8 = 0x0f;
    pub(crate) const PICKLE: u8 = 0x7f;
}

/// What is wrong with bytes that cannot be read.
pub(super) type Broken = &'static str;

/// Appends a tag and eight bytes.
#[inline]
pub(super) fn put_word(out: &mut Vec<u8>, tag: u8, word: [u8; 8]) {
    let mut bytes = [tag; 9];
    bytes[1..].copy_from_slice(&word);
    out.extend_from_slice(&bytes);
}

/// Appends a tag, a length and that many bytes.
#[inline]
pub(super) fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.reserve(2 + bytes.len());
    put_head(out, tag, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends a tag and the length or count that follows it.
#[inline]
pub(super) fn put_head(out: &mut Vec<u8>, tag: u8, len: usize) {
    if len < 0x80 {
        out.extend_from_slice(&[tag, len as u8]);
    } else {
        out.push(tag);
        put_long(out, len as u64);
    }
}

#[cold]
fn put_long(out: &mut Vec<u8>, mut len: u64) {
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
}

/// What is still to be read.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Refuses bytes behind the value.
    #[inline]
    pub(super) fn end(&self) -> Result<(), Broken> {
        if self.rest.is_empty() { Ok(()) } else { Err("bytes behind the value") }
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Broken> {
        let (first, rest) = self.rest.split_first().ok_or("it was cut off")?;
        self.rest = rest;
        Ok(*first)
    }

    #[inline]
    pub(super) fn word(&mut self) -> Result<[u8; 8], Broken> {
        let (word, rest) = self.rest.split_first_chunk().ok_or("it was cut off")?;
        self.rest = rest;
        Ok(*word)
    }

    /// A length and that many bytes.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let len = self.varint()?;
        let split = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let (bytes, rest) = split.ok_or("it was cut off")?;
        self.rest = rest;
        Ok(bytes)
    }

    /// How many items follow, each of at least `least` bytes.
    #[inline]
    pub(super) fn count(&mut self, least: u64) -> Result<usize, Broken> {
        let count = self.varint()?;
        if count.saturating_mul(least) > self.rest.len() as u64 {
            return Err("it has fewer items than it says");
        }
        Ok(count as usize)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Broken> {
        let first = self.byte()?;
        if first < 0x80 { Ok(u64::from(first)) } else { self.long(first) }
    }

    #[cold]
    fn long(&mut self, first: u8) -> Result<u64, Broken> {
        let mut value = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            let group = u64::from(byte & 0x7f);
            if group << shift >> shift != group {
                return Err("a length beyond 64 bits");
            }
            value |= group << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a length beyond 64 bits")
    }
}
