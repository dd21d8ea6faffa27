//! Values as bytes: the part that all faces share, as `docs/values.md` specifies.
//!
//! A value is a tag of one byte and a payload. All numbers are little endian; a length or a count
//! is a LEB128 varint of at most ten bytes.
//!
//! What always holds: writers use the shortest varint, and readers accept padding. Every length is
//! checked against the number of bytes before memory is allocated for it.
//!
//! | file | what it is |
//! |---|---|
//! | `write` `read` | tags, lengths and scalars, to a `Vec` and from a slice |
//! | `key` | keys with the form in which they were given first |
//! | `buffer` | buffers that a thread reuses |
//!
//! Not here: the types of a language, which its face maps to values.

mod buffer;
mod key;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use buffer::{Buffer, KEPT_BYTES};
pub use key::{canonical, form, put_formed};
pub use read::{Broken, Reader, int_in, is_minimal};
pub use write::{
    int_bytes, patch_varint, put_bytes, put_complex, put_float, put_head, put_int, put_tag,
};

/// Containers that may lie inside one another.
pub const MAX_DEPTH: u32 = 64;

/// The one NaN that keys have.
pub const KEY_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0000);

/// The least float that is beyond the integers of 64 bits.
pub const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// First byte of a value that refers to objects; the value itself stands behind its references.
pub(crate) const PARCEL: u8 = 0x16;

/// Longest varint: ten groups of seven bits hold 64.
const MAX_VARINT_BYTES: usize = 10;

/// Bytes of an `Int`: its tag and a word.
pub(crate) const INT_BYTES: usize = 9;

macro_rules! define_tags {
    ($($tag:ident = $byte:literal, $name:literal;)*) => {
        /// The first byte of every value. The numbers are part of the heap format.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "each has its row in docs/values.md")]
        pub enum Tag {
            $($tag = $byte,)*
        }

        impl Tag {
            /// Returns the tag that a byte is.
            #[inline]
            pub fn of(byte: u8) -> Result<Self, Broken> {
                Ok(match byte {
                    $($byte => Self::$tag,)*
                    unknown => return Err(Broken::UnknownTag(unknown)),
                })
            }

            /// Returns the kind of value, as messages call it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$tag => $name,)*
                }
            }
        }
    };
}

impl Tag {
    /// Whether only keys have it. The payload is a length and that many bytes.
    pub const fn is_of_keys(self) -> bool {
        matches!(
            self,
            Self::Date
                | Self::Time
                | Self::DateTime
                | Self::TimeDelta
                | Self::Uuid
                | Self::Enum
                | Self::Path
                | Self::Ratio
                | Self::Decimal
                | Self::Reduced
        )
    }
}

define_tags! {
    None = 0x00, "None";
    False = 0x01, "a bool";
    True = 0x02, "a bool";
    Int = 0x03, "an integer";
    BigInt = 0x04, "a big integer";
    Float = 0x05, "a float";
    Str = 0x06, "a str";
    Bytes = 0x07, "bytes";
    Tuple = 0x08, "a tuple";
    List = 0x09, "a list";
    Dict = 0x0a, "a dict";
    Set = 0x0b, "a set";
    FrozenSet = 0x0c, "a frozenset";
    Complex = 0x0d, "a complex";
    StrSurrogates = 0x0e, "a str with lone surrogates";
    ByteArray = 0x0f, "a bytearray";
    Date = 0x10, "a date";
    Time = 0x11, "a time";
    DateTime = 0x12, "a datetime";
    TimeDelta = 0x13, "a timedelta";
    NdArray = 0x14, "an array";
    Handle = 0x15, "a handle";
    Uuid = 0x17, "a UUID";
    Enum = 0x18, "an enum member";
    Path = 0x19, "a path";
    Ratio = 0x1a, "a fraction";
    Decimal = 0x1b, "a decimal";
    Reduced = 0x1c, "an object of another type";
    Pickle = 0x7f, "a pickle";
    Formed = 0x80, "a key with a form";
}
