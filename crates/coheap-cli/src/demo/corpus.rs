//! Which files the job is about: text, and what was skipped for a reason.
//!
//! Every regular file below the paths counts, as often as it is met; links to files are followed,
//! linked folders are not entered. A path may be a file, or a link to a folder.
//!
//! What always holds: every file of a corpus was UTF-8 from its first byte to its last when it
//! was collected; files and folders come in the order of their names.
//! Not here: how a text is cut (`items`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use super::items::{self, Item, Place, Trouble};
use super::words::{self, Counts, Totals};
use crate::failure::Failure;
use crate::signals::Signals;

/// Folders of Python's library that hold other people's code, or no text.
const NOT_LIBRARY: [&str; 2] = ["site-packages", "__pycache__"];

/// What the job is about.
#[derive(Debug, Default)]
pub(crate) struct Corpus {
    pub(crate) files: Vec<TextFile>,
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) items: Vec<Item>,
    /// Bytes of all files.
    pub(crate) bytes: u64,
}

/// A file of text.
#[derive(Debug)]
pub(crate) struct TextFile {
    path: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
}

/// A file that is not counted.
#[derive(Debug)]
pub(crate) struct Skipped {
    pub(crate) path: PathBuf,
    pub(crate) reason: String,
}

/// Where files are looked for.
struct Search<'a> {
    corpus: Corpus,
    /// Folders with these names are not entered.
    left_out: &'a [&'a str],
    signals: &'a Signals,
}

impl Corpus {
    /// Looks at every file below `paths`, or below what is there by default.
    pub(crate) fn collect(paths: &[PathBuf], signals: &Signals) -> Result<Self, Failure> {
        let (paths, left_out) = match paths {
            [] => default_paths()?,
            given => (given.to_vec(), &[][..]),
        };
        let mut search = Search { corpus: Self::default(), left_out, signals };
        // All paths are looked at before the first is read: a typo costs no time.
        let kinds = paths.iter().map(|path| kind(path)).collect::<Result<Vec<_>, _>>()?;
        for (path, kind) in paths.iter().zip(kinds) {
            match kind {
                Kind::Folder => search.enter(path)?,
                Kind::File => search.take(path)?,
            }
        }
        Ok(search.corpus)
    }

    /// Counts all words, in this process alone.
    pub(crate) fn count(&self, signals: &Signals) -> Result<Totals, Failure> {
        let mut totals = Totals::default();
        for file in &self.files {
            let counted = items::each_piece(&file.path, |_, text| {
                signals.check()?;
                let mut counts = Counts::default();
                words::count(text, &mut counts);
                words::add_up(&mut totals, &counts);
                Ok(())
            });
            counted.map_err(|trouble| trouble.changed(&file.path))?;
        }
        Ok(totals)
    }

    /// Files that are not as they were when they were collected.
    pub(crate) fn changed(&self) -> Vec<&Path> {
        let is_changed = |file: &&TextFile| match fs::metadata(&file.path) {
            Ok(now) => now.len() != file.bytes || now.modified().ok() != file.modified,
            Err(_) => true,
        };
        self.files.iter().filter(is_changed).map(|file| file.path.as_path()).collect()
    }
}

impl Search<'_> {
    /// Takes every file below a folder.
    fn enter(&mut self, root: &Path) -> Result<(), Failure> {
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            self.signals.check()?;
            let (files, mut inner) = match list(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    self.skip(&folder, format!("the folder cannot be read: {error}"));
                    continue;
                }
            };
            for file in files {
                self.take(&file)?;
            }
            inner.retain(|inner| !self.left_out.iter().any(|name| inner.ends_with(name)));
            folders.extend(inner.into_iter().rev());
        }
        Ok(())
    }

    /// Takes a file if it is text.
    fn take(&mut self, path: &Path) -> Result<(), Failure> {
        self.signals.check()?;
        let first = self.corpus.items.len();
        let (place, signals) = (Place::new(path), self.signals);
        let mut bytes = 0;
        let cut = items::each_piece(path, |range, _| {
            bytes = range.end;
            self.corpus.items.push(Item(place.clone(), range.start, range.end));
            signals.check()
        });
        match cut {
            Ok(()) => {
                let modified = fs::metadata(path).and_then(|data| data.modified()).ok();
                self.corpus.bytes += bytes;
                self.corpus.files.push(TextFile { path: path.to_owned(), bytes, modified });
                return Ok(());
            }
            Err(Trouble::NotText) => self.skip(path, "not UTF-8".to_owned()),
            Err(Trouble::Unreadable(error)) => self.skip(path, format!("cannot be read: {error}")),
            Err(Trouble::Stop(failure)) => return Err(failure),
        }
        self.corpus.items.truncate(first);
        Ok(())
    }

    fn skip(&mut self, path: &Path, reason: String) {
        self.corpus.skipped.push(Skipped { path: path.to_owned(), reason });
    }
}

impl Trouble {
    /// The trouble with a file that was text when it was collected.
    pub(crate) fn changed(self, path: &Path) -> Failure {
        let path = path.display();
        match self {
            Self::NotText => Failure::Failed(format!("{path} was text and is no longer UTF-8")),
            Self::Unreadable(error) => {
                Failure::Failed(format!("{path} was readable and is no longer: {error}"))
            }
            Self::Stop(failure) => failure,
        }
    }
}

/// The files and folders right below a folder, in order.
fn list(folder: &Path) -> std::io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            folders.push(path);
        } else if kind.is_file() || (kind.is_symlink() && path.is_file()) {
            files.push(path);
        }
    }
    files.sort_unstable();
    folders.sort_unstable();
    Ok((files, folders))
}

enum Kind {
    File,
    Folder,
}

/// What a path of the command line leads to.
fn kind(path: &Path) -> Result<Kind, Failure> {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(data) if data.is_dir() => Ok(Kind::Folder),
        Ok(data) if data.is_file() => Ok(Kind::File),
        Ok(_) => Err(Failure::Usage(format!("{shown} is neither a file nor a folder"))),
        Err(error) => Err(Failure::Usage(format!("{shown}: {error}"))),
    }
}

/// What there is text in on most machines, and the folders in it that are left out.
fn default_paths() -> Result<(Vec<PathBuf>, &'static [&'static str]), Failure> {
    const ASK: [&str; 4] =
        ["-I", "-S", "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"];
    for python in ["python3", "python"] {
        if let Some(library) = answer(python, &ASK).filter(|path| path.is_dir()) {
            return Ok((vec![library], &NOT_LIBRARY));
        }
    }
    let sources = answer("rustc", &["--print", "sysroot"])
        .map(|root| root.join("lib/rustlib/src/rust/library"));
    let docs = PathBuf::from("/usr/share/doc");
    let found = sources.into_iter().chain([docs]).find(|path| path.is_dir());
    let missing = "no Python, no Rust sources and no /usr/share/doc here: name a PATH with text";
    Ok((vec![found.ok_or_else(|| Failure::Usage(missing.to_owned()))?], &[]))
}

/// The path that a program prints.
fn answer(program: &str, args: &[&str]) -> Option<PathBuf> {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(text.trim_end_matches('\n')))
}
