//! Files that several processes append to: CSV rows and lines, each call whole or absent.
//!
//! No heap is needed. Whoever appends next removes what a process left that died in the middle of a
//! call; [`reading`] never shows it. `docs/how-to/append-csv.md` has the promises and their limits.
//!
//! ```
//! use coheap::append::{CsvAppender, LineAppender, reading};
//! # let folder = std::env::temp_dir().join(format!("coheap-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//!
//! let mut results = CsvAppender::open(folder.join("results.csv"), &["name", "score"])?;
//! results.append([["ada", "1.5"], ["bob", "2"]])?; // one header, whoever begins
//!
//! let mut log = LineAppender::open(folder.join("log.txt"))?;
//! log.append("all done")?;
//!
//! let mut text = String::new();
//! std::io::Read::read_to_string(&mut reading(folder.join("results.csv"))?, &mut text)?;
//! assert_eq!(text, "name,score\nada,1.5\nbob,2\n");
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod charset;

use std::fs::File;
use std::io::{Read, Take};
use std::path::{Path, PathBuf};

use charset::Known;
use coheap_append::csv::{CsvFile, Header, Request, Rows};
use coheap_append::{Charsets as _, Found, LineFile, Rotation, SharedFile};

pub use coheap_append::csv::{Dialect, Quoting};
pub use coheap_append::{Error, Event, Options, Result, Unencodable};

/// How a CSV is appended to.
#[derive(Debug, Clone, Default)]
pub struct CsvOptions {
    /// Separator, quotes, and what a missing value is written as.
    pub dialect: Dialect,
    /// The encoding of the file: "utf-8", "gbk", "shift_jis", ... `None`: that which it has, and
    /// UTF-8 for a new one.
    pub encoding: Option<String>,
    /// Whether a new file gets a header, and an existing one has one.
    pub has_header: bool,
    /// Whether calls are atomic and durable.
    pub file: Options,
}

/// A CSV that several processes append rows to.
#[derive(Debug)]
pub struct CsvAppender {
    file: CsvFile,
    columns: Option<Vec<String>>,
}

impl CsvAppender {
    /// Returns the CSV at `path`, with columns of these names; the file is opened, or created, by
    /// the first call of [`append`](Self::append).
    ///
    /// # Errors
    ///
    /// None that depend on the file.
    pub fn open(path: impl AsRef<Path>, columns: &[&str]) -> Result<Self> {
        let options = CsvOptions { has_header: true, ..CsvOptions::default() };
        Self::with_options(path, Some(columns), &options)
    }

    /// As [`open`](Self::open), with options; without `columns` no header is written.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchEncoding`].
    pub fn with_options(
        path: impl AsRef<Path>,
        columns: Option<&[&str]>,
        options: &CsvOptions,
    ) -> Result<Self> {
        let request = Request {
            encoding: encoding_of(options.encoding.as_deref())?,
            header: if options.has_header { Header::Auto } else { Header::Never },
            dialect: options.dialect.clone(),
            line_end: None,
        };
        let columns = columns.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        Ok(Self { file: CsvFile::new(path.as_ref(), options.file, request), columns })
    }

    /// Appends rows, all of them or none, and returns how many.
    ///
    /// The columns are put into the order of the file.
    ///
    /// # Errors
    ///
    /// [`Error::Columns`] where the file has others, [`Error::BadInput`] where a row has more or
    /// fewer cells, [`Error::Unencodable`], those of the file's encoding, and what the system
    /// refuses. Nothing was changed, unless the message says otherwise.
    pub fn append<R, C>(&mut self, rows: impl IntoIterator<Item = R>) -> Result<u64>
    where
        R: AsRef<[C]>,
        C: AsRef<str>,
    {
        let rows: Vec<R> = rows.into_iter().collect();
        let columns = self.columns.as_deref();
        loop {
            let plan = patiently(|| self.file.plan(columns, &Known))?;
            let mut out = Rows::new(self.file.dialect(), plan.line_end(), plan.width());
            for row in &rows {
                let row = row.as_ref();
                match plan.order().filter(|order| order.len() == row.len()) {
                    None => row.iter().try_for_each(|cell| out.text(cell.as_ref()))?,
                    Some(order) => {
                        order.iter().try_for_each(|place| out.text(row[*place].as_ref()))?;
                    }
                }
                out.end_row()?;
            }
            let (count, text) = (out.count(), out.into_text());
            if patiently(|| self.file.commit(&plan, columns, &text))? {
                return Ok(count);
            }
        }
    }

