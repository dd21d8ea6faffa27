//! The one error type of the engine: why a call failed.
//!
//! What always holds: after an error *nothing was changed*, unless its own line says otherwise.
//! Fields carry numbers, never sentences; `Display` builds the sentence. A sentence says what
//! happened with the numbers, whether anything changed, and what to do next.
//!
//! Not here: names of objects. The engine knows offsets; a face adds the name.

use std::fmt;

use crate::kind::Kind;

/// The result of every engine call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What has no room for more pages of a heap.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SystemFull {
    /// The folder of the heap's file. `None`: it has no name, and lies in memory.
    pub folder: Option<String>,
    /// Bytes that are free there.
    pub free: u64,
    /// Set if the process may not make files that are longer: so many bytes.
    pub file_limit: Option<u64>,
}

impl SystemFull {
    /// What the user can do.
    fn way_out(&self) -> &'static str {
        match self.folder {
            _ if self.file_limit.is_some() => {
                "remove objects, or raise the limit of the file size (`ulimit -f`)"
            }
            Some(_) => {
                "remove objects, free some room in that folder, give a container more shared memory \
                 (`--shm-size`), or create the heap in another folder (`folder=`)"
            }
            None => "remove objects, or give the process or its container more memory",
        }
    }
}

impl fmt::Display for SystemFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.folder {
            _ if self.file_limit.is_some() => {
                let most = self.file_limit.unwrap_or_default();
                write!(f, "a file of this process may have {most} bytes")
            }
            Some(folder) => write!(f, "the file system of {folder} has {} bytes left", self.free),
            None => write!(f, "the system refuses more memory"),
        }
    }
}

/// A place of locks that cannot be trusted or used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableFolder {
    /// The folder, or the file in it.
    pub(crate) path: String,
    /// What is wrong with it.
    pub(crate) why: &'static str,
    /// User id of its owner.
    pub(crate) owner: u32,
}

impl fmt::Display for UnusableFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, why, owner } = self;
        write!(
            f,
            "{path} {why}, so it cannot guard a name (its owner is user {owner}); nothing was \
             changed; remove it or mend it, then try again"
        )
    }
}

// Every result of an operation has room for an error, and most are copied: what is large is boxed.
const _: () = assert!(size_of::<Error>() <= 40);

