//! `coheap run` as its users meet it: the real program, real commands, real kills.
//!
//! What always holds: each test has a name of its own, whose file goes with it; commands that a test
//! started end with it.
//! Not here: how a name is held, whatever dies and whoever attacks (`coheap-core/tests/claim`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod scene;

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use coheap::SingleInstance;
use scene::{Random, Scene, coheap, said, send, wait_for};
use serde_json::Value;

const ALREADY_RUNNING: Option<i32> = Some(75);

/// A name that no other test has.
struct Name(String);

impl Name {
    fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        Self(format!("test-{}-{number}", std::process::id()))
    }

    /// `coheap run --single` for the name, with more arguments.
    fn run(&self, args: &[&str]) -> Command {
        coheap(&[&["run", "--single", &self.0], args].concat())
    }

    fn try_run(&self, args: &[&str]) -> Output {
        self.run(args).output().unwrap()
    }

    /// A command that holds the name until it is ended.
    fn hold(&self) -> Running {
        self.hold_by(&["--", "sleep", "60"])
    }

    fn hold_by(&self, args: &[&str]) -> Running {
        let running = Running(self.run(args).stderr(Stdio::piped()).spawn().unwrap());
        wait_for("a holder", || self.holder().filter(|pid| *pid == running.0.id()));
        running
    }

    /// The process that holds the name, or a slot of it.
    fn holder(&self) -> Option<u32> {
        let found = list().into_iter().find(|held| held["name"] == self.0.as_str())?;
        found["pid"].as_u64().map(|pid| pid as u32)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        for folder in fs::read_dir("/dev/shm").unwrap().flatten() {
            let is_ours = folder.file_name().to_string_lossy().starts_with("coheap-");
            for file in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                let name = file.file_name().to_string_lossy().into_owned();
                if is_ours
                    && [".", "_"].iter().any(|end| name.starts_with(&format!("{}{end}", self.0)))
                {
                    let _ = fs::remove_file(file.path());
                }
            }
        }
    }
}

/// A command that ends with the test.
struct Running(Child);

