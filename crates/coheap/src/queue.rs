//! A queue that many processes share.
//!
//! What always holds: an item is encoded before the queue is locked and decoded after it is
//! unlocked, so no user code runs while other processes wait.

use std::marker::PhantomData;
use std::time::Duration;

use coheap_core::Queue as Engine;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Heap;
use crate::buffer::{self, Buffer};
use crate::error::Result;

/// A first-in, first-out queue. [`Heap::queue`] returns one.
///
/// An item is visible to every process once `put` returns. An item that a process has taken is lost
/// if that process dies; a [`WorkQueue`](crate::WorkQueue) returns it to the queue instead.
#[derive(Debug, Clone)]
pub struct Queue<T> {
    pub(crate) heap: Heap,
    pub(crate) engine: Engine,
    types: PhantomData<fn(T) -> T>,
}

impl<T: Serialize + DeserializeOwned> Queue<T> {
    pub(crate) fn new(heap: &Heap, engine: Engine) -> Self {
        Self { heap: heap.clone(), engine, types: PhantomData }
    }

    /// Puts an item at the back, and waits while the queue is full.
    ///
    /// # Errors
    ///
    /// [`Error::ShutDown`](crate::Error::ShutDown) after [`close`](Self::close);
    /// [`Error::HeapFull`](crate::Error::HeapFull) when the heap has no room;
    /// [`Error::Element`](crate::Error::Element) when the item cannot be encoded;
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the queue was removed. The item was not
    /// added.
    ///
    /// ```
    /// let queue = coheap::Heap::anonymous(1 << 20)?.queue::<u64>("numbers")?;
    /// queue.put(&7)?;
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn put(&self, item: &T) -> Result<()> {
        self.put_before(item, None)
    }

    /// As [`put`](Self::put), but waits at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::Full`](crate::Error::Full) when the timeout expired; else as `put`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let queue = coheap::Heap::anonymous(1 << 20)?.bounded_queue::<u64>("one", 1)?;
    /// queue.put_timeout(&7, Duration::from_millis(5))?;
    /// assert!(queue.put_timeout(&8, Duration::from_millis(5)).is_err());
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn put_timeout(&self, item: &T, timeout: Duration) -> Result<()> {
        self.put_before(item, Some(timeout))
    }

    fn put_before(&self, item: &T, timeout: Option<Duration>) -> Result<()> {
        let item = Buffer::value(item)?;
        self.heap
            .wait(timeout, |context, deadline| self.engine.put_wait(context, deadline, &item.0))
    }

    /// As [`put`](Self::put), but does not wait.
    ///
    /// # Errors
    ///
    /// [`Error::Full`](crate::Error::Full) when the queue is full; else as `put`.
    ///
    /// ```
    /// let queue = coheap::Heap::anonymous(1 << 20)?.queue::<u64>("numbers")?;
    /// queue.try_put(&7)?;
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn try_put(&self, item: &T) -> Result<()> {
        let item = Buffer::value(item)?;
        self.heap.with(|context| self.engine.put(context, &item.0))
    }

    /// Takes the item at the front, and waits until there is one.
    ///
    /// # Errors
    ///
    /// [`Error::ShutDown`](crate::Error::ShutDown) when the queue is closed and every item in it is
    /// done; [`Error::ObjectGone`](crate::Error::ObjectGone) when the queue was removed;
    /// [`Error::Element`](crate::Error::Element) when the item is not a `T`, and
    /// [`Error::Pickled`](crate::Error::Pickled) when Python has pickled it. After these two, the
    /// item is lost.
    ///
    /// ```
    /// let queue = coheap::Heap::anonymous(1 << 20)?.queue::<u64>("numbers")?;
    /// queue.put(&7)?;
    /// assert_eq!(queue.get()?, 7);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn get(&self) -> Result<T> {
        self.get_before(None)
    }

    /// As [`get`](Self::get), but waits at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`](crate::Error::Empty) when the timeout expired; else as `get`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let queue = coheap::Heap::anonymous(1 << 20)?.queue::<u64>("numbers")?;
    /// assert!(queue.get_timeout(Duration::from_millis(5)).is_err());
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn get_timeout(&self, timeout: Duration) -> Result<T> {
        self.get_before(Some(timeout))
    }

    fn get_before(&self, timeout: Option<Duration>) -> Result<T> {
        buffer::read(|out| {
            self.heap
                .wait(timeout, |context, deadline| self.engine.get_wait(context, deadline, out))
        })
    }

    /// As [`get`](Self::get), but does not wait.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`](crate::Error::Empty) when the queue is empty; else as `get`.
    ///
    /// ```
    /// let queue = coheap::Heap::anonymous(1 << 20)?.queue::<u64>("numbers")?;
    /// assert!(matches!(queue.try_get(), Err(coheap::Error::Empty)));
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn try_get(&self) -> Result<T> {
        buffer::read(|out| self.heap.with(|context| self.engine.get(context, out)))
    }

    /// Puts as many of the items at the back as there is room for, in order, and returns how many.
    /// Does not wait.
    ///
    /// # Errors
    ///
    /// As [`try_put`](Self::try_put), when not even the first item could be put.
    ///
    /// ```
    /// let queue = coheap::Heap::anonymous(1 << 20)?.queue::<u64>("numbers")?;
    /// assert_eq!(queue.put_many(&[1, 2, 3])?, 3);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn put_many(&self, items: &[T]) -> Result<usize> {
        let buffers = items.iter().map(Buffer::value).collect::<Result<Vec<_>>>()?;
        let slices: Vec<&[u8]> = buffers.iter().map(AsRef::as_ref).collect();
        self.heap.with(|context| self.engine.put_many(context, &slices))
    }

    /// Returns the number of items that wait in the queue.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the queue was removed.
    ///
    /// ```
    /// let queue = coheap::Heap::anonymous(1 << 20)?.queue::<u64>("numbers")?;
    /// assert_eq!(queue.len()?, 0);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn len(&self) -> Result<u64> {
        self.heap.with(|context| self.engine.len(context))
    }

    /// Returns whether no item waits in the queue.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the queue was removed.
    ///
    /// ```
    /// let queue = coheap::Heap::anonymous(1 << 20)?.queue::<u64>("numbers")?;
    /// assert!(queue.is_empty()?);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Returns the number of items that the queue holds at most, as it was created; 0 is no limit.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the queue was removed.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// heap.bounded_queue::<u64>("numbers", 5)?;
    /// assert_eq!(heap.bounded_queue::<u64>("numbers", 9)?.maxsize()?, 5);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn maxsize(&self) -> Result<u64> {
        Ok(self.heap.with(|context| self.engine.limits(context))?.limit)
    }

    /// Closes the queue: it accepts no more items. The items in it can still be taken.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the queue was removed.
    ///
    /// ```
    /// let queue = coheap::Heap::anonymous(1 << 20)?.queue::<u64>("numbers")?;
    /// queue.close()?;
    /// assert!(matches!(queue.get(), Err(coheap::Error::ShutDown)));
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn close(&self) -> Result<()> {
        self.heap.with(|context| self.engine.close(context))
    }
}
