//! Lines that several processes append to one file, and files that are moved aside when they are
//! full or old.
//!
//! What always holds: the lines of one call stand together, in the encoding and with the line ends
//! of the file. A file is moved aside only while its lock is held, so that each line is in one file.
//!
//! Not here: what the lines say.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::charset::{Charset, Charsets, Found};
use crate::error::{Error, Result, Unencodable};
use crate::file::{Event, Held, Options, SharedFile};
use crate::style::Style;

/// A file of lines.
#[derive(Debug)]
pub struct LineFile {
    file: SharedFile,
    encoding: Option<Found>,
    style: Option<Style>,
}

/// When a file is moved aside before the next lines.
pub enum Rotation<'a> {
    /// Never.
    Never,
    /// When it would have more bytes than this. Names: `NAME.1` for the youngest, and so on.
    Size {
        /// Bytes of a file, at most, unless one call has more.
        max_bytes: u64,
        /// Files that are kept; the oldest one goes.
        backups: u32,
    },
    /// When it was last written to before the period that it is. Times are in seconds since 1970.
    Age {
        /// The period that it is, or one that is over.
        period: Range<i64>,
        /// Returns the period that it is.
        renew: &'a (dyn Fn() -> Result<Range<i64>> + Sync),
        /// Returns the name of a file, by when it was last written to.
        name: &'a (dyn Fn(i64) -> Result<PathBuf> + Sync),
    },
}

/// So long after a write the file may show a time from before it: a tick of the system's clock.
const TICK: Duration = Duration::from_millis(20);

impl LineFile {
    /// Returns the file at `path`, which is not touched yet.
    pub fn new(path: &Path, options: Options, encoding: Option<Found>) -> Self {
        Self { file: SharedFile::new(path, options), encoding, style: None }
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Takes what was found in the file, oldest first.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.file.take_events()
    }

    /// Closes the file; the next call opens it again.
    pub fn close(&mut self) {
        self.file.close();
    }

    /// Appends lines, each of which ends with `\n`: all of them, or none. Returns whether the file
    /// was moved aside before.
    ///
    /// # Errors
    ///
    /// Those of the file's encoding, [`Error::Unencodable`], [`Error::Busy`],
    /// [`Error::Torn`], and what the system refuses.
    pub fn append(
        &mut self,
        lines: &str,
        charsets: &dyn Charsets,
        rotation: &Rotation<'_>,
    ) -> Result<bool> {
        let mut was_moved = false;
        let mut period = rotation.period();
        loop {
            if self.style.is_none() {
                let (path, look) = (self.file.path(), self.file.look()?);
                self.style = Style::of(path, &look, self.encoding.as_ref(), charsets, None)?;
            }
            let (charset, mark) = self.charset();
            let line_end = self.style.as_ref().map_or("\n", |style| style.line_end);
            let payload = encode(&*charset, mark, lines, line_end)?;
            let mut held = self.file.hold()?;
            let now = SystemTime::now();
            if let Rotation::Age { renew, .. } = rotation
                && !period.contains(&seconds(now))
            {
                // It ended while the lock was waited for. Not under the lock: it may take long.
                drop(held);
                period = renew()?;
                continue;
            }
            let fits = match &self.style {
                None => held.is_empty(),
                // Where nobody else has written, nobody has changed how it begins.
                Some(style) if held.is_known() => style.id == held.id(),
                Some(style) => style.is_of(&held)?,
            };
            if !fits {
                drop(held);
                self.style = None;
            } else if !was_moved && make_room(&held, payload.len() as u64, rotation, &period)? {
                drop(held);
                (self.style, was_moved) = (None, true);
                self.file.close();
            } else {
                let completion = match &self.style {
                    Some(style) => style.completion(&held)?,
                    None => Vec::new(),
                };
                if completion.is_empty() {
                    held.append(&payload, charset.name())?;
                } else {
                    held.append(&[completion.as_slice(), &payload].concat(), charset.name())?;
                }
                if matches!(rotation, Rotation::Age { .. }) {
                    keep_in(&period, now, &held)?;
                }
                return Ok(was_moved);
            }
        }
    }

