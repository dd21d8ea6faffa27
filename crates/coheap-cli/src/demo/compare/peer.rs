//! The run over LMDB: records through one pipe to all workers, one byte back for each item done.
//!
//! What always holds: a record in the pipe is the number of an item, always read whole, because
//! nothing else is ever written there; a worker that finds the way back closed leaves.
//! Not here: the counting, which is the same as everywhere.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use coheap_lmdb::Counts as Database;
use rustc_hash::FxHashMap;

use super::Peer;
use crate::demo::corpus::Corpus;
use crate::demo::crew::{self, Crew};
use crate::demo::items::Item;
use crate::demo::words::{self, Counts, Totals};
use crate::failure::Failure;
use crate::signals::Signals;

/// Most bytes of the database: address space, not memory.
const MAX_BYTES: usize = 16 << 30;
/// Where files are memory.
const MEMORY: &str = "/dev/shm";
/// The list of items, beside the database.
const LIST: &str = "items.json";
/// Bytes of a record.
const RECORD: usize = size_of::<u64>();

/// A folder that goes when it is dropped.
struct Folder(PathBuf);

/// Counts the words of a corpus with worker processes on LMDB.
pub(crate) fn execute(corpus: &Corpus, workers: usize, signals: &Signals) -> Result<Peer, Failure> {
    let folder = Folder::new().map_err(broken)?;
    let database = Database::open(&folder.0, MAX_BYTES).map_err(broken)?;
    let list = serde_json::to_vec(&corpus.items).map_err(broken)?;
    fs::write(folder.0.join(LIST), list).map_err(broken)?;
    let path = folder.0.to_str().ok_or_else(|| broken("a folder whose path is no text"))?;

    let started = Instant::now();
    let (records, mut feed) = io::pipe().map_err(broken)?;
    let (mut done, ack) = io::pipe().map_err(broken)?;
    let start = || {
        let mut command = crew::worker_command(&["compare-worker", path])?;
        command.stdin(Stdio::from(records.try_clone().map_err(broken)?));
        command.stdout(Stdio::from(ack.try_clone().map_err(broken)?));
        Ok(command)
    };
    let crew = Crew::new(workers, &start, signals)?;
    // The ends that only workers have: when the last of them is gone, both pipes end.
    drop((records, ack));
    let count = corpus.items.len();
    let feeder = std::thread::spawn(move || {
        // An error means that no worker reads any more, which is noticed by the missing answers.
        let _ = (0..count as u64).try_for_each(|index| feed.write_all(&index.to_le_bytes()));
    });
    let mut acked = 0;
    let mut answers = [0; 4096];
    while acked < count {
        signals.check()?;
        match done.read(&mut answers) {
            Ok(0) => {
                signals.check()?;
                return Err(broken("a worker gave up"));
            }
            Ok(more) => acked += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(error)),
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let _ = feeder.join();
    crew.finish()?;
    let stored = database.all().map_err(broken)?;
    Ok(Peer { counts: by_word(stored, corpus, signals)?, seconds })
}

/// Counts for the database until the pipe ends.
pub(crate) fn work(folder: &Path) -> Result<(), Failure> {
    let list = fs::read(folder.join(LIST)).map_err(broken)?;
    let items: Vec<Item> = serde_json::from_slice(&list).map_err(broken)?;
    let database = Database::open(folder, MAX_BYTES).map_err(broken)?;
    // The library's own standard input would read ahead what others are to do.
    let mut records = File::open("/dev/stdin").map_err(broken)?;
    let mut answers = OpenOptions::new().write(true).open("/dev/stdout").map_err(broken)?;
    let (mut record, mut buffer) = ([0; RECORD], Vec::new());
    while records.read(&mut record).map_err(broken)? == RECORD {
        let index = u64::from_le_bytes(record) as usize;
        let item = items.get(index).ok_or_else(|| broken("no such item"))?;
        let text = item.read(&mut buffer).map_err(|trouble| trouble.changed(&item.0.path()))?;
        let mut words = Counts::default();
        words::count(text, &mut words);
        database.add_many(words.iter().map(|(word, count)| (*word, *count))).map_err(broken)?;
        if answers.write_all(&[1]).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// LMDB keeps long words under shorter keys: gives them their names back.
fn by_word(
    stored: Vec<(Vec<u8>, i64)>,
    corpus: &Corpus,
    signals: &Signals,
) -> Result<Totals, Failure> {
    let mut totals = Totals::default();
    let mut shortened: FxHashMap<Vec<u8>, i64> = FxHashMap::default();
    for (key, count) in stored {
        match String::from_utf8(key) {
            Ok(word) if !word.contains(' ') => {
                totals.insert(word, count);
            }
            Ok(word) => {
                shortened.insert(word.into_bytes(), count);
            }
            Err(error) => return Err(broken(error)),
        }
    }
    if !shortened.is_empty() {
        let mut plain: Vec<_> = corpus.count(signals)?.into_keys().collect();
        plain.retain(|word| shortened.contains_key(&coheap_lmdb::stored_as(word)));
        for word in plain {
            if let Some(count) = shortened.remove(&coheap_lmdb::stored_as(&word)) {
                totals.insert(word, count);
            }
        }
    }
    Ok(totals)
}

fn broken(what: impl ToString) -> Failure {
    Failure::Failed(format!("the comparison: {}", what.to_string()))
}

impl Folder {
    fn new() -> io::Result<Self> {
        let memory = Path::new(MEMORY);
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path = parent.join(format!("coheap-compare-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
