//! Transactions: changes to several objects that happen together or not at all.
//!
//! What always holds: a block that returns an error or panics, or whose process dies, changes
//! nothing. A block that is undone because of a deadlock runs again and keeps its age.

use std::borrow::Borrow;
use std::rc::Rc;
use std::time::Duration;

use coheap_core::Transaction;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::buffer::{self, Buffer};
use crate::error::{Error, Result};
use crate::{Heap, Lease, Map, Queue, Value, WorkQueue, element};

/// How often a transaction is attempted when deadlocks keep it from finishing.
const ATTEMPTS: u32 = 100;

/// An open transaction; see [`Heap::transaction`].
///
/// It locks each map and each value when it first touches it, for reading, too. Its writes stay
/// private until it commits. Any of its methods may return [`Error::OtherHeap`] for an object of
/// another heap, and [`Error::Engine`] with `Deadlock`; return that error from the block.
#[derive(Debug)]
pub struct Tx {
    heap: Heap,
    engine: Transaction,
}

impl Heap {
    /// Runs `block` and applies all its changes at once, or none of them if it returns an error or
    /// the process dies.
    ///
    /// When transactions lock the same objects in different orders, one of them is undone and its
    /// block runs again. A block should therefore have no other side effects.
    ///
    /// Inside the block, objects of this heap are used through the methods of [`Tx`] only: an
    /// operation on an object itself is refused with [`Error::InTransaction`], also one that reads,
    /// because it would not see what the transaction has written. Objects are created and removed
    /// outside; those that exist may be opened by name inside, too.
    ///
    /// # Errors
    ///
    /// The error that `block` returned; [`Error::TransactionTooLarge`] from the operation that would
    /// change too much: there is room for at least 32,000 entries that are added, removed or replaced,
    /// and `clear` counts as one of them.
    /// From the commit: [`Error::HeapFull`], [`Error::TransactionTooLarge`] for additions to integers
    /// that nobody had read, [`Error::LeaseLost`] when a lease that the block acked was
    /// lost, and [`Error::Engine`] with `NotAnInteger` or `Overflow` for an addition.
    /// [`Error::Engine`] with `Deadlock` after a hundred attempts. Nothing was changed.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let accounts = heap.map::<String, i64>("accounts")?;
    /// heap.transaction(|tx| {
    ///     tx.add(&accounts, "a", -5)?;
    ///     tx.add(&accounts, "b", 5)
    /// })?;
    /// assert_eq!(accounts.get("b")?, Some(5));
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn transaction<T>(&self, mut block: impl FnMut(&mut Tx) -> Result<T>) -> Result<T> {
        let mut age = None;
        for attempt in 1.. {
            let context = self.engine.context()?;
            let engine = Transaction::begin(Rc::clone(&context), age)?;
            let mut tx = Tx { heap: self.clone(), engine };
            let answer = block(&mut tx);
            let doom = tx.engine.doom().cloned();
            let done = match (doom, answer) {
                (Some(why), _) => Err(why.into()),
                (None, Err(error)) => return Err(error),
                (None, Ok(value)) => tx.engine.commit().map(|()| value).map_err(Error::from),
            };
            match done {
                Err(Error::Engine(coheap_core::Error::Deadlock)) if attempt < ATTEMPTS => {
                    // It keeps the age of its first attempt, so it is not chosen to give up again
                    // and again.
                    age = Transaction::last_age(&context);
                    std::thread::sleep(Duration::from_micros(50) * attempt.min(20));
                }
                other => return other,
            }
        }
        Err(Error::Engine(coheap_core::Error::Deadlock))
    }
}

impl Tx {
    fn check(&self, heap: &Heap) -> Result<()> {
        if heap.engine.is_same(&self.heap.engine) { Ok(()) } else { Err(Error::OtherHeap) }
    }

    /// As [`Map::get`], including the writes of this transaction.
    ///
    /// # Errors
    ///
    /// As [`Map::get`].
    pub fn get<K, V, Q>(&mut self, map: &Map<K, V>, key: &Q) -> Result<Option<V>>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
        V: Serialize + DeserializeOwned,
    {
        self.check(&map.heap)?;
        buffer::look_up(key, |key, out| self.engine.on(&map.engine).get(key, out))
    }

