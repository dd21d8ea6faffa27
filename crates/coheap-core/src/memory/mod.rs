//! From a mapping to checked words.
//!
//! Each process maps the heap at an address of its own, so nothing in the heap is an address. The
//! code above holds *offsets* and passes them to a [`Region`], which returns [`Word`]s. These are
//! atomics, because other processes may change them at any moment.
//!
//! There are two doors to memory, both on `Region`: `store` for words, and the named
//! read-modify-writes for lock words and counters. Nothing else writes to a heap.

#![expect(unsafe_code, reason = "turns offsets into addresses")]
#![cfg_attr(not(loom), expect(clippy::disallowed_types, reason = "the ground of the rest"))]

pub mod atomic;
pub mod chain;
pub mod copies;
pub mod layout;
pub mod plain;
pub mod region;
pub mod word;

pub use atomic::{Ordering, fence};
pub use chain::Chain;
pub use copies::{private_list, reserve_private};
pub use region::Region;
pub use word::{Signal, Word};
