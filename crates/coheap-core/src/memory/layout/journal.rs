//! The layout of a context's journal, and of the overflow chunks behind long journals.
//!
//! What always holds: control words and first saved words fill the journal's bytes.
//!
//! Not here: how a journal is used (`journal`).

use super::tables::CLASS_ROWS;
use crate::memory::plain::plain;
use crate::memory::word::Word;

/// Bytes of a context's journal with its control words.
pub const JOURNAL_BYTES: u64 = 8 << 10;
/// Bytes of an overflow chunk.
pub const CHUNK_BYTES: u64 = 64 << 10;
/// Overflow chunks that one change may use.
pub const CHUNKS_PER_CHANGE: usize = 64;
/// Saved words that fit the first area of a journal.
pub const FIRST_SAVED: usize = 448;
/// Saved words that fit an overflow chunk.
pub const CHUNK_SAVED: usize = CHUNK_BYTES as usize / size_of::<SavedWord>();

/// Runs that a thread can read at once without a turn.
pub const HAZARDS: usize = 8;

plain! {
    /// The control words before a context's saved words.
    pub struct Control: 1024 {
        /// Chains of blocks that belong to nothing else, one for each size class.
        pub pending: [Word; CLASS_ROWS],
        /// List of runs of spans that belong to nothing else.
        pub runs: Word,
        /// Chain of runs that changes have freed, and that others may still read.
        pub dropped: Word,
        /// Chain of structures cut loose, to be taken apart.
        pub husks: Word,
        /// Chain of parcels that are packed and not stored yet.
        pub built: Word,
        /// Chain of parcels that were freed, with references to be given up.
        pub freed: Word,
        /// The run of spans that is made real, or a hole, as a span number plus one.
        pub unreal: Word,
        /// To the end of the line.
        pub spare: [Word; 2],
        /// Offsets of the runs that the thread reads without a turn: see `sync::hazard`.
        pub hazards: [Word; HAZARDS],
        /// To the next full part.
        pub spare_hazards: [Word; 16],
        /// Numbers of the overflow chunks in use.
        pub chunks: [Word; CHUNKS_PER_CHANGE],
    }

    /// One saved word.
    pub struct SavedWord: 16 {
        /// Offset of the word.
        pub at: Word,
        /// What it held.
        pub old: Word,
    }
}

// The words of a model are larger than those of a heap.
#[cfg(not(loom))]
const _: () = assert!(
    size_of::<Control>() + FIRST_SAVED * size_of::<SavedWord>() == JOURNAL_BYTES as usize,
    "control words and saved words fill a journal"
);
