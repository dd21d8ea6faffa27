//! The type [`Heap`]: opens or creates a heap, and returns typed handles to its objects.
//!
//! What always holds: a handle belongs to one heap and holds a reference to it. Every error of the
//! engine is converted to this crate's [`Error`].

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use coheap_core::{Directory, Heap as Engine, Options};
use coheap_core::{MapRecipe, MutexRecipe, QueueRecipe, Recipe, ValueRecipe};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::{Map, Mutex, Queue, Value, WorkQueue};

pub use coheap_core::{Report as Integrity, Stats};

/// A shared-memory heap.
///
/// A clone refers to the same heap. A forked child can continue to use the heap; worker processes
/// of the same program get it from [`worker::spawn`](crate::worker::spawn). A child of a process with
/// several threads should start no thread of `std`: it may wait for a lock that another thread of the
/// parent had.
#[derive(Debug, Clone)]
pub struct Heap {
    pub(crate) engine: Engine,
    /// Whether this user of the heap has closed it.
    is_closed: Arc<AtomicBool>,
}

impl Heap {
    /// A new user of the heap in this process.
    pub(crate) fn of(engine: Engine) -> Self {
        engine.count_user();
        Self { engine, is_closed: Arc::default() }
    }

    /// Creates a heap without a name. The heap ends with the last process that has it open.
    ///
    /// `max_bytes` limits the bytes of all objects: 64 KiB to 4 TiB, rounded up to a multiple of
    /// 16 KiB. Memory is allocated when it is needed.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`](crate::Error::HeapFull) when the system has no memory for the heap;
    /// [`Error::Engine`](crate::Error::Engine) with `BadArgument` when `max_bytes` is out of range.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// assert!(heap.names()?.is_empty());
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn anonymous(max_bytes: u64) -> Result<Self> {
        Ok(Self::of(Engine::anonymous(max_bytes)?))
    }

    /// Opens the heap with this name, or creates it. The heap lasts until [`unlink`](Self::unlink)
    /// or until the machine restarts.
    ///
    /// Its files may be removed at any time, but must never be truncated: every process that has
    /// the heap open would be killed by SIGBUS at the next access. An anonymous heap cannot be
    /// truncated.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`](crate::Error::HeapFull) when the system has no memory for a new heap;
    /// [`Error::Engine`](crate::Error::Engine) with the reason otherwise: the name is invalid, the
    /// heap belongs to another user, has another format or is damaged, or as many processes as it
    /// serves have it open.
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

    /// Returns a builder with all the options of a heap.
    ///
    /// ```
    /// let heap = coheap::Heap::builder().max_bytes(4 << 20).open()?;
    /// assert_eq!(heap.stats()?.max_bytes, 4 << 20);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
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

    /// Returns the map with this name; creates it empty if it does not exist.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKind`](crate::Error::WrongKind) when the object with that name is of another
    /// kind; [`Error::HeapFull`](crate::Error::HeapFull) when there is no room for a new one;
    /// [`Error::Engine`](crate::Error::Engine) when the name is empty, has more than 255 bytes or
    /// contains a NUL, or when the heap is closed.
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

    /// Returns the queue with this name; creates it empty and without a limit if it does not exist.
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

    /// As [`queue`](Self::queue), but a new queue holds at most `maxsize` items (0: no limit). An
    /// existing queue keeps its limit, which [`Queue::maxsize`] returns.
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

    /// Returns the work queue with this name; creates it empty and without limits if it does not
    /// exist.
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

    /// As [`work_queue`](Self::work_queue), but a new queue holds at most `maxsize` items (0: no
    /// limit) and gives an item up after `max_attempts` attempts (`None`: never). An existing queue
    /// keeps its limits, which [`WorkQueue::maxsize`] and [`WorkQueue::max_attempts`] return.
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

    /// Returns the value with this name; creates it with `init` if it does not exist.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map); [`Error::Element`](crate::Error::Element) when `init` cannot be
    /// encoded.
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

    /// Returns the lock with this name; creates it around `init` if it does not exist.
    ///
    /// # Errors
    ///
    /// As [`value`](Self::value).
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