    /// As [`Map::set`], applied by the commit.
    ///
    /// # Errors
    ///
    /// As [`Map::set`].
    pub fn set<K, V, Q>(&mut self, map: &Map<K, V>, key: &Q, value: &V) -> Result<()>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
        V: Serialize + DeserializeOwned,
    {
        self.check(&map.heap)?;
        let (key, value) = (Buffer::key(key)?, Buffer::value(value)?);
        Ok(self.engine.on(&map.engine).set(&key.0, &value.0)?)
    }

    /// As [`Map::remove`], applied by the commit.
    ///
    /// # Errors
    ///
    /// As [`Map::remove`].
    pub fn remove<K, V, Q>(&mut self, map: &Map<K, V>, key: &Q) -> Result<Option<V>>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
        V: Serialize + DeserializeOwned,
    {
        self.check(&map.heap)?;
        buffer::look_up(key, |key, out| self.engine.on(&map.engine).remove(key, out))
    }

    /// Returns the entry of a map that was inserted first, or `None` if the map is empty, including the
    /// writes of this transaction.
    ///
    /// # Errors
    ///
    /// As [`Map::get`].
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let recent = heap.map::<String, u32>("recent")?;
    /// heap.transaction(|tx| {
    ///     tx.set(&recent, "old", &1)?;
    ///     tx.set(&recent, "new", &2)?;
    ///     assert_eq!(tx.first(&recent)?, Some(("old".to_owned(), 1)));
    ///     assert_eq!(tx.last(&recent)?, Some(("new".to_owned(), 2)));
    ///     tx.pop_first(&recent)
    /// })?;
    /// assert_eq!(recent.len()?, 1);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn first<K, V>(&mut self, map: &Map<K, V>) -> Result<Option<(K, V)>>
    where
        K: Serialize + DeserializeOwned,
        V: Serialize + DeserializeOwned,
    {
        self.check(&map.heap)?;
        buffer::read_pair(|key, value| self.engine.on(&map.engine).first(key, value))
    }

    /// As [`first`](Self::first), of the entry that was inserted last.
    ///
    /// # Errors
    ///
    /// As [`Map::get`].
    pub fn last<K, V>(&mut self, map: &Map<K, V>) -> Result<Option<(K, V)>>
    where
        K: Serialize + DeserializeOwned,
        V: Serialize + DeserializeOwned,
    {
        self.check(&map.heap)?;
        buffer::read_pair(|key, value| self.engine.on(&map.engine).last(key, value))
    }

    /// Removes the entry of a map that was inserted first and returns it, applied by the commit.
    ///
    /// # Errors
    ///
    /// As [`Map::pop_last`].
    pub fn pop_first<K, V>(&mut self, map: &Map<K, V>) -> Result<Option<(K, V)>>
    where
        K: Serialize + DeserializeOwned,
        V: Serialize + DeserializeOwned,
    {
        self.check(&map.heap)?;
        buffer::read_pair(|key, value| self.engine.on(&map.engine).pop_first(key, value))
    }

    /// As [`Map::pop_last`], applied by the commit.
    ///
    /// # Errors
    ///
    /// As [`Map::pop_last`].
    pub fn pop_last<K, V>(&mut self, map: &Map<K, V>) -> Result<Option<(K, V)>>
    where
        K: Serialize + DeserializeOwned,
        V: Serialize + DeserializeOwned,
    {
        self.check(&map.heap)?;
        buffer::read_pair(|key, value| self.engine.on(&map.engine).pop_last(key, value))
    }

