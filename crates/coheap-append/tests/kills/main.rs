//! A writer dies at any system call, and in the middle of any write: its calls are whole or absent.
//!
//! Goal: whoever appends next, or looks, finds each call that returned, whole and once, and nothing
//! of a call but all of it; and what dies while it cuts off is as harmless.
//! Method: a child is led from system call to system call and killed at each stop; where it is about
//! to write to the file or its sidecar, the write is made shorter first. What is left is looked at, appended to,
//! and compared with the possible contents.

#![cfg(target_arch = "x86_64")]

mod trace;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use coheap_append::{Event, Options, SharedFile, look};
use trace::{Stop, Traced};

/// A folder that goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("coheap-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a new folder");
        Self(path)
    }

    /// Where a writer notes how many calls have returned.
    fn acked(&self) -> std::fs::File {
        let mut options = std::fs::File::options();
        let options = options.read(true).write(true).create(true).truncate(true);
        options.open(self.0.join("acked")).expect("opens")
    }

    /// A file that is not there yet.
    fn fresh(&self) -> PathBuf {
        let path = self.0.join("rows.csv");
        let _ = std::fs::remove_file(&path);
        let _ = std::fs::remove_file(self.0.join(".rows.csv.coheap"));
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a writer appends, call by call: few bytes, many, and few again.
fn calls() -> Vec<Vec<u8>> {
    vec![b"a,b\n1,2\n".to_vec(), b"row of a large call\n".repeat(900), b"3,4\n".to_vec()]
}

/// Appends all calls and notes in a file how many have returned.
fn write_all(path: &Path, acked: &std::fs::File) -> i32 {
    let mut file = SharedFile::new(path, Options::default());
    for (number, call) in calls().iter().enumerate() {
        file.hold().and_then(|mut held| held.append(call, "utf-8")).expect("appends");
        acked.write_all_at(&[number as u8 + 1], 0).expect("notes");
    }
    0
}

/// How many calls have returned.
fn returned(acked: &std::fs::File) -> usize {
    let mut byte = [0];
    acked.read_at(&mut byte, 0).expect("reads");
    usize::from(byte[0])
}

/// Where a writer is to die.
#[derive(Debug, Clone, Copy)]
struct Death {
    /// Number of the stop.
    stop: usize,
    /// How many bytes of a write are made before it, where it is one to the file.
    bytes: Option<u64>,
}

/// Leads a writer to its death. `false`: it has no such stop.
fn die(body: impl FnOnce() -> i32, death: Death) -> bool {
    let mut child = Traced::start(body);
    for _ in 0..death.stop {
        if let Stop::Exit(status) = child.step() {
            assert_eq!(status, 0);
            return false;
        }
    }
    let stop = child.step();
    if let Stop::Exit(status) = stop {
        assert_eq!(status, 0);
        return false;
    }
    if let (Some(bytes), Stop::Before(libc::SYS_write | libc::SYS_pwrite64)) = (death.bytes, stop) {
        if child.shorten(bytes).is_some() {
            child.step();
        }
    }
    true
}

/// Checks what a dead writer left: looked at, and appended to.
fn assert_whole(path: &Path, returned: usize, before: &[u8], why: &str) {
    let calls = calls();
    let contents = |count: usize| [before, &calls[..count].concat()].concat();
    let seen = look(path).expect("looks");
    let bytes = std::fs::read(path).unwrap_or_default();
    let seen = &bytes[..seen.len as usize];
    let possible = [returned, (returned + 1).min(calls.len())];
    assert!(possible.iter().any(|count| seen == contents(*count)), "a reader, {why}");

    let mut file = SharedFile::new(path, Options::default());
    file.hold().and_then(|mut held| held.append(b"next\n", "utf-8")).expect("appends");
    let events = file.take_events();
    let is_reported = events.iter().all(|event| matches!(event, Event::Removed { .. }));
    assert!(
        is_reported && events.len() == usize::from(bytes.len() != seen.len()),
        "{events:?}, {why}"
    );
    let after = std::fs::read(path).expect("reads");
    assert_eq!(after, [seen, b"next\n"].concat(), "{why}");
}

#[test]
fn a_call_is_whole_or_absent_wherever_its_writer_dies() {
    let folder = Folder::new("kills");
    let acked = folder.acked();
    let mut deaths = 0;
    for bytes in [None, Some(1), Some(7), Some(4096), Some(10_000)] {
        for stop in 0.. {
            let path = folder.fresh();
            acked.write_all_at(&[0], 0).expect("notes");
            let death = Death { stop, bytes };
            if !die(|| write_all(&path, &acked), death) {
                break;
            }
            deaths += 1;
            assert_whole(&path, returned(&acked), b"", &format!("{death:?}"));
        }
    }
    assert!(deaths > 200, "only {deaths} deaths");
}

#[test]
fn whoever_dies_while_it_cuts_off_leaves_it_to_the_next() {
    let folder = Folder::new("cuts");
    let acked = folder.acked();
    // A call of which 4,096 bytes are there, made anew for each death.
    let tear = |path: &Path| {
        let mut child = Traced::start(|| write_all(path, &acked));
        loop {
            let is_large = child.step() == Stop::Before(libc::SYS_write)
                && child.write_len() == calls()[1].len() as u64;
            if is_large && child.shorten(4096).is_some() {
                child.step();
                return;
            }
        }
    };
    let mut deaths = 0;
    for bytes in [None, Some(3)] {
        for stop in 0.. {
            let path = folder.fresh();
            tear(&path);
            acked.write_all_at(&[0], 0).expect("notes");
            let death = Death { stop, bytes };
            if !die(|| write_all(&path, &acked), death) {
                break;
            }
            deaths += 1;
            assert_whole(&path, returned(&acked), &calls()[0], &format!("{death:?}"));
        }
    }
    assert!(deaths > 80, "only {deaths} deaths");
}

#[test]
fn a_short_write_is_continued() {
    let folder = Folder::new("short");
    let path = folder.fresh();
    let acked = folder.acked();
    let mut child = Traced::start(|| write_all(&path, &acked));
    let mut shortened = 0;
    loop {
        match child.step() {
            Stop::Before(libc::SYS_write | libc::SYS_pwrite64) => {
                let bytes = child.write_len() / 3;
                shortened += usize::from(bytes > 0 && child.shorten(bytes).is_some());
            }
            Stop::Exit(status) => {
                assert_eq!(status, 0);
                break;
            }
            _ => {}
        }
    }
    assert!(shortened > 3, "only {shortened} writes were made shorter");
    assert_eq!(std::fs::read(&path).expect("reads"), calls().concat());
}
