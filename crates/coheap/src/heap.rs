//! A heap, as a Rust program opens it.
//!
//! A `Heap` hands out typed handles by name. What always holds: a handle belongs to one heap and
//! knows it; errors of the engine come out as this crate's.

use std::path::PathBuf;
use std::time::Duration;

use coheap_core::system;
use coheap_core::{Context, Directory, Heap as Engine, Options};
use coheap_core::{MapRecipe, MutexRecipe, QueueRecipe, Recipe, ValueRecipe};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::{Map, Mutex, Queue, Value, WorkQueue};

pub use coheap_core::{Report as Integrity, Stats};

/// A shared-memory heap.
///
/// Clones are the same heap. A forked child may go on using it; worker processes of the same
/// program get it from [`worker::spawn`](crate::worker::spawn).
#[derive(Debug, Clone)]
pub struct Heap {
    pub(crate) engine: Engine,
}

/// Runs a waiting operation of a thread again after each signal, with the same deadline.
#[inline]
pub(crate) fn wait_with<T>(
    context: &Context,
    timeout: Option<Duration>,
    mut operation: impl FnMut(&Context, Option<u64>) -> coheap_core::Result<T>,
) -> Result<T> {
    let deadline = timeout.map(|timeout| {
        system::now().saturating_add(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX))
    });
    loop {
        match operation(context, deadline) {
            Err(coheap_core::Error::Interrupted) => {}
            other => return Ok(other?),
        }
    }
}

impl Heap {
    /// Makes a heap without a name, which vanishes with its last process.
    ///
    /// `max_bytes` limits what is stored, from 64 KiB to 4 TiB; memory is taken as it is needed.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`](crate::Error::HeapFull) when the system has no memory for it.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// assert!(heap.names()?.is_empty());
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn anonymous(max_bytes: u64) -> Result<Self> {
        Ok(Self { engine: Engine::anonymous(max_bytes)? })
    }

    /// Opens the heap with this name, or makes it. It lives until [`unlink`](Self::unlink) or the
    /// machine's next start.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) with the reason: a bad name, another user's heap,
    /// another format, a damaged file; nothing was written.
    ///
    /// ```
    /// # let name = format!("doc-open-{}", std::process::id());
    /// let heap = coheap::Heap::open(&name)?;
    /// heap.value("answer", &42i64)?;
    /// heap.unlink()?;
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn open(name: &str) -> Result<Self> {
        Self::builder().name(name).open()
    }

    /// All there is to choose about a heap.
    ///
    /// ```
    /// let heap = coheap::Heap::builder().max_bytes(4 << 20).open()?;
    /// assert_eq!(heap.stats()?.max_bytes, 4 << 20);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    #[inline]
    pub(crate) fn with<T>(
        &self,
        operation: impl FnOnce(&Context) -> coheap_core::Result<T>,
    ) -> Result<T> {
        Ok(self.engine.with(operation)?)
    }

    /// Runs a waiting operation again after each signal, with the same deadline.
    #[inline]
    pub(crate) fn wait<T>(
        &self,
        timeout: Option<Duration>,
        operation: impl FnMut(&Context, Option<u64>) -> coheap_core::Result<T>,
    ) -> Result<T> {
        wait_with(&*self.engine.context()?, timeout, operation)
    }

    fn object<R: Recipe>(&self, name: &str, recipe: &R) -> Result<R::Object> {
        let found = self.engine.with(|context| Directory.get_or_create(context, name, recipe));
        found.map_err(|error| match error {
            coheap_core::Error::WrongKind { found, wanted } => {
                Error::WrongKind { name: name.to_owned(), found, wanted }
            }
            other => other.into(),
        })
    }

    /// The map with this name, made empty if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKind`](crate::Error::WrongKind) when the name has an object of another kind;
    /// [`Error::HeapFull`](crate::Error::HeapFull).
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let ages = heap.map::<String, u32>("ages")?;
    /// ages.set("Ada", &36)?;
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn map<K, V>(&self, name: &str) -> Result<Map<K, V>>
    where
        K: Serialize + DeserializeOwned,
        V: Serialize + DeserializeOwned,
    {
        Ok(Map::new(self, self.object(name, &MapRecipe)?))
    }

