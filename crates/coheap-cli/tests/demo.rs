//! `coheap demo` as its users meet it: the real program, real processes, real kills.
//!
//! What always holds: what is expected is counted here, by the plainest code there is.
//! Not here: how items are cut, byte by byte (`src/demo/items/tests.rs`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod scene;

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{self, Child, Command, Stdio};
use std::time::{Duration, Instant};

use scene::{Random, Scene, coheap, counts, figure, plain_count, said, send, wait_for, workers_of};

/// Goal: every count is right however many workers die, and wherever.
/// Method: a random corpus in many files, counted again and again with 50 kills a second by four
/// workers, until 40 have been killed and some of them inside a transaction or change.
#[test]
fn every_count_is_exact_while_fifty_workers_a_second_are_killed() {
    let scene = Scene::new("kills");
    let mut random = Random::new();
    let mut texts = Vec::new();
    for number in 0..200 {
        let length = random.below(40_000) as usize;
        texts.push(random.text(length));
        scene.write(format!("{}/{number}.txt", number % 7), &texts[number]);
    }
    texts.push(random.text(3 << 20));
    scene.write("long.txt", &texts[200]);
    let expected = plain_count(texts.iter().map(String::as_str));
    let (mut kills, mut interrupted) = (0, 0);
    for run in 1..=60 {
        let json = scene.run(&["--workers", "4", "--kills-per-second", "50"]);
        assert!(counts(&json) == expected, "run {run}: other counts");
        assert_eq!(figure(&json, "files"), 201);
        assert_eq!(figure(&json, "words"), expected.values().sum::<i64>() as u64);
        kills += figure(&json, "kills");
        interrupted += figure(&json, "rolled_back");
        if kills >= 40 && interrupted > 0 {
            println!("{kills} kills in {run} runs, {interrupted} inside a transaction or change");
            return;
        }
    }
    panic!("only {kills} kills in 60 runs, {interrupted} of them inside a transaction or change");
}

#[test]
fn what_is_not_utf8_is_skipped_with_a_reason_and_counts_for_nothing() {
    let scene = Scene::new("skipped");
    scene.write("good.txt", "one two two");
    let latin = scene.write("deep/latin.txt", b"caf\xe9 one");
    // Wrong only in its last byte, after pieces that were right.
    let late = scene.write("late.txt", [&b"one ".repeat(200_000)[..], b"\xff"].concat());
    let json = scene.run(&[]);
    assert_eq!(counts(&json), plain_count(["one two two"]));
    let mut skipped: Vec<_> = json["skipped"].as_array().unwrap().iter().collect();
    skipped.sort_by_key(|skipped| skipped["path"].as_str());
    assert_eq!(skipped.len(), 2);
    for (skipped, path) in skipped.iter().zip([latin, late]) {
        assert_eq!(skipped["path"].as_str(), path.to_str());
        assert_eq!(skipped["reason"].as_str(), Some("not UTF-8"));
    }
    assert_eq!((figure(&json, "files"), figure(&json, "skipped")), (1, 2));
}

#[test]
fn links_to_files_are_followed_and_linked_folders_are_not_entered() {
    let scene = Scene::new("links");
    let outside = Scene::new("outside");
    let target = outside.write("outside.txt", "linked");
    scene.write("own/own.txt", "own");
    symlink(&target, scene.texts().join("link.txt")).unwrap();
    symlink(outside.texts(), scene.texts().join("folder")).unwrap();
    symlink("nowhere", scene.texts().join("broken")).unwrap();
    let _socket = UnixListener::bind(scene.texts().join("socket")).unwrap();
    let json = scene.run(&[]);
    assert_eq!(counts(&json), plain_count(["linked own"]));
    assert_eq!((figure(&json, "files"), figure(&json, "skipped")), (2, 0));
    // A path that was asked for is entered even if it is a link, and may be a file.
    for path in [scene.texts().join("folder"), scene.texts().join("link.txt")] {
        let mut command = coheap(&["demo"]);
        let output = command.arg(path).arg("--json").arg(scene.json()).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(counts(&scene.read_json()), plain_count(["linked"]));
    }
}

