//! The rows of the tables: the header, turns, slots, contexts, arenas, spans.
//!
//! What always holds: a row is written under the turn or the owner word that its comment names.
//!
//! Not here: where the tables lie and how many rows they have (`layout`).

use super::objects::Object;
use super::parking::{Bell, ParkingCell};
use crate::memory::plain::plain;
use crate::memory::word::{Signal, Word};

/// Rows for size classes in a context.
pub const CLASS_ROWS: usize = 32;

/// Rows for size classes in an arena.
pub const ARENA_ROWS: usize = 30;

/// Bins of free runs of spans.
pub const BIN_COUNT: usize = 128;

plain! {
    /// The first page: written once, but for the lines that say otherwise.
    pub struct Header: 2752 {
        /// [`MAGIC`].
        pub magic: Word,
        /// Low half [`FORMAT`], high half [`BYTE_ORDER`].
        pub format: Word,
        /// Bits a reader must know.
        pub read_features: Word,
        /// Bits a writer must know.
        pub write_features: Word,
        /// Names the life and birth files of a named heap.
        pub uuid: [Word; 2],
        /// The run of the machine that the heap was made in.
        pub boot: [Word; 2],
        /// Effective user who made it.
        pub user: Word,
        /// Bit 0: unlink when the last member leaves.
        pub flags: Word,
        /// Most bytes of spans.
        pub max_bytes: Word,
        /// Seed of all hashes.
        pub seed: Word,
        /// Slots that are real, with their turns. Only grows.
        pub slots: Word,
        /// Contexts that are real, with their journals. Only grows.
        pub rows: Word,
        /// To the end of the second line.
        pub spare: [Word; 2],
        /// Counts objects made, to deal turns round robin. Changed by addition.
        pub dealt: Word,
        /// Serial numbers of leases. Changed by addition.
        pub serial: Word,
        /// To the end of the line.
        pub spare_dealt: [Word; 6],
        /// The span map's own numbers, under [`SPAN_TURN`].
        pub spans: SpanMap,
        /// Times of the two tickers.
        pub tickers: [Word; 2],
        /// Time of the last look at all slots.
        pub swept: Word,
        /// Where the search for a free context begins: see `sync::row`.
        pub free_row: Word,
        /// To the end of the line.
        pub spare_tickers: [Word; 4],
        /// Numbers for people. Changed by addition.
        pub tally: Tally,
        /// The directory: a map from names to references, under [`DIRECTORY_TURN`].
        pub directory: Object,
        /// Free runs of spans by length, under [`SPAN_TURN`].
        pub free_runs: Bins,
        /// Holes by length, under [`SPAN_TURN`].
        pub holes: Bins,
    }

    /// Free runs of spans by length: see `allocator::span::bins`.
    pub struct Bins: 1056 {
        /// First run of each bin, as a span number plus one.
        pub first: [Word; BIN_COUNT],
        /// A bit for each bin that may have a run.
        pub filled: [Word; 2],
        /// To the end of the line.
        pub spare: [Word; 2],
    }

    /// How far the heap has grown.
    pub struct SpanMap: 128 {
        /// Spans whose pages and rows are real.
        pub committed: Word,
        /// Spans from here on were never used.
        pub frontier: Word,
        /// Free spans below the frontier, holes too.
        pub free: Word,
        /// Spans of holes.
        pub holes: Word,
        /// Counts how often pages beyond `committed` were given back.
        pub withdrawn: Word,
        /// When somebody last looked how much is free.
        pub looked: Word,
        /// The fewest free spans with pages since `window_began`, plus one.
        pub window: Word,
        /// When the window began.
        pub window_began: Word,
        /// When pages were last given back.
        pub trimmed: Word,
        /// When spans last got pages.
        pub grown: Word,
        /// When `frontier` was last lowered.
        pub lowered: Word,
        /// To the end of the second line.
        pub spare: [Word; 5],
    }

    /// Numbers for people.
    pub struct Tally: 64 {
        /// Processes recovered.
        pub recovered: Word,
        /// Changes undone for the dead.
        pub undone: Word,
        /// Transactions that died before they committed.
        pub abandoned: Word,
        /// Leases given back for the dead.
        pub returned: Word,
        /// Processes that died inside a change or a transaction.
        pub interrupted: Word,
        /// To the end of the line.
        pub spare: [Word; 3],
    }

    /// Short exclusion: one of a fixed table, never used again for something else.
    pub struct Turn: 64 {
        /// Who has it: see `sync::owner`.
        pub owner: Word,
        /// Odd while a change is open.
        pub sequence: Word,
        /// Where the others sleep.
        pub signal: Signal,
        /// To the end of the line.
        pub spare: [Word; 5],
    }

    /// One process.
    pub struct Slot: 128 {
        /// State (free, unborn, live, recovering, estate), epoch, recoverer: see `sync::life`.
        pub state: Word,
        /// Process id in its own namespace.
        pub pid: Word,
        /// Inode of its pidfd.
        pub pidfd_inode: Word,
        /// Start time in ticks since boot.
        pub start_time: Word,
        /// Inode of its pid namespace.
        pub pid_namespace: Word,
        /// Inode of its time namespace.
        pub time_namespace: Word,
        /// Number of its life descriptor, for others who lost theirs.
        pub life_descriptor: Word,
        /// Number of its data descriptor.
        pub data_descriptor: Word,
        /// First lease, promise or reference, under the slot's turn.
        pub leases: Word,
        /// How many there are, under the slot's turn.
        pub lease_count: Word,
        /// Its epoch with bit 32, while it keeps a temporary heap: under the directory's turn.
        pub joined: Word,
        /// To the end of the second line.
        pub spare: [Word; 5],
    }

    /// One thread.
    pub struct ContextRow: 256 {
        /// The row word, epoch, slot, state and a count: see `sync::row`.
        pub state: Word,
        /// Saved words that count: above zero, a change is open.
        pub saved: Word,
        /// Overflow chunks in the control words.
        pub chunks: Word,
        /// Not 0 while it sleeps on its bell: the object that it waits for, as an offset, and bit 0 if
        /// it sleeps for long.
        pub sleeps_on: Word,
        /// The long lock it waits for, as an offset.
        pub waits_for: Word,
        /// Counts waits, so that two looks can be told apart.
        pub wait_number: Word,
        /// When its transaction began; smaller is older. 0: none.
        pub age: Word,
        /// Ids for people, of the row's epoch: low half the process, high half the thread.
        pub signature: Word,
        /// What the thread sleeps on.
        pub bell: Bell,
        /// Cells for ordinary waits.
        pub cells: [ParkingCell; 2],
    }

    /// Spans with free blocks of each size class, and what its threads left for others to take apart:
    /// under the arena's turn.
    pub struct Arena: 256 {
        /// First span of each class, as a span number plus one.
        pub partial: [Word; ARENA_ROWS],
        /// Chain of structures cut loose, to be taken apart.
        pub husks: Word,
        /// Chain of parcels, with references to be given up.
        pub freed: Word,
    }

    /// What a span is used for: see `allocator::span`.
    pub struct Span: 32 {
        /// Kind, class, arena, run length.
        pub info: Word,
        /// First free block, as an offset. For a dropped run: the next one.
        pub free: Word,
        /// Low half blocks in use, high half blocks ever used. For a run: low half 1, high half its
        /// next piece. For a free run: when its last part was freed.
        pub counts: Word,
        /// Low half previous, high half next in the arena's list, or in that of pending runs, as span
        /// numbers plus one.
        pub links: Word,
    }
}
