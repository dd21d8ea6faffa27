//! The objects of users: values, maps, queues and locks, and the directory that names them.
//!
//! An object is a header of 128 bytes that never moves. Its generation distinguishes a living
//! object from earlier objects with the same header. All other parts hang from the root words of
//! the header. Each object gets one turn at birth (a queue two), which guards all of it.
//!
//! Every public operation takes the calling thread's `Context`, happens completely or not at all,
//! and is linearizable. Keys and values are bytes, and only the faces know their meaning, with one
//! exception: integers, to which `add` adds.
//!
//! Not here: transactions. An object only knows that a transaction may lock it.

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
pub(crate) mod wait;

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