#[test]
fn a_file_whose_name_is_no_text_is_counted_like_any_other() {
    let scene = Scene::new("names");
    scene.write(Path::new(std::ffi::OsStr::from_bytes(b"caf\xe9.txt")), "one two");
    scene.write("with space\nand newline.txt", "two three");
    assert_eq!(counts(&scene.run(&[])), plain_count(["one two", "two three"]));
}

#[test]
fn a_folder_without_words_gives_empty_counts() {
    let scene = Scene::new("empty");
    assert_eq!(counts(&scene.run(&[])), plain_count([]));
    scene.write("empty.txt", "");
    scene.write("gaps.txt", " \n-- ");
    let json = scene.run(&["--kills-per-second", "50"]);
    assert_eq!(counts(&json), plain_count([]));
    assert_eq!((figure(&json, "files"), figure(&json, "words")), (2, 0));
}

/// Goal: what does not fit into one item or one transaction is counted all the same.
/// Method: a word longer than an item, and an item with more new words than a change can hold,
/// which workers cut in two.
#[test]
fn endless_words_and_items_full_of_new_words_are_counted() {
    let scene = Scene::new("extremes");
    let endless = format!("short {} short", "x".repeat(700_000));
    let new: String = (0..80_000u32).map(|number| format!("{number:x} ")).collect();
    scene.write("endless.txt", &endless);
    scene.write("new.txt", &new);
    let expected = plain_count([endless.as_str(), &new]);
    let json = scene.run(&["--kills-per-second", "20"]);
    assert!(counts(&json) == expected, "{} other counts", counts(&json).len());
}

