//! The peers of the pretend machine, and what a test may do to them.
//!
//! A thread belongs to the peer it was spawned by, else to the first one, which cannot be killed.
//! Killing takes effect at the victim's next call to this floor (or at a store, with the feature
//! `failpoints`): its thread is parked there for ever, so no destructor runs.
//!
//! What always holds: a peer counts as dead, and its life bytes fall free, only once none of its
//! threads can run any more, as with a real kernel.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::file;

/// The peer of threads that no peer spawned.
const FIRST: u32 = 1;
/// The clock's reading when the machine started.
const STARTED: u64 = 1_000_000_000;

/// One pretend process.
#[derive(Debug, Default)]
struct Process {
    /// Threads that may run.
    running: u32,
    is_killed: bool,
    is_dead: bool,
    seems_stopped: bool,
    stopped_clock: Option<u64>,
    wakes_to_lose: u32,
    wakes_lost: u32,
}

static PROCESSES: Mutex<Vec<Process>> = Mutex::new(Vec::new());
static CHANGED: Condvar = Condvar::new();

thread_local! {
    static CURRENT: Cell<u32> = const { Cell::new(FIRST) };
}

fn processes() -> MutexGuard<'static, Vec<Process>> {
    PROCESSES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with<T>(pid: u32, act: impl FnOnce(&mut Process) -> T) -> T {
    let mut all = processes();
    let index = pid as usize;
    if all.len() <= index.max(FIRST as usize) {
        all.resize_with(index.max(FIRST as usize) + 1, Process::default);
    }
    act(&mut all[index])
}

/// Who the calling thread is a thread of. A thread of a killed peer does not come back from here.
pub(super) fn current() -> u32 {
    let pid = CURRENT.get();
    if pid != FIRST && with(pid, |process| process.is_killed) {
        die_now();
    }
    pid
}

/// As [`current`], for those who must come back.
pub(super) fn pid() -> u32 {
    CURRENT.get()
}

/// Returns whether the process is to stop.
#[cfg(not(loom))]
pub(super) fn is_killed(pid: u32) -> bool {
    with(pid, |process| process.is_killed)
}

/// Returns whether the process can never run again. Unknown ones never ran.
pub(super) fn is_dead(pid: u32) -> bool {
    processes().get(pid as usize).is_none_or(|process| process.is_dead)
}

/// Returns whether others see the process as one that is stopped.
pub(super) fn seems_stopped(pid: u32) -> bool {
    with(pid, |process| process.seems_stopped)
}

/// Returns the time as the calling peer sees it.
pub(super) fn now() -> u64 {
    now_of(current())
}

/// Returns the time as a peer sees it.
pub(super) fn now_of(pid: u32) -> u64 {
    with(pid, |process| process.stopped_clock).unwrap_or_else(true_now)
}

/// Returns the machine's time, whatever a peer's clock says.
fn true_now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    if cfg!(loom) {
        // A model has no time: what does not happen again would not be the same model.
        return STARTED;
    }
    let start = START.get_or_init(Instant::now);
    STARTED + u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX / 2)
}

/// Returns whether the calling peer's next wake shall get lost.
#[cfg(not(loom))]
pub(super) fn loses_wake() -> bool {
    with(current(), |process| {
        let lost = process.wakes_to_lose > 0;
        process.wakes_to_lose -= u32::from(lost);
        process.wakes_lost += u32::from(lost);
        lost
    })
}

/// Ends the calling thread's peer. Its other threads stop at their next call to this floor.
pub(super) fn die_now() -> ! {
    let pid = CURRENT.get();
    assert_ne!(pid, FIRST, "the first peer is the test itself");
    with(pid, |process| process.is_killed = true);
    leave(pid);
    loop {
        std::thread::park();
    }
}

/// A thread of `pid` will never run again.
fn leave(pid: u32) {
    let is_last = with(pid, |process| {
        process.running -= 1;
        process.running == 0 && process.is_killed
    });
    if is_last {
        bury(pid);
    }
}

fn bury(pid: u32) {
    file::drop_locks(pid);
    with(pid, |process| process.is_dead = true);
    CHANGED.notify_all();
}

/// A pretend process of the test.
#[derive(Debug)]
pub struct Peer {
    pid: u32,
}

impl Default for Peer {
    fn default() -> Self {
        Self::new()
    }
}

impl Peer {
    /// Returns a process without a thread.
    pub fn new() -> Self {
        let mut all = processes();
        let pid = all.len().max(FIRST as usize + 1);
        all.resize_with(pid + 1, Process::default);
        Self { pid: pid as u32 }
    }

    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Starts a thread of this peer. Joining it never ends when the peer is killed meanwhile.
    pub fn spawn<T, W>(&self, work: W) -> JoinHandle<T>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let pid = self.pid;
        with(pid, |process| process.running += 1);
        std::thread::spawn(move || {
            CURRENT.set(pid);
            let answer = work();
            leave(pid);
            answer
        })
    }

    /// Kills it, as `kill -9` does. It is dead when the last of its threads has noticed.
    pub fn kill(&self) {
        let is_idle = with(self.pid, |process| {
            process.is_killed = true;
            process.running == 0
        });
        if is_idle {
            bury(self.pid);
        }
        super::futex::look_again();
    }

    /// Waits until it is dead. `false`: it still lived after `patience`.
    pub fn wait_dead(&self, patience: Duration) -> bool {
        let all = processes();
        let waited = CHANGED
            .wait_timeout_while(all, patience, |all| !all[self.pid as usize].is_dead)
            .unwrap_or_else(PoisonError::into_inner);
        !waited.1.timed_out()
    }

    /// Lets others see it as one that is stopped, or runs again. The test halts its threads.
    pub fn seem_stopped(&self, is_so: bool) {
        with(self.pid, |process| process.seems_stopped = is_so);
    }

    /// Stops its clock, or lets it go on with the right time.
    pub fn stop_clock(&self, stopped: bool) {
        let time = stopped.then(true_now);
        with(self.pid, |process| process.stopped_clock = time);
        super::futex::look_again();
    }

    /// Makes its next `count` wakes get lost.
    pub fn lose_wakes(&self, count: u32) {
        with(self.pid, |process| process.wakes_to_lose = count);
    }

    /// Returns how many of its wakes got lost.
    pub fn wakes_lost(&self) -> u32 {
        with(self.pid, |process| process.wakes_lost)
    }

    /// Ends its sleeps as a signal handler does.
    pub fn interrupt(&self) {
        super::futex::interrupt(self.pid);
    }

    /// Returns whether a thread of it sleeps on a word now.
    #[cfg(not(loom))]
    pub fn is_asleep(&self) -> bool {
        super::futex::is_asleep(self.pid)
    }
}

/// The deadlines of all who sleep now pass.
#[cfg(loom)]
pub fn let_time_pass() {
    super::futex::let_time_pass();
}
