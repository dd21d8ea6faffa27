//! One heap from its creation to its end: the conductor, which starts, stops, kills and reaps.
//!
//! The conductor is a member of the heap that only forks while others work. What ended is reaped by it
//! alone; orphans become its children.
//!
//! What always holds: who is killed is marked in the books before; a process id is used only while its
//! process was not reaped. After a finding, nobody touches the heap any more but to copy it.

use std::mem::offset_of;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use coheap_core::heap::{Heap, Options};
use coheap_core::memory::layout::Header;

use crate::books::{Books, Count, State};
use crate::settings::{Class, Settings};
use crate::site::{Inherited, Place, Site};
use crate::support::child::{self, PANICKED, signal, state_of};
use crate::support::random::Random;

/// How long the processes of a round may take to end, once they are told.
const PATIENCE: Duration = Duration::from_secs(30);
/// Exit status of an alarm that nobody answered.
const HUNG: i32 = libc::SIGALRM;

/// What the conductor of a heap needs.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) settings: Settings,
    pub(crate) books: Books,
    pub(crate) folder: PathBuf,
    pub(crate) seed: u64,
}

impl Scene {
    /// Makes a heap and runs some rounds in it. The answer is the exit status.
    pub(crate) fn conduct(&self, dice: &mut Random) -> i32 {
        adopt_orphans();
        hear_signals();
        let max_bytes = (256 << 10) + dice.below((2 << 20) - (256 << 10));
        let (heap, place) = match dice.one_in(2) {
            true => {
                let heap = Heap::anonymous(max_bytes).expect("a heap");
                let address = heap.address().expect("an address");
                (heap, Place::At(address))
            }
            false => {
                let options = Options {
                    folder: Some(self.folder.clone()),
                    max_bytes: Some(max_bytes),
                    temporary: true,
                    ..Options::new("churn")
                };
                (Heap::open(&options).expect("a heap with a name"), Place::Named(options))
            }
        };
        let rounds = 1 + dice.below(3);
        for round in 1..=rounds {
            self.books.clear();
            self.round(&heap, &place, dice);
            self.audit(&heap, &place, dice, round == rounds);
            if round == rounds && !self.books.has_finding() {
                crate::audit::last_look(&heap).inspect(|what| self.books.find(what));
            }
            if let Some(what) = self.books.finding() {
                let copy = self.keep(&heap);
                let of = format!("round {round} of {rounds}, {max_bytes} bytes, {place:?}");
                self.books.extend(&format!("{what}; {of}; the heap is kept in {copy}"));
                return crate::FOUND;
            }
        }
        if let Err(error) = heap.close() {
            self.books.find(&format!("the last member leaves: {error}"));
            return crate::FOUND;
        }
        self.look_at_folder()
    }

    /// A temporary heap takes its files with it.
    fn look_at_folder(&self) -> i32 {
        let left: Vec<_> = std::fs::read_dir(&self.folder)
            .map(|files| files.flatten().map(|file| file.file_name()).collect())
            .unwrap_or_default();
        if left.is_empty() {
            return 0;
        }
        self.books.find(&format!("the last member has left, and {left:?} stayed"));
        crate::FOUND
    }

    /// Some processes work; meanwhile some are stopped, killed, interrupted, and others are started.
    fn round(&self, heap: &Heap, place: &Place, dice: &mut Random) {
        for _ in 0..2 + dice.below(5) {
            self.start(heap, place, dice);
        }
        let end = Instant::now() + Duration::from_millis(100 + dice.below(600));
        while Instant::now() < end && !self.books.has_finding() {
            self.pause(Duration::from_micros(200 + dice.below(8_000)));
            self.disturb(dice);
            if dice.one_in(12) {
                self.start(heap, place, dice);
            }
            self.reap();
        }
        self.books.stop();
        self.wait_for_all(heap);
    }

    fn start(&self, heap: &Heap, place: &Place, dice: &mut Random) {
        let Some(process) = self.books.expect_process() else { return };
        let dice = dice.split();
        let child = child::fork(|| {
            let heap = heap.clone();
            let site = Site::new(&self.books, self.settings, place, process, 0, heap);
            site.work(&Inherited::default(), dice)
        });
        // Reaped by its id, with the orphans.
        std::mem::forget(child);
    }

