//! Threads of the C library.
//!
//! The standard library has a lock of its own around the beginning and the end of each thread. A child that
//! is forked while another thread has it can start none: its threads wait for ever (Rust 1.95).
//!
//! What always holds: a thread is over before what it borrows.

use std::ffi::c_void;
use std::marker::PhantomData;

type Work<'a> = Box<dyn FnOnce() + Send + 'a>;

/// A thread that was started. Dropping it waits for its end.
#[derive(Debug)]
pub(crate) struct Thread<'a> {
    id: libc::pthread_t,
    _borrows: PhantomData<&'a ()>,
}

impl<'a> Thread<'a> {
    /// Starts a thread, which must be dropped and not forgotten.
    pub(crate) fn start(work: impl FnOnce() + Send + 'a) -> Self {
        let work: Box<Work<'a>> = Box::new(Box::new(work));
        let mut id = 0;
        // SAFETY: the work is one that `run` takes back; what it borrows outlives the thread.
        let answer = unsafe {
            let work = Box::into_raw(work).cast();
            libc::pthread_create(&raw mut id, std::ptr::null(), run, work)
        };
        assert!(answer == 0, "pthread_create: {}", std::io::Error::from_raw_os_error(answer));
        Self { id, _borrows: PhantomData }
    }
}

impl Drop for Thread<'_> {
    fn drop(&mut self) {
        // SAFETY: the thread was started, and this is the only one who waits for it.
        unsafe { libc::pthread_join(self.id, std::ptr::null_mut()) };
    }
}

extern "C" fn run(work: *mut c_void) -> *mut c_void {
    // SAFETY: from `start`, which gave it away.
    let work = unsafe { Box::from_raw(work.cast::<Work<'_>>()) };
    work();
    std::ptr::null_mut()
}
