//! The allocator: which bytes are free.
//!
//! The *span map* hands out spans of 16 KiB. A span is cut into blocks of one size class and
//! belongs to an *arena*; larger things are *runs* of whole spans. Every thread keeps a few blocks
//! of each class on *pending* chains in its context, so most operations need no turn but that of
//! their object:
//!
//! ```text
//! span map --span--> arena --blocks, several at a time--> pending --block--> object
//! ```
//!
//! What always holds: a block is free in an arena, or pending in one context, or part of one
//! object, and each move is one change. A death therefore loses no block and frees none twice.
//!
//! Not here: what the bytes are for.

pub mod arena;
pub mod buffer;
mod headers;
pub(crate) mod links;
pub mod pending;
pub mod size_class;
pub mod span;

pub(crate) use headers::headers;
pub(crate) use pending::is_pending;
pub use pending::{
    GIVE_WORDS, TAKE_WORDS, Taken, build, drain_all, ensure, ensure_all, give, reclaim, take, tidy,
};
pub use size_class::{CLASS_COUNT, HEADER_CLASS, LONGEST_BLOCK, Room};
