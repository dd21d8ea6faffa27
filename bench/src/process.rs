//! Forked worker processes that start together and say when they were done.
//!
//! All of them see one shared page, the board: a start line, a stop sign, and a row for each
//! worker. A worker gets ready, waits at the line, works, writes its row and leaves without
//! running its parent's destructors.
//!
//! What always holds: every wait here has a deadline; a worker that dies or panics ends the run;
//! no worker outlives the crew that started it. The parent must have one thread when it forks.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::report::median;

/// Most workers at once.
pub const MOST_WORKERS: usize = 256;
/// Longest that workers may take to get ready, or to finish.
const LONGEST: Duration = Duration::from_secs(180);

/// What workers and parent share.
#[repr(C)]
pub struct Board {
    ready: AtomicU32,
    go: AtomicU32,
    stop: AtomicU32,
    rows: [Row; MOST_WORKERS],
    /// Words whose meaning the workload decides.
    pub words: [Word; 16],
}

/// A word on a cache line of its own.
#[repr(C, align(128))]
pub struct Word(pub AtomicU64);

/// What one worker says.
#[repr(C, align(128))]
struct Row {
    started: AtomicU64,
    ended: AtomicU64,
    count: AtomicU64,
    cost: AtomicU64,
}

/// What one worker did.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// When it passed the start line, in nanoseconds.
    pub started: u64,
    /// When it was done.
    pub ended: u64,
    /// How many operations it did.
    pub count: u64,
    /// What one operation cost, if it went by [`Station::repeat`].
    pub cost: f64,
}

/// Nanoseconds on a clock that is the same for all processes.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Sets a variable of the environment of this process.
#[cfg(feature = "journal-share")]
pub fn set_variable(name: &str, value: &str) {
    // SAFETY: this program has one thread, so nobody reads the environment meanwhile.
    unsafe { std::env::set_var(name, value) };
}

/// Looks again and again whether something is so; gives the processor away in between.
///
/// # Panics
///
/// When it is still not so after the longest wait: the run is worth nothing then.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONGEST;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited too long: {what}");
        std::thread::yield_now();
    }
}

impl Board {
    /// A new board, all zero. It stays mapped as long as this process lives.
    pub fn new() -> &'static Self {
        // SAFETY: no address is asked for, so no other mapping is replaced.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Self>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert!(page != libc::MAP_FAILED, "no memory for a board");
        // SAFETY: the pages are ours, zeroed, page-aligned, long enough, and never unmapped; a
        // board is atomics only, for which any bytes are valid.
        unsafe { &*page.cast::<Self>() }
    }

    fn clear(&self) {
        for flag in [&self.ready, &self.go, &self.stop] {
            flag.store(0, Ordering::SeqCst);
        }
        for row in &self.rows {
            for word in [&row.started, &row.ended, &row.count, &row.cost] {
                word.store(0, Ordering::SeqCst);
            }
        }
    }

    /// Tells the workers that ask that it is over.
    pub fn stop(&self) {
        self.stop.store(1, Ordering::Release);
    }

    /// How many workers have reached the start line.
    pub fn ready(&self) -> u32 {
        self.ready.load(Ordering::Acquire)
    }

    /// What a worker has said so far.
    pub fn outcome(&self, number: usize) -> Outcome {
        let row = &self.rows[number];
        let get = |word: &AtomicU64| word.load(Ordering::Acquire);
        let (started, ended) = (get(&row.started), get(&row.ended));
        Outcome { started, ended, count: get(&row.count), cost: f64::from_bits(get(&row.cost)) }
    }
}

/// A worker's place at the board.
pub struct Station {
    /// The board.
    pub board: &'static Board,
    /// Which worker this is, from 0.
    pub number: usize,
}

impl Station {
    /// Waits at the line until all workers are ready, then notes the time.
    pub fn start(&self) {
        self.board.ready.fetch_add(1, Ordering::AcqRel);
        until("start", || self.board.go.load(Ordering::Acquire) != 0);
        self.board.rows[self.number].started.store(now(), Ordering::Release);
    }

