//! One shared-memory heap for many processes, always consistent.
//!
//! A [`Heap`] holds maps, queues, values and locks that many processes use at once, at memory speed
//! and without a server. A process may be killed at any instruction, and the heap stays consistent:
//! each operation happens completely or not at all.
//!
//! ```
//! use coheap::Heap;
//!
//! let heap = Heap::anonymous(16 << 20)?;
//! let counts = heap.map::<String, i64>("counts")?;
//! let jobs = heap.work_queue::<String>("jobs")?;
//! jobs.put(&"hello hello".to_owned())?;
//!
//! let job = jobs.get()?;
//! heap.transaction(|tx| {
//!     for word in job.value().split(' ') {
//!         tx.add(&counts, word, 1)?;
//!     }
//!     tx.ack(&job)
//! })?;
//! assert_eq!(counts.get("hello")?, Some(2));
//! # Ok::<(), coheap::Error>(())
//! ```
//!
//! Worker processes of the same program get the heap through [`worker`]. Unrelated programs of the
//! same user open it by its name, with [`Heap::open`].

#![forbid(unsafe_code)]

pub mod append;
pub mod element;
mod alone;
mod buffer;
mod error;
mod heap;
mod instance;
mod map;
mod mutex;
mod queue;
mod slots;
mod transaction;
mod value;
mod work_queue;
pub mod worker;

pub use coheap_core::claim::{Holder, Scope};
pub use coheap_core::{Kind, SystemFull};
pub use error::{AlreadyRunning, Error, Result};
pub use heap::{Builder, Heap, Integrity, Stats};
pub use instance::{InstanceBuilder, SingleInstance};
pub use map::Map;
pub use mutex::{Mutex, MutexGuard};
pub use queue::Queue;
pub use slots::{Slot, Slots};
pub use transaction::Tx;
pub use value::Value;
pub use work_queue::{Failed, Lease, Reason, WorkQueue};

/// The examples of README.md, run as they stand there.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The example of `docs/how-to/run-once.md`, run as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/how-to/run-once.md")]
struct RunOnce;

/// The same of the Chinese page.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/zh/how-to/run-once.md")]
struct RunOnceInChinese;
/// The examples of docs/how-to, compiled as they stand there.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/how-to/append-csv.md")]
struct HowTo;
