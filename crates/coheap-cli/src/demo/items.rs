//! How a text is cut into items of work, and how a worker gets the bytes of one.
//!
//! An item is a range of a file, at most [`ITEM_BYTES`] long, that begins and ends at characters
//! and never within a word. Only a word that is longer than that makes a longer item.
//!
//! What always holds: the items of a file follow each other without a gap, so the words of all
//! items are the words of the file.
//! Not here: which files there are.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::words::is_word;
use crate::failure::Failure;

/// Most bytes of an item.
pub(crate) const ITEM_BYTES: usize = 256 << 10;

/// Bytes of a character at the begin of bytes without a cut, and of one at their end.
const LONGEST_CHARACTERS: usize = 2 * 4;

/// A piece of work: where the text is, first byte, byte after the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item(pub(crate) Place, pub(crate) u64, pub(crate) u64);

/// The path of a file. Most are text; the others are kept byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// A path that is text.
    #[serde(rename = "t")]
    Text(String),
    /// Any other path.
    #[serde(rename = "r")]
    Raw(OsString),
}

/// Why a file gave no text.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It is not UTF-8.
    NotText,
    /// It cannot be read.
    Unreadable(io::Error),
    /// Whoever reads has to stop.
    Stop(Failure),
}

impl Place {
    /// The place of a path.
    pub(crate) fn new(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Raw(path.as_os_str().to_owned()),
        }
    }

    /// The path.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::Text(text) => PathBuf::from(text),
            Self::Raw(raw) => PathBuf::from(raw),
        }
    }
}

impl Item {
    /// Reads the text of an item into `buffer`.
    pub(crate) fn read<'a>(&self, buffer: &'a mut Vec<u8>) -> Result<&'a str, Trouble> {
        let Self(place, start, end) = self;
        let length = usize::try_from(end.saturating_sub(*start)).unwrap_or(usize::MAX);
        buffer.clear();
        let mut file = File::open(place.path()).map_err(Trouble::Unreadable)?;
        if *start > 0 {
            file.seek(SeekFrom::Start(*start)).map_err(Trouble::Unreadable)?;
        }
        buffer.resize(length, 0);
        file.read_exact(buffer).map_err(Trouble::Unreadable)?;
        std::str::from_utf8(buffer).map_err(|_| Trouble::NotText)
    }

    /// The item as two, cut where it may be; `text` is its own. `None`: there is no such place.
    pub(crate) fn halves(&self, text: &str) -> Option<[Self; 2]> {
        let Self(place, start, end) = self;
        let middle = text.len() / 2;
        let cut = last_cut(text.as_bytes(), middle)
            .or_else(|| first_cut(text.as_bytes(), middle.max(1)))? as u64;
        Some([Self(place.clone(), *start, start + cut), Self(place.clone(), start + cut, *end)])
    }
}

/// Reads a file and hands over its pieces, in order: where each is, and its text.
///
/// Pieces that were handed over before trouble came are no use to anybody.
pub(crate) fn each_piece(
    path: &Path,
    mut take: impl FnMut(Range<u64>, &str) -> Result<(), Failure>,
) -> Result<(), Trouble> {
    let mut file = File::open(path).map_err(Trouble::Unreadable)?;
    let mut buffer = Vec::new();
    let mut start = 0;
    loop {
        let mut looked_at = buffer.len();
        // One byte more than a piece has, to see whether it may end there.
        let wanted = (ITEM_BYTES + 1).saturating_sub(looked_at).max(ITEM_BYTES);
        let read = file.by_ref().take(wanted as u64).read_to_end(&mut buffer);
        let is_end = read.map_err(Trouble::Unreadable)? < wanted;
        while buffer.len() > ITEM_BYTES {
            let cut = last_cut(&buffer, ITEM_BYTES)
                .or_else(|| first_cut(&buffer, looked_at.max(ITEM_BYTES)));
            let Some(cut) = cut else {
                check_is_one_word(&buffer[looked_at..])?;
                break;
            };
            start = hand_over(&buffer[..cut], start, &mut take)?;
            buffer.drain(..cut);
            looked_at = 0;
        }
        if is_end {
            break;
        }
    }
    if !buffer.is_empty() {
        hand_over(&buffer, start, &mut take)?;
    }
    Ok(())
}

/// Text that cannot be cut is part of one word. Anything else is no text, however long it goes on.
fn check_is_one_word(bytes: &[u8]) -> Result<(), Trouble> {
    let others = bytes.iter().filter(|byte| !is_word(**byte)).count();
    if others > LONGEST_CHARACTERS { Err(Trouble::NotText) } else { Ok(()) }
}

/// Hands one piece over and returns where the next one starts.
fn hand_over(
    piece: &[u8],
    start: u64,
    take: &mut impl FnMut(Range<u64>, &str) -> Result<(), Failure>,
) -> Result<u64, Trouble> {
    let text = std::str::from_utf8(piece).map_err(|_| Trouble::NotText)?;
    let end = start + piece.len() as u64;
    take(start..end, text).map_err(Trouble::Stop)?;
    Ok(end)
}

/// The last place up to `most` where a text may be cut.
fn last_cut(bytes: &[u8], most: usize) -> Option<usize> {
    (1..=most.min(bytes.len().saturating_sub(1))).rev().find(|at| is_cut(bytes, *at))
}

/// The first place from `least` on where a text may be cut.
fn first_cut(bytes: &[u8], least: usize) -> Option<usize> {
    (least.max(1)..bytes.len()).find(|at| is_cut(bytes, *at))
}

/// Whether both neighbours of a place belong to different characters, and not to one word.
fn is_cut(bytes: &[u8], at: usize) -> bool {
    let (before, after) = (bytes[at - 1], bytes[at]);
    let is_within_character = after & 0xc0 == 0x80;
    let is_within_word = is_word(before) && is_word(after);
    !is_within_character && !is_within_word
}

#[cfg(test)]
mod tests;
