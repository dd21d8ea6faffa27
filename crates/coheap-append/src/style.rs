//! What a file already has, and what is appended to it therefore has, too: its encoding, its line
//! ends and its first row.
//!
//! The encoding is that of the byte-order mark; else that which the last call noted, if nobody has
//! written since; else UTF-8, if all of the file is; else what the caller declares, if it fits.
//!
//! What always holds: a style is that of the bytes in `head`, which whoever appends compares again
//! while it holds the file.
//!
//! Not here: which columns may be appended (`csv`).

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use coheap_core::system::appending::read_file_at;

use crate::charset::{Charset, Charsets, Found, UTF_8_MARK, Utf8, Utf16};
use crate::csv::scan::{FirstRow, first_row};
use crate::error::{Error, Result};
use crate::file::Held;
use crate::look::Look;

/// Bytes that are read at first to see how a file begins.
const HEAD: usize = 64 << 10;
/// The longest first row.
const MAX_HEAD: usize = 64 << 20;
/// Bytes of a file that are checked against a declared encoding other than UTF-8.
const SAMPLE: usize = 1 << 20;

/// What a file has.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    /// Which file: inode and device.
    pub(crate) id: (u64, u64),
    pub(crate) charset: Arc<dyn Charset>,
    pub(crate) line_end: &'static str,
    /// The cells of the first row, where rows are asked for.
    pub(crate) first: Option<Vec<String>>,
    /// How the file begins.
    pub(crate) head: Vec<u8>,
}

impl Style {
    /// Returns the style of a file; `None`: there is nothing in it. With a separator, of a CSV.
    pub(crate) fn of(
        path: &Path,
        look: &Look,
        declared: Option<&Found>,
        charsets: &dyn Charsets,
        separator: Option<char>,
    ) -> Result<Option<Self>> {
        refuse_compressed(path, b"")?;
        let Some(file) = look.file.as_ref().filter(|_| look.len > 0) else { return Ok(None) };
        let content = Content { path, file, len: look.len };
        let head = content.bytes(HEAD)?;
        refuse_compressed(path, &head)?;
        let (charset, mark) = match marked(&head) {
            Some((charset, mark)) => {
                content.agree_with_mark(declared, charset.name())?;
                (charset, mark)
            }
            None => (content.unmarked(look.label.as_deref(), declared, charsets)?, 0),
        };
        let (first, text) = content.beginning(&*charset, mark, separator)?;
        let mut begins = head[..mark].to_vec();
        let _ = charset.encode(&text, &mut begins);
        // What is compared later has to be there.
        let begins = content.bytes(begins.len())?;
        let line_end = match first.as_ref().map(|row| row.line_end) {
            Some("\r\n") => "\r\n",
            Some("\r") => "\r",
            _ => "\n",
        };
        let first = first.map(|row| row.cells);
        Ok(Some(Self { id: look.id, charset, line_end, first, head: begins }))
    }

    /// Returns whether a held file still begins as this one did.
    pub(crate) fn is_of(&self, held: &Held<'_>) -> Result<bool> {
        if held.id() != self.id || held.len() < self.head.len() as u64 {
            return Ok(false);
        }
        let mut bytes = vec![0; self.head.len()];
        Ok(held.read_at(0, &mut bytes)? == bytes.len() && bytes == self.head)
    }

    /// Returns the line end that the last line of a held file lacks, as bytes; mostly none.
    pub(crate) fn completion(&self, held: &Held<'_>) -> Result<Vec<u8>> {
        let mut end = Vec::new();
        if held.is_known() || held.is_empty() {
            return Ok(end);
        }
        let last = if self.line_end == "\r" { "\r" } else { "\n" };
        let _ = self.charset.encode(last, &mut end);
        let mut bytes = vec![0; end.len()];
        held.read_at(held.len().saturating_sub(end.len() as u64), &mut bytes)?;
        let is_complete = bytes == end;
        end.clear();
        if !is_complete {
            let _ = self.charset.encode(self.line_end, &mut end);
        }
        Ok(end)
    }
}

