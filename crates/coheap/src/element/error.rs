//! Why a value could not be encoded or decoded.
//!
//! An error of decoding changed nothing: the bytes stay where they are. An error of encoding took
//! back what it had appended. Only [`CodecError::Message`] carries text, because serde and the
//! types of the user explain themselves in text; everything else carries what a program can match.

use std::fmt;

use coheap_core::wire::{Broken, MAX_DEPTH, Tag};

/// Why a value could not be encoded or decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes end before the value does.
    Truncated {
        /// Bytes that the value still claims.
        needed: u64,
        /// Bytes that are there.
        left: usize,
    },
    /// The value ends before the bytes do.
    Trailing {
        /// Bytes behind the value.
        left: usize,
    },
    /// No value starts with this tag: the bytes are damaged, or of a newer format.
    UnknownTag(u8),
    /// A kind of value that Python has and Rust cannot hold yet, by its tag.
    Unsupported(u8),
    /// The value is a Python pickle, which only Python can read.
    Pickled,
    /// A length is longer than ten bytes, or does not fit 64 bits.
    BadLength,
    /// A big integer is longer than it needs to be, or fits 64 bits.
    NotMinimal,
    /// A string is not UTF-8.
    NotUtf8,
    /// Containers or wrappers are nested deeper than the format allows.
    TooDeep,
    /// The value is of another kind than the type asks for.
    WrongType {
        /// What the bytes hold.
        found: &'static str,
        /// What the type asks for.
        expected: &'static str,
    },
    /// A container holds more or fewer items than the type asks for.
    WrongLength {
        /// Items in the bytes.
        found: u64,
        /// Items that the type takes.
        expected: u64,
    },
    /// A number that the type cannot hold.
    OutOfRange {
        /// What the bytes hold.
        found: &'static str,
        /// The type that is too small for it.
        target: &'static str,
    },
    /// Not a kind of value that can be a key.
    NotAKey {
        /// What was given as a key, or as a part of one.
        found: &'static str,
    },
    /// What serde, or an implementation of its traits, had to say.
    Message(Box<str>),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { needed, left } => write!(
                f,
                "the value is cut short: {needed} more bytes are needed and {left} are there"
            ),
            Self::Trailing { left } => write!(f, "{left} bytes are left behind the value"),
            Self::UnknownTag(tag) => write!(
                f,
                "no value starts with tag {tag:#04x}: it is damaged, or of a newer coheap"
            ),
            Self::Unsupported(tag) => write!(
                f,
                "the value is or holds {} (tag {tag:#04x}), which Rust cannot read; read it from \
                 Python, or store there what docs/values.md lists for Rust",
                kind_name(*tag)
            ),
            Self::Pickled => f.write_str(
                "the value is or holds an object that Python has pickled, which only Python can \
                 read; read it there, or store plain numbers, strs, bytes, tuples, lists and dicts \
                 (a heap that Python opens with pickle=False takes nothing else)",
            ),
            Self::BadLength => f.write_str("a length does not fit 64 bits: the value is damaged"),
            Self::NotMinimal => {
                f.write_str("a big integer is longer than need be: the value is damaged")
            }
            Self::NotUtf8 => f.write_str("a string is not UTF-8: the value is damaged"),
            Self::TooDeep => {
                write!(f, "the value is nested deeper than {MAX_DEPTH} levels; store it flatter")
            }
            Self::WrongType { found, expected } => {
                write!(f, "found {found} where the type asks for {expected}")
            }
            Self::WrongLength { found, expected } => {
                write!(f, "found {found} items where the type takes {expected}")
            }
            Self::OutOfRange { found, target } => {
                write!(f, "found {found} that does not fit {target}; use a larger type")
            }
            Self::NotAKey { found } => write!(
                f,
                "{found} cannot be a key; keys are None, bools, integers, floats, strs, bytes \
                 and tuples of these"
            ),
            Self::Message(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for CodecError {}

impl From<Broken> for CodecError {
    #[cold]
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::CutOff { needed, left } | Broken::TooFewItems { needed, left } => {
                Self::Truncated { needed, left }
            }
            Broken::LongLength => Self::BadLength,
            Broken::UnknownTag(tag) => Self::UnknownTag(tag),
            Broken::NotUtf8 => Self::NotUtf8,
            Broken::Trailing { left } => Self::Trailing { left },
        }
    }
}

/// The error when the type asks for `expected` and finds a value with this tag.
#[cold]
pub(super) fn refuse(found: Tag, expected: &'static str) -> CodecError {
    match found {
        Tag::Pickle => CodecError::Pickled,
        Tag::StrSurrogates
        | Tag::Date
        | Tag::Time
        | Tag::DateTime
        | Tag::TimeDelta
        | Tag::NdArray
        | Tag::Handle => CodecError::Unsupported(found as u8),
        _ => CodecError::WrongType { found: found.name(), expected },
    }
}

/// What a value with this tag is called.
#[cold]
fn kind_name(tag: u8) -> &'static str {
    Tag::of(tag).map_or("something unknown", Tag::name)
}

impl serde::ser::Error for CodecError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Message(message.to_string().into())
    }
}

impl serde::de::Error for CodecError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Message(message.to_string().into())
    }
}
