//! A lock that is released when its holder dies.
//!
//! What always holds: a guard belongs to the thread that acquired it, and dropping it releases the
//! lock. The value beside the lock is replaced completely or not at all.

use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

use coheap_core::{Acquired, Context, Mutex as Engine};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Heap;
use crate::alone::{self, wait_with};
use crate::buffer::{self, Buffer};
use crate::error::Result;

/// A lock around a value. [`Heap::mutex`] returns one.
///
/// When a holder dies, the next caller acquires the lock, and [`MutexGuard::died`] returns the
/// process id of the dead holder. A deadlock is detected: one of the threads that wait for each
/// other gets an error.
#[derive(Debug, Clone)]
pub struct Mutex<T> {
    heap: Heap,
    engine: Engine,
    types: PhantomData<fn(T) -> T>,
}

/// The acquired lock. Dropping the guard releases it.
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    died: Option<u32>,
    /// The context of the thread that acquired the lock. The same thread has to release it.
    context: Rc<Context>,
}

impl<T: Serialize + DeserializeOwned> Mutex<T> {
    pub(crate) fn new(heap: &Heap, engine: Engine) -> Self {
        Self { heap: heap.clone(), engine, types: PhantomData }
    }

    /// Acquires the lock, and waits until it is free.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) with `Deadlock` when the holders, this thread
    /// included, have waited for each other in a cycle for a second;
    /// [`Error::Engine`](crate::Error::Engine) with `OwnerDied` when the lock refuses everybody
    /// after a death, see [`recover`](Self::recover);
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the object was removed.
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

    /// As [`lock`](Self::lock), but waits at most `timeout`. It does not look for deadlocks.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`](crate::Error::Timeout) when the timeout expired; else as `lock`, without
    /// `Deadlock`.
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

    /// Acquires the lock if it is free or its holder is dead; otherwise returns `None`.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) with `OwnerDied` as for [`lock`](Self::lock);
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the object was removed.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let total = heap.mutex("total", &0i64)?;
    /// assert!(total.try_lock()?.is_some());
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn try_lock(&self) -> Result<Option<MutexGuard<'_, T>>> {
        let context = self.heap.engine.context()?;
        alone::check(&context)?;
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

    /// Clears the mark of a dead holder, releases the lock if a dead process holds it, and returns
    /// whether there was a death to clear. A lock that a living process holds stays held.
    ///
    /// After a death, a lock that a Python program created with `on_death="raise"` refuses every
    /// caller with [`Error::Engine`](crate::Error::Engine) and `OwnerDied`, until `recover` is
    /// called.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the object was removed.
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

    /// Returns the process id of the holder, dead or alive, or `None` if the lock is free.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the object was removed.
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
    /// Returns the process id of the previous holder if it died while it held the lock: the data
    /// that the lock guards may be incomplete then.
    pub fn died(&self) -> Option<u32> {
        self.died
    }

    /// Returns the value.
    ///
    /// # Errors
    ///
    /// [`Error::Element`](crate::Error::Element) when the stored value is not a `T`;
    /// [`Error::Pickled`](crate::Error::Pickled) when Python has pickled it;
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the object was removed.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// assert_eq!(heap.mutex("total", &7i64)?.lock()?.get()?, 7);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn get(&self) -> Result<T> {
        let value = self.mutex.engine.value();
        buffer::read(|out| self.mutex.heap.with(|context| value.get(context, out)))
    }

    /// Replaces the value.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`](crate::Error::HeapFull) when there is no room for the value;
    /// [`Error::Element`](crate::Error::Element) when it cannot be encoded;
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the object was removed.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let total = heap.mutex("total", &7i64)?;
    /// total.lock()?.set(&8)?;
    /// assert_eq!(total.lock()?.get()?, 8);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn set(&self, new: &T) -> Result<()> {
        let new = Buffer::value(new)?;
        let value = self.mutex.engine.value();
        self.mutex.heap.with(|context| value.set(context, &new.0))
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // A forked child does not hold the lock. A removed lock need not be released.
        if self.context.is_own() {
            let _ = self.mutex.engine.unlock(&self.context);
        }
    }
}
