//! The tests are tested: every planted defect must make one of them fail.
//!
//! The engine has places where a known mistake can be switched on (`defect(n)`, feature
//! `defects`). For each number found in the source, the other test programs run with it switched
//! on until one fails. None of them knows of the defects. A number that nothing catches fails here.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The programs, cheapest first.
const PROGRAMS: [&str; 10] = [
    "model",
    "transaction",
    "endings",
    "bad_input",
    "life",
    "exhaustion",
    "steps",
    "history",
    "crash",
    "torture",
];
/// Fewest defects that must be planted.
const LEAST: usize = 20;
/// A program that takes longer hangs, which is a failure as well.
const LONGEST: Duration = Duration::from_secs(300);

fn planted(folder: &Path, found: &mut BTreeSet<u32>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            planted(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            for rest in text.split("defect(").skip(1) {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                found.extend(digits.parse::<u32>());
            }
        }
    }
}

/// Builds the test programs with the features on, and says where they are.
fn build() -> Vec<(String, PathBuf)> {
    let output = Command::new(env!("CARGO"))
        .args(["test", "--no-run", "--message-format=json", "--package", "coheap-core"])
        .args(["--features", "failpoints,defects", "--tests"])
        .stderr(Stdio::null())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the test programs do not build with the defects");
    let text = String::from_utf8(output.stdout).expect("cargo speaks UTF-8");
    let mut programs: Vec<(String, PathBuf)> = text
        .lines()
        .filter_map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            let name = message["target"]["name"].as_str()?.to_owned();
            let program = message["executable"].as_str()?;
            Some((name, PathBuf::from(program)))
        })
        .collect();
    let rank = |name: &str| PROGRAMS.iter().position(|program| *program == name);
    programs.retain(|(name, _)| rank(name).is_some());
    programs.sort_by_key(|(name, _)| rank(name));
    programs
}

/// Whether a program fails, or hangs, with a defect switched on.
fn fails(program: &Path, defect: u32) -> bool {
    let mut child = Command::new(program)
        .env("COHEAP_DEFECT", defect.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("the test program starts");
    let deadline = Instant::now() + LONGEST;
    loop {
        if let Some(status) = child.try_wait().expect("a child to wait for") {
            return !status.success();
        }
        if Instant::now() > deadline {
            // SAFETY: a plain system call; the group is the child's own.
            unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
            child.wait().expect("a child to wait for");
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Goal: every planted defect is caught, and without a defect nothing fails.
/// Method: run the programs one after the other for each number until one fails.
#[test]
#[ignore = "takes minutes, and not all numbers were judged yet: make crash runs it"]
fn every_planted_defect_is_caught() {
    let mut numbers = BTreeSet::new();
    planted(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut numbers);
    assert!(numbers.len() >= LEAST, "{} defects are planted, {LEAST} at least", numbers.len());
    let programs = build();
    assert!(!programs.is_empty(), "there is no test program to catch a defect");
    let chosen: Option<u32> = std::env::var("DEFECT").ok().and_then(|text| text.parse().ok());
    let mut missed = Vec::new();
    for number in numbers.into_iter().filter(|number| chosen.is_none_or(|chosen| chosen == *number))
    {
        let begun = Instant::now();
        let caught = programs.iter().find(|(_, program)| fails(program, number));
        let seconds = begun.elapsed().as_secs_f32();
        match caught {
            Some((name, _)) => println!("defect {number}: caught by {name} after {seconds:.1} s"),
            None => {
                println!("defect {number}: NOT CAUGHT, {seconds:.1} s");
                missed.push(number);
            }
        }
    }
    assert!(missed.is_empty(), "nothing catches the defects {missed:?}");
}
