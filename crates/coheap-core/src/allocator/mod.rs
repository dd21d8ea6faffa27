//! Which bytes are free.
//!
//! Spans of 16 KiB are handed out by the *span map*. A span is cut into blocks of one size class
//! and belongs to an *arena*; larger things are *runs* of whole spans. Every thread keeps a few
//! blocks of each class on *pending* chains in its context, so that most operations need no turn
//! but that of their object:
//!
//! ```text
//! span map --span--> arena --blocks, several at a time--> pending --block--> object
//! ```
//!
//! What always holds: a block is free in an arena, or pending in one context, or part of one
//! object, and each move is one change. So a death loses no block and frees none twice.
//!
//! Not here: what the bytes are for.

pub mod arena;
pub mod pending;
pub mod size_class;
pub mod span;

pub use pending::{
    GIVE_WORDS, TAKE_WORDS, Taken, ensure, ensure_all, give, is_pending, reclaim, take, tidy,
};
pub use size_class::{CLASS_COUNT, HEADER_CLASS, Room};
