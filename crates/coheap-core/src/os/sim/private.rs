//! Exclusion among the threads of one process; here it holds among all peers.
//!
//! What is `static` above this floor is one for all peers, so a lock that a "forked child" could
//! take from its "parent" would let two threads in at once.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A lock around private memory.
#[derive(Debug)]
pub struct PrivateMutex<T>(Mutex<T>);

/// The lock, held; dropping it lets go.
#[derive(Debug)]
pub struct PrivateGuard<'a, T>(MutexGuard<'a, T>);

impl<T> PrivateMutex<T> {
    /// Returns a lock that is free.
    pub const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Takes the lock, waiting for the other threads.
    pub fn lock(&self) -> PrivateGuard<'_, T> {
        PrivateGuard(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the value, for the only one who has the lock at all.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Deref for PrivateGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for PrivateGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
