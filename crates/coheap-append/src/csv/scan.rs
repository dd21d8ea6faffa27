//! Reads CSV cell by cell, as far as an append needs it: the first row of a file, and which cell a
//! character of a formatted text is in.
//!
//! What always holds: a quote begins a quoted cell only where a cell begins, as in Python's `csv`.
//!
//! Not here: whether a text is a good CSV.

use crate::error::{Error, Result};

/// A cell of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Its row, counted from 0.
    pub(crate) row: usize,
    /// Its place in the row, counted from 0.
    pub(crate) column: usize,
    /// What it says.
    pub(crate) text: String,
    /// Where it ends, in bytes, with what separates it from the next.
    pub(crate) end: usize,
    /// The line end behind it, which may be the end of the text; `None`: a separator.
    pub(crate) line_end: Option<&'static str>,
}

/// The cells of a text.
pub(crate) struct Cells<'a> {
    text: &'a str,
    separator: char,
    at: usize,
    row: usize,
    column: usize,
    is_done: bool,
}

impl<'a> Cells<'a> {
    pub(crate) fn new(text: &'a str, separator: char) -> Self {
        Self { text, separator, at: 0, row: 0, column: 0, is_done: text.is_empty() }
    }

    /// Where the line end at the beginning of `rest` leads.
    fn line_end(rest: &str) -> Option<&'static str> {
        ["\r\n", "\n", "\r"].into_iter().find(|end| rest.starts_with(end))
    }
}

impl Iterator for Cells<'_> {
    type Item = Cell;

    fn next(&mut self) -> Option<Cell> {
        if self.is_done {
            return None;
        }
        let (mut said, mut is_quoted, begin) = (String::new(), false, self.at);
        let (line_end, end) = loop {
            let rest = &self.text[self.at..];
            let Some(character) = rest.chars().next() else { break (Some(""), self.at) };
            if is_quoted {
                self.at += character.len_utf8();
                if character != '"' {
                    said.push(character);
                } else if self.text[self.at..].starts_with('"') {
                    self.at += 1;
                    said.push('"');
                } else {
                    is_quoted = false;
                }
                continue;
            }
            if character == '"' && self.at == begin {
                self.at += 1;
                is_quoted = true;
            } else if character == self.separator {
                break (None, self.at + character.len_utf8());
            } else if let Some(end) = Self::line_end(rest) {
                break (Some(end), self.at + end.len());
            } else {
                self.at += character.len_utf8();
                said.push(character);
            }
        };
        let cell = Cell { row: self.row, column: self.column, text: said, end, line_end };
        self.at = end;
        self.column += 1;
        if line_end.is_some() {
            (self.row, self.column) = (self.row + 1, 0);
            self.is_done = end == self.text.len();
        }
        Some(cell)
    }
}

/// The first row of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FirstRow {
    pub(crate) cells: Vec<String>,
    /// Where it ends, in bytes.
    pub(crate) end: usize,
    /// Its line end; empty: the text ends with it.
    pub(crate) line_end: &'static str,
}

/// Returns the first row that is not an empty line.
pub(crate) fn first_row(text: &str, separator: char) -> Option<FirstRow> {
    let mut cells = Vec::new();
    for cell in Cells::new(text, separator) {
        let (end, line_end) = (cell.end, cell.line_end);
        cells.push(cell.text);
        if let Some(line_end) = line_end {
            if cells != [""] || line_end.is_empty() {
                return Some(FirstRow { cells, end, line_end });
            }
            cells.clear();
        }
    }
    None
}

/// Returns rows that are CSV already, with other line ends behind them. The text ends with a line end.
///
/// # Errors
///
/// [`Error::BadInput`] where a row has another number of cells, or a quote is not closed.
pub(crate) fn checked_rows(
    text: &str,
    separator: char,
    mut width: Option<usize>,
    line_end: &str,
) -> Result<String> {
    let mut rows = String::with_capacity(text.len());
    let mut begin = 0;
    for cell in Cells::new(text, separator) {
        let Some(found) = cell.line_end else { continue };
        if found.is_empty() {
            let why = format!("row {} has a quote that is not closed", cell.row);
            return Err(Error::BadInput(why));
        }
        let row = &text[begin..cell.end - found.len()];
        let (cells, wanted) = (cell.column + 1, *width.get_or_insert(cell.column + 1));
        // An empty line is no row.
        if cells != wanted && !row.is_empty() {
            let why = format!("row {} has {cells} cells, not {wanted}", cell.row);
            return Err(Error::BadInput(why));
        }
        rows.push_str(row);
        rows.push_str(line_end);
        begin = cell.end;
    }
    Ok(rows)
}

/// Returns the cell that has the character with this number.
pub(crate) fn cell_at(text: &str, number: usize, separator: char) -> Option<(Cell, usize)> {
    let byte = text.char_indices().nth(number)?.0;
    let character = text[byte..].chars().next()?;
    let mut begin = 0;
    for cell in Cells::new(text, separator) {
        if byte < cell.end {
            // Quotes are not part of what it says: count how many of this character come before.
            let before = text[begin..byte].chars().filter(|each| *each == character).count();
            let places = cell.text.chars().enumerate().filter(|(_, each)| *each == character);
            let at = places.map(|(place, _)| place).nth(before).unwrap_or(0);
            return Some((cell, at));
        }
        begin = cell.end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_ends_where_its_quotes_allow() {
        let row = first_row("\n\"a\nb\",\"say \"\"hi\"\"\",c\"d\r\n1,2,3\r\n", ',').expect("a row");
        assert_eq!(row.cells, ["a\nb", "say \"hi\"", "c\"d"]);
        assert_eq!((row.end, row.line_end), (25, "\r\n"));
        assert_eq!(first_row("a;b", ';').expect("a row").line_end, "");
        assert_eq!(first_row("\n\n", ','), None);
    }

    #[test]
    fn rows_keep_the_line_ends_in_their_cells_and_have_one_width() {
        let text = "1,\"a\nb\"\n\n2,x\r\n";
        let rows = checked_rows(text, ',', Some(2), "\r\n").expect("rows");
        assert_eq!(rows, "1,\"a\nb\"\r\n\r\n2,x\r\n");
        for (bad, why) in [("1,2\n3\n", "row 1 has 1 cells, not 2"), ("1,\"2\n", "not closed")] {
            let error = checked_rows(bad, ',', None, "\n").expect_err("refused");
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn a_character_is_found_in_its_cell() {
        let text = "a,b\n\"x, \"\"é\"\" é\",2\n";
        let number = text.chars().count() - 5;
        let (cell, at) = cell_at(text, number, ',').expect("a cell");
        assert_eq!((cell.row, cell.column, cell.text.as_str(), at), (1, 0, "x, \"é\" é", 7));
    }
}