/// Why the engine refused a call or could not finish it. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The heap has no room for `wanted` more bytes.
    HeapFull {
        /// Bytes asked for.
        wanted: u64,
        /// Bytes of objects in use.
        used: u64,
        /// The limit that the heap was created with, in bytes.
        max: u64,
        /// Set if the limit of the heap would allow it, but the system has no room.
        system: Option<Box<SystemFull>>,
    },
    /// The heap holds something that coheap never writes.
    Corrupt(Corrupt),
    /// The heap was closed by this process.
    Closed,
    /// The object behind a handle was removed.
    ObjectGone,
    /// The object with that name is of another kind.
    WrongKind {
        /// The kind of the object.
        found: Kind,
        /// The kind that the caller asked for.
        wanted: Kind,
    },
    /// No object, or no heap, has that name.
    NoSuchName,
    /// The heap cannot be reached: the process that had it open has ended or denies access.
    NoSuchHeap {
        /// Process id of the process that had the heap open.
        pid: u32,
    },
    /// The name is empty, too long or holds a forbidden character; the field says which.
    BadName(&'static str),
    /// The deadline passed.
    TimedOut,
    /// A signal arrived during a wait.
    Interrupted,
    /// Another thread is in the middle of a change of something that the call needs, and the call
    /// was not allowed to wait for it any longer.
    Busy {
        /// Number of the turn that the other thread holds.
        turn: u32,
    },
    /// The queue has no item to take now.
    Empty,
    /// The bounded queue has no free place now.
    Full,
    /// The queue was closed; a `get` returns this once every item in it is done.
    ShutDown,
    /// The wait would never end: the callers wait for each other in a cycle.
    Deadlock,
    /// The call would wait while a transaction of this thread holds locks.
    WouldBlock,
    /// The call needs an object that an open transaction of this thread holds.
    InTransaction,
    /// This process was forked inside a transaction of its parent. Only the parent can end it.
    ForkedInside,
    /// The objects belong to different heaps.
    OtherHeap,
    /// The transaction was given up before; the field holds the reason.
    Doomed(Box<Error>),
    /// The lease was acked, given back or lost before.
    LeaseLost,
    /// The stored value is not an integer of 64 bits.
    NotAnInteger,
    /// The sum is outside the range of a signed 64-bit integer.
    Overflow,
    /// One change would save more words than a journal holds. There is room for at least 32,000 entries of
    /// maps that are added or removed, or that are replaced by values of up to 15 bytes or of more than 256.
    TransactionTooLarge {
        /// Words that the change would save.
        words: u64,
        /// Words that one change may save.
        max: u64,
    },
    /// This process has no memory for a copy of what is stored.
    NoMemory {
        /// Bytes of the copy.
        wanted: u64,
    },
    /// Living processes, or living threads, use every row of a table.
    TableFull {
        /// What the table is for: `"processes"` or `"threads"`.
        table: &'static str,
        /// How many rows the table has.
        rows: u64,
    },
    /// The caller does not hold the lock.
    NotOwner,
    /// A holder of a strict lock died, and the lock refuses everybody until it is recovered.
    OwnerDied {
        /// Process id of the dead holder.
        pid: u32,
    },
    /// The heap belongs to another user.
    NotYours {
        /// User id of the heap's owner.
        owner: u32,
        /// Effective user id of the caller.
        user: u32,
    },
    /// A file of the heap is not private to the caller: others may read or write it, or nobody knows
    /// whose it is.
    NotPrivate {
        /// User id of its owner.
        owner: u32,
        /// Its mode, as `chmod` takes it.
        mode: u32,
    },
    /// The heap has a format that this version does not read.
    OtherFormat {
        /// Format number in the heap's header.
        found: u32,
        /// The format this version reads.
        supported: u32,
    },
    /// The file is not a heap, or not a complete one; the field says why.
    NotAHeap(&'static str),
    /// This process has no room in its address space for the heap.
    NoAddressSpace {
        /// Bytes that it would map.
        len: u64,
        /// The heap's `max_bytes`.
        max: u64,
    },
    /// An argument is invalid; the field says why.
    BadArgument(&'static str),
    /// The place of the locks that guard names is not one that can be trusted or used.
    UnusableFolder(Box<UnusableFolder>),
    /// The slots of a name are in use, and by those who mean another number of them.
    OtherSlots {
        /// The number that the others mean.
        found: u32,
        /// The number that the caller means.
        wanted: u32,
    },
    /// The operating system refused a call.
    Os {
        /// The refused call.
        call: &'static str,
        /// `errno`.
        code: i32,
    },
}

/// Which damage was found, and where: enough for a bug report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrupt {
    /// What was being read, or what is wrong with it.
    pub what: &'static str,
    /// The offset or the number that is invalid.
    pub at: u64,
}

impl From<Corrupt> for Error {
    #[cold]
    fn from(corrupt: Corrupt) -> Self {
        Self::Corrupt(corrupt)
    }
}

impl Error {
    /// Returns the sentence of an error without numbers.
    fn sentence(&self) -> &'static str {
        match self {
            Self::Closed => {
                "this process has closed the heap; nothing was changed; open it again by its name, \
                 or use another heap"
            }
            Self::ObjectGone => "the object was removed; nothing was changed; get a new handle",
            Self::NoSuchName => {
                "nothing has that name; nothing was changed; check the name, or create it first"
            }
            Self::TimedOut => "the timeout expired; nothing was changed; try again, or wait longer",
            Self::Interrupted => "a signal interrupted the wait; nothing was changed; wait again",
            Self::Busy { .. } => {
                "another thread is in the middle of a change; nothing was changed; try again"
            }
            Self::Empty => "the queue is empty; nothing was taken; try again, or wait for an item",
            Self::Full => "the queue is full; nothing was added; try again, or wait for room",
            Self::ShutDown => {
                "the queue is closed; nothing was changed; stop using it, or create another queue"
            }
            Self::Deadlock => {
                "deadlock: the callers wait for each other in a cycle; nothing was changed; \
                 release the locks you hold, then try again"
            }
            Self::WouldBlock => {
                "the call would wait while the transaction holds locks; nothing was changed; end \
                 the transaction, then wait"
            }
            Self::InTransaction => {
                "an open transaction of this thread holds the object; nothing was changed; use the \
                 object through the transaction, or end the transaction first"
            }
            Self::ForkedInside => {
                "this process was forked inside a transaction of its parent; nothing was changed; \
                 leave the block first"
            }
            Self::OtherHeap => {
                "the objects belong to different heaps; nothing was changed; use objects of one heap"
            }
            Self::LeaseLost => {
                "the lease has ended: its item was acked, given back or lost; nothing was changed; \
                 take another item"
            }
            Self::NotAnInteger => {
                "the stored value is not an integer of 64 bits; nothing was changed; store an \
                 integer first"
            }
            Self::Overflow => {
                "the sum is outside the range of a signed 64-bit integer; nothing was changed; use \
                 a smaller number"
            }
            Self::NoMemory { .. } => {
                "this process has no memory for a copy of what is stored; nothing was changed; free \
                 memory, or raise the limit of the process"
            }
            Self::NotOwner => {
                "the caller does not hold the lock; nothing was changed; acquire it first"
            }
            _ => "nothing was changed",
        }
    }
}

