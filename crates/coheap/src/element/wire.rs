//! The bytes themselves: tags, lengths and scalars, written to a `Vec` and read from a slice.
//!
//! All numbers are little endian. A length or count is a LEB128 varint of at most ten bytes.
//! [`Reader`] checks every length against the bytes that are there before anyone may allocate for
//! it (Element.1). Not here: what serde asks for (`encode`, `decode`), and big integers (`big_int`).

use super::error::CodecError;

/// Longest varint: ten groups of seven bits hold 64.
const MAX_VARINT_BYTES: usize = 10;

/// The first byte of every value. The numbers are part of the heap format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Tag {
    None = 0x00,
    False = 0x01,
    True = 0x02,
    Int = 0x03,
    BigInt = 0x04,
    Float = 0x05,
    Str = 0x06,
    Bytes = 0x07,
    Tuple = 0x08,
    List = 0x09,
    Dict = 0x0a,
    Set = 0x0b,
    FrozenSet = 0x0c,
    Complex = 0x0d,
    StrSurrogates = 0x0e,
    ByteArray = 0x0f,
    Date = 0x10,
    Time = 0x11,
    DateTime = 0x12,
    TimeDelta = 0x13,
    NdArray = 0x14,
    Handle = 0x15,
    Pickle = 0x7f,
}

impl Tag {
    #[inline]
    pub(super) fn from_byte(byte: u8) -> Result<Self, CodecError> {
        Ok(match byte {
            0x00 => Self::None,
            0x01 => Self::False,
            0x02 => Self::True,
            0x03 => Self::Int,
            0x04 => Self::BigInt,
            0x05 => Self::Float,
            0x06 => Self::Str,
            0x07 => Self::Bytes,
            0x08 => Self::Tuple,
            0x09 => Self::List,
            0x0a => Self::Dict,
            0x0b => Self::Set,
            0x0c => Self::FrozenSet,
            0x0d => Self::Complex,
            0x0e => Self::StrSurrogates,
            0x0f => Self::ByteArray,
            0x10 => Self::Date,
            0x11 => Self::Time,
            0x12 => Self::DateTime,
            0x13 => Self::TimeDelta,
            0x14 => Self::NdArray,
            0x15 => Self::Handle,
            0x7f => Self::Pickle,
            unknown => return Err(CodecError::UnknownTag(unknown)),
        })
    }

    /// The kind of value, as messages call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::False | Self::True => "a bool",
            Self::Int => "an integer",
            Self::BigInt => "a big integer",
            Self::Float => "a float",
            Self::Str => "a str",
            Self::Bytes => "bytes",
            Self::Tuple => "a tuple",
            Self::List => "a list",
            Self::Dict => "a dict",
            Self::Set => "a set",
            Self::FrozenSet => "a frozenset",
            Self::Complex => "a complex",
            Self::StrSurrogates => "a str with lone surrogates",
            Self::ByteArray => "a bytearray",
            Self::Date => "a date",
            Self::Time => "a time",
            Self::DateTime => "a datetime",
            Self::TimeDelta => "a timedelta",
            Self::NdArray => "an array",
            Self::Handle => "a handle",
            Self::Pickle => "a pickle",
        }
    }

    /// The error when the type asks for `expected` and finds this.
    #[cold]
    pub(super) fn refuse(self, expected: &'static str) -> CodecError {
        match self {
            Self::Pickle => CodecError::Pickled,
            Self::StrSurrogates
            | Self::Date
            | Self::Time
            | Self::DateTime
            | Self::TimeDelta
            | Self::NdArray
            | Self::Handle => CodecError::Unsupported(self as u8),
            _ => CodecError::WrongType { found: self.name(), expected },
        }
    }
}

/// Appends a value that is its tag alone.
#[inline]
pub(super) fn put_tag(out: &mut Vec<u8>, tag: Tag) {
    out.push(tag as u8);
}

/// Appends an `Int`: always nine bytes, so that it can be changed where it lies.
#[inline]
pub(super) fn put_int(out: &mut Vec<u8>, value: i64) {
    put_word(out, Tag::Int, value.to_le_bytes());
}

/// Appends a `Float`, bit for bit.
#[inline]
pub(super) fn put_float(out: &mut Vec<u8>, value: f64) {
    put_word(out, Tag::Float, value.to_le_bytes());
}

