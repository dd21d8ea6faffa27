//! Encodings: texts as the bytes of a file, and back.
//!
//! The Unicode ones, Latin-1 and ASCII are here; a face brings the others, as a [`Charsets`].
//!
//! What always holds: nothing is replaced. A text that an encoding has no bytes for is refused with
//! the number of the character, and bytes that it does not have are no text.
//!
//! Not here: which encoding a file has (`style`).

use std::fmt::Debug;
use std::sync::Arc;

/// An encoding.
pub trait Charset: Debug + Send + Sync {
    /// Returns its name, in small letters.
    fn name(&self) -> &str;

    /// Appends the bytes of a text to `bytes`.
    ///
    /// # Errors
    ///
    /// The number of the first character that has none, counted from 0.
    fn encode(&self, text: &str, bytes: &mut Vec<u8>) -> Result<(), usize>;

    /// Returns the text of these bytes; `None`: they are not of this encoding.
    fn decode(&self, bytes: &[u8]) -> Option<String>;
}

/// The encodings that a face knows.
pub trait Charsets {
    /// Returns the encoding with this name, with its name as it is compared.
    fn find(&self, name: &str) -> Option<Found>;
}

/// An encoding by its name.
#[derive(Debug, Clone)]
pub enum Found {
    /// UTF-8; whether a new file gets a byte-order mark.
    Utf8 {
        /// Whether a new file gets a byte-order mark.
        has_mark: bool,
    },
    /// UTF-16 with a byte-order mark, in the order of the mark.
    Utf16,
    /// Any other; a new file gets no mark.
    Other(Arc<dyn Charset>),
}

impl Found {
    /// Returns one of the encodings that are here.
    pub fn built_in(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase().replace(['_', ' '], "-");
        Some(match name.as_str() {
            "utf-8" | "utf8" => Self::Utf8 { has_mark: false },
            "utf-8-sig" => Self::Utf8 { has_mark: true },
            "utf-16" | "utf16" => Self::Utf16,
            "utf-16-le" | "utf-16le" => Self::Other(Arc::new(Utf16::LITTLE)),
            "utf-16-be" | "utf-16be" => Self::Other(Arc::new(Utf16::BIG)),
            "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" => Self::Other(Arc::new(LATIN_1)),
            "ascii" | "us-ascii" => Self::Other(Arc::new(ASCII)),
            _ => return None,
        })
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Utf8 { has_mark: false } => "utf-8",
            Self::Utf8 { has_mark: true } => "utf-8-sig",
            Self::Utf16 => "utf-16",
            Self::Other(charset) => charset.name(),
        }
    }

    /// Returns the encoding of a new file, and its mark.
    pub(crate) fn of_new_file(&self) -> (Arc<dyn Charset>, &'static [u8]) {
        match self {
            Self::Utf8 { has_mark: false } => (Arc::new(Utf8), b""),
            Self::Utf8 { has_mark: true } => (Arc::new(Utf8), UTF_8_MARK),
            Self::Utf16 => (Arc::new(Utf16::LITTLE), b"\xff\xfe"),
            Self::Other(charset) => (charset.clone(), b""),
        }
    }
}

/// The byte-order mark of UTF-8.
pub(crate) const UTF_8_MARK: &[u8] = b"\xef\xbb\xbf";

/// UTF-8.
#[derive(Debug)]
pub(crate) struct Utf8;

impl Charset for Utf8 {
    fn name(&self) -> &'static str {
        "utf-8"
    }

    fn encode(&self, text: &str, bytes: &mut Vec<u8>) -> Result<(), usize> {
        bytes.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Option<String> {
        String::from_utf8(bytes.to_vec()).ok()
    }
}

/// UTF-16 without a mark.
#[derive(Debug)]
pub(crate) struct Utf16 {
    name: &'static str,
    to_bytes: fn(u16) -> [u8; 2],
    of_bytes: fn([u8; 2]) -> u16,
}

impl Utf16 {
    /// The low byte first.
    pub(crate) const LITTLE: Self =
        Self { name: "utf-16-le", to_bytes: u16::to_le_bytes, of_bytes: u16::from_le_bytes };
    /// The high byte first.
    pub(crate) const BIG: Self =
        Self { name: "utf-16-be", to_bytes: u16::to_be_bytes, of_bytes: u16::from_be_bytes };
}

impl Charset for Utf16 {
    fn name(&self) -> &str {
        self.name
    }

    fn encode(&self, text: &str, bytes: &mut Vec<u8>) -> Result<(), usize> {
        bytes.extend(text.encode_utf16().flat_map(self.to_bytes));
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Option<String> {
        let pairs = bytes.chunks_exact(2);
        if !pairs.remainder().is_empty() {
            return None;
        }
        let units = pairs.map(|pair| (self.of_bytes)([pair[0], pair[1]]));
        char::decode_utf16(units).collect::<Result<String, _>>().ok()
    }
}

/// Encodings whose bytes are the numbers of their characters.
#[derive(Debug)]
pub(crate) struct FirstCharacters {
    name: &'static str,
    last: u8,
}

const LATIN_1: FirstCharacters = FirstCharacters { name: "iso8859-1", last: 0xff };
const ASCII: FirstCharacters = FirstCharacters { name: "ascii", last: 0x7f };

impl Charset for FirstCharacters {
    fn name(&self) -> &str {
        self.name
    }

    fn encode(&self, text: &str, bytes: &mut Vec<u8>) -> Result<(), usize> {
        for (number, character) in text.chars().enumerate() {
            match u8::try_from(character) {
                Ok(byte) if byte <= self.last => bytes.push(byte),
                _ => return Err(number),
            }
        }
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Option<String> {
        let is_known = bytes.iter().all(|byte| *byte <= self.last);
        is_known.then(|| bytes.iter().map(|byte| char::from(*byte)).collect())
    }
}
