//! The identity of a process, so that a reused process id is not taken for the earlier process.
//!
//! What always holds:
//!
//! - `is_dead` returns `true` only if the process can never run again, or has replaced its program
//!   by `exec`. It cannot judge a process in another pid namespace: callers detect that by
//!   `is_foreign_to`, and rely on the life byte alone.
//! - What could not be read, for want of descriptors, memory or `/proc`, is unknown and proves
//!   nothing: neither when a process notes its own identity, nor when it judges another.

use std::os::fd::AsFd;

use rustix::process::{Pid, PidfdFlags};

use super::file;
use crate::error::Result;

/// What is remembered of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Identity {
    /// Process id in its own pid namespace.
    pub pid: u32,
    /// Inode of its pidfd: unique for each process since Linux 6.9, else a shared number. 0 if
    /// unknown.
    pub pidfd_inode: u64,
    /// Start time in clock ticks since boot, of its own time namespace. 0 if unknown.
    pub start_time: u64,
    /// Inode of its pid namespace. 0 if unknown.
    pub pid_namespace: u64,
    /// Inode of its time namespace. 0 if unknown.
    pub time_namespace: u64,
}

impl Identity {
    /// Returns the identity of this process.
    pub fn mine() -> Self {
        let pid = std::process::id();
        Self {
            pid,
            pidfd_inode: pidfd_inode(pid).unwrap_or(0),
            start_time: start_time(pid).unwrap_or(0),
            pid_namespace: namespace("pid"),
            time_namespace: namespace("time"),
        }
    }

    /// Returns whether `self` is seen from another pid namespace than that of `me`.
    pub fn is_foreign_to(&self, me: &Self) -> bool {
        differ(self.pid_namespace, me.pid_namespace)
    }

    /// Returns whether the process that had this identity is dead. Both must share a pid namespace.
    pub fn is_dead(&self, me: &Self) -> bool {
        let Some(pid) = pid_of(self.pid) else { return true };
        let handle = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return true,
            // No pidfd to be had (sandbox, descriptors used up): ask without one.
            Err(_) => {
                let asked = rustix::process::test_kill_process(pid);
                return asked == Err(rustix::io::Errno::SRCH) || self.has_another_start(me);
            }
        };
        if has_ended(&handle) {
            return true;
        }
        let inode = rustix::fs::fstat(&handle).map_or(0, |stat| stat.st_ino);
        // Before 6.9 all pidfds share one inode, so a difference is never invented.
        differ(inode, self.pidfd_inode) || self.has_another_start(me)
    }

    /// Returns whether no thread of the process is stopped, or the process is dead. Both must share a pid
    /// namespace.
    pub fn runs(&self, me: &Self) -> bool {
        // Disk sleep passes soon, unless a control group is frozen.
        let seems_to_run = |look: u32| {
            if look > 0 {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            self.threads_run().unwrap_or(false)
        };
        self.is_dead(me) || (0..3).any(seems_to_run)
    }

    /// Returns whether all threads run or sleep. `None`: that could not be read.
    fn threads_run(&self) -> Option<bool> {
        for entry in std::fs::read_dir(format!("/proc/{}/task", self.pid)).ok()? {
            let path = entry.ok()?.path().join("stat");
            // A thread that has ended meanwhile is none.
            let Some(stat) = text_of(path.to_str()?) else { continue };
            let state = stat.rsplit_once(')')?.1.trim_start().chars().next()?;
            if !matches!(state, 'R' | 'S' | 'I' | 'Z' | 'X') {
                return Some(false);
            }
        }
        Some(true)
    }

    /// Returns whether the process with this id now is known to have begun at another time.
    fn has_another_start(&self, me: &Self) -> bool {
        let is_comparable = self.time_namespace != 0 && self.time_namespace == me.time_namespace;
        is_comparable && differ(start_time(self.pid).unwrap_or(0), self.start_time)
    }

    /// Returns whether the process still has a mapping of the file with inode number `inode`.
    /// `None` if that could not be read.
    pub fn maps_inode(&self, inode: u64) -> Option<bool> {
        let maps = text_of(&format!("/proc/{}/maps", self.pid))?;
        let wanted = inode.to_string();
        Some(maps.lines().any(|line| line.split_ascii_whitespace().nth(4) == Some(&wanted)))
    }
}

/// Returns whether both are known and not equal.
fn differ(first: u64, second: u64) -> bool {
    first != 0 && second != 0 && first != second
}

/// Returns what a file of the kernel says. The names in it may be any bytes.
fn text_of(path: &str) -> Option<String> {
    std::fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns a process id as the kernel takes it. `None`: no process can have this number.
fn pid_of(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().and_then(Pid::from_raw)
}

/// Returns a readable pidfd means that the process has ended, reaped or not.
fn has_ended(handle: &impl AsFd) -> bool {
    let mut interest = [rustix::event::PollFd::new(handle, rustix::event::PollFlags::IN)];
    let none = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut interest, Some(&none)), Ok(1))
}

fn pidfd_inode(pid: u32) -> Option<u64> {
    let handle = rustix::process::pidfd_open(pid_of(pid)?, PidfdFlags::empty()).ok()?;
    rustix::fs::fstat(&handle).ok().map(|stat| stat.st_ino)
}

/// Field 22 of `/proc/PID/stat`; the second field may hold spaces and brackets.
pub(super) fn start_time(pid: u32) -> Option<u64> {
    let stat = text_of(&format!("/proc/{pid}/stat"))?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

fn namespace(kind: &str) -> u64 {
    rustix::fs::stat(format!("/proc/self/ns/{kind}")).map_or(0, |stat| stat.st_ino)
}

/// Returns the machine's present run: another after each reboot.
pub fn boot_id() -> [u64; 2] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let half =
        |range| digits.get(range).and_then(|part| u64::from_str_radix(part, 16).ok()).unwrap_or(0);
    [half(0..16), half(16..32)]
}

/// Returns a number that nobody can guess.
pub fn random_u64() -> Result<u64> {
    file::random_u64()
}
