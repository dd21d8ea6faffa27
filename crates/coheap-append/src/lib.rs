//! Appends of many processes to one file, each whole or absent: CSV rows and lines.
//!
//! The mechanism and what it knows of text; the faces (`coheap::append`, the Python package, the
//! terminal) say how it is called. It needs no heap.
//!
//! 1. Look at the file: its encoding, line ends, columns (`style`).
//! 2. Format and encode the whole call (`csv`, `charset`).
//! 3. Take the file's lock, cut off what a dead writer left, see that the file is still as it was
//!    in step 1, note the call in the sidecar, and append it (`file`, `record`).

#![forbid(unsafe_code)]

mod error;
mod record;
mod place;
mod look;
mod file;
mod charset;
pub mod csv;
mod style;
mod lines;

pub use charset::{Charset, Charsets, Found};
pub use error::{Error, Result, Unencodable};
pub use file::{Event, Held, Options, SharedFile};
pub use lines::{LineFile, Rotation};
pub use look::{Look, look};
pub use style::encoding_of;