    fn disturb(&self, dice: &mut Random) {
        let there: Vec<usize> =
            self.books.processes().filter(|process| self.books.is_there(*process)).collect();
        let Some(process) = crate::hand::any_of(dice, &there) else { return };
        let Some(pid) = self.books.pid(process) else { return };
        match dice.below(8) {
            0..3 if self.settings.has(Class::Stop) => {
                self.books.begin_stop();
                signal(pid, libc::SIGSTOP);
                self.pause(Duration::from_micros(1_000 + dice.below(29_000)));
                signal(pid, libc::SIGCONT);
                self.books.end_stop();
            }
            3 if self.settings.has(Class::Kill) => {
                self.books.set_state(process, State::Going);
                signal(pid, libc::SIGKILL);
            }
            4..6 if self.settings.has(Class::Signal) => signal(pid, libc::SIGUSR1),
            _ => {}
        }
    }

    /// Sleeps, and writes down how late it woke.
    fn pause(&self, pause: Duration) {
        let begin = Instant::now();
        std::thread::sleep(pause);
        let late = begin.elapsed().saturating_sub(pause);
        if late > Duration::from_millis(1) {
            self.books.be_late(late.as_nanos() as u64);
        }
    }

    /// Reaps who has ended. Returns `false` once nobody is left.
    fn reap(&self) -> bool {
        while let Some((pid, status)) = reap_one() {
            if pid == 0 {
                return true;
            }
            let Some(process) = self.books.with_pid(pid) else { continue };
            self.judge_end(process, status);
            self.books.set_reaped(process);
        }
        false
    }

    fn judge_end(&self, process: usize, status: i32) {
        let is_going = self.books.state(process) == State::Going;
        if libc::WIFSIGNALED(status) {
            let number = libc::WTERMSIG(status);
            match number {
                libc::SIGKILL if is_going => self.books.count(Count::Killed),
                HUNG => {
                    self.books.find(&format!("nobody ended {}", self.books.doing(process)));
                }
                _ => {
                    let doing = self.books.doing(process);
                    self.books.find(&format!("signal {number} ended {doing}"));
                }
            }
            return;
        }
        match libc::WEXITSTATUS(status) {
            0 | crate::FOUND => {}
            PANICKED => self.books.find(&format!("a panic ended {}", self.books.doing(process))),
            other => {
                let doing = self.books.doing(process);
                self.books.find(&format!("exit status {other} ended {doing}"));
            }
        }
    }

    /// Waits until all processes of the round have ended; who does not is killed, which is a finding.
    fn wait_for_all(&self, heap: &Heap) {
        let mut end = Instant::now() + PATIENCE;
        while self.reap() {
            self.pause(Duration::from_millis(1));
            if self.books.has_finding() {
                // Who waits for somebody that is gone now would wait for ever.
                end = end.min(Instant::now() + Duration::from_millis(300));
            }
            if Instant::now() > end {
                let there = self.books.processes().filter(|process| self.books.is_there(*process));
                let doing: Vec<String> = there
                    .map(|process| {
                        let threads = self.books.pid(process).map(states).unwrap_or_default();
                        format!("{} {threads}", self.books.doing(process))
                    })
                    .collect();
                self.books.find(&format!("still there after {PATIENCE:?}: {doing:?}"));
                // The deaths that follow would hide who holds what.
                let folder = self.keep(heap);
                let there = self.books.processes().filter(|process| self.books.is_there(*process));
                there
                    .filter_map(|process| self.books.pid(process))
                    .for_each(|pid| keep_stacks(pid, Path::new(&folder)));
                kill_all(&self.books);
                return;
            }
        }
    }

    fn audit(&self, heap: &Heap, place: &Place, dice: &mut Random, is_last: bool) {
        if self.books.has_finding() {
            return;
        }
        let process = self.books.expect_auditor();
        let dice = dice.split();
        let child = child::fork(|| {
            let settings = self.settings.without(Class::Signal);
            let site = Site::new(&self.books, settings, place, process, 0, heap.clone());
            site.arrive();
            crate::audit::audit(&site, dice, is_last);
            0
        });
        std::mem::forget(child);
        self.wait_for_all(heap);
    }