#[test]
fn bad_arguments_and_paths_are_told_and_answered_by_status_2() {
    let scene = Scene::new("bad");
    let missing = scene.texts().join("missing");
    let missing = missing.to_str().unwrap();
    let bad: [&[&str]; 14] = [
        &[],
        &["dance"],
        &["worker"],
        &["demo", missing],
        &["demo", "/dev/null"],
        &["demo", "--workers", "0"],
        &["demo", "--workers", "65"],
        &["demo", "--workers", "many"],
        &["demo", "--kills-per-second", "51"],
        &["demo", "--kills-per-second", "-1"],
        &["demo", "--kills-per-second", "NaN"],
        &["demo", "--kills-per-second", "inf"],
        &["demo", "--unknown"],
        &["demo", "--json"],
    ];
    for args in bad {
        let output = coheap(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
        assert!(!output.stderr.is_empty(), "{args:?}: not a word");
        assert!(output.stdout.is_empty(), "{args:?}: {}", said(&output));
    }
    let output = coheap(&["demo"]).arg(scene.texts()).args(["--json", missing]).arg("/x").output();
    assert_eq!(output.unwrap().status.code(), Some(2));
    let unwritable = scene.texts().join("no/such/folder.json");
    let output = coheap(&["demo"]).arg(scene.texts()).arg("--json").arg(unwritable).output();
    assert_eq!(output.unwrap().status.code(), Some(2));
}

/// A run on so much text that a test has time to do something to it.
fn long_run(scene: &Scene) -> (Child, Vec<u32>) {
    let mut random = Random::new();
    let text = random.text(4 << 20);
    for number in 0..12 {
        scene.write(format!("{number}.txt"), &text);
    }
    let mut command = scene.demo(&["--workers", "3", "--kills-per-second", "0"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let workers =
        wait_for("three workers", || Some(workers_of(&child)).filter(|workers| workers.len() == 3));
    (child, workers)
}

fn wait_until_gone(workers: &[u32], within: Duration) {
    let started = Instant::now();
    wait_for("the workers' end", || {
        workers.iter().all(|worker| !scene::is_worker(*worker)).then_some(())
    });
    assert!(started.elapsed() < within, "workers were there for {:?}", started.elapsed());
}

/// Goal: Ctrl-C ends everything within a second.
/// Method: the workers are stopped first, with whatever they hold, so that the run cannot end by
/// itself, no worker can leave by itself, and the program itself may be waiting for one of them.
#[test]
fn after_an_interrupt_no_worker_is_left_and_the_status_is_130() {
    let scene = Scene::new("interrupt");
    let (mut child, workers) = long_run(&scene);
    workers.iter().for_each(|worker| send("-STOP", *worker));
    let started = Instant::now();
    send("-INT", child.id());
    let status = wait_for("the end of the program", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(130), "{status}");
    wait_until_gone(&workers, Duration::from_secs(1));
    assert!(started.elapsed() < Duration::from_secs(2), "took {:?}", started.elapsed());
    assert!(!scene.json().exists(), "a file for figures that there are none of");
}

#[test]
fn workers_leave_when_the_process_that_started_them_is_killed() {
    let scene = Scene::new("orphans");
    let (mut child, workers) = long_run(&scene);
    send("-KILL", child.id());
    child.wait().unwrap();
    wait_until_gone(&workers, Duration::from_secs(2));
}

#[test]
fn a_worker_that_somebody_else_kills_is_replaced_and_nothing_is_lost() {
    let scene = Scene::new("others");
    let (child, workers) = long_run(&scene);
    send("-KILL", workers[1]);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let json = scene.read_json();
    assert_eq!(figure(&json, "killed_by_others"), 1);
    let text = std::fs::read_to_string(scene.texts().join("0.txt")).unwrap();
    let expected = plain_count([text.as_str()]);
    assert!(counts(&json).iter().all(|(word, count)| expected[word] * 12 == *count));
}

/// Goal: with `--python` the program becomes the Python beside it, which gets the same request.
/// Method: the program in a folder of its own, and beside it, as `python3`, a program that says
/// what it was started with.
#[test]
fn with_python_the_interpreter_beside_the_program_gets_the_same_request() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("beside-{}", process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let program = folder.join("coheap");
    // A link in the same file system, because nobody may run a file that is being written.
    std::fs::hard_link(env!("CARGO_BIN_EXE_coheap"), &program).unwrap();
    symlink("/bin/echo", folder.join("python3")).unwrap();
    let run = |args: &[&str]| Command::new(&program).args(args).output().unwrap();
    let request = ["demo", "a b", "--python", "--workers", "3", "--json=-f", "--", "--compare"];
    let output = run(&request);
    let first = String::from_utf8_lossy(&output.stdout).into_owned();
    let output = run(&["demo", "--python", "--compare", "--kills-per-second", "0.5"]);
    let second = String::from_utf8_lossy(&output.stdout).into_owned();
    let started = run(&["demo", "--python", "--start-method", "spawn"]);
    let refused = run(&["demo", "--python", "--workers", "65"]);
    let unasked = run(&["demo", "--start-method", "spawn"]);
    std::fs::remove_file(folder.join("python3")).unwrap();
    symlink("/bin/false", folder.join("python3")).unwrap();
    let failed = run(&["demo", "--python"]);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(
        first,
        "-P -m coheap demo --kills-per-second=5 --workers=3 --json=-f -- a b --compare\n"
    );
    assert_eq!(second, "-P -m coheap demo --kills-per-second=0.5 --compare --\n");
    assert_eq!(
        String::from_utf8_lossy(&started.stdout),
        "-P -m coheap demo --kills-per-second=5 --start-method=spawn --\n"
    );
    for refused in [refused, unasked] {
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0));
    }
    assert_eq!(failed.status.code(), Some(1), "the status is not Python's own");
}

#[test]
fn without_any_python_it_is_told_what_is_needed() {
    let output = coheap(&["demo", "--python"]).env("PATH", "/nowhere").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("--python needs Python 3.11 or later with the package coheap"), "{told}");
}

#[cfg(not(feature = "compare"))]
#[test]
fn a_comparison_that_was_not_built_is_refused_and_says_how_to_build_it() {
    let output = coheap(&["demo", "--compare"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--features compare"));
}

#[cfg(feature = "compare")]
#[test]
fn the_comparison_counts_the_same_and_gives_both_times() {
    let scene = Scene::new("compare");
    let text = Random::new().text(1 << 20);
    scene.write("a.txt", &text);
    scene.write("long.txt", format!("{0}a {0}b {0}b", "x".repeat(600)));
    let json = scene.run(&["--compare"]);
    assert!(json["figures"]["lmdb_seconds"].as_f64().unwrap() > 0.0);
    assert!(json["figures"]["lmdb_ratio"].as_f64().unwrap() > 0.0);
}
