//! Threads that the interpreter ends while they are inside the engine.
//!
//! When Python has ended, versions before 3.14 end a thread that returns to Python by
//! `pthread_exit`, which unwinds the stack. Rust functions do not allow that: the process would
//! abort. A thread that asked for it sleeps instead, as in later Pythons, until the process has
//! ended.
//!
//! What always holds: before [`threads_end`], a thread that calls `pthread_exit` ends.

use std::cell::OnceCell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

static HAVE_ENDED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static CLEANUP: OnceCell<Cleanup> = const { OnceCell::new() };
}

/// What the C library keeps of a cleanup: four words of its own at most.
type Buffer = [usize; 4];

unsafe extern "C" {
    /// Has `routine` called when the thread is ended, before any frame above `buffer` is unwound.
    fn _pthread_cleanup_push(
        buffer: *mut Buffer,
        routine: extern "C" fn(*mut c_void),
        argument: *mut c_void,
    );
    fn _pthread_cleanup_pop(buffer: *mut Buffer, is_called: i32);
}

/// A cleanup of this thread. Its buffer is no part of the stack, so that its turn is before that
/// of all frames.
struct Cleanup(*mut Buffer);

impl Drop for Cleanup {
    fn drop(&mut self) {
        // SAFETY: the buffer was pushed by this thread, which is over and has no other.
        unsafe { _pthread_cleanup_pop(self.0, 0) };
        // SAFETY: it came from a box, and the C library knows it no more.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// Has this thread sleep for ever if it is ended after [`threads_end`].
#[cold]
pub fn sleep_when_ended() {
    // At the end of a thread there is nothing more to ask for.
    let _ = CLEANUP.try_with(|cleanup| {
        cleanup.get_or_init(|| {
            let buffer = Box::into_raw(Box::new([0; 4]));
            // SAFETY: the buffer lives until the thread is over; the routine stays loaded.
            unsafe { _pthread_cleanup_push(buffer, sleep, std::ptr::null_mut()) };
            Cleanup(buffer)
        });
    });
}

/// From now on threads may be ended that are in the middle of something.
pub fn threads_end() {
    HAVE_ENDED.store(true, Ordering::Release);
}

extern "C" fn sleep(_: *mut c_void) {
    while HAVE_ENDED.load(Ordering::Acquire) {
        // SAFETY: a plain system call without pointers.
        unsafe { libc::pause() };
    }
}
