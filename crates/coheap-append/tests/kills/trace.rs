//! A child that the parent leads from system call to system call.
//!
//! What always holds: a child is killed and reaped when its `Traced` goes; it never returns into
//! the test harness. x86-64 only: a write is made shorter in the registers of the child.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// A forked process, stopped at a system call.
pub(crate) struct Traced {
    pid: i32,
    has_ended: bool,
}

/// Where a child is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Before the call with this number.
    Before(i64),
    /// After a call.
    After,
    /// It exited with this status.
    Exit(i32),
}

impl Traced {
    /// Runs `body` in a child, which stops before its first system call.
    pub(crate) fn start(body: impl FnOnce() -> i32) -> Self {
        // SAFETY: the child runs `body` and ends; the C library makes allocation safe after a fork.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
        if pid == 0 {
            // SAFETY: neither call takes a pointer that is read.
            unsafe {
                libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
                libc::raise(libc::SIGSTOP);
            }
            let status = catch_unwind(AssertUnwindSafe(body)).unwrap_or(101);
            // SAFETY: takes no pointer and does not return.
            unsafe { libc::_exit(status) };
        }
        let child = Self { pid, has_ended: false };
        child.wait();
        let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
        // SAFETY: the options are a number in the place of a pointer.
        let answer = unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options) };
        assert!(answer == 0, "ptrace: {}", std::io::Error::last_os_error());
        child
    }

    /// Goes on to the next stop.
    pub(crate) fn step(&mut self) -> Stop {
        loop {
            // SAFETY: takes no pointer that is read.
            unsafe { libc::ptrace(libc::PTRACE_SYSCALL, self.pid, 0, 0) };
            let status = self.wait();
            if libc::WIFEXITED(status) {
                self.has_ended = true;
                return Stop::Exit(libc::WEXITSTATUS(status));
            }
            assert!(libc::WIFSTOPPED(status), "the child ended by itself: {status:x}");
            if libc::WSTOPSIG(status) == libc::SIGTRAP | 0x80 {
                let registers = self.registers();
                // The kernel puts this into the answer before the call is made.
                let is_before = registers.rax as i64 == -i64::from(libc::ENOSYS);
                return if is_before {
                    Stop::Before(registers.orig_rax as i64)
                } else {
                    Stop::After
                };
            }
        }
    }

    /// Makes the write that the child is about to make shorter; `None`: it has fewer bytes.
    pub(crate) fn shorten(&self, bytes: u64) -> Option<()> {
        let mut registers = self.registers();
        if registers.rdx <= bytes {
            return None;
        }
        registers.rdx = bytes;
        // SAFETY: the registers outlive the call.
        unsafe { libc::ptrace(libc::PTRACE_SETREGS, self.pid, 0, &raw const registers) };
        Some(())
    }

    /// How many bytes the write has that the child is about to make.
    pub(crate) fn write_len(&self) -> u64 {
        self.registers().rdx
    }

    fn registers(&self) -> libc::user_regs_struct {
        // SAFETY: plain numbers; all zero is a valid value.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        // SAFETY: the registers outlive the call.
        let answer = unsafe { libc::ptrace(libc::PTRACE_GETREGS, self.pid, 0, &raw mut registers) };
        assert!(answer == 0, "ptrace: {}", std::io::Error::last_os_error());
        registers
    }

    fn wait(&self) -> i32 {
        let mut status = 0;
        // SAFETY: the status outlives the call.
        let answer = unsafe { libc::waitpid(self.pid, &raw mut status, libc::__WALL) };
        assert_eq!(answer, self.pid, "waitpid: {}", std::io::Error::last_os_error());
        status
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        if !self.has_ended {
            // SAFETY: takes no pointer; the child is ours and not reaped yet.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
            self.wait();
        }
    }
}
