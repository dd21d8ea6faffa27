//! What is said about a run: a table for people, JSON for programs.
//!
//! What always holds: the two say the same; figures that were not measured are left out.
//! Not here: whether the counts are right, which decides the exit status.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::compare::Peer;
use super::corpus::Corpus;
use super::execution::Outcome;
use super::words::Totals;
use crate::failure::Failure;

/// All there is to say.
pub(crate) struct Report<'a> {
    pub(crate) corpus: &'a Corpus,
    pub(crate) outcome: &'a Outcome,
    pub(crate) peer: Option<&'a Peer>,
    /// How long one process took for the same.
    pub(crate) plain_seconds: f64,
}

/// The file for the JSON. It is changed only when there is something to write.
pub(crate) struct Target {
    path: PathBuf,
    is_new: bool,
}

impl Report<'_> {
    /// Prints the table; `plain` is what was to be found.
    pub(crate) fn print(&self, plain: &Totals) -> Result<(), Failure> {
        let mut table = String::new();
        for (name, value) in self.rows(plain) {
            table.push_str(&format!("{name:<26}{value}\n"));
        }
        let mut out = io::stdout().lock();
        match out.write_all(table.as_bytes()).and_then(|()| out.flush()) {
            // The reader has seen enough.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::Failed(format!("standard output: {error}")))
            }
            _ => Ok(()),
        }
    }

    fn rows(&self, plain: &Totals) -> Vec<(&'static str, String)> {
        let Self { corpus, outcome, .. } = self;
        let stats = &outcome.stats;
        let mut rows = vec![
            ("face", "Rust".to_owned()),
            ("files", grouped(corpus.files.len() as u64)),
            ("skipped", grouped(corpus.skipped.len() as u64)),
            ("words", grouped(self.words())),
            ("distinct words", grouped(outcome.counts.len() as u64)),
            ("workers", outcome.workers.to_string()),
            ("seconds", format!("{:.3}", outcome.seconds)),
            ("MB/s", format!("{:.1}", self.megabytes_per_second())),
            ("kills", grouped(outcome.kills)),
            ("  in a transaction/change", grouped(stats.interrupted)),
            ("items redelivered", grouped(stats.returned)),
        ];
        if outcome.other_deaths > 0 {
            rows.push(("killed by others", grouped(outcome.other_deaths)));
        }
        if let Some((median, worst)) = self.hand_over() {
            let text = format!("{:.2} ms median, {:.2} ms worst", median * 1e3, worst * 1e3);
            rows.push(("hand-over", text));
        }
        rows.push(("heap", format!("{:.1} MB", stats.allocated_bytes as f64 / 1e6)));
        let whole = &outcome.integrity;
        rows.push((
            "integrity",
            format!("whole: {} objects, {} blocks", whole.objects, grouped(whole.blocks)),
        ));
        let is_right = *plain == outcome.counts;
        rows.push((
            "one process",
            format!(
                "{:.3} s, {}",
                self.plain_seconds,
                if is_right { "every count equal" } else { "COUNTS DIFFER" }
            ),
        ));
        if let Some(peer) = self.peer {
            rows.push(("LMDB and a pipe", format!("{:.3} s, no kills", peer.seconds)));
            rows.push(("LMDB / coheap", format!("{:.2}", peer.seconds / outcome.seconds)));
        }
        rows
    }

    /// The JSON.
    pub(crate) fn json(&self) -> Value {
        let Self { corpus, outcome, .. } = self;
        let skipped: Vec<Value> = corpus
            .skipped
            .iter()
            .map(|skipped| {
                json!({ "path": skipped.path.to_string_lossy(), "reason": skipped.reason })
            })
            .collect();
        let mut counts: Vec<_> = outcome.counts.iter().collect();
        counts.sort_unstable();
        let counts: Map<String, Value> =
            counts.into_iter().map(|(word, count)| (word.clone(), json!(count))).collect();
        json!({ "counts": counts, "skipped": skipped, "figures": self.figures() })
    }

    fn figures(&self) -> Value {
        let Self { corpus, outcome, .. } = self;
        let stats = &outcome.stats;
        let mut figures = json!({
            "face": "rust",
            "files": corpus.files.len(),
            "skipped": corpus.skipped.len(),
            "bytes": corpus.bytes,
            "items": corpus.items.len(),
            "words": self.words(),
            "distinct": outcome.counts.len(),
            "workers": outcome.workers,
            "seconds": outcome.seconds,
            "megabytes_per_second": self.megabytes_per_second(),
            "kills": outcome.kills,
            "killed_by_others": outcome.other_deaths,
            "rolled_back": stats.interrupted,
            "redelivered": stats.returned,
            "heap_bytes": stats.allocated_bytes,
            "integrity": {
                "objects": outcome.integrity.objects,
                "blocks": outcome.integrity.blocks,
                "pending": outcome.integrity.pending,
            },
            "one_process_seconds": self.plain_seconds,
            "seed": outcome.seed,
        });
        if let Some((median, worst)) = self.hand_over() {
            figures["hand_over_seconds"] = json!({ "median": median, "worst": worst });
        }
        if let Some(peer) = self.peer {
            figures["lmdb_seconds"] = json!(peer.seconds);
            figures["lmdb_ratio"] = json!(peer.seconds / outcome.seconds);
        }
        figures
    }

    fn words(&self) -> u64 {
        self.outcome.counts.values().map(|count| count.unsigned_abs()).sum()
    }

    fn megabytes_per_second(&self) -> f64 {
        self.corpus.bytes as f64 / 1e6 / self.outcome.seconds
    }

    /// The median hand-over and the worst.
    fn hand_over(&self) -> Option<(f64, f64)> {
        let sorted = &self.outcome.hand_overs;
        Some((*sorted.get(sorted.len() / 2)?, *sorted.last()?))
    }
}

impl Target {
    /// Makes sure that the file can be written, before any work is done for it.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let is_new = fs::symlink_metadata(path).is_err();
        match OpenOptions::new().write(true).create(true).truncate(false).open(path) {
            Ok(_) => Ok(Self { path: path.to_owned(), is_new }),
            Err(error) => Err(Failure::Usage(format!("{}: {error}", path.display()))),
        }
    }

    /// Replaces what is in the file.
    pub(crate) fn write(mut self, value: &Value) -> Result<(), Failure> {
        let written = File::create(&self.path).and_then(|mut file| {
            file.write_all(value.to_string().as_bytes())?;
            file.write_all(b"\n")
        });
        self.is_new = written.is_err();
        written.map_err(|error| Failure::Failed(format!("{}: {error}", self.path.display())))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // A file that we made and have nothing for would only mislead.
        if self.is_new {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A number in groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        let shown = [0, 12, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "12", "999", "1,000", "1,234,567"]);
    }
}
