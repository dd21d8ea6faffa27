//! `coheap ls`, `stat` and `rm`: what they say of heaps, and what is left after them.
//!
//! What always holds: each test has a folder of its own, which it removes.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use coheap::Heap;
use serde_json::Value;

/// A folder of heaps.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("heaps-{test}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn heap(&self, name: &str) -> Heap {
        Heap::builder().name(name).folder(&self.0).max_bytes(1 << 20).open().expect("a heap")
    }

    fn coheap(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coheap"));
        command.args(words).arg("--folder").arg(&self.0).output().expect("it runs")
    }

    fn says(&self, words: &[&str]) -> String {
        let output = self.coheap(words);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.says(&[words, &["--json"]].concat())).expect("JSON")
    }

    fn files(&self) -> Vec<String> {
        let files = fs::read_dir(&self.0).expect("a folder").flatten();
        files.map(|file| file.file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn heaps_are_listed_with_who_uses_them() {
    let folder = Folder::new("listed");
    assert_eq!(folder.json(&["ls"]), Value::Array(Vec::new()));
    let heap = folder.heap("mine");
    folder.heap("other").close().expect("closed");
    fs::write(folder.0.join("coheap.broken"), "no heap").expect("a file");
    let all = folder.json(&["ls"]);
    let of = |name: &str| all.as_array().expect("rows").iter().find(|row| row["name"] == name);
    assert_eq!(of("mine").expect("a row")["processes"], 1);
    assert_eq!(of("mine").expect("a row")["max_bytes"], 1 << 20);
    assert_eq!(of("other").expect("a row")["processes"], 0);
    assert_eq!(of("broken").expect("a row")["state"], "refused");
    let table = folder.says(&["ls"]);
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.starts_with("NAME"), "{table}");
    heap.close().expect("closed");
}

#[test]
fn a_heap_shows_what_is_in_it() {
    let folder = Folder::new("shown");
    let heap = folder.heap("h");
    let map = heap.map::<String, u32>("ages").expect("a map");
    map.set("ada", &36).expect("stored");
    heap.queue::<u32>("jobs").expect("a queue");
    let stat = folder.json(&["stat", "h"]);
    assert_eq!(stat["processes"], 1);
    assert_eq!(stat["objects"][0]["name"], "ages");
    assert_eq!(stat["objects"][0]["count"], 1);
    assert_eq!(stat["objects"][1]["count"], 0);
    let text = folder.says(&["stat", "h"]);
    assert!(text.contains("ages") && text.contains("processes"), "{text}");
    let output = folder.coheap(&["stat", "nothing"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing"), "{output:?}");
}

#[test]
fn a_removed_heap_goes_on_for_those_who_have_it() {
    let folder = Folder::new("removed");
    let heap = folder.heap("h");
    let map = heap.map::<u8, u8>("m").expect("a map");
    folder.heap("other").close().expect("closed");
    let told = folder.json(&["rm", "h", "other"]);
    assert_eq!(told["removed"][0]["processes"], 1);
    assert_eq!(told["removed"][1]["processes"], 0);
    assert_eq!(folder.files(), Vec::<String>::new());
    map.set(&1, &2).expect("stored");
    assert_eq!(folder.json(&["ls"]), Value::Array(Vec::new()));
    let output = folder.coheap(&["rm", "h"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(folder.coheap(&["rm"]).status.code(), Some(2));
}

#[test]
fn what_dead_processes_left_is_removed() {
    let folder = Folder::new("orphans");
    let heap = folder.heap("kept");
    folder.heap("gone").close().expect("closed");
    fs::remove_file(folder.0.join("coheap.gone")).expect("removed");
    let all = folder.json(&["ls"]);
    let states: Vec<_> = all.as_array().expect("rows").iter().map(|row| &row["state"]).collect();
    assert_eq!(states, ["orphan", "ok"]);
    assert!(folder.says(&["ls"]).contains("coheap rm --orphans"));
    assert_eq!(folder.json(&["rm", "--orphans"])["orphans"][0], "gone");
    assert_eq!(folder.files().len(), 3);
    assert_eq!(folder.json(&["rm", "--orphans"])["orphans"], Value::Array(Vec::new()));
    heap.map::<u8, u8>("m").expect("a heap that is used");
}

#[test]
fn a_heap_that_cannot_be_opened_is_removed_by_force_only() {
    let folder = Folder::new("forced");
    folder.heap("broken").close().expect("closed");
    fs::write(folder.0.join("coheap.broken"), "no heap").expect("a file");
    let output = folder.coheap(&["rm", "broken"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(folder.files().len(), 3);
    folder.says(&["rm", "--force", "broken"]);
    assert_eq!(folder.files(), Vec::<String>::new());
}
