//! Which rows may be appended to a file, and how: its header, the order of its columns.
//!
//! A call has three steps: [`CsvFile::plan`] looks at the file, the face formats its rows for that
//! plan, and [`CsvFile::commit`] appends them, if the file is still as it was planned for.
//!
//! What always holds: a header is written with the first call and in the same append, so that there
//! is one however many processes begin at once. Rows have the columns of the file, in its order.
//!
//! Not here: how cells are formatted (`rows`).

use std::borrow::Cow;
use std::path::Path;

use crate::charset::{Charset, Charsets, Found};
use crate::csv::rows::{Dialect, Rows};
use crate::csv::scan::{cell_at, checked_rows};
use crate::error::{Error, Result, Unencodable};
use crate::file::{Event, Options, SharedFile};
use crate::style::Style;

/// When a header is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Header {
    /// Into an empty file, if the names are known.
    #[default]
    Auto,
    /// Into an empty file; the names have to be known.
    Always,
    /// Never, and the file has none.
    Never,
}

/// How a file is appended to.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The encoding that the caller declares; `None`: that of the file, UTF-8 for a new one.
    pub encoding: Option<Found>,
    /// When a header is written.
    pub header: Header,
    /// How rows are written.
    pub dialect: Dialect,
    /// The line end of a new file; `None`: `\n`.
    pub line_end: Option<&'static str>,
}

/// A CSV that is appended to.
#[derive(Debug)]
pub struct CsvFile {
    file: SharedFile,
    request: Request,
    style: Option<Style>,
}

/// How rows are to be formatted for a file.
#[derive(Debug)]
pub struct Plan {
    style: Option<Style>,
    line_end: &'static str,
    order: Option<Vec<usize>>,
    width: Option<usize>,
}

impl Plan {
    /// Returns the line end of the file.
    pub fn line_end(&self) -> &'static str {
        self.line_end
    }

    /// Returns for each column of the file which of the given ones it is; `None`: the same order.
    pub fn order(&self) -> Option<&[usize]> {
        self.order.as_deref()
    }

    /// Returns rows that are CSV already, each ended by `\n`, as the file has them.
    ///
    /// # Errors
    ///
    /// [`Error::BadInput`] where a row has another number of cells than the file has columns, or a
    /// quote is not closed, or the last row has no end.
    pub fn checked(&self, rows: &str, dialect: &Dialect) -> Result<String> {
        if !rows.is_empty() && !rows.ends_with('\n') {
            return Err(Error::BadInput("the last row has no line end".to_owned()));
        }
        checked_rows(rows, dialect.separator(), self.width, self.line_end)
    }

    /// Returns how many columns the file has, where that is known.
    pub fn width(&self) -> Option<usize> {
        self.width
    }
}

impl CsvFile {
    /// Returns the file at `path`, which is not touched yet.
    pub fn new(path: &Path, options: Options, request: Request) -> Self {
        Self { file: SharedFile::new(path, options), request, style: None }
    }

    /// Returns how rows are written.
    pub fn dialect(&self) -> &Dialect {
        &self.request.dialect
    }

