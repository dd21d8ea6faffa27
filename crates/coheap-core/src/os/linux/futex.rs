//! Sleeping on a word until another process changes it.
//!
//! What always holds: the word may be mapped at different addresses in different processes (no
//! private futexes). Deadlines are absolute and monotonic, so a signal does not restart them.

use std::sync::atomic::AtomicU32;

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Somebody woke us, or the word had another value, or there was no reason at all.
    Woken,
    /// The deadline passed.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

/// Sleeps until `word` is woken, no longer holds `seen`, or the clock passes `deadline`.
pub fn wait(word: &AtomicU32, seen: u32, deadline: u64) -> Wake {
    let until = libc::timespec {
        tv_sec: (deadline / 1_000_000_000) as libc::time_t,
        tv_nsec: (deadline % 1_000_000_000) as libc::c_long,
    };
    // SAFETY: the word and the time outlive the call; the kernel reads four aligned bytes.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT_BITSET,
            seen,
            &raw const until,
            std::ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
    if answer == 0 {
        return Wake::Woken;
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::ETIMEDOUT) => Wake::TimedOut,
        Some(libc::EINTR) => Wake::Interrupted,
        _ => Wake::Woken,
    }
}

/// Wakes at most `count` sleepers on `word`, and returns how many it woke. A stopped process does
/// not sleep.
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    let count = count.min(i32::MAX as u32);
    // SAFETY: the kernel takes the address as a key and does not follow it for writing.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
    u32::try_from(woken).unwrap_or(0)
}