impl Running {
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn list() -> Vec<Value> {
    let output = coheap(&["run", "--list", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_status_is_that_of_the_command() {
    let name = Name::new();
    for status in [0, 1, 75, 255] {
        let done = name.try_run(&["--", "sh", "-c", &format!("echo out; exit {status}")]);
        assert_eq!((done.status.code(), done.stdout.as_slice()), (Some(status), &b"out\n"[..]));
    }
    let killed = name.try_run(&["--", "sh", "-c", "kill -9 $$"]);
    assert_eq!(killed.status.signal(), Some(9));
    let missing = name.try_run(&["--", "no-such-program"]);
    assert_eq!(missing.status.code(), Some(127), "{}", said(&missing));
    assert!(errors(&missing).starts_with("coheap: cannot run no-such-program: "));
    let folder = name.try_run(&["--", "/etc"]);
    assert_eq!(folder.status.code(), Some(126), "{}", said(&folder));
}

#[test]
fn a_second_one_is_refused_with_75_and_told_who_runs() {
    let name = Name::new();
    let mut holder = name.hold();
    let second = name.try_run(&["--", "echo", "ran"]);
    assert_eq!((second.status.code(), second.stdout.len()), (ALREADY_RUNNING, 0));
    let text = errors(&second);
    let begin =
        format!("coheap: `{}` is already running: process {} of user ", name.0, holder.0.id());
    assert!(
        text.starts_with(&begin)
            && text.contains("(sleep 60), for ")
            && text.contains("; nothing was run"),
        "{text}"
    );
    let quiet = name.try_run(&["--quiet", "--", "echo", "ran"]);
    assert_eq!(
        (quiet.status.code(), said(&quiet).len()),
        (ALREADY_RUNNING, "exit status: 75\n".len())
    );
    holder.kill();
    assert_eq!(name.try_run(&["--", "true"]).status.code(), Some(0));
}

/// Goal: the place of a lock depends on no variable, folder or session: cron has none of them.
#[test]
fn an_empty_environment_makes_no_second_place() {
    let name = Name::new();
    let _holder = name.hold();
    let mut bare = Command::new("setsid");
    bare.arg("--wait").arg(env!("CARGO_BIN_EXE_coheap")).env_clear().current_dir("/");
    let second = bare.args(["run", "--single", &name.0, "--", "/bin/true"]).output().unwrap();
    assert_eq!(second.status.code(), ALREADY_RUNNING, "{}", said(&second));
}

#[test]
fn a_wait_ends_with_the_holder_or_in_time() {
    let name = Name::new();
    let mut holder = name.hold();
    let begin = Instant::now();
    let late = name.try_run(&["--wait", "0.3", "--", "true"]);
    assert_eq!(late.status.code(), ALREADY_RUNNING, "{}", said(&late));
    assert!(begin.elapsed() >= Duration::from_millis(300));
    let waiting: Vec<_> = ["--wait", "--wait=50"]
        .iter()
        .map(|wait| name.run(&[wait, "--", "true"]).spawn().unwrap())
        .collect();
    holder.kill();
    for mut child in waiting {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_signal_reaches_the_command_itself() {
    let name = Name::new();
    let script = "trap 'echo heard; exit 7' TERM; echo ready; while :; do sleep 0.01; done";
    let child = name.run(&["--", "sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    wait_for("the holder", || name.holder());
    let trapped = format!("/proc/{}/status", child.id());
    wait_for("the trap", || {
        let text = fs::read_to_string(&trapped).unwrap();
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
        (u64::from_str_radix(caught, 16).unwrap() & (1 << 14) != 0).then_some(())
    });
    send("-TERM", child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(output.stdout, b"ready\nheard\n");
}

#[test]
fn a_replaced_holder_is_ended_politely_and_killed_if_it_does_not_listen() {
    let name = Name::new();
    let mut polite = name.hold();
    let done = name.try_run(&["--replace", "--grace", "60", "--", "echo", "new"]);
    assert_eq!((done.status.code(), done.stdout.as_slice()), (Some(0), &b"new\n"[..]));
    assert_eq!(polite.0.wait().unwrap().signal(), Some(15));

    let mut deaf = name.hold_by(&["--", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]);
    let ignored = format!("/proc/{}/status", deaf.0.id());
    wait_for("it is deaf", || {
        let text = fs::read_to_string(&ignored).unwrap();
        let mask = text.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
        (u64::from_str_radix(mask, 16).unwrap() & (1 << 14) != 0).then_some(())
    });
    let begin = Instant::now();
    let done = name.try_run(&["--replace", "--grace", "0.3", "--", "echo", "new"]);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert!(begin.elapsed() >= Duration::from_millis(300), "it had no grace");
    assert_eq!(deaf.0.wait().unwrap().signal(), Some(9));

    // One that is stopped cannot be polite before it goes on.
    let mut stopped = name.hold();
    send("-STOP", stopped.0.id());
    let done = name.try_run(&["--replace", "--grace", "60", "--", "echo", "new"]);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert_eq!(stopped.0.wait().unwrap().signal(), Some(15));
    // With nobody there, it is a start like any other.
    assert_eq!(name.try_run(&["--replace", "--", "true"]).status.code(), Some(0));
}

/// Goal: of several slots, the one that was held longest is replaced, whatever its number.
#[test]
fn of_all_slots_the_oldest_is_replaced() {
    let name = Name::new();
    let slots = format!("{}=2", name.0);
    let run = |args: &[&str]| coheap(&[&["run", "--slots", &slots], args].concat());
    let start = |args: &[&str]| {
        let running = Running(run(args).spawn().unwrap());
        let pid = running.0.id();
        wait_for("a slot", || list().into_iter().find(|held| held["pid"] == pid));
        running
    };
    let mut holders = vec![start(&["--", "sleep", "60"]), start(&["--", "sleep", "60"])];
    for _ in 0..3 {
        let next = start(&["--replace", "--grace", "60", "--", "sleep", "60"]);
        assert_eq!(holders.remove(0).0.wait().unwrap().signal(), Some(15));
        holders.push(next);
    }
    holders[0].kill();
    // With a free slot nobody is ended.
    let done = run(&["--replace", "--", "true"]).output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert_eq!(holders[1].0.try_wait().unwrap(), None);
}

#[test]
fn what_a_command_leaves_in_the_background_does_not_hold_the_name() {
    let name = Name::new();
    let script = "sleep 60 >/dev/null 2>&1 & echo $!";
    let done = name.try_run(&["--", "sh", "-c", script]);
    let left: u32 = String::from_utf8_lossy(&done.stdout).trim().parse().unwrap();
    let next = name.try_run(&["--", "true"]);
    // Neither with a new file.
    drop(Name(name.0.clone()));
    let again = name.try_run(&["--", "true"]);
    send("-KILL", left);
    assert_eq!((next.status.code(), again.status.code()), (Some(0), Some(0)));
}

#[test]
fn slots_run_as_many_as_there_are_and_number_them() {
    let name = Name::new();
    let slots = format!("{}=2", name.0);
    let run = |args: &[&str]| coheap(&[&["run", "--slots", &slots], args].concat());
    let script = "echo $COHEAP_SLOT; exec sleep 60";
    let mut holders: Vec<_> = (0..2)
        .map(|number| {
            let mut command = run(&["--", "sh", "-c", script]);
            let running = Running(command.stdout(Stdio::piped()).spawn().unwrap());
            wait_for("a slot", || {
                let held = list().into_iter().filter(|held| held["name"] == name.0.as_str());
                (held.count() == number + 1).then_some(())
            });
            running
        })
        .collect();
    let third = run(&["--", "true"]).output().unwrap();
    assert_eq!(third.status.code(), ALREADY_RUNNING);
    assert!(errors(&third).starts_with(&format!("coheap: all 2 slots of `{}` are taken", name.0)));
    let other =
        coheap(&["run", "--slots", &format!("{}=3", name.0), "--", "true"]).output().unwrap();
    assert_eq!(other.status.code(), Some(1), "{}", said(&other));
    assert!(errors(&other).contains("has 2 slots in use by others, not 3"), "{}", said(&other));
    holders[0].kill();
    let again = run(&["--", "sh", "-c", "echo $COHEAP_SLOT"]).output().unwrap();
    assert_eq!(again.stdout, b"0\n");
    let Running(second) = &mut holders[1];
    second.kill().unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(second.stdout.as_mut().unwrap(), &mut text).unwrap();
    assert_eq!(text, "1\n");
    // Without slots there is no number, though the caller has one.
    let mut bare = name.run(&["--", "sh", "-c", "echo ${COHEAP_SLOT-none}"]);
    assert_eq!(bare.env("COHEAP_SLOT", "5").output().unwrap().stdout, b"none\n");
}

#[test]
fn the_list_shows_who_holds_what_and_lets_nobody_paint_the_terminal() {
    let name = Name::new();
    let holder = name.hold_by(&["--", "sh", "-c", "exec sleep 60 # \u{1b}[2J"]);
    let evil = SingleInstance::acquire(&format!("{}.\u{1b}[31m", name.0)).unwrap();
    let held = list().into_iter().find(|held| held["name"] == name.0.as_str()).unwrap();
    assert_eq!(held["pid"], holder.0.id());
    assert_eq!((&held["scope"], &held["slot"]), (&Value::from("user"), &Value::Null));
    assert!(held["since"].as_f64().unwrap() > 1.7e9);
    assert!(held["command"][0] == "sleep" || held["command"][0] == "sh");
    let table = coheap(&["run", "--list"]).output().unwrap();
    let text = String::from_utf8(table.stdout).unwrap();
    assert!(text.lines().next().unwrap().starts_with("NAME"), "{text}");
    assert!(text.lines().any(|line| line.starts_with(&name.0)), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    drop(evil);
}

#[test]
fn the_answer_of_the_holder_is_the_status() {
    let name = Name::new();
    let holder = SingleInstance::builder(&name.0)
        .on_second(|arguments, folder| {
            let is_right =
                arguments == ["edit", "a file"] && folder == std::path::Path::new("/usr");
            if is_right { 42 } else { 1 }
        })
        .acquire()
        .unwrap();
    let mut second = name.run(&["--", "edit", "a file"]);
    let second = second.current_dir("/usr").output().unwrap();
    assert_eq!(second.status.code(), Some(42), "{}", said(&second));
    drop(holder);
    assert_eq!(name.try_run(&["--", "true"]).status.code(), Some(0));
}

#[test]
fn arguments_that_make_no_sense_are_refused_with_status_2() {
    let bad: [(&[&str], &str); 14] = [
        (&[], "--single"),
        (&["--", "true"], "--single"),
        (&["--single", "x"], "COMMAND"),
        (&["--single", "x", "--"], "COMMAND"),
        (&["--single", "x", "--", ""], "is empty"),
        (&["--single", "", "--", "true"], "the name is empty"),
        (&["--single", &"x".repeat(256), "--", "true"], "longer than 255 bytes"),
        (&["--single", "x", "--wait", "-1", "--", "true"], "not a number of seconds"),
        (&["--single", "x", "--wait", "soon", "--", "true"], "not a number of seconds"),
        (
            &["--single", "x", "--replace", "--grace", "-0.1", "--", "true"],
            "not a number of seconds",
        ),
        (&["--slots", "x=0", "--", "true"], "gpu=2"),
        (&["--slots", "x=5000", "--", "true"], "from 1 to 4096"),
        (&["--single", "x", "--frob", "--", "true"], "--frob"),
        (&["--single", "x", "--slots", "y=1", "--", "true"], "cannot be used with"),
    ];
    for (args, what) in bad {
        let done = coheap(&[&["run"], args].concat()).output().unwrap();
        assert_eq!(done.status.code(), Some(2), "{args:?}: {}", said(&done));
        assert!(errors(&done).contains(what), "{args:?}: {}", said(&done));
    }
    let latin = std::ffi::OsStr::new("x");
    let done =
        coheap(&["run", "--single"]).arg(latin).args(["--json", "--", "true"]).output().unwrap();
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
}

#[test]
fn the_help_has_a_line_for_each_command_and_no_colours_in_a_pipe() {
    let help = coheap(&["--help"]).output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    assert_eq!(help.status.code(), Some(0));
    for command in ["run", "demo", "completions"] {
        let is_line = |line: &&str| line.trim_start().starts_with(&format!("{command} "));
        assert_eq!(text.lines().filter(is_line).count(), 1, "{text}");
        let more = coheap(&[command, "--help"]).output().unwrap();
        assert_eq!(more.status.code(), Some(0));
        assert!(more.stdout.len() > 200 && !more.stdout.contains(&0x1b));
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 100 && !line.contains('\u{1b}')),
        "{text}"
    );
    let version = coheap(&["--version"]).output().unwrap();
    assert_eq!(version.stdout, format!("coheap {}\n", env!("CARGO_PKG_VERSION")).as_bytes());
    let unknown = coheap(&["rnu"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(errors(&unknown).contains("'rnu'"), "{}", said(&unknown));
}

/// Goal: the completions are those of the program, and the shell takes them.
#[test]
fn a_shell_completes_the_options() {
    let bash = coheap(&["completions", "bash"]).output().unwrap();
    let script = format!(
        "{}\nCOMP_WORDS=(coheap run --sin); COMP_CWORD=2; _coheap coheap --sin run\n\
         echo \"${{COMPREPLY[@]}}\"",
        String::from_utf8(bash.stdout).unwrap()
    );
    let done = Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
    assert_eq!(done.stdout, b"--single\n", "{}", said(&done));
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let text = coheap(&["completions", shell]).output().unwrap();
        assert!(String::from_utf8(text.stdout).unwrap().contains("single"), "{shell}");
    }
}

#[test]
fn of_fifty_programs_that_start_at_once_exactly_one_runs() {
    storm(4);
}

#[test]
#[ignore = "a thousand rounds of fifty programs; `make torture` runs them"]
fn of_fifty_programs_that_start_at_once_exactly_one_runs_a_thousand_times() {
    storm(1000);
}

/// Goal: as the storm of `coheap-core/tests/claim`, with whole programs and their start-up.
/// Method: fifty are started; the one that runs appends its process id to a file and stays. It is
/// killed at a random moment, so that one that is still starting may run after it. Each that ran has
/// to be dead before the next one began, and in the end a new start must win.
fn storm(rounds: u32) {
    const CROWD: usize = 50;
    let (name, scene, mut random) = (Name::new(), Scene::new("storm"), Random::new());
    let (mut took, mut alone) = (Vec::new(), Duration::MAX);
    for round in 0..rounds {
        let record = scene.write(format!("{round}"), "");
        let script = format!("echo $$ >> {}; exec sleep 600", record.display());
        let ran = || -> Vec<u32> {
            let text = fs::read_to_string(&record).unwrap();
            text.lines().map(|line| line.parse().unwrap()).collect()
        };
        let start = || name.run(&["--quiet", "--", "sh", "-c", &script]).spawn().unwrap();
        let mut crowd: Vec<_> = (0..CROWD).map(|_| start()).collect();
        wait_for("one that runs", || ran().first().copied());
        std::thread::sleep(Duration::from_micros(random.below(20_000)));
        let mut dead = 0;
        loop {
            let refused = crowd
                .iter_mut()
                .filter_map(|child| child.try_wait().unwrap())
                .filter(|status| status.code() == ALREADY_RUNNING)
                .count();
            let all = ran();
            assert!(all.len() <= dead + 1, "round {round}: {all:?} at once");
            if all.len() > dead {
                let child = crowd.iter_mut().find(|child| child.id() == all[dead]).unwrap();
                assert!(child.try_wait().unwrap().is_none(), "round {round}: it had ended");
                dead += 1;
                child.kill().unwrap();
                child.wait().unwrap();
            }
            if refused + dead == CROWD {
                break;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        let take = || {
            let begin = Instant::now();
            let done = name.try_run(&["--", "true"]);
            assert_eq!(done.status.code(), Some(0), "round {round}: none runs, {}", said(&done));
            begin.elapsed()
        };
        took.push(take());
        alone = alone.min(take());
        fs::remove_file(record).unwrap();
    }
    // What else the machine does may make single starts late; what a start waits for would all.
    let late = took.iter().filter(|took| **took > Duration::from_millis(50) + 10 * alone).count();
    took.sort();
    eprintln!(
        "{rounds} rounds of {CROWD}: never two, never none; the next start, from its beginning to \
         its end, took {:?} in the median, {:?} at worst, {late} late; {alone:?} at best",
        took[took.len() / 2],
        took[took.len() - 1]
    );
    assert!(late <= 1 + took.len() / 100, "{late} of {rounds} were late: {took:?}");
}
