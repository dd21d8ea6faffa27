//! Real forks of the test process.
//!
//! What always holds: a child never returns into the test harness, whatever its body does; a
//! `Child` that goes out of scope is killed and reaped.

use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// What a child whose body panicked exits with.
pub(crate) const PANICKED: i32 = 101;

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It exited with this status.
    Exit(i32),
    /// It was killed by this signal.
    Signal(i32),
}

/// A forked process.
#[derive(Debug)]
pub(crate) struct Child {
    pid: i32,
    end: Option<End>,
}

/// Runs `body` in a forked process, whose exit status is the answer.
pub(crate) fn fork(body: impl FnOnce() -> i32) -> Child {
    // SAFETY: the child runs `body` and ends; the C library makes allocation safe after a fork.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        end_with(body);
    }
    Child { pid, end: None }
}

/// As [`fork`], but the child gets the process id `pid`, which must be free. `None`: not allowed.
pub(crate) fn fork_as(pid: i32, body: impl FnOnce() -> i32) -> Option<Child> {
    let mut wanted = pid;
    // SAFETY: `clone_args` is plain numbers; all zero is a valid value.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.exit_signal = libc::SIGCHLD as u64;
    arguments.set_tid = (&raw mut wanted) as u64;
    arguments.set_tid_size = 1;
    // SAFETY: the arguments outlive the call; without flags it is a plain fork.
    let answer = unsafe {
        libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>())
    };
    match answer {
        0 => end_with(body),
        -1 => None,
        made => Some(Child { pid: made as i32, end: None }),
    }
}

/// Runs `body` and ends this process with its answer: no destructor, no handler.
pub(crate) fn end_with(body: impl FnOnce() -> i32) -> ! {
    let status = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(status) => status,
        Err(reason) => {
            let text = reason.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| reason.downcast_ref::<&str>().copied());
            super::say(&format!("child panicked: {}", text.unwrap_or("(no text)")));
            PANICKED
        }
    };
    exit_now(status)
}

/// Ends this process without a destructor or handler.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: takes no pointer and does not return.
    unsafe { libc::_exit(status) }
}

/// Sends a signal to a process.
pub(crate) fn signal(pid: i32, number: i32) {
    // SAFETY: takes no pointer.
    let answer = unsafe { libc::kill(pid, number) };
    assert!(answer == 0, "kill {pid}: {}", std::io::Error::last_os_error());
}

/// Kills this process as `kill -9` does.
pub(crate) fn die() -> ! {
    signal(std::process::id() as i32, libc::SIGKILL);
    loop {
        std::thread::park();
    }
}

impl Child {
    /// Its process id.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, number: i32) {
        assert!(self.end.is_none(), "the child has ended");
        signal(self.pid, number);
    }

    /// Kills it and reaps it.
    pub(crate) fn kill(&mut self) -> End {
        if self.end.is_none() {
            self.signal(libc::SIGKILL);
        }
        self.wait()
    }

    /// Whether it has ended; reaps it then.
    pub(crate) fn has_ended(&mut self) -> Option<End> {
        self.look(libc::WNOHANG)
    }

    /// Waits for its end, at most for [`PATIENCE`]; a child that takes longer is killed first.
    pub(crate) fn wait(&mut self) -> End {
        self.wait_for(PATIENCE).unwrap_or_else(|| {
            let pid = self.pid;
            let _ = self.kill_quietly();
            panic!("child {pid} did not end within {PATIENCE:?}");
        })
    }

    /// Waits for its end, at most for `patience`.
    pub(crate) fn wait_for(&mut self, patience: Duration) -> Option<End> {
        let deadline = Instant::now() + patience;
        // A readable pidfd is an end: nobody has to look again and again.
        // SAFETY: takes no pointer.
        let handle = unsafe { libc::syscall(libc::SYS_pidfd_open, self.pid, 0) } as i32;
        while self.end.is_none() && Instant::now() < deadline {
            if handle < 0 {
                return self.look(0);
            }
            let left = deadline.saturating_duration_since(Instant::now()).as_millis() as i32 + 1;
            let mut interest = libc::pollfd { fd: handle, events: libc::POLLIN, revents: 0 };
            // SAFETY: one valid `pollfd` that outlives the call.
            unsafe { libc::poll(&raw mut interest, 1, left) };
            self.look(libc::WNOHANG);
        }
        if handle >= 0 {
            // SAFETY: the descriptor was made above and is ours.
            unsafe { libc::close(handle) };
        }
        self.end
    }

    /// Waits for its end and asserts that it exited with status 0.
    pub(crate) fn must_succeed(&mut self) {
        assert_eq!(self.wait(), End::Exit(0));
    }

    /// Whether it is stopped, dead but not reaped, running ...: the letter of `/proc/PID/stat`.
    pub(crate) fn state(&self) -> char {
        state_of(self.pid)
    }

    fn kill_quietly(&mut self) -> Option<End> {
        if self.end.is_none() {
            // SAFETY: takes no pointer.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
        }
        self.look(0)
    }

    fn look(&mut self, flags: i32) -> Option<End> {
        if self.end.is_some() {
            return self.end;
        }
        let mut status = 0;
        // SAFETY: the status outlives the call.
        let answer = unsafe { libc::waitpid(self.pid, &raw mut status, flags) };
        if answer == self.pid {
            self.end = Some(match libc::WIFSIGNALED(status) {
                true => End::Signal(libc::WTERMSIG(status)),
                false => End::Exit(libc::WEXITSTATUS(status)),
            });
        }
        self.end
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill_quietly();
    }
}

