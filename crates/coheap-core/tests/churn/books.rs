//! What all processes of a run write down outside of the heap: who is there and what he does.
//!
//! Each process has a row, and each of its threads one: what it does, with what, since when. A word
//! counts for how long somebody was stopped, another one how late the conductor woke: what an
//! operation may take depends on both.
//!
//! What always holds: who kills a process, or lets it end without leaving, says so here first. The
//! row of an ended process stays until the round is over.
//!
//! Not here: what became of items and locks (`accounts`).

use coheap_core::os;

use crate::accounts::Accounts;
use crate::item::Home;
use crate::support::page::Page;

/// Most processes of one round.
pub(crate) const PROCESSES: usize = 40;
/// Most threads of one process.
pub(crate) const THREADS: usize = 4;
/// The row of the process that audits.
const AUDITOR: usize = PROCESSES - 1;
const WORDS: usize = 8;
const ROWS: usize = 16;
const THREAD_ROWS: usize = ROWS + PROCESSES * WORDS;
const ALL: usize = THREAD_ROWS + PROCESSES * THREADS * WORDS;

const STOPPING: usize = 0;
const STOPPED: usize = 1;
const STOPPED_SINCE: usize = 2;
const LATE: usize = 3;
const FOUND: usize = 4;
const COUNT: usize = 5;
const KEPT: usize = 6;

/// The words of a process.
const PID: usize = 0;
const STATE: usize = 1;
const EPOCH: usize = 2;
const REAPED: usize = 3;

/// What a process is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Nobody,
    Expected,
    AtWork,
    /// It may be dead at any moment, without having left the heap.
    Going,
    Ended,
}

/// What was counted since the run began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sum {
    pub(crate) rounds: u64,
    pub(crate) processes: u64,
    pub(crate) killed: u64,
    pub(crate) operations: u64,
    pub(crate) refused: u64,
    pub(crate) stops: u64,
    pub(crate) delivered: u64,
}

/// What is counted over the whole run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Count {
    Rounds,
    Processes,
    Killed,
    Operations,
    Refused,
    Stops,
    Delivered,
}

/// Moments that did not belong to an operation: nanoseconds until now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    pub(crate) stopped: u64,
    pub(crate) late: u64,
}

/// The shared words.
#[derive(Debug, Clone)]
pub(crate) struct Books {
    words: Page,
    text: Page,
    sum: Page,
    pub(crate) accounts: Accounts,
}

impl Books {
    pub(crate) fn new() -> Self {
        let [words, text, sum] = [ALL, 256, 16].map(Page::new);
        Self { words, text, sum, accounts: Accounts::new() }
    }

    /// Begins a round: nobody is there.
    pub(crate) fn clear(&self) {
        self.words.clear();
        self.text.clear();
        self.accounts.clear();
        self.count(Count::Rounds);
    }

    pub(crate) fn count(&self, what: Count) {
        self.sum.add(what as usize, 1);
    }

    pub(crate) fn sum(&self) -> Sum {
        let of = |what: Count| self.sum.get(what as usize);
        Sum {
            rounds: of(Count::Rounds),
            processes: of(Count::Processes),
            killed: of(Count::Killed),
            operations: of(Count::Operations),
            refused: of(Count::Refused),
            stops: of(Count::Stops),
            delivered: of(Count::Delivered),
        }
    }

    /// Writes down what cannot be; the first finding stays.
    pub(crate) fn find(&self, text: &str) {
        if self.words.add(FOUND, 1) == 0 {
            self.text.set_text(0, text);
        }
    }

    /// Replaces the finding by the same one with more words.
    pub(crate) fn extend(&self, text: &str) {
        self.text.set_text(0, text);
    }

    /// Notes that the heap of the finding is copied, and returns whether it was before.
    pub(crate) fn set_kept(&self) -> bool {
        self.words.swap(KEPT, 1) != 0
    }

    pub(crate) fn has_finding(&self) -> bool {
        self.words.get(FOUND) != 0
    }

    /// What was found, as soon as it is written.
    pub(crate) fn finding(&self) -> Option<String> {
        let is_there = || !self.has_finding() || self.text.get(0) != 0;
        crate::support::is_so_within(std::time::Duration::from_secs(1), is_there);
        Some(self.text.text(0)).filter(|text| !text.is_empty())
    }

    /// Tells everybody that the round is over.
    pub(crate) fn stop(&self) {
        self.words.set(STOPPING, 1);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.words.get(STOPPING) != 0 || self.has_finding()
    }

    /// Takes a row for a process that is about to be forked.
    pub(crate) fn expect_process(&self) -> Option<usize> {
        if self.words.get(COUNT) >= AUDITOR as u64 {
            return None;
        }
        let process = self.words.add(COUNT, 1) as usize;
        (process < AUDITOR).then(|| {
            self.set_state(process, State::Expected);
            self.count(Count::Processes);
            process
        })
    }

    /// The row for the process that audits.
    pub(crate) fn expect_auditor(&self) -> usize {
        self.set_state(AUDITOR, State::Expected);
        AUDITOR
    }

