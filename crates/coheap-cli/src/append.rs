//! `coheap append`: rows or lines from standard input, appended to a file in one call.
//!
//! What always holds: all of the input is appended, or nothing. Input that makes no sense is a
//! status of 2; what the system refuses one of 1.
//!
//! Not here: the mechanism, which is `coheap::append`.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use coheap::append::{self, CsvAppender, CsvOptions, Error, Event, LineAppender, Options};

use crate::failure::Failure;

/// What `coheap append` is asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Request {
    /// The file; it is created if it is missing
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// Only remove what a dead process left of a call, and say what it was
    #[arg(long)]
    repair: bool,
    /// The first line of the input is a header: it goes into an empty file only, and has to be
    /// that of any other
    #[arg(long, conflicts_with = "repair")]
    header: bool,
    /// The encoding of the file [default: that which it has, or utf-8]; the input is UTF-8
    #[arg(long, value_name = "NAME", conflicts_with = "repair")]
    encoding: Option<String>,
    /// Return only when the lines are on the disk
    #[arg(long, conflicts_with = "repair")]
    fsync: bool,
}

/// Does it.
pub(crate) fn run(request: &Request) -> Result<(), Failure> {
    if request.repair {
        let events = append::repair(&request.path).map_err(failure)?;
        let done = format!("`{}` has no unfinished call", request.path.display());
        let told = if events.is_empty() { vec![done] } else { texts(&events) };
        told.iter().try_for_each(|text| writeln!(std::io::stdout(), "{text}")).map_err(lost)?;
        return Ok(());
    }
    let mut bytes = Vec::new();
    std::io::stdin()
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::Failed(format!("cannot read the input: {error}")))?;
    let mut text = String::from_utf8(bytes)
        .map_err(|_| Failure::Usage("the input is not UTF-8; nothing was changed".to_owned()))?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let events = append(request, &text)?;
    for event in texts(&events) {
        let _ = writeln!(std::io::stderr(), "coheap: {event}");
    }
    Ok(())
}

fn append(request: &Request, text: &str) -> Result<Vec<Event>, Failure> {
    let file = Options { fsync: request.fsync, ..Options::default() };
    let encoding = request.encoding.clone();
    if !request.header {
        let lines = LineAppender::with_options(&request.path, encoding.as_deref(), file);
        let mut lines = lines.map_err(failure)?;
        lines.append_all(text).map_err(failure)?;
        return Ok(lines.take_events());
    }
    let Some((names, rows)) = append::split_header(text) else {
        return Err(Failure::Usage("the input has no header; nothing was changed".to_owned()));
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let options = CsvOptions { encoding, has_header: true, file, ..CsvOptions::default() };
    let csv = CsvAppender::with_options(&request.path, Some(&names), &options);
    let mut csv = csv.map_err(failure)?;
    csv.append_text(rows).map_err(failure)?;
    Ok(csv.take_events())
}

fn texts(events: &[Event]) -> Vec<String> {
    events.iter().map(Event::to_string).collect()
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Os { .. } | Error::Torn { .. } if !is_strange(&error) => {
            Failure::Failed(error.to_string())
        }
        _ => Failure::Usage(error.to_string()),
    }
}

/// Whether the path itself makes no sense.
fn is_strange(error: &Error) -> bool {
    use std::io::ErrorKind as Kind;
    let Error::Os { error, .. } = error else { return false };
    let kinds = [Kind::IsADirectory, Kind::NotFound, Kind::PermissionDenied, Kind::NotADirectory];
    kinds.contains(&error.kind())
}

fn lost(error: std::io::Error) -> Failure {
    Failure::Failed(format!("cannot write the answer: {error}"))
}
