//! A queue whose items are not lost with the worker that has them.
//!
//! What always holds: a job is waiting, on one lease, given up, or done. A lease that is dropped
//! without a word gives its job back.

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

/// Jobs: each is given out on lease and comes back unless it is acked. Made by
/// [`Heap::work_queue`].
///
/// A job whose worker died, dropped it or gave it back is given out again, before all others. A
/// job that was acked is never given out again.
#[derive(Debug, Clone)]
pub struct WorkQueue<T> {
    pub(crate) heap: Heap,
    pub(crate) engine: Engine,
    types: PhantomData<fn(T) -> T>,
}

/// A job on lease. Dropping it without a word gives it back.
#[derive(Debug)]
pub struct Lease<T> {
    pub(crate) heap: Heap,
    pub(crate) engine: Engine,
    pub(crate) token: Token,
    pub(crate) is_over: Cell<bool>,
    value: T,
}

/// A job that was given up after its last attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed<T> {
    /// The job.
    pub value: T,
    /// How many attempts were made.
    pub attempts: u32,
    /// What became of the last one.
    pub reason: Reason,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It was given back on purpose.
    Nacked,
    /// The worker died.
    Died,
    /// The lease was dropped without a word.
    Dropped,
}

impl<T: Serialize + DeserializeOwned> WorkQueue<T> {
    pub(crate) fn new(heap: &Heap, engine: Engine) -> Self {
        Self { heap: heap.clone(), engine, types: PhantomData }
    }

    /// Puts a job at the back, waiting while the queue is full.
    ///
    /// # Errors
    ///
    /// [`Error::ShutDown`](crate::Error::ShutDown) after `close`;
    /// [`Error::HeapFull`](crate::Error::HeapFull) when the heap itself has no room.
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

    /// Puts jobs at the back, in order, as many as there are places for. Answers how many.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), if not even the first one could be put.
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

    /// Takes the job at the front on lease, waiting until there is one.
    ///
    /// # Errors
    ///
    /// [`Error::ShutDown`](crate::Error::ShutDown) when the queue is closed and everything is
    /// done; [`Error::Element`](crate::Error::Element) when the job is no `T`, and
    /// [`Error::Pickled`](crate::Error::Pickled) when Python has pickled it: it went back, as after
    /// [`Lease::nack`].
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

    /// As [`get`](Self::get), but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`](crate::Error::Empty) when the time ran out; else as `get`.
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
                self.heap.with(|context| {
                    self.engine.nack(context, &token, Some(ReturnReason::Nacked))
                })?;
                Err(error.into())
            }
        }
    }

    /// How many jobs wait.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone).
    ///
    /// ```
    /// let jobs = coheap::Heap::anonymous(1 << 20)?.work_queue::<u64>("jobs")?;
    /// assert_eq!(jobs.len()?, 0);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn len(&self) -> Result<u64> {
        self.heap.with(|context| self.engine.len(context))
    }

    /// Whether no job waits.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone).
    ///
    /// ```
    /// let jobs = coheap::Heap::anonymous(1 << 20)?.work_queue::<u64>("jobs")?;
    /// assert!(jobs.is_empty()?);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// How many jobs are on lease.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone).
    ///
    /// ```
    /// let jobs = coheap::Heap::anonymous(1 << 20)?.work_queue::<u64>("jobs")?;
    /// assert_eq!(jobs.leased()?, 0);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn leased(&self) -> Result<u64> {
        self.heap.with(|context| self.engine.leased(context))
    }

    /// The jobs that were given up, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::Element`](crate::Error::Element) when one is no `T`.
    ///
    /// ```
    /// let jobs = coheap::Heap::anonymous(1 << 20)?.work_queue::<u64>("jobs")?;
    /// assert!(jobs.failed()?.is_empty());
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn failed(&self) -> Result<Vec<Failed<T>>> {
        let failed = self.heap.with(|context| self.engine.failed(context))?;
        let decode = |failed: coheap_core::Failed| {
            let reason = match failed.why {
                ReturnReason::Nacked => Reason::Nacked,
                ReturnReason::Died => Reason::Died,
                ReturnReason::Dropped => Reason::Dropped,
            };
            let value = element::decode(&failed.value)?;
            Ok(Failed { value, attempts: failed.attempts, reason })
        };
        failed.into_iter().map(decode).collect()
    }

    /// Lets nothing more be put. What is there can still be got.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone).
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

    /// Waits until every job is acked or given up; `None`: for ever.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`](crate::Error::Timeout).
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
    /// The job.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Which attempt at the job this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.token.attempt
    }

    /// Says that the job is done: it will never be given out again.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`](crate::Error::LeaseLost) when it is not held any more.
    ///
    /// ```
    /// let jobs = coheap::Heap::anonymous(1 << 20)?.work_queue::<u64>("jobs")?;
    /// jobs.put(&7)?;
    /// jobs.get()?.ack()?;
    /// assert!(jobs.is_empty()? && jobs.leased()? == 0);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn ack(self) -> Result<()> {
        self.is_over.set(true);
        self.heap.with(|context| self.engine.ack(context, &self.token))
    }

    /// Gives the job back, to be tried again; the attempt counts.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`](crate::Error::LeaseLost) when it is not held any more.
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

    fn give_back(&self, why: ReturnReason) -> Result<()> {
        if self.is_over.replace(true) {
            return Ok(());
        }
        self.heap.with(|context| self.engine.nack(context, &self.token, Some(why)))
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        // A lease that is lost already, or a closed heap, has nothing to give back to.
        let _ = self.give_back(ReturnReason::Dropped);
    }
}