    /// The rows that were taken.
    pub(crate) fn processes(&self) -> impl Iterator<Item = usize> + '_ {
        (0..PROCESSES).filter(|process| self.state(*process) != State::Nobody)
    }

    /// The process says that it is there.
    pub(crate) fn arrive(&self, process: usize) {
        self.words.set(row(process) + PID, u64::from(std::process::id()));
        self.set_state(process, State::AtWork);
    }

    pub(crate) fn pid(&self, process: usize) -> Option<i32> {
        Some(self.words.get(row(process) + PID) as i32).filter(|pid| *pid != 0)
    }

    pub(crate) fn with_pid(&self, pid: i32) -> Option<usize> {
        self.processes().find(|process| self.pid(*process) == Some(pid))
    }

    pub(crate) fn set_state(&self, process: usize, state: State) {
        self.words.set(row(process) + STATE, state as u64);
    }

    pub(crate) fn state(&self, process: usize) -> State {
        match self.words.get(row(process) + STATE) {
            0 => State::Nobody,
            1 => State::Expected,
            2 => State::AtWork,
            3 => State::Going,
            _ => State::Ended,
        }
    }

    pub(crate) fn set_reaped(&self, process: usize) {
        self.words.set(row(process) + REAPED, 1);
    }

    /// Whether the process exists, perhaps as a zombie, so that its id names no other one.
    pub(crate) fn is_there(&self, process: usize) -> bool {
        self.pid(process).is_some() && self.words.get(row(process) + REAPED) == 0
    }

    /// How often the process has left the heap.
    pub(crate) fn epoch(&self, process: usize) -> u64 {
        self.words.get(row(process) + EPOCH)
    }

    /// The process is about to leave the heap: what it held may be another one's from now on.
    pub(crate) fn begin_leaving(&self, process: usize) -> u64 {
        self.words.add(row(process) + EPOCH, 1) + 1
    }

    /// Whether the process is attached as it was in this epoch, and will not vanish.
    pub(crate) fn is_attached(&self, process: usize, epoch: u64) -> bool {
        self.state(process) <= State::AtWork && self.epoch(process) == epoch
    }

    /// Notes what a thread does, and with what.
    pub(crate) fn begin(&self, thread: usize, act: &str, home: Home) {
        let at = thread_row(thread);
        let mut words = [0u8; 24];
        let len = act.len().min(words.len());
        words[..len].copy_from_slice(&act.as_bytes()[..len]);
        for (number, chunk) in words.chunks(8).enumerate() {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.words.set(at + number, u64::from_le_bytes(word));
        }
        self.words.set(at + 3, home.0);
        self.words.set(at + 4, home.1);
        self.words.set(at + 5, os::now());
        self.count(Count::Operations);
    }

    pub(crate) fn end(&self, thread: usize) {
        self.words.set(thread_row(thread) + 5, 0);
    }

    /// What the threads of a process are doing.
    pub(crate) fn doing(&self, process: usize) -> String {
        let threads = process * THREADS..(process + 1) * THREADS;
        let all = threads.filter_map(|thread| {
            let at = thread_row(thread);
            let since = Some(self.words.get(at + 5)).filter(|since| *since != 0)?;
            let act: Vec<u8> =
                (0..3).flat_map(|number| self.words.get(at + number).to_le_bytes()).collect();
            let act = String::from_utf8_lossy(&act);
            let (act, [object, generation]) =
                (act.trim_end_matches('\0'), [3, 4].map(|number| self.words.get(at + number)));
            let age = os::now().saturating_sub(since) / 1_000_000;
            Some(format!("{act} of {object:#x}/{generation} for {age} ms"))
        });
        let pid = self.pid(process).unwrap_or(0);
        format!(
            "process {process} (pid {pid}, {:?}, epoch {}): [{}]",
            self.state(process),
            self.epoch(process),
            all.collect::<Vec<_>>().join(", ")
        )
    }

    /// Somebody is stopped from now on.
    pub(crate) fn begin_stop(&self) {
        self.words.set(STOPPED_SINCE, os::now());
        self.count(Count::Stops);
    }

    pub(crate) fn end_stop(&self) {
        let since = self.words.get(STOPPED_SINCE);
        self.words.add(STOPPED, os::now().saturating_sub(since));
        self.words.set(STOPPED_SINCE, 0);
    }

    /// The conductor woke so many nanoseconds too late.
    pub(crate) fn be_late(&self, nanoseconds: u64) {
        self.words.add(LATE, nanoseconds);
    }

    pub(crate) fn moments(&self) -> Moments {
        let since = self.words.get(STOPPED_SINCE);
        let now = if since == 0 { 0 } else { os::now().saturating_sub(since) };
        Moments { stopped: self.words.get(STOPPED) + now, late: self.words.get(LATE) }
    }
}

fn row(process: usize) -> usize {
    ROWS + process * WORDS
}

fn thread_row(thread: usize) -> usize {
    THREAD_ROWS + thread * WORDS
}
