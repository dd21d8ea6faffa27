//! Exclusion among the threads of one process, which does not lock out a forked child.
//!
//! What always holds: the word is the fork generation of the holder's process, or 0. If another
//! thread of the parent held the lock during a fork, the child finds a generation that is not its
//! own and takes the lock: the holder does not exist in the child. The lock is held rarely and for
//! a short time, so waiters poll.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::generation;

/// A lock around private memory.
#[derive(Debug)]
pub struct PrivateMutex<T> {
    holder: AtomicU64,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by one thread at a time, through the guard.
unsafe impl<T: Send> Sync for PrivateMutex<T> {}

/// The lock, held; dropping it lets go.
#[derive(Debug)]
pub struct PrivateGuard<'a, T> {
    mutex: &'a PrivateMutex<T>,
}

impl<T> PrivateMutex<T> {
    /// Returns a lock that is free.
    pub const fn new(value: T) -> Self {
        Self { holder: AtomicU64::new(0), value: UnsafeCell::new(value) }
    }

    /// Takes the lock, waiting for the other threads of this process.
    pub fn lock(&self) -> PrivateGuard<'_, T> {
        let mut looks = 0u32;
        loop {
            if let Some(guard) = self.try_lock() {
                return guard;
            }
            looks += 1;
            match looks {
                0..100 => std::hint::spin_loop(),
                100..200 => std::thread::yield_now(),
                _ => std::thread::sleep(Duration::from_micros(50)),
            }
        }
    }

    /// Takes the lock if no other thread of this process has it.
    pub fn try_lock(&self) -> Option<PrivateGuard<'_, T>> {
        let (own, seen) = (generation(), self.holder.load(Ordering::Relaxed));
        let is_taken = seen != own
            && self
                .holder
                .compare_exchange(seen, own, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        is_taken.then(|| PrivateGuard { mutex: self })
    }

    /// Returns the value, for the only one who has the lock at all.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T> Deref for PrivateGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock, so no other thread has a reference.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for PrivateGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock, so no other thread has a reference.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T> Drop for PrivateGuard<'_, T> {
    fn drop(&mut self) {
        self.mutex.holder.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_at_a_time_has_the_value() {
        let mutex = PrivateMutex::new(0u64);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| *mutex.lock() += 1));
            }
        });
        assert_eq!(*mutex.lock(), 40_000);
    }
}
