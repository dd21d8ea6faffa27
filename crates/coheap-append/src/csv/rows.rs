//! Rows as text: separators, quotes and line ends.
//!
//! What always holds: a row ends with the line end of its file, whatever its cells say, and has as
//! many cells as the first one. A cell is quoted exactly where `csv.writer` of Python 3.13 does it.
//!
//! Not here: the encoding of the text (`charset`), and what its columns are called (`plan`).

use crate::error::{Error, Result};

/// Which cells are quoted; the names and numbers of Python's `csv`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Quoting {
    /// Those that would be read otherwise without: 0.
    #[default]
    Minimal,
    /// All: 1.
    All,
    /// All that are no numbers: 2.
    NonNumeric,
    /// None; a cell that needs quotes is an error: 3.
    Never,
}

/// How rows are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    separator: char,
    /// Which cells are quoted.
    pub quoting: Quoting,
    /// What a missing value is written as.
    pub missing: String,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { separator: ',', quoting: Quoting::default(), missing: String::new() }
    }
}

impl Dialect {
    /// Returns a dialect with this separator, of one character.
    ///
    /// # Errors
    ///
    /// [`Error::BadInput`] for any other length, for a quote, and for a line end.
    pub fn new(separator: &str, quoting: Quoting, missing: &str) -> Result<Self> {
        let mut characters = separator.chars();
        match (characters.next(), characters.next()) {
            (Some('"' | '\r' | '\n'), _) | (None, _) | (_, Some(_)) => Err(Error::BadInput(
                format!("the separator is one character, not a quote or line end: {separator:?}"),
            )),
            (Some(separator), None) => Ok(Self { separator, quoting, missing: missing.to_owned() }),
        }
    }

    /// Returns the separator.
    pub fn separator(&self) -> char {
        self.separator
    }
}

/// Rows that are being written.
#[derive(Debug)]
pub struct Rows<'a> {
    dialect: &'a Dialect,
    line_end: &'static str,
    /// For each ASCII character whether a cell with it is quoted.
    needs_quotes: [bool; 128],
    text: String,
    row_begin: usize,
    cells: usize,
    width: Option<usize>,
    count: u64,
}

impl<'a> Rows<'a> {
    /// Begins without any row, with so many cells in each; `None`: as many as in the first.
    pub fn new(dialect: &'a Dialect, line_end: &'static str, width: Option<usize>) -> Self {
        let mut needs_quotes = [false; 128];
        for character in ['"', '\r', '\n', dialect.separator] {
            if let Some(needs) = needs_quotes.get_mut(character as usize) {
                *needs = true;
            }
        }
        Self {
            dialect,
            line_end,
            needs_quotes,
            text: String::new(),
            row_begin: 0,
            cells: 0,
            width,
            count: 0,
        }
    }

    /// Writes a cell that is a text.
    ///
    /// # Errors
    ///
    /// [`Error::BadInput`] where the cell needs quotes and gets none.
    #[inline]
    pub fn text(&mut self, cell: &str) -> Result<()> {
        self.separate();
        if self.needs_quotes(cell) {
            return self.quoted(cell);
        }
        match self.dialect.quoting {
            Quoting::Minimal | Quoting::Never => self.text.push_str(cell),
            Quoting::All | Quoting::NonNumeric => return self.quoted(cell),
        }
        Ok(())
    }

    /// Writes a cell that is a number, or counts as one, by a function that writes it.
    ///
    /// # Errors
    ///
    /// [`Error::BadInput`] where the cell needs quotes and gets none.
    #[inline]
    pub fn number(&mut self, write: impl FnOnce(&mut String)) -> Result<()> {
        self.separate();
        let begin = self.text.len();
        write(&mut self.text);
        let is_plain = matches!(self.dialect.separator, ',' | ';' | '\t' | '|');
        if self.dialect.quoting == Quoting::All
            || !is_plain && self.needs_quotes(&self.text[begin..])
        {
            let cell = self.text.split_off(begin);
            return self.quoted(&cell);
        }
        Ok(())
    }

    /// Writes a cell that counts as text by a function that writes it, without quotes or line ends.
    ///
    /// # Errors
    ///
    /// [`Error::BadInput`] where the cell needs quotes and gets none.
    #[inline]
    pub fn plain_text(&mut self, write: impl FnOnce(&mut String)) -> Result<()> {
        if self.dialect.quoting == Quoting::NonNumeric {
            let mut cell = String::new();
            write(&mut cell);
            return self.text(&cell);
        }
        self.number(write)
    }