/// Returns the encoding of a file, as Python calls it: with its mark, if it has one. `None`: there
/// is nothing in the file.
///
/// # Errors
///
/// Those of a file whose encoding cannot be told, or is not the declared one.
pub fn encoding_of(
    path: &Path,
    look: &Look,
    declared: Option<&Found>,
    charsets: &dyn Charsets,
) -> Result<Option<String>> {
    let style = Style::of(path, look, declared, charsets, None)?;
    Ok(style.map(|style| {
        let name = style.charset.name();
        match (marked(&style.head).is_some(), name) {
            (true, "utf-8") => "utf-8-sig".to_owned(),
            (true, "utf-16-le" | "utf-16-be") => "utf-16".to_owned(),
            _ => name.to_owned(),
        }
    }))
}

/// What is in a file.
struct Content<'a> {
    path: &'a Path,
    file: &'a File,
    len: u64,
}

/// What all bytes of a file have in common.
struct Nature {
    is_ascii: bool,
    is_utf8: bool,
    has_nul: bool,
}

impl Content<'_> {
    /// The first bytes, as many as there are.
    fn bytes(&self, most: usize) -> Result<Vec<u8>> {
        let len = usize::try_from(self.len).unwrap_or(usize::MAX).min(most);
        let mut bytes = vec![0; len];
        let count = read_file_at(self.file, 0, &mut bytes).map_err(Error::os("read", self.path))?;
        bytes.truncate(count);
        Ok(bytes)
    }

    fn contradicts(&self, declared: &str, found: &str) -> Error {
        Error::EncodingContradicts {
            path: self.path.to_owned(),
            declared: declared.to_owned(),
            found: found.to_owned(),
        }
    }

    /// Checks a declared encoding against that of the mark.
    fn agree_with_mark(&self, declared: Option<&Found>, found: &str) -> Result<()> {
        let Some(declared) = declared else { return Ok(()) };
        let agrees = match declared {
            Found::Utf8 { .. } => found == "utf-8",
            Found::Utf16 => found.starts_with("utf-16"),
            Found::Other(charset) => charset.name() == found,
        };
        let found = format!("{found} with a byte-order mark");
        if agrees { Ok(()) } else { Err(self.contradicts(declared.name(), &found)) }
    }

    /// The encoding of a file without a mark.
    fn unmarked(
        &self,
        label: Option<&str>,
        declared: Option<&Found>,
        charsets: &dyn Charsets,
    ) -> Result<Arc<dyn Charset>> {
        if let Some(label) = label {
            // Written by coheap, and by nobody else since.
            let is_declared =
                declared.is_none_or(|declared| declared.of_new_file().0.name() == label);
            let known = charsets.find(label).or_else(|| Found::built_in(label));
            if let Some(known) = known.filter(|_| is_declared) {
                return Ok(known.of_new_file().0);
            }
        }
        let nature = self.nature()?;
        match declared {
            Some(Found::Other(charset)) => self.declared(charset, &nature),
            Some(Found::Utf16) => {
                let charset: Arc<dyn Charset> = Arc::new(Utf16::LITTLE);
                self.declared(&charset, &nature)
            }
            _ if nature.has_nul => Err(Error::Binary(self.path.to_owned())),
            _ if nature.is_utf8 => Ok(Arc::new(Utf8)),
            Some(declared) => Err(self.contradicts(declared.name(), "bytes that are not UTF-8")),
            None => Err(Error::EncodingUnknown(self.path.to_owned())),
        }
    }

    /// A declared encoding, if the file can be of it.
    fn declared(&self, charset: &Arc<dyn Charset>, nature: &Nature) -> Result<Arc<dyn Charset>> {
        let mut sample = self.bytes(SAMPLE)?;
        if (sample.len() as u64) < self.len {
            cut_to_lines(&mut sample, &**charset);
        }
        let decoded = charset.decode(&sample);
        let is_wide = charset.encode("a", &mut Vec::new()).is_ok() && width_of(&**charset) > 1;
        if nature.has_nul && !is_wide {
            return Err(Error::Binary(self.path.to_owned()));
        }
        let is_plainly_utf8 = nature.is_utf8 && !nature.is_ascii && !nature.has_nul;
        let found = match decoded {
            _ if is_plainly_utf8 => "UTF-8",
            None => "bytes that it has not",
            Some(text) if nature.is_ascii && text.as_bytes() != sample => "ASCII text",
            Some(_) => return Ok(charset.clone()),
        };
        Err(self.contradicts(charset.name(), found))
    }

    fn nature(&self) -> Result<Nature> {
        let mut nature = Nature { is_ascii: true, is_utf8: true, has_nul: false };
        let mut block = vec![0; SAMPLE];
        let (mut at, mut kept) = (0u64, 0usize);
        while at < self.len {
            let wanted = usize::try_from(self.len - at).unwrap_or(SAMPLE).min(SAMPLE - kept);
            let count = read_file_at(self.file, at, &mut block[kept..kept + wanted])
                .map_err(Error::os("read", self.path))?;
            if count == 0 {
                break;
            }
            at += count as u64;
            let bytes = &block[..kept + count];
            nature.has_nul |= bytes.contains(&0);
            nature.is_ascii &= bytes.is_ascii();
            let good = match std::str::from_utf8(bytes) {
                Ok(_) => bytes.len(),
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                Err(_) => {
                    nature.is_utf8 = false;
                    bytes.len()
                }
            };
            let all = bytes.len();
            block.copy_within(good..all, 0);
            kept = all - good;
        }
        nature.is_utf8 &= kept == 0;
        Ok(nature)
    }

    /// The first row, or line, and the text that it ends with.
    fn beginning(
        &self,
        charset: &dyn Charset,
        mark: usize,
        separator: Option<char>,
    ) -> Result<(Option<FirstRow>, String)> {
        let mut most = HEAD;
        loop {
            let mut bytes = self.bytes(most)?;
            let is_all = bytes.len() as u64 == self.len;
            if !is_all {
                cut_to_lines(&mut bytes, charset);
            }
            let text = charset.decode(&bytes[mark.min(bytes.len())..]).unwrap_or_default();
            let row = match separator {
                Some(separator) => first_row(&text, separator),
                None => first_line(&text),
            };
            let is_complete = row.as_ref().is_some_and(|row| !row.line_end.is_empty());
            if is_complete || is_all || most >= MAX_HEAD || separator.is_none() {
                let end = row.as_ref().map_or(0, |row| row.end);
                return Ok((row, text[..end].to_owned()));
            }
            most *= 8;
        }
    }
}

