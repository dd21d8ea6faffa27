//! Why a value could not be encoded or decoded.
//!
//! What always holds: after an error of decoding the bytes are unchanged; after an error of encoding
//! nothing was appended. Only [`CodecError::Message`] carries text, because serde and the user's
//! types report errors as text. All other variants carry values that a program can match.

use std::fmt;

use coheap_core::wire::{Broken, MAX_DEPTH, Tag};

/// Why a value could not be encoded or decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes end before the value does.
    Truncated {
        /// Bytes that the value still needs.
        needed: u64,
        /// Bytes that are left.
        left: usize,
    },
    /// The value ends before the bytes do.
    Trailing {
        /// Bytes after the value.
        left: usize,
    },
    /// No value starts with this tag: the bytes are damaged, or have a newer format.
    UnknownTag(u8),
    /// The value has a type that Rust cannot read; the field holds its tag.
    Unsupported(u8),
    /// The value is a Python pickle, which only Python can read.
    Pickled,
    /// A length has more than ten bytes, or does not fit in 64 bits.
    BadLength,
    /// A big integer has more bytes than it needs, or fits in 64 bits.
    NotMinimal,
    /// A string is not UTF-8.
    NotUtf8,
    /// Containers or wrappers are nested more deeply than the format allows.
    TooDeep,
    /// The value has another type than the caller requested.
    WrongType {
        /// The type in the bytes.
        found: &'static str,
        /// The type that the caller requested.
        expected: &'static str,
    },
    /// A container holds more or fewer items than the type takes.
    WrongLength {
        /// Items in the bytes.
        found: u64,
        /// Items that the type takes.
        expected: u64,
    },
    /// The number is outside the range of the type.
    OutOfRange {
        /// The type in the bytes.
        found: &'static str,
        /// The type whose range is too small.
        target: &'static str,
    },
    /// The value cannot be a key.
    NotAKey {
        /// The type of the key, or of a part of it.
        found: &'static str,
    },
    /// A message from serde, or from an implementation of its traits.
    Message(Box<str>),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { needed, left } => write!(
                f,
                "the value is truncated: it needs {needed} more bytes and {left} are left; replace \
                 it"
            ),
            Self::Trailing { left } => {
                write!(f, "{left} extra bytes follow the value: it is damaged; replace it")
            }
            Self::UnknownTag(tag) => write!(
                f,
                "no value starts with tag {tag:#04x}: it is damaged, or a newer coheap wrote it; \
                 replace it, or upgrade coheap"
            ),
            Self::Unsupported(tag) => write!(
                f,
                "the value is or contains {} (tag {tag:#04x}), which Rust cannot read; read it in \
                 Python, or store a type that docs/values.md lists for Rust",
                kind_name(*tag)
            ),
            Self::Pickled => f.write_str(
                "the value is or contains an object that Python has pickled, which only Python can \
                 read; read it in Python, or store a type that docs/values.md lists for Rust (a \
                 heap that Python opens with pickle=False refuses pickled objects)",
            ),
            Self::BadLength => {
                f.write_str("a length does not fit in 64 bits: the value is damaged; replace it")
            }
            Self::NotMinimal => f.write_str(
                "a big integer is not in its shortest form: the value is damaged; replace it",
            ),
            Self::NotUtf8 => f.write_str("a string is not UTF-8: the value is damaged; replace it"),
            Self::TooDeep => write!(
                f,
                "the value is nested more deeply than {MAX_DEPTH} levels; use fewer levels"
            ),
            Self::WrongType { found, expected } => {
                write!(f, "found {found}, and the type needs {expected}; use a type that fits")
            }
            Self::WrongLength { found, expected } => {
                write!(
                    f,
                    "found {found} items, and the type takes {expected}; use a type that fits"
                )
            }
            Self::OutOfRange { found, target } => {
                write!(f, "found {found} outside the range of {target}; use a larger type")
            }
            Self::NotAKey { found } => write!(
                f,
                "{found} cannot be a key; use None, a bool, an integer, a float, a str, bytes or \
                 tuples of these"
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

/// Returns the error for a value with this tag where the type needs `expected`.
#[cold]
pub(super) fn refuse(found: Tag, expected: &'static str) -> CodecError {
    match found {
        Tag::Pickle | Tag::Reduced => CodecError::Pickled,
        Tag::StrSurrogates | Tag::NdArray | Tag::Handle => CodecError::Unsupported(found as u8),
        found if found.is_of_keys() => CodecError::Unsupported(found as u8),
        _ => CodecError::WrongType { found: found.name(), expected },
    }
}

/// Returns the name of the type with this tag, for messages.
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
