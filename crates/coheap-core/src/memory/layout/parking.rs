//! The parking table: who waits for what, and the bell that each thread sleeps on.
//!
//! ```text
//! head           what is real, and the counters
//! buckets        1,024 lines of tags, chosen by object                always real
//! lines          64 B each: where a bucket goes on                    real before they are linked
//! block owners   8 B each: the row that uses a block of cells         real with their blocks
//! blocks         4 KiB each: 64 cells                                 real before they are used
//! ```
//!
//! Each row of a context has a bell and two cells (`tables`).
//!
//! What always holds: this memory never serves another purpose, so a late wake or a late
//! compare-and-swap cannot reach what is not its own. Every struct is one line, or whole lines.
//!
//! Not here: the protocol (`sync::parking`), and the bits of its words.

use crate::memory::plain::plain;
use crate::memory::word::{Signal, Word};

/// Cells that a row has without a block.
pub const ROW_CELLS: u32 = 2;
/// Buckets: the first lines of tags.
pub const BUCKET_COUNT: u32 = if cfg!(loom) { 1 } else { 1024 };
/// Lines of tags, the buckets among them.
pub const LINE_COUNT: u32 = 1 << 16;
/// Tags of a line. A model has fewer, so that loom comes to an end.
pub const LINE_TAGS: usize = if cfg!(loom) { 2 } else { 7 };
/// Rung cells that a mailbox holds.
pub const MAIL_WORDS: usize = if cfg!(loom) { 1 } else { 7 };
/// Blocks of cells.
pub const BLOCK_COUNT: u32 = 4096;
/// Cells of a block.
pub const BLOCK_CELLS: u32 = 64;
/// How many lines are made real at once.
pub const LINE_STEP: u32 = 1024;
/// How many blocks are made real at once.
pub const BLOCK_STEP: u32 = 16;

plain! {
    /// What is real of the parking table, and its counters.
    pub struct ParkingHead: 128 {
        /// Lines that are real, the buckets not counted. Only grows.
        pub lines_real: Word,
        /// Blocks that are real. Only grows.
        pub blocks_real: Word,
        /// To the end of the line.
        pub spare_real: [Word; 6],
        /// Counts tickets. Changed by addition.
        pub tickets: Word,
        /// Lines that were ever linked, the buckets not counted. Only grows.
        pub lines_used: Word,
        /// The cell that the slow tick looks at next. Changed by addition.
        pub rotation: Word,
        /// To the end of the line.
        pub spare: [Word; 5],
    }

    /// The word that one thread sleeps on, and nobody else.
    pub struct Bell: 64 {
        /// `word`: bit 0 up, bit 1 the mailbox was full. `watcher`: when it was rung last, in
        /// milliseconds.
        pub signal: Signal,
        /// Cells that were rung, plus one; 0: free.
        pub mail: [Word; MAIL_WORDS],
    }

    /// Seven tags, and the line after them.
    pub struct TagLine: 64 {
        /// Complete with one store: see `sync::parking::tag`. 0: free.
        pub tags: [Word; LINE_TAGS],
        /// The number of the next line; 0: none.
        pub link: Word,
    }
}

plain! {
    /// One wait of one thread.
    pub struct ParkingCell: 64 {
        /// State, round and serial number: see `sync::parking::cell`.
        pub state: Word,
        /// Who waits: its row with the row's epoch.
        pub owner: Word,
        /// Offset of the header of the object.
        pub object: Word,
        /// Generation of the object.
        pub generation: Word,
        /// Number of the wait; a smaller one came first.
        pub ticket: Word,
        /// Reason in the low byte, flags in the next one, the object's turns above.
        pub info: Word,
        /// Where its tag is: line times eight, plus the place in the line.
        pub tag_at: Word,
        /// The threshold that passes on a notification nobody took.
        pub passed: Word,
    }
}
