//! A queue that does not lose a job when the worker that holds it dies.
//!
//! What always holds: a job is waiting, on one lease, given up, or done. A lease that is dropped
//! without `ack` or `nack` returns its job to the queue.

use std::cell::Cell;
use std::marker::PhantomData;
use std::time::Duration;

use coheap_core::{Lease as Token, Queue as Engine, ReturnReason};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Heap;
use crate::buffer::Buffer;
use crate::element;
use crate::error::Result;

/// A queue that hands out jobs on lease. [`Heap::work_queue`] returns one.
///
/// A job returns to the queue if its worker dies, drops the lease or calls [`Lease::nack`]; the
/// next `get` takes it before all other jobs. A job that was acked is never handed out again.
#[derive(Debug, Clone)]
pub struct WorkQueue<T> {
    pub(crate) heap: Heap,
    pub(crate) engine: Engine,
    types: PhantomData<fn(T) -> T>,
}

/// A job on lease. Dropping it without `ack` or `nack` returns the job to the queue.
#[derive(Debug)]
pub struct Lease<T> {
    pub(crate) heap: Heap,
    pub(crate) engine: Engine,
    pub(crate) token: Token,
    pub(crate) is_over: Cell<bool>,
    value: T,
}

/// A job that was given up after its last allowed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed<T> {
    /// The job.
    pub value: T,
    /// The number of attempts.
    pub attempts: u32,
    /// How the last attempt ended.
    pub reason: Reason,
}

/// How a failed attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The worker called [`Lease::nack`].
    Nacked,
    /// The worker died.
    Died,
    /// The lease was dropped without `ack` or `nack`.
    Dropped,
}

impl<T: Serialize + DeserializeOwned> WorkQueue<T> {
    pub(crate) fn new(heap: &Heap, engine: Engine) -> Self {
        Self { heap: heap.clone(), engine, types: PhantomData }
    }

    /// Puts a job at the back, and waits while the queue is full.
    ///
    /// # Errors
    ///
    /// [`Error::ShutDown`](crate::Error::ShutDown) after [`close`](Self::close);
    /// [`Error::HeapFull`](crate::Error::HeapFull) when the heap has no room;
    /// [`Error::Element`](crate::Error::Element) when the job cannot be encoded;
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the queue was removed. The job was not
    /// added.
    ///
    /// ```
    /// let jobs = coheap::Heap::anonymous(1 << 20)?.work_queue::<u64>("jobs")?;
    /// jobs.put(&7)?;
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn put(&self, job: &T) -> Result<()> {
        let job = Buffer::value(job)?;
        self.heap.wait(None, |context, deadline| self.engine.put_wait(context, deadline, &job.0))
    }