    /// Returns the names of all objects, the oldest object first.
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
        let names = self.engine.with(|context| Directory.names(context))?;
        Ok(names.into_iter().map(|(name, _)| name).collect())
    }

    /// Removes the object with this name. Every handle to it returns `ObjectGone` from then on.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) with `NoSuchName` when no object has that name.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let hits = heap.value("hits", &0i64)?;
    /// heap.remove("hits")?;
    /// assert!(matches!(hits.get(), Err(coheap::Error::ObjectGone)));
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn remove(&self, name: &str) -> Result<()> {
        Ok(self.engine.with(|context| Directory.remove(context, name))?)
    }

    /// Checks the integrity of the whole heap and returns what it counted. All other operations
    /// wait meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) with `Corrupt`, which says what is damaged and where.
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

    /// Recovers every process that has died, returns its leases to their queues, and returns how
    /// many processes were recovered.
    ///
    /// A program need not call this: operations that wait detect dead processes themselves.
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

    /// Gives the memory of everything that is free back to the system, and returns how many bytes. It
    /// happens by itself, too, some seconds later. In a named heap, what was freed just now is waited for,
    /// half a second, and nothing is given back while a process that has the heap open is stopped.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) for a closed or damaged heap.
    ///
    /// ```
    /// assert!(coheap::Heap::anonymous(1 << 20)?.trim()? <= 1 << 20);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn trim(&self) -> Result<u64> {
        Ok(self.engine.trim()?)
    }

    /// Returns the limit for the bytes of all objects, which the heap has had since it was created.
    ///
    /// A program that opens an existing heap with another [`Builder::max_bytes`] gets the heap as it
    /// is, without an error; here it sees the difference.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// assert_eq!(heap.max_bytes(), 1 << 20);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn max_bytes(&self) -> u64 {
        self.engine.max_bytes()
    }

    /// Returns counters and sizes of the heap. They are read one by one, not at one moment.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) when the system does not report the size of a file.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// assert_eq!(heap.stats()?.members, 1);
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn stats(&self) -> Result<Stats> {
        Ok(self.engine.stats()?)
    }

    /// Removes the name of a heap: nobody can open it any more. Processes that have it open
    /// continue to use it.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) when the system refuses to remove the files.
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

    /// Closes the heap in this process, if no other part of the program has opened it, too, and not closed
    /// it yet: its leases return to their queues, and every handle of this process returns an error from
    /// then on. Clones of a `Heap` are one user of it; a second close does nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) when the system refuses a call; the heap is closed
    /// all the same.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// let hits = heap.value("hits", &0i64)?;
    /// heap.close()?;
    /// assert!(hits.get().is_err());
    /// # Ok::<(), coheap::Error>(())
    /// ```
    pub fn close(&self) -> Result<()> {
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        Ok(self.engine.close_for_one()?)
    }
}

/// Options for opening or creating a heap; see [`Heap::builder`].
#[derive(Debug, Clone, Default)]
pub struct Builder {
    name: Option<String>,
    folder: Option<PathBuf>,
    max_bytes: Option<u64>,
    existing_only: bool,
    temporary: bool,
}

impl Builder {
    /// Sets the name of the heap. Without a name, a new anonymous heap is created.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Sets the folder for the files of a named heap; the default is `/dev/shm`.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Sets the limit of a new heap in bytes, from 64 KiB to 4 TiB; the default is half of the
    /// machine's memory. An existing heap keeps its limit, which [`Heap::max_bytes`] returns.
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = Some(max_bytes);
        self
    }

    /// Sets whether a named heap that does not exist is created; the default is yes.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.existing_only = !create;
        self
    }

    /// Sets whether a new named heap ends with the last process that has it open, however that
    /// process ends; the default is no. The next open makes a new heap then.
    #[must_use]
    pub fn temporary(mut self, temporary: bool) -> Self {
        self.temporary = temporary;
        self
    }

    /// Opens or creates the heap.
    ///
    /// # Errors
    ///
    /// As [`Heap::open`]; [`Error::Engine`](crate::Error::Engine) with `NoSuchName` when the heap
    /// does not exist and [`create`](Self::create) is false.
    ///
    /// ```
    /// let heap = coheap::Heap::builder().max_bytes(1 << 20).open()?;
    /// assert_eq!(heap.stats()?.members, 1);
    /// # Ok::<(), coheap::Error>(())
    /// ```
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
        Ok(Heap::of(Engine::open(&options)?))
    }
}
