//! What the tests of the program share: a folder, the program run on it, and its processes.
//!
//! What always holds: a scene's folder goes with it; waiting ends at a deadline with a panic.
//! Not here: what is expected of the program.

#![allow(dead_code, reason = "each test program uses another part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often each word occurs.
pub(crate) type Counts = BTreeMap<String, i64>;

/// A folder for texts, with the JSON of a run beside it.
pub(crate) struct Scene {
    root: PathBuf,
}

impl Scene {
    /// An empty folder.
    pub(crate) fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("coheap-demo-{}-{name}", std::process::id()));
        fs::create_dir_all(root.join("texts")).unwrap();
        Self { root }
    }

    /// The folder with the texts.
    pub(crate) fn texts(&self) -> PathBuf {
        self.root.join("texts")
    }

    /// The file for the JSON.
    pub(crate) fn json(&self) -> PathBuf {
        self.root.join("figures.json")
    }

    /// Writes a file below the folder.
    pub(crate) fn write(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.texts().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The program, about to count this folder.
    pub(crate) fn demo(&self, args: &[&str]) -> Command {
        let mut command = coheap(&["demo"]);
        command.arg(self.texts()).arg("--json").arg(self.json()).args(args);
        command
    }

    /// Runs it to its end, which is a good one, and answers the JSON.
    pub(crate) fn run(&self, args: &[&str]) -> Value {
        let output = self.demo(args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        self.read_json()
    }

    /// The JSON of the last run.
    pub(crate) fn read_json(&self) -> Value {
        serde_json::from_slice(&fs::read(self.json()).unwrap()).unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// The program with arguments.
pub(crate) fn coheap(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coheap"));
    command.args(args).stdin(Stdio::null()).env_remove("COHEAP_SEED");
    command
}

/// What a run said, for a message.
pub(crate) fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    format!("{}\n{}", output.status, String::from_utf8_lossy(&text))
}

/// The counts of a JSON.
pub(crate) fn counts(json: &Value) -> Counts {
    let counts = json["counts"].as_object().unwrap();
    counts.iter().map(|(word, count)| (word.clone(), count.as_i64().unwrap())).collect()
}

/// What a figure of a JSON is.
pub(crate) fn figure(json: &Value, name: &str) -> u64 {
    json["figures"][name].as_u64().unwrap_or_else(|| panic!("no figure {name} in {json}"))
}

/// The plainest count there is.
pub(crate) fn plain_count<'a>(texts: impl IntoIterator<Item = &'a str>) -> Counts {
    let mut counts = Counts::new();
    for text in texts {
        let is_gap = |letter: char| !(letter.is_ascii_alphanumeric() || letter == '_');
        for word in text.split(is_gap).filter(|word| !word.is_empty()) {
            *counts.entry(word.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}

/// Waits until `look` answers something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Processes whose parent is `parent` and that run this program; dead ones do not count.
pub(crate) fn workers_of(parent: &Child) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((_, rest)) = stat.rsplit_once(')') else { continue };
        let mut fields = rest.split_ascii_whitespace();
        let (state, from) = (fields.next(), fields.next());
        if from == Some(&parent.id().to_string()) && state != Some("Z") && is_worker(pid) {
            found.push(pid);
        }
    }
    found
}

/// Whether a process is a worker of this program, and not one that has its number by now.
pub(crate) fn is_worker(pid: u32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|word| word == b"worker")
}

/// Sends a signal to one process.
pub(crate) fn send(signal: &str, pid: u32) {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status();
    assert!(sent.is_ok(), "no `kill` here");
}

/// A source of numbers that a test prints the seed of (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    /// The seed of the environment or a new one; it is printed.
    pub(crate) fn new() -> Self {
        let seed = std::env::var("COHEAP_SEED").ok().and_then(|text| text.parse().ok());
        let seed = seed.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.unwrap().as_nanos() as u64
        });
        eprintln!("COHEAP_SEED={seed}");
        Self(seed)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Words, some of them often, with gaps of all kinds.
    pub(crate) fn text(&mut self, bytes: usize) -> String {
        const GAPS: [&str; 6] = [" ", "\n", ", ", "\u{e9}", "\u{4e2d}", " -- "];
        let mut text = String::new();
        while text.len() < bytes {
            let vocabulary = [20, 500, 100_000][self.below(3) as usize];
            text.push_str(&format!("w{:x}", self.below(vocabulary)));
            text.push_str(GAPS[self.below(GAPS.len() as u64) as usize]);
        }
        text
    }
}
