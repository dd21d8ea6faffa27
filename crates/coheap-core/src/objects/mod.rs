//! What users keep: values, maps, queues, locks, and the directory that names them.
//!
//! An object is a header of 128 bytes that never moves, with a generation that tells a living
//! object from one that had the same header before. Everything else hangs from the header's root
//! words. Each object is dealt one turn at birth (a queue two) that guards all of it.
//!
//! Every public operation takes the calling thread's `Context`, happens whole or not at all, and
//! is linearizable. Keys and values are bytes; what they mean is the business of a face, but for
//! one thing: the integer, which `add` counts with.
//!
//! Not here: transactions. An object only knows that it may be locked by one.

pub mod cell;
pub mod header;
pub mod husk;
pub(crate) mod walk;
pub mod overlay;
pub mod kinds;
pub mod birth;
pub mod ledger;
pub mod estate;
pub mod directory;

pub use directory::Directory;
pub use header::Handle;
pub use kinds::{AnyObject, Recipe, Typed, map, mutex, queue, recursive_mutex, value};
pub use ledger::{Reference, parcel};
pub use map::Map;
pub use mutex::Mutex;
pub use overlay::{Inside, Lockable, Transactional};
pub use queue::{Lease, Queue};
pub use recursive_mutex::RecursiveMutex;
pub use value::Value;
