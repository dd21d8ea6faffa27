//! Detecting that this process is a fresh copy of another.
//!
//! The kernel clears one page on fork. The page holds the number of this process among its
//! ancestors: a child finds zero there, whichever way it was created (`fork`, raw `clone`), and
//! takes the next number. Cached state of the parent is therefore never mistaken for the child's
//! own.
//!
//! What always holds: no thread waits here for another one, which might not exist in a child.

use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags};

/// The last number given, copied to children like all private memory.
static LAST: AtomicU64 = AtomicU64::new(0);
static STAMP: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());

/// Returns the number of this process in its line of forks: differs from that of every ancestor.
#[inline]
pub fn generation() -> u64 {
    let known = STAMP.load(Ordering::Acquire);
    // SAFETY: either null or the page that `wiped_page` made, which is never unmapped.
    let stamp = unsafe { known.as_ref() }.unwrap_or_else(|| first_stamp());
    match stamp.load(Ordering::Relaxed) {
        0 => next_generation(stamp),
        number => number,
    }
}

#[cold]
fn first_stamp() -> &'static AtomicU64 {
    let page = wiped_page();
    let made = std::ptr::from_ref(page).cast_mut();
    let none = std::ptr::null_mut();
    match STAMP.compare_exchange(none, made, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => page,
        // Another thread was faster. Its page counts, and this one stays mapped, unused.
        // SAFETY: the page that another call of `wiped_page` made, which is never unmapped.
        Err(known) => unsafe { known.as_ref() }.unwrap_or(page),
    }
}

#[cold]
fn next_generation(stamp: &AtomicU64) -> u64 {
    let next = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    match stamp.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => next,
        Err(other_thread) => other_thread,
    }
}

fn wiped_page() -> &'static AtomicU64 {
    const LEN: usize = 4096;
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: no address is asked for, so no other mapping is replaced.
    let page = unsafe {
        rustix::mm::mmap_anonymous(std::ptr::null_mut(), LEN, protection, MapFlags::PRIVATE)
    };
    let Ok(page) = page else {
        // Without the page a fork is noticed through `pthread_atfork` alone.
        return fallback();
    };
    // SAFETY: the page is ours and holds nothing yet.
    let wiped = unsafe { rustix::mm::madvise(page, LEN, Advice::LinuxWipeOnFork) };
    if wiped.is_err() {
        return fallback();
    }
    // SAFETY: the page is mapped for the life of the process, zeroed, and aligned.
    unsafe { AtomicU64::from_ptr(page.cast()) }
}

/// Has `prepare` run before every fork of this process, and `parent` after it in the parent.
pub fn on_fork(prepare: extern "C" fn(), parent: extern "C" fn()) {
    // SAFETY: both are functions that stay loaded; they are called by the forking thread.
    unsafe { libc::pthread_atfork(Some(prepare), Some(parent), None) };
}

/// Has `child` run in every forked child of this process, before it does anything else. It may call
/// only what a signal handler may.
pub(super) fn in_child(child: extern "C" fn()) {
    // SAFETY: a function that stays loaded and is called by the only thread of the child.
    unsafe { libc::pthread_atfork(None, None, Some(child)) };
}

fn fallback() -> &'static AtomicU64 {
    static WORD: AtomicU64 = AtomicU64::new(0);
    extern "C" fn forget() {
        WORD.store(0, Ordering::Relaxed);
    }
    // SAFETY: the handler is a plain store, allowed in a forked child.
    unsafe { libc::pthread_atfork(None, None, Some(forget)) };
    &WORD
}
