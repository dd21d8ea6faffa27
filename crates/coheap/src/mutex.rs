//! A lock that no death can keep.
//!
//! What always holds: a guard is held by the thread that took it and lets go when it is dropped.
//! The value beside the lock is replaced whole or not at all.

use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

use coheap_core::{Acquired, Context, Mutex as Engine};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Heap;
use crate::buffer::{self, Buffer};
use crate::error::Result;
use crate::heap::wait_with;

/// A lock around a value. Made by [`Heap::mutex`].
///
/// When its holder dies the next one gets the lock and is told, see
/// [`MutexGuard::died`]. Holders that wait for each other in a circle are told too.
#[derive(Debug, Clone)]
pub struct Mutex<T> {
    heap: Heap,
    engine: Engine,
    types: PhantomData<fn(T) -> T>,
}

/// The lock, held; dropping it lets go.
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    died: Option<u32>,
    /// That of the thread that took it, which is to let it go.
    context: Rc<Context>,
}

impl<T: Serialize + DeserializeOwned> Mutex<T> {
    pub(crate) fn new(heap: &Heap, engine: Engine) -> Self {
        Self { heap: heap.clone(), engine, types: PhantomData }
    }

    /// Takes the lock, waiting for it.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`] with `Deadlock` when all wait for each other, this thread included.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let total = heap.mutex("total", &0i64)?;
    /// let guard = total.lock()?;
    /// guard.set(&(guard.get()? + 1))?;
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn lock(&self) -> Result<MutexGuard<'_, T>> {
        self.lock_before(None)
    }

    /// As [`lock`](Self::lock), but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let total = heap.mutex("total", &0i64)?;
    /// let guard = total.lock()?;
    /// assert!(total.lock_timeout(Duration::from_millis(5)).is_err());
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn lock_timeout(&self, timeout: Duration) -> Result<MutexGuard<'_, T>> {
        self.lock_before(Some(timeout))
    }

    #[inline]
    fn lock_before(&self, timeout: Option<Duration>) -> Result<MutexGuard<'_, T>> {
        let context = self.heap.engine.context()?;
        let acquired =
            wait_with(&context, timeout, |context, deadline| self.engine.lock(context, deadline))?;
        Ok(self.guard(acquired, context))
    }

    /// Takes the lock if it is free or its holder is dead.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`].
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let total = heap.mutex("total", &0i64)?;
    /// assert!(total.try_lock()?.is_some());
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn try_lock(&self) -> Result<Option<MutexGuard<'_, T>>> {
        let context = self.heap.engine.context()?;
        let acquired = self.engine.try_lock(&context)?;
        Ok(acquired.map(|acquired| self.guard(acquired, context)))
    }

    fn guard(&self, acquired: Acquired, context: Rc<Context>) -> MutexGuard<'_, T> {
        let died = match acquired {
            Acquired::Clean => None,
            Acquired::OwnerDied(pid) => Some(pid),
        };
        MutexGuard { mutex: self, died, context }
    }

    /// Forgets that a holder died, and frees the lock if a dead process holds it; a living
    /// holder's stays held. Answers whether there was a death to forget.
    ///
    /// A lock that a Python program made with `on_death="raise"` is refused to everybody after a
    /// death, [`Error::Engine`] with `OwnerDied`, until somebody calls this.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`].
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let total = heap.mutex("total", &0i64)?;
    /// assert!(!total.recover()?);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn recover(&self) -> Result<bool> {
        self.heap.with(|context| self.engine.recover(context))
    }

    /// Process id of the holder, dead or alive.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`].
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let total = heap.mutex("total", &0i64)?;
    /// assert_eq!(total.holder()?, None);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn holder(&self) -> Result<Option<u32>> {
        let holder = self.heap.with(|context| self.engine.holder(context))?;
        Ok(holder.map(|holder| holder.pid))
    }
}

impl<T: Serialize + DeserializeOwned> MutexGuard<'_, T> {
    /// Process id of the last holder if it died with the lock: what it guards may be half done.
    pub fn died(&self) -> Option<u32> {
        self.died
    }

    /// The value.
    ///
    /// # Errors
    ///
    /// [`Error::Element`] when the bytes are no `T`; [`Error::ObjectGone`].
    pub fn get(&self) -> Result<T> {
        let value = self.mutex.engine.value();
        buffer::read(|out| self.mutex.heap.with(|context| value.get(context, out)))
    }

    /// Replaces the value.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`], [`Error::ObjectGone`].
    pub fn set(&self, new: &T) -> Result<()> {
        let new = Buffer::value(new)?;
        let value = self.mutex.engine.value();
        self.mutex.heap.with(|context| value.set(context, &new.0))
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // A forked child holds nothing; a lock that was removed has nothing to let go.
        if self.context.is_own() {
            let _ = self.mutex.engine.unlock(&self.context);
        }
    }
}