    /// Whether the parent called the end.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.board.stop.load(Ordering::Relaxed) != 0
    }

    /// Starts, does `once` so many times, and finishes. Answers through the board what one time
    /// cost: the median of many short runs, so that a run in which another program had the
    /// processor does not count.
    pub fn repeat(&self, times: u64, mut once: impl FnMut(u64)) {
        const RUNS: u64 = 100;
        let each = times.div_ceil(RUNS);
        let mut costs = Vec::with_capacity(RUNS as usize);
        self.start();
        for run in 0..RUNS {
            let before = now();
            (run * each..(run + 1) * each).for_each(&mut once);
            costs.push((now() - before) as f64 / each as f64);
        }
        self.finish(RUNS * each);
        self.board.rows[self.number].cost.store(median(&costs).to_bits(), Ordering::Release);
    }

    /// Says how many operations were done, and notes the time.
    pub fn finish(&self, count: u64) {
        let row = &self.board.rows[self.number];
        row.ended.store(now(), Ordering::Release);
        row.count.store(count, Ordering::Release);
    }
}

/// A forked process. It is killed when this is dropped before it ended by itself.
#[derive(Debug)]
pub struct Child {
    pid: libc::pid_t,
    is_reaped: bool,
}

impl Child {
    /// Forks a process that does `work` and leaves.
    pub fn fork(work: impl FnOnce()) -> Self {
        // SAFETY: this program has one thread, so the child may do anything.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork was refused");
        if pid > 0 {
            return Self { pid, is_reaped: false };
        }
        // SAFETY: no pointers. The child goes with its parent, whatever happens.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        // SAFETY: ends the process; destructors and handlers belong to the parent.
        unsafe { libc::_exit(i32::from(done.is_err())) }
    }

    /// The process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        assert!(!self.is_reaped, "a reaped process has no id");
        // SAFETY: no pointers; the id is that of our child, which is not reaped yet.
        unsafe { libc::kill(self.pid, signal) };
    }

    /// The status it ended with, if it has.
    pub fn ended(&mut self) -> Option<i32> {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the answer.
        let got = unsafe { libc::waitpid(self.pid, &mut status, libc::WNOHANG) };
        self.is_reaped |= got == self.pid;
        (got == self.pid).then_some(status)
    }

    /// Waits until it has stopped after a SIGSTOP.
    pub fn wait_stopped(&mut self) {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the answer.
        let got = unsafe { libc::waitpid(self.pid, &mut status, libc::WUNTRACED) };
        assert!(got == self.pid && libc::WIFSTOPPED(status), "a worker ended instead of stopping");
    }

    /// Kills it and takes notice.
    pub fn kill(&mut self) {
        if !self.is_reaped {
            self.signal(libc::SIGKILL);
            // SAFETY: no status is asked for.
            unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
            self.is_reaped = true;
        }
    }

    /// Nanoseconds of processor that the process has used.
    pub fn cpu_time(&self) -> u64 {
        let mut clock = 0;
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: both are valid places for the answers.
        let refused = unsafe {
            libc::clock_getcpuclockid(self.pid, &mut clock) != 0
                || libc::clock_gettime(clock, &mut time) != 0
        };
        assert!(!refused, "no processor clock of a worker");
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A worker's job.
pub type Job<'a> = &'a dyn Fn(&Station);

/// Runs a crew: one process for each job. With a duration, it is called off after that time.
pub fn run_crew(
    board: &'static Board,
    jobs: &[Job<'_>],
    duration: Option<Duration>,
) -> Vec<Outcome> {
    board.clear();
    let mut children: Vec<Child> = jobs
        .iter()
        .enumerate()
        .map(|(number, job)| Child::fork(|| job(&Station { board, number })))
        .collect();
    let mut ended = 0;
    wait_for(&mut children, &mut ended, || board.ready() as usize == jobs.len());
    board.go.store(1, Ordering::Release);
    if let Some(duration) = duration {
        std::thread::sleep(duration);
        board.stop();
    }
    let count = children.len();
    let mut left = 0;
    let deadline = Instant::now() + LONGEST;
    while left < count {
        assert!(Instant::now() < deadline, "workers take too long");
        left += reap(&mut children);
        std::thread::sleep(Duration::from_micros(500));
    }
    (0..count).map(|number| board.outcome(number)).collect()
}

fn wait_for(children: &mut Vec<Child>, ended: &mut usize, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONGEST;
    while !is_so() {
        *ended += reap(children);
        assert!(*ended == 0, "a worker ended before it began");
        assert!(Instant::now() < deadline, "workers do not get ready");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Forgets the children that ended well and answers how many there were.
fn reap(children: &mut Vec<Child>) -> usize {
    let before = children.len();
    children.retain_mut(|child| match child.ended() {
        Some(0) => false,
        Some(status) => panic!("a worker failed with status {status:#x}"),
        None => true,
    });
    before - children.len()
}
