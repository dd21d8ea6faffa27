//! Eight processes append rows to one CSV, and one in three is killed.
//!
//! Goal: each row that was acknowledged is there, whole and once; there is one header; the rows of a
//! process have their order; and a reader never sees a part of a call.
//! Method: writers append calls of 25 rows and note in a shared file how many have returned. The
//! parent kills one in three at a random moment and starts others in the place of those that end. A
//! thread reads all the time what is new. The sample has 40,000 rows, the long run 1,000,000.
//! COHEAP_SEED chooses the moments.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write as _};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coheap::append::{CsvAppender, reading};

const HEADER: &str = "writer,call,row,text";
const WRITERS: usize = 8;
const ROWS: u64 = 25;
const CALLS: u64 = 200;

/// Tells whoever looks at the output of the test.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The next number of a generator.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// The text of a row: as long as its numbers say, with what has to be quoted.
fn text_of(writer: u64, call: u64, row: u64) -> String {
    format!("{writer}-{call}-{row}, \"é\"").repeat((1 + (call * 7 + row) % 5) as usize)
}

/// Appends so many calls of a writer and notes how many have returned.
fn write(path: &Path, acked: &File, writer: u64, calls: u64) -> coheap::append::Result<()> {
    let mut file = CsvAppender::open(path, &["writer", "call", "row", "text"])?;
    for call in 0..calls {
        let rows = (0..ROWS).map(|row| {
            [writer.to_string(), call.to_string(), row.to_string(), text_of(writer, call, row)]
        });
        file.append(rows)?;
        acked.write_all_at(&(call + 1).to_le_bytes(), writer * 8).expect("notes");
    }
    Ok(())
}

/// How many calls of a writer have returned.
fn returned(acked: &File, writer: u64) -> u64 {
    let mut bytes = [0; 8];
    let count = acked.read_at(&mut bytes, writer * 8).expect("reads");
    if count == 8 { u64::from_le_bytes(bytes) } else { 0 }
}

/// Whether a writer goes on until it is killed.
fn is_victim(writer: u64) -> bool {
    writer.is_multiple_of(3)
}

fn fork(body: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child runs `body` and ends; the C library makes allocation safe after a fork.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(101);
        // SAFETY: takes no pointer and does not return.
        unsafe { libc::_exit(status) };
    }
    pid
}

/// Reaps a child that has ended: whether it has, and whether by a signal or by its own will.
fn reap(pid: i32) -> Option<bool> {
    let mut status = 0;
    // SAFETY: the status outlives the call.
    let answer = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
    let has_ended = answer == pid;
    let is_killed = libc::WIFSIGNALED(status);
    let is_good = is_killed || libc::WEXITSTATUS(status) == 0;
    assert!(!has_ended || is_good, "a writer ended with {status:x}");
    has_ended.then_some(is_killed)
}

/// Reads what is new, again and again: whole rows only. Returns all that it has seen.
fn watch(path: &Path, is_over: &AtomicBool) -> String {
    let mut seen = Vec::new();
    while !is_over.load(Ordering::SeqCst) {
        let Ok(file) = reading(path) else { continue };
        let end = file.limit();
        let mut inner = file.into_inner();
        inner.seek(SeekFrom::Start(seen.len() as u64)).expect("seeks");
        let mut bytes = Vec::new();
        inner.take(end.saturating_sub(seen.len() as u64)).read_to_end(&mut bytes).expect("reads");
        assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "half a row was seen");
        seen.extend_from_slice(&bytes);
    }
    String::from_utf8(seen).expect("text")
}

/// Checks all rows of the file.
fn check(text: &str, acked: &File, writers: u64) -> u64 {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(HEADER));
    let mut found: HashMap<u64, u64> = HashMap::new();
    for line in lines {
        let mut cells = line.splitn(4, ',');
        let mut number = || cells.next().and_then(|cell| cell.parse::<u64>().ok());
        let (Some(writer), Some(call), Some(row)) = (number(), number(), number()) else {
            panic!("no row: {line:?}");
        };
        let position = found.entry(writer).or_default();
        assert_eq!((call, row), (*position / ROWS, *position % ROWS), "writer {writer}");
        let quoted = text_of(writer, call, row).replace('"', "\"\"");
        assert_eq!(cells.next(), Some(format!("\"{quoted}\"").as_str()));
        *position += 1;
    }
    for writer in 0..writers {
        let rows = found.get(&writer).copied().unwrap_or(0);
        let calls = returned(acked, writer);
        let most = if is_victim(writer) { calls + 1 } else { CALLS };
        let possible = [calls * ROWS, most * ROWS];
        assert!(possible.contains(&rows), "writer {writer}: {calls} calls returned, {rows} rows");
    }
    found.values().sum()
}

fn run(wanted: u64) {
    let seed = std::env::var("COHEAP_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    say(&format!("COHEAP_SEED={seed}"));
    let mut dice = seed;
    let folder: PathBuf = std::env::temp_dir().join(format!("coheap-writers-{wanted}-{seed}"));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("rows.csv");
    let mut options = File::options();
    let acked = options.read(true).write(true).create(true).truncate(true);
    let acked = acked.open(folder.join("acked")).expect("opens");
    let is_over = AtomicBool::new(false);
    let (mut writers, mut kills, mut done) = (0u64, 0u64, 0u64);
    let seen = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&path, &is_over));
        let mut running: Vec<(i32, Option<Instant>)> = Vec::new();
        while done < wanted || !running.is_empty() {
            while done < wanted && running.len() < WRITERS {
                let writer = writers;
                let calls = if is_victim(writer) { u64::MAX } else { CALLS };
                let pid = fork(|| i32::from(write(&path, &acked, writer, calls).is_err()));
                let life = Duration::from_micros(next(&mut dice) % 30_000);
                running.push((pid, is_victim(writer).then(|| Instant::now() + life)));
                writers += 1;
            }
            running.retain_mut(|(pid, death)| {
                if death.is_some_and(|death| death <= Instant::now()) {
                    // SAFETY: takes no pointer; the child is ours and not reaped yet.
                    unsafe { libc::kill(*pid, libc::SIGKILL) };
                    *death = None;
                }
                let end = reap(*pid);
                kills += u64::from(end == Some(true));
                end.is_none()
            });
            done = (0..writers).map(|writer| returned(&acked, writer)).sum::<u64>() * ROWS;
            std::thread::sleep(Duration::from_millis(1));
        }
        // Whoever is last may have left a part.
        coheap::append::repair(&path).expect("repairs");
        is_over.store(true, Ordering::SeqCst);
        watcher.join().expect("the reader saw whole rows only")
    });
    let text = std::fs::read_to_string(&path).expect("reads");
    assert!(text.starts_with(&seen), "the reader saw what is not there any more");
    assert!(!seen.is_empty(), "the reader saw nothing");
    let rows = check(&text, &acked, writers);
    say(&format!("{rows} rows of {writers} writers, {kills} of them killed"));
    assert!(rows >= wanted && kills * 5 > writers, "{kills} kills of {writers} are too few");
    std::fs::remove_dir_all(&folder).expect("removes");
}

#[test]
fn rows_of_killed_writers_are_there_once_and_whole() {
    run(40_000);
}

#[test]
#[ignore = "long: make torture"]
fn a_million_rows_of_killed_writers_are_there_once_and_whole() {
    run(1_000_000);
}