    /// The queue with this name, made empty and without a limit if there is none.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map).
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let queue = heap.queue::<u64>("numbers")?;
    /// queue.put(&7)?;
    /// assert_eq!(queue.get()?, 7);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn queue<T: Serialize + DeserializeOwned>(&self, name: &str) -> Result<Queue<T>> {
        self.bounded_queue(name, 0)
    }

    /// As [`queue`](Self::queue); one that is made holds at most `maxsize` items (0: any number).
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map).
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let queue = heap.bounded_queue::<u64>("one", 1)?;
    /// queue.put(&7)?;
    /// assert!(matches!(queue.try_put(&8), Err(coheap::Error::Full)));
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn bounded_queue<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        maxsize: u64,
    ) -> Result<Queue<T>> {
        let recipe = QueueRecipe { limit: maxsize, max_attempts: 0 };
        Ok(Queue::new(self, self.object(name, &recipe)?))
    }

    /// The work queue with this name, made without limits if there is none.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map).
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let jobs = heap.work_queue::<String>("jobs")?;
    /// jobs.put(&"sweep".to_owned())?;
    /// jobs.get()?.ack()?;
    /// jobs.join(None)?;
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn work_queue<T: Serialize + DeserializeOwned>(&self, name: &str) -> Result<WorkQueue<T>> {
        self.bounded_work_queue(name, 0, None)
    }

    /// As [`work_queue`](Self::work_queue); one that is made holds at most `maxsize` items
    /// (0: any number) and gives an item up after `max_attempts` (`None`: never).
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map).
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let jobs = heap.bounded_work_queue::<u64>("jobs", 0, Some(1))?;
    /// jobs.put(&13)?;
    /// jobs.get()?.nack()?;
    /// assert_eq!(jobs.failed()?[0].value, 13);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn bounded_work_queue<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        maxsize: u64,
        max_attempts: Option<u32>,
    ) -> Result<WorkQueue<T>> {
        let max_attempts = u64::from(max_attempts.unwrap_or(0));
        let recipe = QueueRecipe { limit: maxsize, max_attempts };
        Ok(WorkQueue::new(self, self.object(name, &recipe)?))
    }

    /// The value with this name, made as `init` if there is none.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map).
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let hits = heap.value("hits", &0i64)?;
    /// assert_eq!(hits.add(2)?, 2);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn value<T: Serialize + DeserializeOwned>(&self, name: &str, init: &T) -> Result<Value<T>> {
        let init = Buffer::value(init)?;
        Ok(Value::new(self, self.object(name, &ValueRecipe::of(&init.0))?))
    }

    /// The lock with this name, made around `init` if there is none.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map).
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let state = heap.mutex("state", &"new".to_owned())?;
    /// state.lock()?.set(&"used".to_owned())?;
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn mutex<T: Serialize + DeserializeOwned>(&self, name: &str, init: &T) -> Result<Mutex<T>> {
        let init = Buffer::value(init)?;
        Ok(Mutex::new(self, self.object(name, &MutexRecipe::around(&init.0))?))
    }

    /// The names of all objects, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) for a closed or damaged heap.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// heap.value("hits", &0i64)?;
    /// assert_eq!(heap.names()?, ["hits"]);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn names(&self) -> Result<Vec<String>> {
        let names = self.with(|context| Directory.names(context))?;
        Ok(names.into_iter().map(|(name, _)| name).collect())
    }

    /// Ends the object with this name; handles to it answer `ObjectGone` from now on.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) when there is no such name.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let hits = heap.value("hits", &0i64)?;
    /// heap.remove("hits")?;
    /// assert!(matches!(hits.get(), Err(coheap::Error::ObjectGone)));
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn remove(&self, name: &str) -> Result<()> {
        self.with(|context| Directory.remove(context, name))
    }

    /// Walks the whole heap and accounts for every block of it.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) with what is wrong and where.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// heap.value("hits", &0i64)?;
    /// assert_eq!(heap.check()?.objects, 1);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn check(&self) -> Result<Integrity> {
        Ok(self.engine.check()?)
    }

    /// Looks for dead processes now, and gives back what they owned. Answers how many.
    ///
    /// Waiting operations do this by themselves.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) for a closed or damaged heap.
    ///
    /// ```
    /// assert_eq!(coheap::Heap::anonymous(1 << 20)?.sweep()?, 0);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn sweep(&self) -> Result<u32> {
        Ok(self.engine.sweep()?)
    }

    /// Numbers of the heap.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) when the system does not answer.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// assert_eq!(heap.stats()?.members, 1);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn stats(&self) -> Result<Stats> {
        Ok(self.engine.stats()?)
    }

    /// Takes a named heap's name away: nobody new will find it.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) when the system refuses.
    ///
    /// ```
    /// # let name = format!("doc-unlink-{}", std::process::id());
    /// let heap = coheap::Heap::open(&name)?;
    /// heap.unlink()?;
    /// assert!(coheap::Heap::builder().name(&name).create(false).open().is_err());
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn unlink(&self) -> Result<()> {
        Ok(self.engine.unlink()?)
    }

    /// Leaves the heap. All handles of this process answer an error from now on.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) when the system refuses; left all the same.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let hits = heap.value("hits", &0i64)?;
    /// heap.close()?;
    /// assert!(hits.get().is_err());
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn close(&self) -> Result<()> {
        Ok(self.engine.close()?)
    }
}

/// What there is to choose about a heap; see [`Heap::builder`].
#[derive(Debug, Clone, Default)]
pub struct Builder {
    name: Option<String>,
    folder: Option<PathBuf>,
    max_bytes: Option<u64>,
    existing_only: bool,
    temporary: bool,
}

impl Builder {
    /// A name for others to find it by; without one the heap is anonymous.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// The folder of a named heap's files; default is the system's folder for shared memory.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Most bytes of what is stored in a heap that is made; default is half of the memory.
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = Some(max_bytes);
        self
    }

    /// Whether to make a named heap that is not there; default is yes.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.existing_only = !create;
        self
    }

    /// Whether a named heap that is made goes with its last member; default is no.
    #[must_use]
    pub fn temporary(mut self, temporary: bool) -> Self {
        self.temporary = temporary;
        self
    }

    /// Opens or makes the heap.
    ///
    /// # Errors
    ///
    /// As [`Heap::open`].
    pub fn open(self) -> Result<Heap> {
        let Some(name) = self.name else {
            return Heap::anonymous(self.max_bytes.unwrap_or_else(Engine::default_max_bytes));
        };
        let options = Options {
            folder: self.folder,
            max_bytes: self.max_bytes,
            create: !self.existing_only,
            temporary: self.temporary,
            ..Options::new(name)
        };
        Ok(Heap { engine: Engine::open(&options)? })
    }
}