/// The first line, as a row without cells.
fn first_line(text: &str) -> Option<FirstRow> {
    let end = text.find('\n')? + 1;
    let line_end = if text[..end].ends_with("\r\n") { "\r\n" } else { "\n" };
    Some(FirstRow { cells: Vec::new(), end, line_end })
}

/// The encoding that a byte-order mark stands for, and the length of the mark.
fn marked(head: &[u8]) -> Option<(Arc<dyn Charset>, usize)> {
    match head {
        [0xff, 0xfe, 0, 0, ..] => None,
        [0xff, 0xfe, ..] => Some((Arc::new(Utf16::LITTLE), 2)),
        [0xfe, 0xff, ..] => Some((Arc::new(Utf16::BIG), 2)),
        _ if head.starts_with(UTF_8_MARK) => Some((Arc::new(Utf8), UTF_8_MARK.len())),
        _ => None,
    }
}

/// How many bytes an encoding has for a simple letter.
fn width_of(charset: &dyn Charset) -> usize {
    let mut bytes = Vec::new();
    let _ = charset.encode("a", &mut bytes);
    bytes.len()
}

/// Cuts off what is behind the last line end, if there is one.
fn cut_to_lines(bytes: &mut Vec<u8>, charset: &dyn Charset) {
    let mut end = Vec::new();
    let _ = charset.encode("\n", &mut end);
    let width = end.len().max(1);
    let whole = bytes.len() / width * width;
    let last = bytes[..whole].chunks(width).rposition(|chunk| chunk == end);
    bytes.truncate(last.map_or(whole, |last| (last + 1) * width));
}

/// Refuses a file that is compressed, by its name or its first bytes.
fn refuse_compressed(path: &Path, head: &[u8]) -> Result<()> {
    const NAMES: [&str; 8] = ["gz", "bz2", "xz", "zst", "zip", "lz4", "br", "7z"];
    const HEADS: [&[u8]; 5] =
        [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"];
    let name = path.extension().map(|name| name.to_string_lossy().to_ascii_lowercase());
    let is_named = name.is_some_and(|name| NAMES.contains(&name.as_str()));
    if is_named || HEADS.iter().any(|each| head.starts_with(each)) {
        return Err(Error::Compressed(path.to_owned()));
    }
    Ok(())
}
