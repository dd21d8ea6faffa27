//! The engine of coheap: bytes in shared memory that stay consistent whatever dies.
//!
//! # Floors
//!
//! The floors in reading order, from the ground up. A floor may use those above it in this list
//! and none below it.
//!
//! | floor | asks |
//! |---|---|
//! | `wire` | how does a value lie in bytes? |
//! | `kind` `error` `defect` | what is it, and why not? |
//! | `os` | what does the kernel say? |
//! | `memory` | where is it, and is it in bounds? |
//! | `sync` | whose turn is it, and who lives? |
//! | `journal` | what was here before? |
//! | `allocator` | which bytes are free? |
//! | `objects` | what shape has it? |
//! | `transaction` | what does the user want? |
//! | `heap`, `check`, `stats` | is it whole? |
//!
//! # What a face sees
//!
//! A face uses the names at the root of this crate and those in `wire`, `ledger`, `parcel` and
//! `system`. The floors are private, but for tests: the feature `floors` opens them.

#![deny(unsafe_code)]
#![warn(clippy::disallowed_types)]
#![cfg_attr(not(feature = "floors"), allow(unreachable_pub, reason = "`pub` is for the tests"))]
#![expect(
    clippy::missing_errors_doc,
    reason = "inner floors answer what `Error` says of itself; objects and faces say which"
)]

pub mod wire;
mod defect;
#[cfg(not(feature = "floors"))]
mod kind;
#[cfg(not(feature = "floors"))]
mod error;
#[cfg(not(feature = "floors"))]
mod os;
#[cfg(not(feature = "floors"))]
mod memory;
#[cfg(not(feature = "floors"))]
mod sync;
#[cfg(not(feature = "floors"))]
mod journal;
#[cfg(not(feature = "floors"))]
mod allocator;
#[cfg(not(feature = "floors"))]
mod objects;
#[cfg(not(feature = "floors"))]
mod transaction;
#[cfg(not(feature = "floors"))]
mod heap;
#[cfg(not(feature = "floors"))]
mod check;
#[cfg(not(feature = "floors"))]
mod stats;

#[cfg(feature = "floors")]
pub mod kind;
#[cfg(feature = "floors")]
pub mod error;
#[cfg(feature = "floors")]
pub mod os;
#[cfg(feature = "floors")]
pub mod memory;
#[cfg(feature = "floors")]
pub mod sync;
#[cfg(feature = "floors")]
pub mod journal;
#[cfg(feature = "floors")]
pub mod allocator;
#[cfg(feature = "floors")]
pub mod objects;
#[cfg(feature = "floors")]
pub mod transaction;
#[cfg(feature = "floors")]
pub mod heap;
#[cfg(feature = "floors")]
pub mod check;
#[cfg(feature = "floors")]
pub mod stats;

pub use check::Report;
pub use error::{Corrupt, Error, Result, SystemFull};
pub use heap::{Address, Heap, Options};
pub use journal::Context;
pub use kind::Kind;
pub use objects::map::{
    Batch, FoundMany, NotedRecipe as NotedMapRecipe, Pairs, Recipe as MapRecipe, Take,
    parts as map_parts,
};
pub use objects::mutex::{Acquired, Recipe as MutexRecipe};
pub use objects::queue::{Failed, Lease, Recipe as QueueRecipe, ReturnReason};
pub use objects::recursive_mutex::Recipe as RecursiveMutexRecipe;
pub use objects::value::Recipe as ValueRecipe;
pub use objects::{AnyObject, Directory, Handle, Lockable, Recipe, Reference, Typed};
pub use objects::{Map, Mutex, Queue, RecursiveMutex, Value};
pub use stats::Stats;
pub use transaction::{Savepoint, Transaction};

/// References of a process to objects without a name.
pub mod ledger {
    pub use crate::objects::ledger::{claim, create, release};
}

/// Values that refer to objects.
pub mod parcel {
    pub use crate::objects::parcel::{Parcel, Target, discard, is_parcel, let_go, pack, value_in};
}

/// Names that one process holds at a time, or as many as a name has slots: no heap is needed.
#[cfg(not(any(loom, miri, sim)))]
pub mod claim {
    pub use crate::os::claim::{
        Claim, Ending, Held, Holder, MAX_NAME_BYTES, MAX_REQUEST_BYTES, MAX_SLOTS, Name, Outcome,
        Request, Scope, Second, Seconds, ask, end_holder, list, shown, span,
    };
}

/// What faces ask of the system where the standard library has no answer.
pub mod system {
    #[cfg(not(any(loom, miri, sim)))]
    pub use crate::os::appending;
    pub use crate::os::{Around, LONG, around_long_work};
    pub use crate::os::{HeapFile, PrivateMutex, adopt_descriptor, inheritable};
    pub use crate::os::{OTHERS_ARE_FROZEN, now, now_roughly};
    pub use crate::os::{become_program, generation};
    #[cfg(not(any(loom, miri, sim)))]
    pub use crate::os::{sleep_when_ended, threads_end};
}
