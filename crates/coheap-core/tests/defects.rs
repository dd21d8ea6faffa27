//! The tests are tested: every planted defect must make one of them fail.
//!
//! The engine has places where a known mistake can be switched on (`defect(Mistake::...)`, feature
//! `defects`). For each mistake found in the source, the other test programs run with it switched
//! on until a test of one fails; where `FIRST` names a test, that one runs before them. None of them
//! knows of the defects. A mistake that nothing catches fails here.
//!
//! What always holds: a program is stopped at its first failing test, with all its children, for
//! behind a defect that was seen others may wait for ever.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The name of the tests that stand beside the code.
const LIBRARY: &str = "coheap_core";
/// The programs: those that take less time come first, but where a defect makes everybody wait
/// for ever, `life` notices and `endings` does not.
const PROGRAMS: [&str; 20] = [
    LIBRARY,
    "model",
    "bounded",
    "order",
    "moment",
    "readers",
    "transaction",
    "life",
    "endings",
    "bad_input",
    "exhaustion",
    "history",
    "crash",
    "torture",
    "parking",
    "removal",
    "temporary",
    "stopped",
    "signals",
    "long_values",
];
/// Mistakes after which many programs would run for long, or for ever, and the test that soon sees
/// each: mistake, program, test.
const FIRST: [(&str, &str, &str); 27] = [
    ("RingNobodyAtRemoval", "removal", "a_removal_rings_everybody"),
    ("TakeAnyGeneration", "parking", "locks::the_lock_of_a_successor_is_not_taken"),
    ("SleepHoldingTurn", "stopped", "who_waits_for_room_does_not_keep_the_object"),
    ("OfferForEver", "parking", "locks::an_offer_to_nobody_lapses"),
    ("LeaveOfferBehind", "parking", "locks::who_leaves_accepts_its_offer"),
    ("LowerWithoutLook", "parking", "order::who_comes_while_a_want_bit_comes_down_is_rung"),
    ("WantAfterLook", "stopped", "who_looks_has_said_that_it_waits"),
    ("KeepRing", "parking", "order::who_leaves_passes_its_ring_on"),
    ("CountFutileRing", "parking", "order::rings_follow_the_order_of_a_plain_list"),
    ("RingOnlySleepers", "parking", "remains::recovery_rings_everybody_who_waits"),
    ("ChildIsWaiter", "parking", "remains::a_forked_child_leaves_the_waits_of_its_parent_alone"),
    ("KeepWatch", "life", "locks::who_stops_watching_a_lock_rings_the_next"),
    ("BeginAnewAfterSignal", "signals", "a_deadlock_is_found"),
    ("UnreadableIsDeath", "life", "descriptors::a_judge_without_descriptors_robs_nobody"),
    ("FreeSlotWithRows", "exhaustion", "rows::orphans_end_with_their_process"),
    ("RecordAfterLeaving", "life", "leaving::who_has_left_gets_no_lease"),
    (
        "BelieveOpenRemoval",
        LIBRARY,
        "objects::ledger::tests::what_is_given_back_beside_an_undone_removal_comes_back",
    ),
    ("BequeathUnseen", "removal", "a_fork_passes_over_a_record_that_has_changed"),
    (
        "ReuseWhatIsRead",
        "long_values",
        "beside::a_get_beside_a_set_of_the_same_value_ends_with_a_whole_one",
    ),
    ("KeepHoleNumbers", "order", "a_large_map_keeps_its_order_whatever_is_removed"),
    ("LeaveNoTrail", "moment", "a_copy_is_one_moment_beside_writers_that_are_killed"),
    ("ForgetPins", "long_values", "pinned::what_is_pinned_stays_whatever_becomes_of_its_value"),
    (
        "PublishWithdrawn",
        LIBRARY,
        "allocator::span::grow::tests::pages_that_were_given_back_are_asked_for_again",
    ),
    ("WithdrawPublished", LIBRARY, "allocator::span::grow::tests::published_pages_stay"),
    (
        "HandOutHole",
        LIBRARY,
        "allocator::span::grow::tests::a_hole_has_its_pages_before_it_is_free",
    ),
    ("KeepUnrealOfDead", "endings", "a_death_while_pages_come_or_go_leaves_none_behind"),
    ("KeepTemporaryOfDead", "temporary", "a_temporary_heap_of_the_dead_is_fresh_at_the_next_open"),
];
/// Fewest defects that must be planted.
const LEAST: usize = 56;
/// Defects that are judged at the same time.
const AT_ONCE: usize = 2;
/// A program that takes longer hangs, which is a failure as well.
const LONGEST: Duration = Duration::from_secs(300);