    /// Returns which cells are quoted.
    pub fn quoting(&self) -> Quoting {
        self.dialect.quoting
    }

    /// Writes a missing value.
    ///
    /// # Errors
    ///
    /// [`Error::BadInput`] where what stands for it needs quotes and gets none.
    #[inline]
    pub fn missing(&mut self) -> Result<()> {
        let dialect = self.dialect;
        self.text(&dialect.missing)
    }

    /// Ends a row.
    ///
    /// # Errors
    ///
    /// [`Error::BadInput`] where it has more or fewer cells than the first one.
    pub fn end_row(&mut self) -> Result<()> {
        let width = *self.width.get_or_insert(self.cells);
        if self.cells != width {
            return Err(Error::BadInput(format!(
                "row {} has {} cells, not {width}",
                self.count, self.cells
            )));
        }
        // An empty line would be no row.
        if self.text.len() == self.row_begin {
            self.quoted("")?;
        }
        self.text.push_str(self.line_end);
        self.row_begin = self.text.len();
        self.cells = 0;
        self.count += 1;
        Ok(())
    }

    /// Returns how many rows there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the text of all rows.
    pub fn into_text(self) -> String {
        self.text
    }

    /// Returns how many cells each row has; `None`: there is no row yet.
    pub fn width(&self) -> Option<usize> {
        self.width
    }

    /// Makes room for so many bytes more.
    pub fn reserve(&mut self, bytes: usize) {
        self.text.reserve(bytes);
    }

    #[inline]
    fn separate(&mut self) {
        if self.cells > 0 {
            self.text.push(self.dialect.separator);
        }
        self.cells += 1;
    }

    #[inline]
    fn needs_quotes(&self, cell: &str) -> bool {
        let table = &self.needs_quotes;
        cell.bytes().any(|byte| byte < 128 && table[usize::from(byte)])
            || !self.dialect.separator.is_ascii() && cell.contains(self.dialect.separator)
    }

    #[cold]
    fn quoted(&mut self, cell: &str) -> Result<()> {
        if self.dialect.quoting == Quoting::Never {
            return Err(Error::BadInput(format!(
                "row {}, column {}: {cell:?} needs quotes, and quoting is csv.QUOTE_NONE",
                self.count,
                self.cells.saturating_sub(1)
            )));
        }
        self.text.push('"');
        for (number, part) in cell.split('"').enumerate() {
            if number > 0 {
                self.text.push_str("\"\"");
            }
            self.text.push_str(part);
        }
        self.text.push('"');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(dialect: &Dialect, rows: &[&[&str]]) -> Result<String> {
        let mut out = Rows::new(dialect, "\n", None);
        for row in rows {
            row.iter().try_for_each(|cell| out.text(cell))?;
            out.end_row()?;
        }
        Ok(out.into_text())
    }

    #[test]
    fn cells_are_quoted_where_they_would_be_read_otherwise() {
        let text = written(
            &Dialect::default(),
            &[&["a,b", "say \"hi\"", "x\ny", " z"], &["", "", "", ""]],
        );
        assert_eq!(text.expect("text"), "\"a,b\",\"say \"\"hi\"\"\",\"x\ny\", z\n,,,\n");
        assert_eq!(written(&Dialect::default(), &[&[""]]).expect("text"), "\"\"\n");
        let wide = Dialect::new("、", Quoting::Minimal, "").expect("a dialect");
        assert_eq!(written(&wide, &[&["a、b", "c"]]).expect("text"), "\"a、b\"、c\n");
    }

    #[test]
    fn ragged_rows_and_long_separators_are_refused() {
        let ragged = written(&Dialect::default(), &[&["1", "2"], &["3"]]).expect_err("ragged");
        assert_eq!(ragged.to_string(), "row 1 has 1 cells, not 2; nothing was changed");
        assert!(Dialect::new("::", Quoting::Minimal, "").is_err());
        let never = Dialect::new(",", Quoting::Never, "").expect("a dialect");
        assert!(written(&never, &[&["a,b"]]).is_err());
    }
}
