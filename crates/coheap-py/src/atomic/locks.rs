//! Locks that are acquired and released inside a block.
//!
//! What always holds: the next holder of a lock sees the changes that the block made while it held
//! the lock. A release inside the block is therefore delayed until its end. An abort releases the
//! locks that were acquired inside, and cancels the delayed releases.

use coheap_core::Error;
use coheap_core::Mutex;
use pyo3::prelude::*;

use crate::object::Object;

/// A lock that a block has acquired or released.
#[derive(Debug, Clone)]
struct UserLock {
    object: Object,
    mutex: Mutex,
    is_recursive: bool,
    /// How often it was acquired inside.
    acquired: u64,
    /// How often it is to be released at the end.
    released: u64,
}

/// The locks of a block.
#[derive(Debug, Clone, Default)]
pub(super) struct UserLocks {
    locks: Vec<UserLock>,
}

impl UserLocks {
    /// Returns whether the block has acquired no lock.
    pub(super) fn is_empty(&self) -> bool {
        self.locks.iter().all(|lock| lock.acquired == 0)
    }

    fn find(&mut self, object: &Object) -> Option<&mut UserLock> {
        self.locks.iter_mut().find(|lock| lock.object.handle() == object.handle())
    }

    fn enter(&mut self, object: &Object, mutex: Mutex, is_recursive: bool) -> &mut UserLock {
        let known = self.locks.iter().position(|lock| lock.object.handle() == object.handle());
        let at = known.unwrap_or_else(|| {
            let object = object.clone();
            self.locks.push(UserLock { object, mutex, is_recursive, acquired: 0, released: 0 });
            self.locks.len() - 1
        });
        &mut self.locks[at]
    }

    /// Acquires a lock again that is to be released at the end. `false`: there is no such lock.
    pub(super) fn acquire_again(&mut self, object: &Object) -> bool {
        match self.find(object) {
            Some(lock) if lock.released > 0 => {
                lock.released -= 1;
                true
            }
            _ => false,
        }
    }

    /// Notes a lock that was acquired inside.
    pub(super) fn note_acquired(&mut self, object: &Object, mutex: Mutex, is_recursive: bool) {
        self.enter(object, mutex, is_recursive).acquired += 1;
    }

    /// Keeps a release for the end. `times` says how often the lock may be released.
    pub(super) fn release(
        &mut self,
        object: &Object,
        mutex: Mutex,
        is_recursive: bool,
        times: u64,
    ) -> Result<(), Error> {
        let lock = self.enter(object, mutex, is_recursive);
        if lock.released >= times {
            return Err(Error::NotOwner);
        }
        lock.released += 1;
        Ok(())
    }

    /// The block is committed: releases take effect, all of them, also if a signal handler raises
    /// meanwhile.
    pub(super) fn commit(self, py: Python<'_>) -> PyResult<()> {
        let mut done = Ok(());
        for lock in &self.locks {
            for _ in 0..lock.released {
                done = done.and(lock.release(py));
            }
        }
        done
    }

    /// Goes back to an earlier moment: what was acquired since is let go.
    pub(super) fn roll_back_to(&mut self, mut before: Self) {
        for lock in &self.locks {
            let acquired = before.find(&lock.object).map_or(0, |known| known.acquired);
            lock.let_go(lock.acquired - acquired);
        }
        *self = before;
    }
}

impl UserLock {
    /// Lets go of what this thread holds: a lock that was removed, or let go by another, needs
    /// nothing any more. It waits for nobody.
    fn let_go(&self, times: u64) {
        for _ in 0..times {
            let _ = self.let_go_once();
        }
    }

    fn let_go_once(&self) -> Result<(), Error> {
        self.object.heap.engine.with(|context| match self.is_recursive {
            true => self.mutex.leave(context),
            false => self.mutex.unlock(context),
        })
    }

    /// Releases the lock, whichever thread holds it.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        if let (Err(Error::NotOwner), false) = (self.let_go_once(), self.is_recursive) {
            let mutex = self.mutex;
            let heap = &self.object.heap;
            // A lock that is free by now needs nothing.
            let _ = heap.write(py, false, |context| mutex.unlock_for_another(context))?;
        }
        Ok(())
    }
}
