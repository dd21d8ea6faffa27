//! Why a call did not do what it was asked for.
//!
//! What always holds: an error says that *nothing changed*, unless its own line says otherwise.
//! Fields carry numbers, never sentences; the sentence is made in `Display`, once.
//!
//! Not here: names of objects. The engine knows offsets; a face adds the name.

use std::fmt;

use crate::kind::Kind;

/// The result of every engine call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the engine refused or could not finish a call. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The heap has no room for `wanted` more bytes.
    HeapFull {
        /// Bytes asked for.
        wanted: u64,
        /// Bytes of objects in use.
        used: u64,
        /// The limit that the heap was made with.
        max: u64,
    },
    /// Something in the heap cannot be what this program wrote.
    Corrupt(Corrupt),
    /// The heap was closed by this process.
    Closed,
    /// The object behind a handle was removed.
    ObjectGone,
    /// There is an object of that name, of another kind.
    WrongKind {
        /// What it is.
        found: Kind,
        /// What was asked for.
        wanted: Kind,
    },
    /// No object of that name.
    NoSuchName,
    /// The heap cannot be found: the process that has it open is gone, or may not be asked.
    NoSuchHeap {
        /// Process id.
        pid: u32,
    },
    /// A name is empty, too long or holds a character that names may not have.
    BadName(&'static str),
    /// The deadline passed.
    TimedOut,
    /// A signal arrived during a wait.
    Interrupted,
    /// The queue has nothing to give now.
    Empty,
    /// The bounded queue has no place now.
    Full,
    /// The queue was closed, and for a `get`: everything in it is done.
    ShutDown,
    /// Waiting any longer would never end: a cycle of owners waits for each other.
    Deadlock,
    /// The call would wait while a transaction holds locks.
    WouldBlock,
    /// The call needs an object that this thread's own open transaction holds.
    InTransaction,
    /// This process was forked inside a transaction of its parent, which is not its own.
    ForkedInside,
    /// The objects belong to different heaps.
    OtherHeap,
    /// The transaction was given up already; this is the reason.
    Doomed(Box<Error>),
    /// A lease was acked, given back or lost before.
    LeaseLost,
    /// The value under the key or in the object is not an integer that fits 64 bits.
    NotAnInteger,
    /// An addition would leave the range of 64 bits.
    Overflow,
    /// One change needs more journal room than there is.
    TransactionTooLarge {
        /// Words the change would save.
        words: u64,
        /// Words one change may save.
        max: u64,
    },
    /// Every row for processes, or for threads, is taken by a living one.
    TableFull {
        /// What there are too many of.
        table: &'static str,
        /// How many rows the table has.
        rows: u64,
    },
    /// The lock is not held, or not by the caller.
    NotOwner,
    /// The process that held the lock died; the lock was made to say so.
    OwnerDied {
        /// Process id of the dead holder.
        pid: u32,
    },
    /// The heap belongs to another user.
    NotYours {
        /// Owner of the heap.
        owner: u32,
        /// The caller's effective user.
        user: u32,
    },
    /// The heap is written in a format that this version does not read.
    OtherFormat {
        /// Format number found in the header.
        found: u32,
        /// The format this version reads.
        supported: u32,
    },
    /// The file is not a heap, or was cut off.
    NotAHeap(&'static str),
    /// An argument is outside its range.
    BadArgument(&'static str),
    /// The operating system refused.
    Os {
        /// The call that was refused.
        call: &'static str,
        /// `errno`.
        code: i32,
    },
}

/// Where a damaged heap was noticed: enough for a bug report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrupt {
    /// What was being read.
    pub what: &'static str,
    /// The offset or number that cannot be.
    pub at: u64,
}

impl From<Corrupt> for Error {
    #[cold]
    fn from(corrupt: Corrupt) -> Self {
        Self::Corrupt(corrupt)
    }
}

impl Error {
    /// The sentence of an error without numbers.
    fn sentence(&self) -> &'static str {
        match self {
            Self::Closed => {
                "the heap is closed in this process; nothing was changed; use another, or open it \
                 by its name"
            }
            Self::ObjectGone => "the object was removed; nothing was changed; get a new handle",
            Self::NoSuchName => "no object has that name; nothing was changed",
            Self::TimedOut => "the time ran out; nothing was changed",
            Self::Interrupted => "a signal ended the wait; nothing was changed",
            Self::Empty => "the queue is empty",
            Self::Full => "the queue is full; nothing was added",
            Self::ShutDown => "the queue is closed; nothing was changed",
            Self::Deadlock => {
                "waiting would never end: the owners wait for each other; nothing was changed; let \
                 go of what you hold, then try again"
            }
            Self::WouldBlock => {
                "the call would wait while the transaction holds locks; nothing was changed"
            }
            Self::InTransaction => {
                "this thread's open transaction holds the object: go through the transaction; \
                 nothing was changed"
            }
            Self::ForkedInside => {
                "this process was forked inside the transaction, which belongs to its parent; \
                 nothing was changed; leave the block first"
            }
            Self::OtherHeap => "the objects belong to different heaps; nothing was changed",
            Self::LeaseLost => "the lease is not held any more; nothing was changed",
            Self::NotAnInteger => "the value is not an integer of 64 bits; nothing was changed",
            Self::Overflow => "the sum does not fit 64 bits; nothing was changed",
            Self::NotOwner => "the lock is not held by the caller; nothing was changed",
            _ => "nothing was changed",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeapFull { wanted, used, max } => write!(
                f,
                "no room for {wanted} bytes: {used} of {max} are in use; nothing was changed; \
                 remove something, or make the heap with a larger `max_bytes`"
            ),
            Self::Corrupt(Corrupt { what, at }) => write!(
                f,
                "the heap is damaged: {what} at {at:#x} cannot be; nothing was changed; \
                 make a new heap"
            ),
            Self::WrongKind { found, wanted } => {
                write!(f, "the object is a {found}, not a {wanted}; nothing was changed")
            }
            Self::NoSuchHeap { pid } => write!(
                f,
                "the heap cannot be found: process {pid}, which had it, is gone, or may not be \
                 asked; nothing was changed; give the heap a name and open it by that"
            ),
            Self::BadName(why) => write!(f, "the name {why}; nothing was changed"),
            Self::Doomed(why) => write!(f, "the transaction was given up: {why}"),
            Self::TransactionTooLarge { words, max } => write!(
                f,
                "one change would save {words} words and may save {max}; nothing was changed; \
                 split it"
            ),
            Self::TableFull { table, rows } => {
                write!(f, "all {rows} {table} are taken by living ones; nothing was changed")
            }
            Self::OwnerDied { pid } => {
                write!(
                    f,
                    "process {pid} died holding the lock: what it guards may be half done; the \
                     lock was not taken; see to that, then call `recover`"
                )
            }
            Self::NotYours { owner, user } => write!(
                f,
                "the heap belongs to user {owner} and the caller is {user}; nothing was changed"
            ),
            Self::OtherFormat { found, supported } => write!(
                f,
                "the heap has format {found} and this coheap reads format {supported}; \
                 nothing was changed; upgrade coheap, or make a new heap"
            ),
            Self::NotAHeap(why) => write!(f, "not a heap: {why}; nothing was changed"),
            Self::BadArgument(what) => write!(f, "{what}; nothing was changed"),
            Self::Os { call, code } => {
                let system = std::io::Error::from_raw_os_error(*code);
                write!(f, "{call}: {system}; nothing was changed")
            }
            other => f.write_str(other.sentence()),
        }
    }
}

impl std::error::Error for Error {}
