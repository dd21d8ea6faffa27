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
//! | `kind` `error` | what is it, and why not? |
//! | `os` | what does the kernel say? |
//! | `memory` | where is it, and is it in bounds? |
//! | `sync` | whose turn is it, and who lives? |
//! | `journal` | what was here before? |
//! | `allocator` | which bytes are free? |
//! | `objects` | what shape has it? |
//! | `transaction` | what does the user want? |
//! | `heap`, `check`, `stats` | is it whole? |

#![deny(unsafe_code)]
#![warn(clippy::disallowed_types)]
#![expect(
    clippy::missing_errors_doc,
    reason = "inner floors answer what `Error` says of itself; objects and faces say which"
)]

pub mod wire;
pub mod kind;
pub mod error;
mod defect;
#[expect(unsafe_code, clippy::disallowed_types, reason = "system calls; the ground of the rest")]
pub mod os;
#[expect(unsafe_code, reason = "turns offsets into addresses")]
#[cfg_attr(not(loom), expect(clippy::disallowed_types, reason = "the ground of the rest"))]
pub mod memory;
pub mod sync;
pub mod journal;
pub mod allocator;
pub mod objects;
pub mod transaction;
pub mod heap;
pub mod check;
pub mod stats;

pub use error::{Corrupt, Error, Result};
pub use kind::Kind;