fn planted(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            planted(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            for rest in text.split("defect(Mistake::").skip(1) {
                found
                    .extend(rest.split(')').next().map(str::to_owned).filter(|name| name != "..."));
            }
        }
    }
}

/// Builds the test programs with the features on, and says where they are.
fn build() -> Vec<(String, PathBuf)> {
    let output = Command::new(env!("CARGO"))
        .args(["test", "--no-run", "--message-format=json", "--package", "coheap-core"])
        .args(["--features", "failpoints,defects"])
        .args(PROGRAMS.iter().filter(|it| **it != LIBRARY).flat_map(|it| ["--test", it]))
        .arg("--lib")
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

/// A program that runs, in a process group and a folder of its own.
struct Run {
    program: Child,
    folder: PathBuf,
}

impl Run {
    /// Runs one test of a program, or all.
    fn new(program: &Path, defect: &str, test: Option<&str>) -> Self {
        let folder =
            PathBuf::from(format!("/dev/shm/coheap-defect-{}-{defect}", std::process::id()));
        std::fs::create_dir(&folder).expect("a new folder");
        let program = Command::new(program)
            .env("COHEAP_DEFECT", defect)
            .env("COHEAP_TEST_FOLDER", &folder)
            .args(test.iter().flat_map(|test| ["--exact", test]))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("the test program starts");
        Self { program, folder }
    }

    /// What fails first, `None` if nothing does.
    fn failure(&mut self) -> Option<String> {
        let lines = BufReader::new(self.program.stdout.take().expect("a pipe")).lines();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).try_for_each(|line| tell.send(line))
        });
        let deadline = Instant::now() + LONGEST;
        loop {
            match told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    assert_ne!(line, "running 0 tests", "there is no test of this name");
                    let test =
                        line.strip_prefix("test ").and_then(|t| t.strip_suffix(" ... FAILED"));
                    if let Some(test) = test {
                        return Some(test.to_owned());
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Some("no end".to_owned()),
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.program.wait().expect("a child to wait for");
                    return (!status.success()).then(|| status.to_string());
                }
            }
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // SAFETY: a plain system call; the group is the program's own, whose leader is not reaped
        // yet or left nobody behind.
        unsafe { libc::kill(-(self.program.id() as i32), libc::SIGKILL) };
        let _ = self.program.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The program and the test that catch a defect, `None` if nothing does.
fn caught(programs: &[(String, PathBuf)], defect: &str) -> Option<String> {
    let run = |name: &str, program: &Path, test: Option<&str>| {
        let failed = Run::new(program, defect, test).failure()?;
        Some(format!("{name}, {failed}"))
    };
    let first = FIRST.iter().filter(|(mistake, ..)| *mistake == defect);
    let mut first = first.filter_map(|(_, name, test)| {
        let (_, program) = programs.iter().find(|(program, _)| program == name)?;
        run(name, program, Some(test))
    });
    first.next().or_else(|| programs.iter().find_map(|(name, program)| run(name, program, None)))
}

/// Goal: every planted defect is caught. That nothing fails without one, the programs say by
/// themselves.
/// Method: run the programs one after the other for each mistake until a test fails.
#[test]
fn every_planted_defect_is_caught() {
    let mut mistakes = BTreeSet::new();
    planted(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut mistakes);
    assert!(mistakes.len() >= LEAST, "{} defects are planted, {LEAST} at least", mistakes.len());
    for (mistake, program, _) in FIRST {
        assert!(mistakes.contains(mistake) && PROGRAMS.contains(&program), "{mistake}, {program}");
    }
    let programs = build();
    assert_eq!(programs.len(), PROGRAMS.len(), "a test program is missing");
    if let Ok(chosen) = std::env::var("DEFECT") {
        assert!(
            mistakes.contains(&chosen),
            "there is no defect {chosen:?}; there are {mistakes:?}"
        );
        mistakes.retain(|mistake| *mistake == chosen);
    }
    let left = Mutex::new(mistakes);
    let missed = Mutex::new(BTreeSet::new());
    let next = || left.lock().expect("no panic").pop_first();
    let judge = || {
        while let Some(mistake) = next() {
            let begun = Instant::now();
            let by = caught(&programs, &mistake);
            let seconds = begun.elapsed().as_secs_f32();
            println!("{mistake}: {seconds:.1} s, {}", by.as_deref().unwrap_or("NOT CAUGHT"));
            if by.is_none() {
                missed.lock().expect("no panic").insert(mistake);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(judge);
        }
    });
    let missed = missed.into_inner().expect("no panic");
    assert!(missed.is_empty(), "nothing catches the defects {missed:?}");
}