    /// Copies the files of the heap, and returns the folder. `Heap::open` finds the heap there by the
    /// name `kept`.
    fn keep(&self, heap: &Heap) -> String {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("churn-{}", self.seed));
        if self.books.set_kept() {
            return folder.display().to_string();
        }
        let [first, second] = heap.uuid();
        let beside = |what: &str| format!(".coheap.kept.{first:016x}{second:016x}.{what}");
        let names = ["coheap.kept".to_owned(), beside("life"), beside("birth")];
        let copied = std::fs::create_dir_all(&folder).and_then(|()| {
            heap.files().iter().zip(&names).try_for_each(|(file, name)| {
                copy(&format!("/proc/self/fd/{}", file.number()), &folder.join(name))
            })?;
            // As a temporary heap it would end here, for it has no member any more.
            let kept = std::fs::OpenOptions::new().write(true).open(folder.join(&names[0]))?;
            kept.write_all_at(&[0; 8], offset_of!(Header, flags) as u64)
        });
        match copied {
            Ok(()) => folder.display().to_string(),
            Err(error) => format!("no folder ({error})"),
        }
    }
}

/// Copies a file that is mostly holes.
fn copy(from: &str, to: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let from = std::fs::File::open(from)?;
    let mut options = std::fs::OpenOptions::new();
    let to = options.write(true).create(true).truncate(true).mode(0o600).open(to)?;
    let len = from.metadata()?.len();
    to.set_len(len)?;
    let mut block = vec![0; 1 << 20];
    let mut at = 0;
    while at < len {
        let count = from.read_at(&mut block, at)?;
        if count == 0 {
            break;
        }
        if block[..count].iter().any(|byte| *byte != 0) {
            to.write_all_at(&block[..count], at)?;
        }
        at += count as u64;
    }
    Ok(())
}

/// Orphans of this process's descendants become its children from now on.
pub(crate) fn adopt_orphans() {
    // SAFETY: takes no pointer.
    let answer = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    assert!(answer == 0, "prctl: {}", std::io::Error::last_os_error());
}

/// A signal from now on only interrupts waits, also in children.
fn hear_signals() {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: `sigaction` is plain numbers; all zero is a valid value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
    // SAFETY: the action outlives the call, and its handler does nothing.
    let answer = unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) };
    assert!(answer == 0, "sigaction: {}", std::io::Error::last_os_error());
}

/// The state letters of all threads of a process: one that runs is the one that does not come back.
fn states(pid: i32) -> String {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let thread = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    threads.filter_map(thread).map(state_of).collect()
}

/// Writes down where the threads of a process are, if there is a debugger to tell it.
fn keep_stacks(pid: i32, folder: &Path) {
    let (pid, file) = (pid.to_string(), folder.join(format!("stacks-{pid}")));
    let Ok(file) = std::fs::File::create(file) else { return };
    let mut gdb = std::process::Command::new("timeout");
    gdb.args([
        "20",
        "gdb",
        "--batch",
        "--pid",
        &pid,
        "--eval-command",
        "thread apply all backtrace 40",
    ]);
    let _ = gdb.stdout(file).stderr(std::process::Stdio::null()).status();
}

/// A child that has ended: its id and status. The id is 0 when all children still live; `None` when
/// there are none.
fn reap_one() -> Option<(i32, i32)> {
    let mut status = 0;
    // SAFETY: the status outlives the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    (pid >= 0).then_some((pid, status))
}

/// Kills every process of the books that is left, generation by generation: the children of whom was
/// killed become this process's own.
pub(crate) fn kill_all(books: &Books) {
    let mut quiet = 0;
    for _ in 0..5_000 {
        quiet += 1;
        for process in books.processes().filter(|process| books.is_there(*process)) {
            let Some(pid) = books.pid(process) else { continue };
            let mut status = 0;
            // SAFETY: the status outlives the call.
            match unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } {
                0 => {
                    // A child of this process, which was not reaped: the id is its own.
                    signal(pid, libc::SIGKILL);
                    quiet = 0;
                }
                // Perhaps a child of one that was just killed.
                -1 => {}
                _ => books.set_reaped(process),
            }
        }
        let is_any_left = books.processes().any(|process| books.is_there(process));
        if !is_any_left || quiet > 50 {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
