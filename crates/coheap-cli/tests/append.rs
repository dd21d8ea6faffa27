//! `coheap append` from the shell: what is written, what is refused, and with which status.
//!
//! Method: the program runs as users start it. An unfinished call is made by cutting off the end of
//! a whole one, which is what a death in a write leaves.
//!
//! Not here: the mechanism, which has tests of its own.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder that goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("coheap-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a new folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the program with these words and this input.
fn append(path: &Path, words: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coheap"));
    command.arg("append").args(words).arg(path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    // A program that refuses its arguments reads nothing.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn lines_are_appended_and_completed() {
    let folder = Folder::new("cli-lines");
    let path = folder.0.join("rows.csv");
    for input in ["a,b\n1,2\n", "3,4"] {
        let done = append(&path, &[], input);
        assert_eq!((done.status.code(), text(&done.stderr)), (Some(0), String::new()));
    }
    assert_eq!(fs::read_to_string(&path).expect("reads"), "a,b\n1,2\n3,4\n");
}

#[test]
fn a_header_goes_into_an_empty_file_only_and_has_to_be_that_of_any_other() {
    let folder = Folder::new("cli-header");
    let path = folder.0.join("rows.csv");
    for input in ["a,b\n1,\"x\ny\"\n", "a,b\n3,é\n"] {
        assert_eq!(append(&path, &["--header", "--fsync"], input).status.code(), Some(0));
    }
    let whole = "a,b\n1,\"x\ny\"\n3,é\n";
    assert_eq!(fs::read_to_string(&path).expect("reads"), whole);
    for (input, why) in [
        ("a,c\n1,2\n", "missing: b"),
        ("b,a\n1,2\n", "another order"),
        ("", "no header"),
        ("a,b\n1,2\n3\n", "row 1 has 1 cells, not 2"),
        ("a,b\n1,2,3\n", "row 0 has 3 cells, not 2"),
        ("a,b\n1,\"2\n", "a quote that is not closed"),
        ("a,a\n1,2\n", "two columns"),
    ] {
        let refused = append(&path, &["--header"], input);
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused.stderr).contains(why), "{}", text(&refused.stderr));
    }
    assert_eq!(fs::read_to_string(&path).expect("reads"), whole);
}

#[test]
fn a_file_keeps_its_encoding() {
    let folder = Folder::new("cli-encoding");
    let path = folder.0.join("rows.csv");
    fs::write(&path, b"\xd6\xd0\n").expect("writes");
    assert_eq!(append(&path, &[], "中\n").status.code(), Some(2));
    assert_eq!(append(&path, &["--encoding", "gbk"], "中\n").status.code(), Some(0));
    // The record beside it knows by now.
    assert_eq!(append(&path, &[], "中\n").status.code(), Some(0));
    assert_eq!(append(&path, &[], "한\n").status.code(), Some(2));
    assert_eq!(fs::read(&path).expect("reads"), b"\xd6\xd0\n\xd6\xd0\n\xd6\xd0\n");
}

#[test]
fn an_unfinished_call_is_removed_and_reported() {
    let folder = Folder::new("cli-repair");
    let path = folder.0.join("rows.csv");
    append(&path, &[], "a\n");
    append(&path, &[], "a long line of the dead\n");
    let file = fs::File::options().write(true).open(&path).expect("opens");
    file.set_len(10).expect("cuts");
    let repaired = append(&path, &["--repair"], "");
    assert_eq!(repaired.status.code(), Some(0));
    assert!(
        text(&repaired.stdout).contains("8 bytes of its unfinished call were cut off at byte 2")
    );
    assert_eq!(fs::read_to_string(&path).expect("reads"), "a\n");
    assert!(text(&append(&path, &["--repair"], "").stdout).contains("has no unfinished call"));
}

#[test]
fn bad_input_is_a_status_of_two_and_changes_nothing() {
    let folder = Folder::new("cli-bad");
    let zipped = folder.0.join("rows.csv.gz");
    let refused = [
        append(&folder.0, &[], "a\n"),
        append(&folder.0.join("none").join("rows.csv"), &[], "a\n"),
        append(&folder.0.join("rows.csv"), &["--encoding", "klingon"], "a\n"),
        append(&folder.0.join("rows.csv"), &["--repair"], ""),
        append(&folder.0.join("rows.csv"), &["--repair", "--header"], ""),
        append(&zipped, &[], "a\n"),
    ];
    for each in refused {
        assert_eq!(each.status.code(), Some(2), "{}", text(&each.stderr));
        assert!(!each.stderr.is_empty());
    }
    assert_eq!(fs::read_dir(&folder.0).expect("reads").count(), 0);
}
