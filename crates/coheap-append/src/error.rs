//! Why an append was refused or could not be finished.
//!
//! What always holds: after an error the file is as it was, unless the message says otherwise.
//! Fields carry numbers and names; `Display` builds the sentence, which says what happened, whether
//! anything was changed, and what to do next.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The result of every call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an append was refused or could not be finished. The file is as it was, unless the message
/// says otherwise.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The system refused a call.
    Os {
        /// What was to be done: "open".
        call: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
    },
    /// Another process has held the lock of the file for a while: hear signals, and call again.
    Busy,
    /// The path leads to something other than an ordinary file.
    NotAFile(PathBuf),
    /// The name or the first bytes are those of a compressed file.
    Compressed(PathBuf),
    /// The file holds bytes that are no text.
    Binary(PathBuf),
    /// The file is on a network file system.
    Network {
        /// The file.
        path: PathBuf,
        /// The file system: "NFS".
        system: &'static str,
    },
    /// The sidecar beside the file cannot be written.
    NoSidecar {
        /// The sidecar.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
    },
    /// A part of the call was written and could not be taken back.
    Torn {
        /// The file.
        path: PathBuf,
        /// Bytes of the call that are there.
        written: u64,
        /// What the system answered.
        error: io::Error,
    },
    /// The encoding of the file cannot be told.
    EncodingUnknown(PathBuf),
    /// The declared encoding is not that of the file.
    EncodingContradicts {
        /// The file.
        path: PathBuf,
        /// The encoding that the caller declared.
        declared: String,
        /// What the file has instead.
        found: String,
    },
    /// No encoding has that name.
    NoSuchEncoding(String),
    /// A text has no bytes in the encoding of the file.
    Unencodable(Box<Unencodable>),
    /// The columns of the rows are not those of the file.
    Columns {
        /// The file.
        path: PathBuf,
        /// Columns that the file has and the rows have not.
        missing: Vec<String>,
        /// Columns that the rows have and the file has not.
        extra: Vec<String>,
    },
    /// The rows are not as wide as the file.
    Width {
        /// The file.
        path: PathBuf,
        /// Columns of the rows.
        found: usize,
        /// Columns of the file.
        wanted: usize,
    },
    /// The rows, or how they are to be written, make no sense; the field says why.
    BadInput(String),
}

/// A text that has no bytes in an encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unencodable {
    /// The encoding.
    pub encoding: String,
    /// The text of the cell or line.
    pub text: String,
    /// Which character of it, counted from 0.
    pub at: usize,
    /// Where the text is: "row 3, column 'name'".
    pub place: String,
}

impl Error {
    /// Returns the error of a call that the system refused.
    pub(crate) fn os(call: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Os { call, path, error }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Os { call, path, error } => {
                write!(f, "cannot {call} `{}`: {error}; nothing was appended", path.display())
            }
            Self::Busy => f.write_str(
                "another process holds the lock of the file; nothing was appended; call again",
            ),
            Self::NotAFile(path) => write!(
                f,
                "`{}` is not an ordinary file; nothing was changed; name a file",
                path.display()
            ),
            Self::Compressed(path) => write!(
                f,
                "`{}` is compressed, and an unfinished call could not be cut off it; nothing was \
                 changed; append to a plain file, and compress it when it is complete",
                path.display()
            ),
            Self::Binary(path) => write!(
                f,
                "`{}` holds bytes that are no text; nothing was changed; is it the right file?",
                path.display()
            ),
            Self::Network { path, system } => write!(
                f,
                "`{}` is on a network file system ({system}), where locks and appends of several \
                 machines do not hold; nothing was changed; append to a local file",
                path.display()
            ),
            Self::NoSidecar { path, error } => write!(
                f,
                "cannot write `{}`: {error}; without it an unfinished call could not be taken back; \
                 nothing was changed; make the folder writable, or append with atomic=False",
                path.display()
            ),
            Self::Torn { path, written, error } => write!(
                f,
                "cannot append to `{}`: {error}; {written} bytes of the call are in the file and \
                 could not be taken back; append again, or repair it",
                path.display()
            ),
            Self::BadInput(why) => write!(f, "{why}; nothing was changed"),
            of_content => of_content.fmt_content(f),
        }
    }
}

impl Error {
    /// What does not fit the content of the file.
    fn fmt_content(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EncodingUnknown(path) => write!(
                f,
                "`{}` is not UTF-8 and has no byte-order mark, so its encoding cannot be told; \
                 nothing was changed; say it with `encoding`",
                path.display()
            ),
            Self::EncodingContradicts { path, declared, found } => write!(
                f,
                "`{}` holds {found}, not {declared}; nothing was changed; leave `encoding` out, or \
                 say what the file has",
                path.display()
            ),
            Self::NoSuchEncoding(name) => write!(
                f,
                "there is no encoding `{name}`; nothing was changed; say another, as `utf-8`"
            ),
            Self::Unencodable(what) => write!(f, "{what}"),
            Self::Columns { path, missing, extra } => {
                write!(f, "the columns are not those of `{}`:", path.display())?;
                for (names, what) in [(missing, "missing"), (extra, "not in the file")] {
                    if !names.is_empty() {
                        write!(f, " {what}: {};", names.join(", "))?;
                    }
                }
                f.write_str(
                    " nothing was changed; give the same columns, or append with header=False to a \
                     file without a header",
                )
            }
            Self::Width { path, found, wanted } => write!(
                f,
                "the rows have {found} columns and `{}` has {wanted}; nothing was changed; give \
                 rows of {wanted}",
                path.display()
            ),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Unencodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let character = self.text.chars().nth(self.at).unwrap_or(char::REPLACEMENT_CHARACTER);
        write!(
            f,
            "{character:?} at position {} of {} cannot be encoded in {}, which the file has; \
             nothing was changed; leave it out, or append to a file in UTF-8",
            self.at, self.place, self.encoding
        )
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Os { error, .. } | Self::NoSidecar { error, .. } | Self::Torn { error, .. } => {
                Some(error)
            }
            _ => None,
        }
    }
}