    /// Appends rows that are CSV already, with the separator and the order of the file; each ends
    /// with `\n`. All of them are appended, or none.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append); [`Error::BadInput`] where the file has another order.
    pub fn append_text(&mut self, rows: &str) -> Result<()> {
        let columns = self.columns.as_deref();
        loop {
            let plan = patiently(|| self.file.plan(columns, &Known))?;
            if plan.order().is_some() {
                let why = "the file has these columns in another order";
                return Err(Error::BadInput(why.to_owned()));
            }
            let rows = plan.checked(rows, self.file.dialect())?;
            if patiently(|| self.file.commit(&plan, columns, &rows))? {
                return Ok(());
            }
        }
    }

    /// Takes what was found in the file, oldest first: unfinished calls that were removed.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.file.take_events()
    }
}

/// Returns the names in the first row of a CSV with commas, and the text behind it. `None`: it has
/// no row.
pub fn split_header(text: &str) -> Option<(Vec<String>, &str)> {
    let (names, end) = coheap_append::csv::header_of(text, ',')?;
    Some((names, &text[end..]))
}

/// A file of lines that several processes append to.
#[derive(Debug)]
pub struct LineAppender {
    file: LineFile,
}

impl LineAppender {
    /// Returns the file at `path`, which is opened, or created, with the first line.
    ///
    /// # Errors
    ///
    /// None that depend on the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::with_options(path, None, Options::default())
    }

    /// As [`open`](Self::open), with an encoding and options.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchEncoding`].
    pub fn with_options(
        path: impl AsRef<Path>,
        encoding: Option<&str>,
        options: Options,
    ) -> Result<Self> {
        Ok(Self { file: LineFile::new(path.as_ref(), options, encoding_of(encoding)?) })
    }

    /// Appends one line, given without its end, whole.
    ///
    /// # Errors
    ///
    /// [`Error::BadInput`] where it has a line end in it, [`Error::Unencodable`], those of the
    /// file's encoding, and what the system refuses.
    pub fn append(&mut self, line: &str) -> Result<()> {
        if line.contains(['\n', '\r']) {
            return Err(Error::BadInput("the line has a line end in it".to_owned()));
        }
        self.append_all(&format!("{line}\n"))
    }

    /// Appends lines that end with `\n` each, all of them or none.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append); [`Error::BadInput`] where the last one has no end.
    pub fn append_all(&mut self, lines: &str) -> Result<()> {
        if !lines.is_empty() && !lines.ends_with('\n') {
            return Err(Error::BadInput("the last line has no line end".to_owned()));
        }
        patiently(|| self.file.append(lines, &Known, &Rotation::Never)).map(|_| ())
    }

    /// Takes what was found in the file, oldest first: unfinished calls that were removed.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.file.take_events()
    }
}

/// Opens a file that others append to, up to the end of its last whole call.
///
/// Nobody waits for the reader: the bytes that it sees do not change any more.
///
/// # Errors
///
/// What the system refuses, and a file that is not there.
pub fn reading(path: impl AsRef<Path>) -> Result<Take<File>> {
    let path = path.as_ref();
    let look = patiently(|| coheap_append::look(path))?;
    let missing = || Error::Os {
        call: "open",
        path: path.to_owned(),
        error: std::io::Error::from(std::io::ErrorKind::NotFound),
    };
    Ok(look.file.ok_or_else(missing)?.take(look.len))
}

/// Cuts an unfinished call off a file, if a dead process left one, and returns what was found.
///
/// # Errors
///
/// What the system refuses, and a file that is not there.
pub fn repair(path: impl Into<PathBuf>) -> Result<Vec<Event>> {
    let mut file = SharedFile::new(path, Options::default());
    patiently(|| file.repair())
}

fn encoding_of(name: Option<&str>) -> Result<Option<Found>> {
    let Some(name) = name else { return Ok(None) };
    Known.find(name).map(Some).ok_or_else(|| Error::NoSuchEncoding(name.to_owned()))
}

/// Runs a call until it has the lock of its file.
fn patiently<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(Error::Busy) => {}
            other => return other,
        }
    }
}
