//! CSV: rows as text, and the rules of a file that they are appended to.
//!
//! What always holds: everything is formatted and encoded before the first byte is written.
//!
//! Not here: how bytes reach the file (`file`), and the types of a language (the faces).

pub(crate) mod scan;
pub mod number;
mod rows;
mod plan;

pub use plan::{CsvFile, Header, Plan, Request};
pub use rows::{Dialect, Quoting, Rows};

/// Returns the cells of the first row that is not an empty line, and where it ends, in bytes.
pub fn header_of(text: &str, separator: char) -> Option<(Vec<String>, usize)> {
    scan::first_row(text, separator).map(|row| (row.cells, row.end))
}