    /// Takes what was found in the file, oldest first.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.file.take_events()
    }

    /// Looks at the file and says how rows are to be formatted for it. `columns` are their names.
    ///
    /// # Errors
    ///
    /// [`Error::Columns`] and [`Error::Width`] where the rows do not fit the file, those of its
    /// encoding, [`Error::Busy`], and what the system refuses.
    pub fn plan(&mut self, columns: Option<&[String]>, charsets: &dyn Charsets) -> Result<Plan> {
        if let Some(columns) = columns {
            refuse_duplicates(columns)?;
        } else if self.request.header == Header::Always {
            let why = "a header needs the names of the columns: give `columns`, or rows with names";
            return Err(Error::BadInput(why.to_owned()));
        }
        if self.style.is_none() {
            let look = self.file.look()?;
            let separator = Some(self.request.dialect.separator());
            let declared = self.request.encoding.as_ref();
            self.style = Style::of(self.file.path(), &look, declared, charsets, separator)?;
        }
        let style = self.style.clone();
        let Some(first) = style.as_ref().and_then(|style| style.first.as_deref()) else {
            let new = self.request.line_end.unwrap_or("\n");
            let line_end = style.as_ref().map_or(new, |style| style.line_end);
            let width = columns.map(<[String]>::len);
            return Ok(Plan { style, line_end, order: None, width });
        };
        let order = match columns {
            Some(columns) if self.request.header != Header::Never => {
                order(self.file.path(), columns, first)?
            }
            Some(columns) if columns.len() != first.len() => {
                let (found, wanted) = (columns.len(), first.len());
                return Err(Error::Width { path: self.file.path().to_owned(), found, wanted });
            }
            _ => None,
        };
        let width = Some(first.len());
        let line_end = style.as_ref().map_or("\n", |style| style.line_end);
        Ok(Plan { style, line_end, order, width })
    }

    /// Appends rows that were formatted for a plan. `Ok(false)`: the file has changed since, and
    /// nothing was appended; plan again.
    ///
    /// # Errors
    ///
    /// [`Error::Unencodable`], [`Error::Busy`], [`Error::Torn`], and what the system refuses.
    pub fn commit(&mut self, plan: &Plan, columns: Option<&[String]>, text: &str) -> Result<bool> {
        let names = columns.filter(|_| self.request.header != Header::Never);
        let header = match (&plan.style, names) {
            (None, Some(names)) => self.header(names, plan.line_end)?,
            _ => String::new(),
        };
        if header.is_empty() && text.is_empty() {
            return Ok(true);
        }
        let new = self
            .request
            .encoding
            .as_ref()
            .map_or((Found::Utf8 { has_mark: false }).of_new_file(), Found::of_new_file);
        let (charset, mark) = match &plan.style {
            Some(style) => (style.charset.clone(), &b""[..]),
            None => new,
        };
        let payload = self.encode(&*charset, mark, &header, text, plan, columns)?;
        let mut held = self.file.hold()?;
        let Some(style) = &plan.style else {
            let is_new = held.is_empty();
            if is_new {
                held.append(&payload, charset.name())?;
            }
            return Ok(is_new);
        };
        if !style.is_of(&held)? {
            drop(held);
            self.style = None;
            return Ok(false);
        }
        let completion = style.completion(&held)?;
        if completion.is_empty() {
            held.append(&payload, charset.name())?;
        } else {
            held.append(&[completion.as_slice(), &payload].concat(), charset.name())?;
        }
        Ok(true)
    }

    /// The header as text.
    fn header(&self, names: &[String], line_end: &'static str) -> Result<String> {
        let mut rows = Rows::new(&self.request.dialect, line_end, None);
        names.iter().try_for_each(|name| rows.text(name))?;
        rows.end_row()?;
        Ok(rows.into_text())
    }

    /// All bytes of a call.
    fn encode<'a>(
        &self,
        charset: &dyn Charset,
        mark: &[u8],
        header: &str,
        text: &'a str,
        plan: &Plan,
        columns: Option<&[String]>,
    ) -> Result<Cow<'a, [u8]>> {
        if charset.name() == "utf-8" && mark.is_empty() && header.is_empty() {
            return Ok(Cow::Borrowed(text.as_bytes()));
        }
        let mut bytes = mark.to_vec();
        bytes.reserve(header.len() + text.len());
        let separator = self.request.dialect.separator();
        for (part, is_header) in [(header, true), (text, false)] {
            let encoded = charset.encode(part, &mut bytes);
            if let Err(number) = encoded {
                let found = cell_at(part, number, separator);
                let Some((cell, at)) = found else {
                    return Err(Error::BadInput(format!(
                        "the separator has no bytes in {}",
                        charset.name()
                    )));
                };
                let column = plan.order().map_or(cell.column, |order| order[cell.column]);
                let name = columns.and_then(|names| names.get(column));
                let column = name.map_or(column.to_string(), |name| format!("{name:?}"));
                let row =
                    if is_header { "the header".to_owned() } else { format!("row {}", cell.row) };
                return Err(Error::Unencodable(Box::new(Unencodable {
                    encoding: charset.name().to_owned(),
                    text: cell.text,
                    at,
                    place: format!("{row}, column {column}"),
                })));
            }
        }
        Ok(Cow::Owned(bytes))
    }
}

/// For each column of a file which of the given ones it is; `None`: they have the same order.
fn order(path: &Path, given: &[String], header: &[String]) -> Result<Option<Vec<usize>>> {
    if given == header {
        return Ok(None);
    }
    refuse_duplicates(header)?;
    let missing_in = |wanted: &[String], names: &[String]| -> Vec<String> {
        wanted.iter().filter(|name| !names.contains(name)).cloned().collect()
    };
    let (missing, extra) = (missing_in(header, given), missing_in(given, header));
    if !missing.is_empty() || !extra.is_empty() {
        return Err(Error::Columns { path: path.to_owned(), missing, extra });
    }
    let places = header.iter().map(|name| given.iter().position(|each| each == name));
    Ok(places.collect())
}

fn refuse_duplicates(columns: &[String]) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    match columns.iter().find(|name| !seen.insert(name.as_str())) {
        Some(name) => Err(Error::BadInput(format!("there are two columns {name:?}"))),
        None => Ok(()),
    }
}