    /// The encoding for the next lines, and the mark that goes before them.
    fn charset(&self) -> (Arc<dyn Charset>, &'static [u8]) {
        match (&self.style, &self.encoding) {
            (Some(style), _) => (style.charset.clone(), b""),
            (None, Some(declared)) => declared.of_new_file(),
            (None, None) => Found::Utf8 { has_mark: false }.of_new_file(),
        }
    }
}

impl Rotation<'_> {
    /// The period that it was when this was made.
    fn period(&self) -> Range<i64> {
        match self {
            Self::Age { period, .. } => period.clone(),
            Self::Never | Self::Size { .. } => i64::MIN..i64::MAX,
        }
    }
}

/// Has a file that was written to at `now` show a time of that period. By itself it may show the one
/// before, or that after: the next writer would move it twice, or not at all.
fn keep_in(period: &Range<i64>, now: SystemTime, held: &Held<'_>) -> Result<()> {
    let is_sure = |moment| period.contains(&seconds(moment));
    if is_sure(SystemTime::now()) && now.checked_sub(TICK).is_some_and(is_sure) {
        return Ok(());
    }
    held.set_modified(now)
}

/// Seconds since 1970, rounded down.
fn seconds(moment: SystemTime) -> i64 {
    match moment.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs().cast_signed(),
        Err(before) => -before.duration().as_secs().cast_signed() - 1,
    }
}

/// The bytes of lines.
fn encode<'a>(
    charset: &dyn Charset,
    mark: &[u8],
    lines: &'a str,
    line_end: &str,
) -> Result<Cow<'a, [u8]>> {
    let is_plain = line_end == "\n";
    if is_plain && mark.is_empty() && charset.name() == "utf-8" {
        return Ok(Cow::Borrowed(lines.as_bytes()));
    }
    // Those that have the line end of the file already keep it.
    let lines: Cow<'_, str> = match is_plain {
        true => Cow::Borrowed(lines),
        false => lines.replace("\r\n", "\n").replace('\n', line_end).into(),
    };
    let mut bytes = mark.to_vec();
    charset.encode(&lines, &mut bytes).map_err(|at| {
        let before: String = lines.chars().take(at).collect();
        let (number, begin) = before
            .rmatch_indices('\n')
            .next()
            .map_or((0, 0), |(place, _)| (before.matches('\n').count(), place + 1));
        let text = lines[begin..].lines().next().unwrap_or_default().to_owned();
        let at = before[begin..].chars().count();
        let (encoding, place) = (charset.name().to_owned(), format!("line {number}"));
        Error::Unencodable(Box::new(Unencodable { encoding, text, at, place }))
    })?;
    Ok(Cow::Owned(bytes))
}

/// Moves a held file aside if it is full or old. What has been moved is not at its path any more.
fn make_room(
    held: &Held<'_>,
    planned: u64,
    rotation: &Rotation<'_>,
    period: &Range<i64>,
) -> Result<bool> {
    let path = held.path();
    let is_due = !held.is_empty()
        && match rotation {
            Rotation::Never => false,
            Rotation::Size { max_bytes, .. } => held.len().saturating_add(planned) > *max_bytes,
            Rotation::Age { .. } => held.modified()? < period.start,
        };
    if !is_due {
        return Ok(false);
    }
    let target = match rotation {
        Rotation::Never => return Ok(false),
        Rotation::Size { backups: 0, .. } => {
            std::fs::remove_file(path).map_err(Error::os("remove", path))?;
            return Ok(true);
        }
        Rotation::Size { backups, .. } => {
            // Up to the first name that is free: a mover that died has left one.
            let taken = (1..*backups).take_while(|number| numbered(path, *number).exists());
            for number in taken.collect::<Vec<_>>().into_iter().rev() {
                let (from, to) = (numbered(path, number), numbered(path, number + 1));
                std::fs::rename(&from, &to).map_err(Error::os("rename", &from))?;
            }
            numbered(path, 1)
        }
        Rotation::Age { name, .. } => {
            let wanted = name(held.modified()?)?;
            let others = (1..).map(|number| numbered(&wanted, number));
            let mut names = std::iter::once(wanted.clone()).chain(others);
            names.find(|name| !name.exists()).unwrap_or(wanted)
        }
    };
    std::fs::rename(path, &target).map_err(Error::os("rename", path))?;
    Ok(true)
}

/// `NAME.7` of `NAME`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}
