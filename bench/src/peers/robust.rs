//! The C library's mutex, robust and shared between processes.
//!
//! What always holds: the mutex lies on a shared page of its own, is initialised once and never
//! destroyed.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

/// A robust mutex in shared memory.
pub struct Robust {
    mutex: &'static UnsafeCell<libc::pthread_mutex_t>,
}

impl Robust {
    /// A new mutex on a page of its own.
    pub fn new() -> Self {
        // SAFETY: no address is asked for, so no other mapping is replaced.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                4096,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert!(page != libc::MAP_FAILED, "no memory for a mutex");
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the attributes are initialised first and used only afterwards; the page is ours,
        // long enough, aligned, zeroed and never unmapped.
        unsafe {
            libc::pthread_mutexattr_init(attributes.as_mut_ptr());
            libc::pthread_mutexattr_setpshared(
                attributes.as_mut_ptr(),
                libc::PTHREAD_PROCESS_SHARED,
            );
            libc::pthread_mutexattr_setrobust(attributes.as_mut_ptr(), libc::PTHREAD_MUTEX_ROBUST);
            libc::pthread_mutex_init(page.cast(), attributes.as_ptr());
            Self { mutex: &*page.cast() }
        }
    }

    /// Takes the mutex.
    #[inline]
    pub fn lock(&self) {
        // SAFETY: the mutex was initialised and is never destroyed.
        let code = unsafe { libc::pthread_mutex_lock(self.mutex.get()) };
        assert!(code == 0, "the mutex was not had");
    }

    /// Lets the mutex go.
    #[inline]
    pub fn unlock(&self) {
        // SAFETY: as for `lock`; the calling thread has it.
        let code = unsafe { libc::pthread_mutex_unlock(self.mutex.get()) };
        assert!(code == 0, "the mutex was not ours");
    }
}