    /// As [`Map::add`], applied by the commit. The commit fails if the stored value is not an
    /// integer of 64 bits, or if the sum does not fit in an `i64`.
    ///
    /// # Errors
    ///
    /// As [`add_many`](Self::add_many).
    pub fn add<K, V, Q>(&mut self, map: &Map<K, V>, key: &Q, more: i64) -> Result<()>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        self.add_many(map, [(key, more)])
    }

    /// Adds to the integers of many keys, applied by the commit. The commit fails if a stored value
    /// is not an integer of 64 bits, or if a sum does not fit in an `i64`.
    ///
    /// # Errors
    ///
    /// [`Error::Element`] when a key cannot be encoded; [`Error::ObjectGone`] when the map was
    /// removed; [`Error::Engine`] with `NotAnInteger` or `Overflow` for a key that this transaction
    /// has read or written before.
    pub fn add_many<'a, K, V, Q>(
        &mut self,
        map: &Map<K, V>,
        additions: impl IntoIterator<Item = (&'a Q, i64)>,
    ) -> Result<()>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized + 'a,
    {
        self.check(&map.heap)?;
        let mut bytes = Buffer::new();
        let mut seen: Vec<(Vec<u8>, i64)> = Vec::new();
        let mut unseen = self.engine.on(&map.engine).additions()?;
        for (key, more) in additions {
            bytes.0.clear();
            element::encode_key(key, &mut bytes.0)?;
            // New keys stand in the order in which they come: after the first that has to be
            // looked at, all are.
            if !seen.is_empty() || !unseen.add(&bytes.0, more)? {
                seen.push((bytes.0.clone(), more));
            }
        }
        for (key, more) in seen {
            self.engine.on(&map.engine).add(&key, more)?;
        }
        Ok(())
    }

    /// As [`Map::clear`], applied by the commit.
    ///
    /// # Errors
    ///
    /// As [`Map::clear`].
    pub fn clear<K, V>(&mut self, map: &Map<K, V>) -> Result<()> {
        self.check(&map.heap)?;
        Ok(self.engine.on(&map.engine).clear()?)
    }

    /// Returns the number of entries of a map, including the writes of this transaction.
    ///
    /// # Errors
    ///
    /// As [`Map::len`].
    pub fn len<K, V>(&mut self, map: &Map<K, V>) -> Result<u64> {
        self.check(&map.heap)?;
        Ok(self.engine.on(&map.engine).len()?)
    }

    /// As [`Value::get`], including the writes of this transaction.
    ///
    /// # Errors
    ///
    /// As [`Value::get`].
    pub fn read<T: Serialize + DeserializeOwned>(&mut self, value: &Value<T>) -> Result<T> {
        self.check(&value.heap)?;
        buffer::read(|out| self.engine.on(&value.engine).get(out))
    }

    /// As [`Value::set`], applied by the commit.
    ///
    /// # Errors
    ///
    /// As [`Value::set`].
    pub fn write<T: Serialize + DeserializeOwned>(
        &mut self,
        value: &Value<T>,
        new: &T,
    ) -> Result<()> {
        self.check(&value.heap)?;
        let new = Buffer::value(new)?;
        Ok(self.engine.on(&value.engine).set(&new.0)?)
    }

    /// Puts an item at the back of a queue, applied by the commit. Its place in the queue is reserved
    /// now.
    ///
    /// # Errors
    ///
    /// As [`Queue::try_put`].
    pub fn put<T: Serialize + DeserializeOwned>(
        &mut self,
        queue: &Queue<T>,
        item: &T,
    ) -> Result<()> {
        self.check(&queue.heap)?;
        let item = Buffer::value(item)?;
        Ok(self.engine.on(&queue.engine).put(&item.0)?)
    }

    /// Puts a job at the back of a work queue, applied by the commit. Its place in the queue is
    /// reserved now.
    ///
    /// # Errors
    ///
    /// As [`Queue::try_put`].
    pub fn put_job<T: Serialize + DeserializeOwned>(
        &mut self,
        queue: &WorkQueue<T>,
        job: &T,
    ) -> Result<()> {
        self.check(&queue.heap)?;
        let job = Buffer::value(job)?;
        Ok(self.engine.on(&queue.engine).put(&job.0)?)
    }

    /// Takes the item at the front of a queue. It returns to the queue unless the transaction
    /// commits.
    ///
    /// # Errors
    ///
    /// As [`Queue::try_get`].
    pub fn take<T: Serialize + DeserializeOwned>(&mut self, queue: &Queue<T>) -> Result<T> {
        self.check(&queue.heap)?;
        buffer::read(|out| self.engine.on(&queue.engine).get(out).map(|_| ()))
    }

    /// Marks a job as done, applied by the commit.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] when this transaction has acked it already.
    pub fn ack<T>(&mut self, lease: &Lease<T>) -> Result<()> {
        self.check(&lease.heap)?;
        Ok(self.engine.on(&lease.engine).ack(&lease.token)?)
    }
}