#[inline]
fn put_word(out: &mut Vec<u8>, tag: Tag, word: [u8; 8]) {
    let mut bytes = [tag as u8; 9];
    bytes[1..].copy_from_slice(&word);
    out.extend_from_slice(&bytes);
}

/// Appends a tag, the length of `bytes`, and `bytes`.
#[inline]
pub(super) fn put_bytes(out: &mut Vec<u8>, tag: Tag, bytes: &[u8]) {
    out.reserve(2 + bytes.len());
    put_head(out, tag, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a tag and the length or count that follows it.
#[inline]
pub(super) fn put_head(out: &mut Vec<u8>, tag: Tag, len: u64) {
    if len < 0x80 {
        out.extend_from_slice(&[tag as u8, len.to_le_bytes()[0]]);
    } else {
        put_tag(out, tag);
        put_long_varint(out, len);
    }
}

#[cold]
fn put_long_varint(out: &mut Vec<u8>, value: u64) {
    let (bytes, len) = varint(value);
    out.extend_from_slice(&bytes[..len]);
}

/// Replaces the varint `old` that begins at `at` by `new`, and moves what lies behind it.
pub(super) fn patch_varint(out: &mut Vec<u8>, at: usize, old: u64, new: u64) {
    let (bytes, len) = varint(new);
    let (_, old_len) = varint(old);
    drop(out.splice(at..at + old_len, bytes.into_iter().take(len)));
}

fn varint(mut value: u64) -> ([u8; MAX_VARINT_BYTES], usize) {
    let mut bytes = [0; MAX_VARINT_BYTES];
    let mut len = 0;
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        bytes[len] = if value == 0 { low } else { low | 0x80 };
        len += 1;
        if value == 0 {
            return (bytes, len);
        }
    }
}

/// What is still to be read.
pub(super) struct Reader<'de> {
    rest: &'de [u8],
}

impl<'de> Reader<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not read yet.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Whether the next value is `None`. Reads nothing.
    #[inline]
    pub(super) fn is_none_next(&self) -> bool {
        self.rest.first() == Some(&(Tag::None as u8))
    }

    /// Reads the tag of the next value.
    #[inline]
    pub(super) fn tag(&mut self) -> Result<Tag, CodecError> {
        let [byte] = self.array()?;
        Tag::from_byte(byte)
    }

    /// Reads the payload of an `Int`.
    #[inline]
    pub(super) fn int(&mut self) -> Result<i64, CodecError> {
        self.array().map(i64::from_le_bytes)
    }

    /// Reads the payload of a `Float`, or half of a `Complex`.
    #[inline]
    pub(super) fn float(&mut self) -> Result<f64, CodecError> {
        self.array().map(f64::from_le_bytes)
    }

    /// Reads a length and that many bytes.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'de [u8], CodecError> {
        let len = self.varint()?;
        self.take(len)
    }

    /// Reads the payload of a `Str`.
    #[inline]
    pub(super) fn str(&mut self) -> Result<&'de str, CodecError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| CodecError::NotUtf8)
    }

    /// Reads how many items follow. Each takes at least a byte, so a count that the rest cannot
    /// hold is refused here, before anyone makes room for it.
    #[inline]
    pub(super) fn count(&mut self) -> Result<u64, CodecError> {
        let count = self.varint()?;
        self.need(count)?;
        Ok(count)
    }

    /// Reads how many pairs follow; as [`Reader::count`], with two bytes each.
    #[inline]
    pub(super) fn count_pairs(&mut self) -> Result<u64, CodecError> {
        let count = self.varint()?;
        self.need(count.saturating_mul(2))?;
        Ok(count)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, CodecError> {
        let [first] = self.array()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let [byte] = self.array()?;
            let group = u64::from(byte & 0x7f);
            if group << shift >> shift != group {
                return Err(CodecError::BadLength);
            }
            value |= group << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(CodecError::BadLength)
    }

    #[inline]
    fn take(&mut self, len: u64) -> Result<&'de [u8], CodecError> {
        let split = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let (taken, rest) = split.ok_or_else(|| self.truncated(len))?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (taken, rest) =
            self.rest.split_first_chunk().ok_or_else(|| self.truncated(N as u64))?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    fn need(&self, len: u64) -> Result<(), CodecError> {
        if len > self.rest.len() as u64 {
            return Err(self.truncated(len));
        }
        Ok(())
    }

    #[cold]
    fn truncated(&self, needed: u64) -> CodecError {
        CodecError::Truncated { needed, left: self.rest.len() }
    }
}
