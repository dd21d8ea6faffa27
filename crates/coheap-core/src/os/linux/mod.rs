//! Linux.
//!
//! Raw calls where the safe wrappers have none (record locks, shared futexes), `rustix`
//! elsewhere. Every raw call is one line with its own SAFETY note.

pub mod appending;
pub(super) mod ended;
pub(super) mod file;
pub(super) mod fork;
pub(super) mod futex;
pub(super) mod identity;
pub(super) mod record;
pub mod life;
pub(super) mod mapping;
pub(super) mod regain;
pub mod claim;

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::error::{Error, Result};

/// Returns the last error of the C library as ours.
#[cold]
fn last_error(call: &'static str) -> Error {
    Error::Os { call, code: std::io::Error::last_os_error().raw_os_error().unwrap_or(0) }
}

/// Returns an error of rustix as ours.
fn refused(call: &'static str) -> impl FnOnce(rustix::io::Errno) -> Error {
    move |errno| Error::Os { call, code: errno.raw_os_error() }
}

/// Nanoseconds on a clock that never steps and is the same for all processes of the machine.
#[inline]
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// As [`now`], up to ten milliseconds late, at a fifth of its price.
#[inline]
pub fn now_roughly() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Returns the number that the system gives the calling thread, in its own pid namespace.
pub fn thread_id() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()
}

/// Bytes of memory that this process may hope for: the machine's, or the limit of its cgroup.
pub fn memory_bytes() -> u64 {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
    });
    let group = std::fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| {
        let path = text.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned();
        number(&format!("/sys/fs/cgroup{path}/memory.max"))
    });
    machine.unwrap_or(1 << 30).min(group.unwrap_or(u64::MAX))
}

/// Lets a program started by `command` inherit `file` under its present number.
pub fn inheritable(command: &mut std::process::Command, file: BorrowedFd<'_>) {
    use std::os::unix::process::CommandExt;
    let number = file.as_raw_fd();
    let clear = move || {
        // SAFETY: `fcntl` with F_SETFD takes no pointer; a closed number answers an error.
        match unsafe { libc::fcntl(number, libc::F_SETFD, 0) } {
            -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    // SAFETY: the closure runs between fork and exec and makes one async-signal-safe call.
    unsafe { command.pre_exec(clear) };
}

/// Turns this process into the program of `command`. Comes back only when that is refused.
pub fn become_program(command: &mut std::process::Command) -> std::io::Error {
    use std::os::unix::process::CommandExt;
    command.exec()
}

/// Takes over the open descriptor `number`, which this process inherited for that purpose.
///
/// # Errors
///
/// [`Error::Os`] when no such descriptor is open.
pub fn adopt_descriptor(number: i32) -> Result<OwnedFd> {
    // SAFETY: `fcntl` with F_SETFD takes no pointer; a closed number answers an error.
    if number < 0 || unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err(last_error("fcntl"));
    }
    // SAFETY: the number is open (checked above) and was inherited for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Ends this process as `kill -9` does: no handler, no destructor, no flush.
#[cfg(feature = "failpoints")]
pub(super) fn die_now() -> ! {
    // SAFETY: plain system calls without pointers.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    loop {
        std::thread::park();
    }
}
