//! Why a call did not do what it was asked for.
//!
//! What users react to has a variant of its own; the rest comes from the engine as it is. Unless
//! its text says otherwise, nothing was changed.

use std::fmt;

use coheap_core::Kind;

use crate::element::CodecError;

/// The result of every call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call did not do what it was asked for.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The time ran out.
    Timeout,
    /// The queue has nothing to give now.
    Empty,
    /// The bounded queue has no place now.
    Full,
    /// The queue is closed, and for a `get`: everything in it is done.
    ShutDown,
    /// The heap has no room. Remove something, or make it with a larger `max_bytes`.
    HeapFull {
        /// Bytes asked for.
        wanted: u64,
        /// Bytes in use.
        used: u64,
        /// The limit that the heap was made with.
        max: u64,
    },
    /// A transaction wants to change more at once than it can. Divide it.
    TransactionTooLarge {
        /// Words that it would change.
        words: u64,
        /// Words that one transaction may change.
        max: u64,
    },
    /// The name has an object of another kind. Choose another name.
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
        /// What has it.
        found: Kind,
        /// What was asked for.
        wanted: Kind,
    },
    /// The object was removed by somebody.
    ObjectGone,
    /// The lease was acked, given back or lost before.
    LeaseLost,
    /// The value is, or holds, an object that Python has pickled: only Python can read it.
    ///
    /// A program that shares a heap with Python stores what `docs/values.md` lists; a heap that
    /// Python opens with `pickle=False` refuses everything else when it is stored.
    Pickled,
    /// A value could not be turned into bytes, or its bytes not into the type asked for.
    Element(CodecError),
    /// Two parties of a heap do not belong together.
    OtherHeap,
    /// A worker process could not be started or has not got its heap.
    Worker(std::io::Error),
    /// Anything else, as the engine said it.
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
            Engine::HeapFull { wanted, used, max } => Self::HeapFull { wanted, used, max },
            Engine::TransactionTooLarge { words, max } => Self::TransactionTooLarge { words, max },
            Engine::ObjectGone => Self::ObjectGone,
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
            Self::HeapFull { wanted, used, max } => {
                Engine::HeapFull { wanted: *wanted, used: *used, max: *max }.fmt(f)
            }
            Self::TransactionTooLarge { words, max } => {
                Engine::TransactionTooLarge { words: *words, max: *max }.fmt(f)
            }
            Self::WrongKind { name, found, wanted } => write!(
                f,
                "`{name}` is a {found}, not a {wanted}; nothing was changed; choose another name"
            ),
            Self::ObjectGone => Engine::ObjectGone.fmt(f),
            Self::LeaseLost => Engine::LeaseLost.fmt(f),
            Self::OtherHeap => Engine::OtherHeap.fmt(f),
            Self::Pickled => CodecError::Pickled.fmt(f),
            Self::Element(error) => error.fmt(f),
            Self::Worker(error) => write!(f, "a worker process: {error}; nothing was changed"),
            Self::Engine(error) => error.fmt(f),
        }
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