    /// Puts as many of the jobs at the back as there is room for, in order, and returns how many.
    /// Does not wait.
    ///
    /// # Errors
    ///
    /// When not even the first job could be put: [`Error::Full`](crate::Error::Full) when the queue
    /// is full; else as [`put`](Self::put).
    ///
    /// ```
    /// let jobs = coheap::Heap::anonymous(1 << 20)?.work_queue::<u64>("jobs")?;
    /// assert_eq!(jobs.put_many(&[1, 2])?, 2);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn put_many(&self, jobs: &[T]) -> Result<usize> {
        let buffers = jobs.iter().map(Buffer::value).collect::<Result<Vec<_>>>()?;
        let slices: Vec<&[u8]> = buffers.iter().map(AsRef::as_ref).collect();
        self.heap.with(|context| self.engine.put_many(context, &slices))
    }

    /// Takes the job at the front on lease, and waits until there is one.
    ///
    /// # Errors
    ///
    /// [`Error::ShutDown`](crate::Error::ShutDown) when the queue is closed and every job is done
    /// or given up; [`Error::ObjectGone`](crate::Error::ObjectGone) when the queue was removed;
    /// [`Error::Element`](crate::Error::Element) when the job is not a `T`, and
    /// [`Error::Pickled`](crate::Error::Pickled) when Python has pickled it. After these two, the
    /// job is back in the queue, as after [`Lease::nack`].
    ///
    /// ```
    /// let jobs = coheap::Heap::anonymous(1 << 20)?.work_queue::<u64>("jobs")?;
    /// jobs.put(&7)?;
    /// let job = jobs.get()?;
    /// assert_eq!((*job.value(), job.attempt()), (7, 1));
    /// job.ack()?;
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn get(&self) -> Result<Lease<T>> {
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
    /// let jobs = coheap::Heap::anonymous(1 << 20)?.work_queue::<u64>("jobs")?;
    /// assert!(jobs.get_timeout(Duration::from_millis(5)).is_err());
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn get_timeout(&self, timeout: Duration) -> Result<Lease<T>> {
        self.get_before(Some(timeout))
    }

    fn get_before(&self, timeout: Option<Duration>) -> Result<Lease<T>> {
        let mut out = Buffer::new();
        let token = self.heap.wait(timeout, |context, deadline| {
            self.engine.lease_wait(context, deadline, &mut out.0)
        })?;
        match element::decode(&out.0) {
            Ok(value) => Ok(Lease {
                heap: self.heap.clone(),
                engine: self.engine,
                token,
                is_over: Cell::new(false),
                value,
            }),
            Err(error) => {
                self.heap.engine.with(|context| {
                    self.engine.nack(context, &token, Some(ReturnReason::Nacked))
                })?;
                Err(error.into())
            }
        }
    }

    /// Returns the number of jobs that wait in the queue.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the queue was removed.
    ///
    /// ```
    /// let jobs = coheap::Heap::anonymous(1 << 20)?.work_queue::<u64>("jobs")?;
    /// assert_eq!(jobs.len()?, 0);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn len(&self) -> Result<u64> {
        self.heap.with(|context| self.engine.len(context))
    }

    /// Returns whether no job waits in the queue.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the queue was removed.
    ///
    /// ```
    /// let jobs = coheap::Heap::anonymous(1 << 20)?.work_queue::<u64>("jobs")?;
    /// assert!(jobs.is_empty()?);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Returns the number of jobs on lease.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the queue was removed.
    ///
    /// ```
    /// let jobs = coheap::Heap::anonymous(1 << 20)?.work_queue::<u64>("jobs")?;
    /// assert_eq!(jobs.leased()?, 0);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn leased(&self) -> Result<u64> {
        self.heap.with(|context| self.engine.leased(context))
    }

    /// Returns the number of jobs that the queue holds at most, as it was created; 0 is no limit.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the queue was removed.
    ///
    /// ```
    /// let jobs = coheap::Heap::anonymous(1 << 20)?.work_queue::<u64>("jobs")?;
    /// assert_eq!(jobs.maxsize()?, 0);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn maxsize(&self) -> Result<u64> {
        Ok(self.heap.with(|context| self.engine.limits(context))?.limit)
    }

    /// Returns the number of attempts after which a job is given up, as the queue was created;
    /// `None` is no limit.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the queue was removed.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// heap.bounded_work_queue::<u64>("jobs", 0, Some(3))?;
    /// assert_eq!(heap.bounded_work_queue::<u64>("jobs", 0, Some(9))?.max_attempts()?, Some(3));
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn max_attempts(&self) -> Result<Option<u32>> {
        let attempts = self.heap.with(|context| self.engine.limits(context))?.max_attempts;
        Ok(u32::try_from(attempts).ok().filter(|attempts| *attempts != 0))
    }

    /// Returns the jobs that were given up, the oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::Element`](crate::Error::Element) when one of them is not a `T`;
    /// [`Error::Pickled`](crate::Error::Pickled) when Python has pickled one of them;
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the queue was removed.
    ///
    /// ```
    /// let jobs = coheap::Heap::anonymous(1 << 20)?.work_queue::<u64>("jobs")?;
    /// assert!(jobs.failed()?.is_empty());
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn failed(&self) -> Result<Vec<Failed<T>>> {
        let failed = self.heap.with(|context| self.engine.failed(context))?;
        let decode = |failed: coheap_core::Failed| {
            let reason = match failed.reason {
                ReturnReason::Nacked => Reason::Nacked,
                ReturnReason::Died => Reason::Died,
                ReturnReason::Dropped => Reason::Dropped,
            };
            let value = element::decode(&failed.value)?;
            Ok(Failed { value, attempts: failed.attempts, reason })
        };
        failed.into_iter().map(decode).collect()
    }

    /// Closes the queue: it accepts no more jobs. The jobs in it can still be taken.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the queue was removed.
    ///
    /// ```
    /// let jobs = coheap::Heap::anonymous(1 << 20)?.work_queue::<u64>("jobs")?;
    /// jobs.close()?;
    /// assert!(matches!(jobs.put(&1), Err(coheap::Error::ShutDown)));
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn close(&self) -> Result<()> {
        self.heap.with(|context| self.engine.close(context))
    }

    /// Waits until every job is acked or given up, at most `timeout` (`None`: without a limit).
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`](crate::Error::Timeout) when the timeout expired;
    /// [`Error::ObjectGone`](crate::Error::ObjectGone) when the queue was removed.
    ///
    /// ```
    /// let jobs = coheap::Heap::anonymous(1 << 20)?.work_queue::<u64>("jobs")?;
    /// jobs.join(None)?;
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn join(&self, timeout: Option<Duration>) -> Result<()> {
        self.heap.wait(timeout, |context, deadline| self.engine.join(context, deadline))
    }
}

impl<T> Lease<T> {
    /// Returns the job.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Returns the number of this attempt at the job; the first is 1.
    pub fn attempt(&self) -> u32 {
        self.token.attempt
    }

    /// Marks the job as done. It is never handed out again. Inside of a transaction, use
    /// [`Tx::ack`](crate::Tx::ack).
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`](crate::Error::LeaseLost) when this process no longer holds the lease.
    ///
    /// ```
    /// let jobs = coheap::Heap::anonymous(1 << 20)?.work_queue::<u64>("jobs")?;
    /// jobs.put(&7)?;
    /// jobs.get()?.ack()?;
    /// assert!(jobs.is_empty()? && jobs.leased()? == 0);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn ack(self) -> Result<()> {
        self.heap.with(|context| {
            self.is_over.set(true);
            self.engine.ack(context, &self.token)
        })
    }

    /// Returns the job to the queue for another attempt. This attempt counts towards the limit.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`](crate::Error::LeaseLost) when this process no longer holds the lease.
    ///
    /// ```
    /// let jobs = coheap::Heap::anonymous(1 << 20)?.work_queue::<u64>("jobs")?;
    /// jobs.put(&7)?;
    /// jobs.get()?.nack()?;
    /// assert_eq!(jobs.get()?.attempt(), 2);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn nack(self) -> Result<()> {
        self.give_back(ReturnReason::Nacked)
    }

    fn give_back(&self, reason: ReturnReason) -> Result<()> {
        if self.is_over.replace(true) {
            return Ok(());
        }
        let nack = |context: &_| self.engine.nack(context, &self.token, Some(reason));
        Ok(self.heap.engine.with(nack)?)
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        // A lease that is lost already, or a closed heap, has nothing to give back to.
        let _ = self.give_back(ReturnReason::Dropped);
    }
}
