//! The error type of the crate: why a call failed.
//!
//! Errors that programs handle have a variant of their own; every other error of the engine is
//! passed on in [`Error::Engine`]. Unless a message says otherwise, nothing was changed.

use std::fmt;

use coheap_core::claim::{Holder, shown};
use coheap_core::{Kind, SystemFull};

use crate::element::CodecError;

/// The result of every call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed. Unless the message says otherwise, nothing was changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The timeout expired.
    Timeout,
    /// The queue has no item to take now.
    Empty,
    /// The bounded queue has no free place now.
    Full,
    /// The queue is closed; a `get` returns this once every item in it is done.
    ShutDown,
    /// The heap has no room. Remove objects, or create the heap with a larger `max_bytes`.
    HeapFull {
        /// Bytes asked for.
        wanted: u64,
        /// Bytes in use.
        used: u64,
        /// The limit that the heap was created with, in bytes.
        max: u64,
        /// Set if the limit would allow it, but the system has no room.
        system: Option<Box<SystemFull>>,
    },
    /// This process has no memory for a copy of what is stored. The heap is as it was.
    NoMemory {
        /// Bytes of the copy.
        wanted: u64,
    },
    /// One transaction, or one call, would change too much at once. Split it into smaller ones.
    TransactionTooLarge {
        /// Words of eight bytes that it would change.
        words: u64,
        /// Words that one change may save.
        max: u64,
    },
    /// The object with that name is of another kind. Choose another name.
    ///
    /// ```
    /// let heap = coheap::Heap::anonymous(1 << 20)?;
    /// heap.map::<String, u32>("jobs")?;
    /// let error = heap.queue::<u32>("jobs").unwrap_err();
    /// assert!(error.to_string().starts_with("`jobs` is a map, not a queue;"));
    /// # Ok::<(), coheap::Error>(())
    /// ```
    WrongKind {
        /// The name.
        name: String,
        /// The kind of the object.
        found: Kind,
        /// The kind that the caller asked for.
        wanted: Kind,
    },
    /// The object was removed. Get a new handle from the heap.
    ObjectGone,
    /// An operation on an object itself, or another transaction, inside of a transaction of the same
    /// thread on the same heap. Use the methods of [`Tx`](crate::Tx).
    InTransaction,
    /// The lease was acked, given back or lost before.
    LeaseLost,
    /// The value is, or contains, an object that Python has pickled. Only Python can read it.
    ///
    /// `docs/values.md` lists the values that both languages read. A Python program that opens the
    /// heap with `pickle=False` cannot store pickled objects.
    Pickled,
    /// A value could not be encoded, or its bytes could not be decoded into the requested type.
    Element(CodecError),
    /// The objects belong to different heaps.
    OtherHeap,
    /// Another process, or another part of this one, holds the name; for slots, all of them are held.
    AlreadyRunning(Box<AlreadyRunning>),
    /// A worker process could not be started, or did not inherit its heap.
    Worker(std::io::Error),
    /// Any other error of the engine.
    Engine(coheap_core::Error),
}

impl From<coheap_core::Error> for Error {
    fn from(error: coheap_core::Error) -> Self {
        use coheap_core::Error as Engine;
        match error {
            Engine::TimedOut => Self::Timeout,
            Engine::Empty => Self::Empty,
            Engine::Full => Self::Full,
            Engine::ShutDown => Self::ShutDown,
            Engine::HeapFull { wanted, used, max, system } => {
                Self::HeapFull { wanted, used, max, system }
            }
            Engine::NoMemory { wanted } => Self::NoMemory { wanted },
            Engine::TransactionTooLarge { words, max } => Self::TransactionTooLarge { words, max },
            Engine::ObjectGone => Self::ObjectGone,
            Engine::InTransaction => Self::InTransaction,
            Engine::LeaseLost => Self::LeaseLost,
            Engine::OtherHeap => Self::OtherHeap,
            other => Self::Engine(other),
        }
    }
}

impl From<CodecError> for Error {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::Pickled => Self::Pickled,
            other => Self::Element(other),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use coheap_core::Error as Engine;
        match self {
            Self::Timeout => Engine::TimedOut.fmt(f),
            Self::Empty => Engine::Empty.fmt(f),
            Self::Full => Engine::Full.fmt(f),
            Self::ShutDown => Engine::ShutDown.fmt(f),
            Self::HeapFull { wanted, used, max, system } => {
                let system = system.clone();
                Engine::HeapFull { wanted: *wanted, used: *used, max: *max, system }.fmt(f)
            }
            Self::NoMemory { wanted } => Engine::NoMemory { wanted: *wanted }.fmt(f),
            Self::TransactionTooLarge { words, max } => {
                Engine::TransactionTooLarge { words: *words, max: *max }.fmt(f)
            }
            Self::WrongKind { name, found, wanted } => write!(
                f,
                "`{name}` is {}, not {}; nothing was changed; choose another name",
                found.one(),
                wanted.one()
            ),
            Self::ObjectGone => Engine::ObjectGone.fmt(f),
            Self::InTransaction => f.write_str(
                "a transaction of this thread is open, and the call is not part of it; nothing was \
                 changed; use the methods of `tx`, or make the call before or after the transaction",
            ),
            Self::LeaseLost => Engine::LeaseLost.fmt(f),
            Self::OtherHeap => Engine::OtherHeap.fmt(f),
            Self::Pickled => CodecError::Pickled.fmt(f),
            Self::Element(error) => error.fmt(f),
            Self::Worker(error) => {
                write!(f, "cannot start or attach a worker process: {error}; nothing was changed")
            }
            Self::AlreadyRunning(running) => running.fmt(f),
            Self::Engine(error) => error.fmt(f),
        }
    }
}

/// Who holds a name that was wanted. Nothing was changed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AlreadyRunning {
    /// The name.
    pub name: String,
    /// A process that holds it, alive when it was looked at.
    pub holder: Holder,
    /// What the holder answered, if it listens to those who come second.
    pub answer: Option<i32>,
}

impl fmt::Display for AlreadyRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is already running: {}; nothing was changed; wait until it ends, or end it",
            shown(&self.name, 255),
            self.holder
        )
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Element(error) => Some(error),
            Self::Worker(error) => Some(error),
            Self::Engine(error) => Some(error),
            _ => None,
        }
    }
}