/// The state letter of any process, `-` when there is none.
pub(crate) fn state_of(pid: i32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
    after.chars().next().unwrap_or('-')
}

/// What a panic of this process says goes to `note`, nowhere else.
pub(crate) fn note_panics(note: impl Fn(&str) + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |panic| {
        let location = panic.location().map_or(String::new(), ToString::to_string);
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("(no text)");
        note(&format!("{location}: {text}"));
    }));
}

/// Closes the standard error output: what the child says there is not for the reader.
pub(crate) fn be_quiet() {
    let nowhere = std::fs::OpenOptions::new().write(true).open("/dev/null").expect("/dev/null");
    redirect(&nowhere, 2);
}

/// The process may use this much more address space than it has now.
pub(crate) fn limit_memory(more: u64) {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("own size");
    let pages = pages.split(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("a number");
    limit(libc::RLIMIT_AS, pages * 4096 + more);
}

/// Sets one limit of this process.
pub(crate) fn limit(which: libc::__rlimit_resource_t, most: u64) {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the limit outlives the call.
    let answer = unsafe { libc::setrlimit(which, &raw const limit) };
    assert!(answer == 0, "setrlimit: {}", std::io::Error::last_os_error());
}

/// The process gets SIGALRM after so many seconds: no child of a test runs for ever.
pub(crate) fn alarm(seconds: u32) {
    // SAFETY: takes no pointer.
    unsafe { libc::alarm(seconds) };
}

/// Turns `file` into a copy of the descriptor `number` names.
pub(crate) fn redirect(file: &impl AsRawFd, number: i32) {
    // SAFETY: takes no pointer.
    let answer = unsafe { libc::dup2(file.as_raw_fd(), number) };
    assert!(answer == number, "dup2: {}", std::io::Error::last_os_error());
}

/// Closes a descriptor that may belong to anybody.
pub(crate) fn close(number: i32) {
    // SAFETY: takes no pointer; whoever owns the number is what the test is about.
    unsafe { libc::close(number) };
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_all(first: u32) {
    // SAFETY: takes no pointer; whoever owns the numbers is what the test is about.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    assert!(answer == 0, "close_range: {}", std::io::Error::last_os_error());
}

/// Becomes another program; returns only when that fails.
pub(crate) fn execute(words: &[&std::ffi::CStr]) {
    let mut pointers: Vec<*const libc::c_char> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: strings that end in NUL, in a list that ends in null; all outlive the call.
    unsafe { libc::execv(pointers[0], pointers.as_ptr()) };
}

/// Leaves namespaces. `false`: not allowed.
pub(crate) fn unshare(kinds: i32) -> bool {
    // SAFETY: takes no pointer.
    unsafe { libc::unshare(kinds) == 0 }
}