impl Error {
    /// Writes why a process may not attach to a heap; for any other error, its sentence.
    fn fmt_refusal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYours { owner, user } => write!(
                f,
                "the heap belongs to user {owner} and the caller is user {user}; nothing was \
                 changed; choose another name, or run as user {owner}"
            ),
            Self::NotPrivate { mode, .. } if mode & 0o077 != 0 => write!(
                f,
                "a file of the heap has mode {mode:04o}, so others may read or write it; nothing \
                 was changed; choose another name, or delete the file"
            ),
            Self::NotPrivate { owner, .. } => write!(
                f,
                "a file of the heap belongs to user {owner}, who stands for all users that are \
                 unknown here; nothing was changed; run as a user of your own"
            ),
            Self::OtherFormat { found, supported } => write!(
                f,
                "the heap has format {found} and this coheap reads format {supported}; \
                 nothing was changed; upgrade coheap, or create a new heap"
            ),
            Self::NotAHeap(why) => write!(
                f,
                "not a heap: {why}; nothing was changed; choose another name, or delete the file"
            ),
            Self::NoAddressSpace { len, max } => write!(
                f,
                "this process cannot map the {len} bytes of a heap with a `max_bytes` of {max}; \
                 nothing was changed; create the heap with a smaller `max_bytes`, or raise the \
                 limit of the address space (`ulimit -v`)"
            ),
            Self::UnusableFolder(folder) => write!(f, "{folder}"),
            Self::OtherSlots { found, wanted } => write!(
                f,
                "the name has {found} slots in use by others, not {wanted}; nothing was changed; \
                 use the same number everywhere, or wait until all slots are free"
            ),
            other => f.write_str(other.sentence()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeapFull { wanted, used, max, system: Some(system) } => write!(
                f,
                "no room for {wanted} bytes: {system}, and {used} of {max} bytes of the heap are in \
                 use; nothing was changed; {}",
                system.way_out()
            ),
            Self::HeapFull { wanted, used, max, system: None } => write!(
                f,
                "no room for {wanted} bytes: {used} of {max} bytes are in use; nothing was \
                 changed; remove objects, or create the heap with a larger `max_bytes`"
            ),
            Self::Corrupt(Corrupt { what, at }) => write!(
                f,
                "the heap is damaged: {what} at {at:#x} is invalid; nothing was changed; create a \
                 new heap"
            ),
            Self::WrongKind { found, wanted } => {
                write!(
                    f,
                    "the object is {}, not {}; nothing was changed; choose another name",
                    found.one(),
                    wanted.one()
                )
            }
            Self::NoSuchHeap { pid } => write!(
                f,
                "the heap cannot be reached: process {pid}, which had it open, has ended or denies \
                 access; nothing was changed; give the heap a name and open it by that name"
            ),
            Self::BadName(why) => {
                write!(f, "the name {why}; nothing was changed; choose another name")
            }
            Self::Doomed(why) => write!(f, "the transaction was given up: {why}"),
            Self::TransactionTooLarge { words, max } => write!(
                f,
                "the changes are too many for one block or call: they would save {words} words and \
                 the limit is {max}, enough for 32,000 entries that are added, removed or replaced; \
                 nothing was changed; split it into smaller ones"
            ),
            Self::TableFull { table, rows } => {
                write!(
                    f,
                    "the heap serves {rows} {table} at a time and all are in use; nothing was \
                     changed; end some, or use another heap"
                )
            }
            Self::OwnerDied { pid } => {
                write!(
                    f,
                    "process {pid} died while it held the lock, so the data it guards may be \
                     incomplete; the lock was not acquired; repair the data, then call `recover`"
                )
            }
            Self::BadArgument(what) => write!(f, "{what}; nothing was changed"),
            Self::Os { call, code } => {
                let system = std::io::Error::from_raw_os_error(*code);
                write!(f, "the operating system refused {call}: {system}; nothing was changed")
            }
            other => other.fmt_refusal(f),
        }
    }
}

impl std::error::Error for Error {}
