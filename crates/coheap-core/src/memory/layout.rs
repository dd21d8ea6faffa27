//! Every struct that lives in shared memory, every size, every constant.
//!
//! ```text
//! 0            header       4 KiB    who, what, how large; the directory; shared counters
//! TURNS        turns        64 B     each: owner, sequence, signal
//! SLOTS        slots        128 B    each: one process
//! CONTEXTS     contexts     64 B     each: one thread of a process
//! CHUNK_OWNERS              8 B      each: who uses the overflow chunk
//! ARENAS       arenas       256 B    each: a list of spans for each size class
//! FIXED_END
//! JOURNALS     journals     8 KiB    each: what one context changed (sparse)
//! CHUNKS       overflow     64 KiB   each: room for a long journal (sparse)
//! SPAN_TABLE   span entries 32 B     one for each span (sparse, as long as the heap may grow)
//! data start   spans        16 KiB   everything else
//! ```
//!
//! What always holds: no struct has padding; all offsets fit 48 bits. `docs/format.md` is the
//! same in words.

use super::plain::Plain;
use super::word::{Signal, Word};

/// First word of every heap: "coheap" and a byte that text tools change.
pub const MAGIC: u64 = u64::from_le_bytes(*b"coheap\x8f\n");
/// Number of the format.
pub const FORMAT: u32 = 1;
/// Stored beside the format: reads differently on a machine of the other byte order.
pub const BYTE_ORDER: u32 = 0x0a0b_0c0d;

/// Turns that objects are dealt.
pub const OBJECT_TURNS: u32 = 1024;
/// The directory's turn.
pub const DIRECTORY_TURN: u32 = OBJECT_TURNS;
/// First of the turns that guard the leases of a slot.
pub const SLOT_TURNS: u32 = DIRECTORY_TURN + 1;
/// First of the arenas' turns.
pub const ARENA_TURNS: u32 = SLOT_TURNS + SLOT_COUNT;
/// The turn of the span map: the last.
pub const SPAN_TURN: u32 = ARENA_TURNS + ARENA_COUNT;
/// How many turns there are.
pub const TURN_COUNT: u32 = SPAN_TURN + 1;

/// Processes at once.
pub const SLOT_COUNT: u32 = 512;
/// Threads at once, of all processes together.
pub const CONTEXT_COUNT: u32 = 1024;
/// Arenas.
pub const ARENA_COUNT: u32 = 16;
/// Overflow chunks for long journals.
pub const CHUNK_COUNT: u32 = 128;
/// Overflow chunks that one change may use.
pub const CHUNKS_PER_CHANGE: usize = 64;
/// Rows for size classes in an arena and in a context.
pub const CLASS_ROWS: usize = 32;

/// Bytes of a span.
pub const SPAN_BYTES: u64 = 16 << 10;
/// Bytes of a context's journal with its control words.
pub const JOURNAL_BYTES: u64 = 8 << 10;
/// Bytes of an overflow chunk.
pub const CHUNK_BYTES: u64 = 64 << 10;
/// Entries that fit the first area of a journal.
pub const FIRST_ENTRIES: usize = 448;
/// Entries that fit an overflow chunk.
pub const CHUNK_ENTRIES: usize = CHUNK_BYTES as usize / size_of::<Entry>();
/// Areas begin at multiples of this, so that pages of 64 KiB can be committed apart.
pub const AREA_ALIGNMENT: u64 = 64 << 10;

/// Offset of the turns.
pub const TURNS: u64 = 4096;
/// Offset of the slots.
pub const SLOTS: u64 = TURNS + TURN_COUNT as u64 * size_of::<Turn>() as u64;
/// Offset of the contexts.
pub const CONTEXTS: u64 = SLOTS + SLOT_COUNT as u64 * size_of::<Slot>() as u64;
/// Offset of the chunk owners.
pub const CHUNK_OWNERS: u64 = CONTEXTS + CONTEXT_COUNT as u64 * size_of::<ContextEntry>() as u64;
/// Offset of the arenas.
pub const ARENAS: u64 = CHUNK_OWNERS + CHUNK_COUNT as u64 * 8;
/// End of what is committed when a heap is made.
pub const FIXED_END: u64 = ARENAS + ARENA_COUNT as u64 * size_of::<Arena>() as u64;
/// Offset of the journals.
pub const JOURNALS: u64 = FIXED_END.next_multiple_of(AREA_ALIGNMENT);
/// Offset of the overflow chunks.
pub const CHUNKS: u64 = JOURNALS + CONTEXT_COUNT as u64 * JOURNAL_BYTES;
/// Offset of the span table.
pub const SPAN_TABLE: u64 = CHUNKS + CHUNK_COUNT as u64 * CHUNK_BYTES;

/// Offset of the first span in a heap of at most `spans` spans.
pub const fn data_start(spans: u64) -> u64 {
    (SPAN_TABLE + spans * size_of::<Span>() as u64).next_multiple_of(AREA_ALIGNMENT)
}

/// The first page: written once, but for the lines that say otherwise.
#[derive(Debug)]
#[repr(C)]
pub struct Header {
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
    /// Bit 0: unlink when the last member leaves. Bit 1: no pickled values.
    pub flags: Word,
    /// Most bytes of spans.
    pub max_bytes: Word,
    /// Seed of all hashes.
    pub seed: Word,
    /// To the end of the second line.
    pub spare: [Word; 4],
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
    /// To the end of the line.
    pub spare_tickers: [Word; 5],
    /// Numbers for people. Changed by addition.
    pub tally: Tally,
    /// The directory: a map from names to references, under [`DIRECTORY_TURN`].
    pub directory: Object,
}

/// How far the heap has grown.
#[derive(Debug)]
#[repr(C)]
pub struct SpanMap {
    /// Spans whose pages and entries are real.
    pub committed: Word,
    /// Spans from here on were never used.
    pub frontier: Word,
    /// Free spans below the frontier.
    pub free: Word,
    /// No free span below this one.
    pub hint: Word,
    /// To the end of the line.
    pub spare: [Word; 4],
}

/// Numbers for people.
#[derive(Debug)]
#[repr(C)]
pub struct Tally {
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
#[derive(Debug)]
#[repr(C)]
pub struct Turn {
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
#[derive(Debug)]
#[repr(C)]
pub struct Slot {
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
    /// To the end of the second line.
    pub spare: [Word; 6],
}

/// One thread.
#[derive(Debug)]
#[repr(C)]
pub struct ContextEntry {
    /// Who has it: see `sync::owner`.
    pub owner: Word,
    /// Valid journal entries: above zero, a change is open.
    pub entries: Word,
    /// Overflow chunks in the control words.
    pub chunks: Word,
    /// The signal it sleeps on, as an offset.
    pub sleeps_on: Word,
    /// The long lock it waits for, as an offset.
    pub waits_for: Word,
    /// Counts waits, so that two looks can be told apart.
    pub wait_number: Word,
    /// When its transaction began; smaller is older. 0: none.
    pub age: Word,
    /// 1: its journal's pages are real.
    pub committed: Word,
}

/// The control words before a context's journal entries.
#[derive(Debug)]
#[repr(C)]
pub struct Control {
    /// Chains of blocks that belong to nothing else, one for each size class.
    pub pending: [Word; CLASS_ROWS],
    /// Chain of runs of spans that belong to nothing else.
    pub runs: Word,
    /// Chain of structures cut loose, to be taken apart.
    pub husks: Word,
    /// Chain of parcels that are packed and not stored yet.
    pub built: Word,
    /// Chain of parcels that were freed, with references to be given up.
    pub freed: Word,
    /// To the next full part.
    pub spare: [Word; 28],
    /// Numbers of the overflow chunks in use.
    pub chunks: [Word; CHUNKS_PER_CHANGE],
}

/// One saved word.
#[derive(Debug)]
#[repr(C)]
pub struct Entry {
    /// Offset of the word.
    pub at: Word,
    /// What it held.
    pub old: Word,
}

/// Spans with free blocks of each size class, as span numbers plus one.
#[derive(Debug)]
#[repr(C)]
pub struct Arena {
    /// First span of each class.
    pub partial: [Word; CLASS_ROWS],
}

/// What a span is used for: see `allocator::span`.
#[derive(Debug)]
#[repr(C)]
pub struct Span {
    /// Kind, class, arena, run length.
    pub info: Word,
    /// First free block, as an offset. For a run: the next pending run.
    pub free: Word,
    /// Low half blocks in use, high half blocks ever used.
    pub counts: Word,
    /// Low half previous, high half next in the arena's list, as span numbers plus one.
    pub links: Word,
}

/// What every object begins with. Lives in blocks that are only ever used for this.
#[derive(Debug)]
#[repr(C)]
pub struct Object {
    /// Odd while the object lives. Only ever goes up.
    pub generation: Word,
    /// Kind in the low byte, turn in bits 16..32, second turn in bits 32..48. The link of a free
    /// header.
    pub shape: Word,
    /// References: one from the directory, or those in ledgers.
    pub references: Word,
    /// Transaction lock: see `sync::owner`.
    pub lock: Word,
    /// Where those sleep who wait for the transaction lock.
    pub signal: Signal,
    /// What the shape keeps here.
    pub root: [Word; 11],
}

/// The root words of a lock, and of a value, which has one beside it.
#[derive(Debug)]
#[repr(C)]
pub struct MutexRoot {
    /// The cell of the value that the lock guards.
    pub cell: [Word; 2],
    /// Who holds it: see `sync::owner`.
    pub lock: Word,
    /// Where the others sleep.
    pub signal: Signal,
    /// The last holder: low half its process id, high half its thread id.
    pub holder: Word,
    /// Process id of a holder that died, plus one, until somebody is told.
    pub died: Word,
    /// How often the holder has it in the low 20 bits; the rest, since when, if it said so.
    pub held: Word,
    /// What it was made with: typecode in the low byte, bit 8: who comes after a death is refused.
    pub traits: Word,
}

/// What a queue's first root word leads to.
#[derive(Debug)]
#[repr(C)]
pub struct QueueBody {
    /// Items ever taken, under the head's turn, like all of this line.
    pub head: Word,
    /// Segment of the next item to take.
    pub head_segment: Word,
    /// What the tail was when the head's side last looked.
    pub tail_seen: Word,
    /// Items that are leased.
    pub leased: Word,
    /// First record of the items that came back.
    pub returned: Word,
    /// Last record of the items that came back.
    pub returned_last: Word,
    /// How many came back and wait to be taken again.
    pub returned_count: Word,
    /// A block kept for a full heap: a record for one more lease, or the husk.
    pub reserve: Word,
    /// Items ever put, under the tail's turn, like all of this line.
    pub tail: Word,
    /// Segment of the next place to put.
    pub tail_segment: Word,
    /// What the head was when the tail's side last looked.
    pub head_seen: Word,
    /// Places promised to transactions.
    pub reserved: Word,
    /// To the end of the line.
    pub spare_tail: [Word; 4],
    /// Most items at once; 0 = no limit. This line is often read and rarely written.
    pub limit: Word,
    /// Most attempts at an item; 0 = no limit.
    pub max_attempts: Word,
    /// 1: nothing more may be put; under the tail's turn.
    pub closed: Word,
    /// 1: somebody may wait for an item; under the tail's turn.
    pub wants_items: Word,
    /// 1: somebody may wait for room; under the head's turn.
    pub wants_room: Word,
    /// 1: somebody may wait until everything is done; under the head's turn.
    pub wants_done: Word,
    /// First record of the items that failed, under the head's turn.
    pub failed: Word,
    /// Last record of the items that failed, under the head's turn.
    pub failed_last: Word,
    /// Where getters sleep.
    pub not_empty: Signal,
    /// Where putters sleep.
    pub not_full: Signal,
    /// Where those sleep who wait until everything is done.
    pub all_done: Signal,
    /// To the end of the line.
    pub spare: [Word; 5],
}

/// What a process owns: an item that it took and that may come back, a place promised to its
/// transaction, or a reference to an object.
#[derive(Debug)]
#[repr(C)]
pub struct Record {
    /// Next record of the list it is in.
    pub next: Word,
    /// Previous record of a slot's list.
    pub previous: Word,
    /// Offset of the header of the queue, or of the object that a reference keeps.
    pub object: Word,
    /// Its generation.
    pub generation: Word,
    /// The item.
    pub cell: [Word; 2],
    /// Attempts in the low half; bits 32..40 why it came back; bit 40: a promised place; bit 41: a
    /// reference; bits 48.. the slot that has it, plus one.
    pub state: Word,
    /// Number that no other record has; the references of a forked child have those of its parent.
    pub serial: Word,
}

// SAFETY: `repr(C)`, made of words, signals and one another; sizes asserted below.
unsafe impl Plain for Header {}
// SAFETY: as above.
unsafe impl Plain for SpanMap {}
// SAFETY: as above.
unsafe impl Plain for Turn {}
// SAFETY: as above.
unsafe impl Plain for Slot {}
// SAFETY: as above.
unsafe impl Plain for ContextEntry {}
// SAFETY: as above.
unsafe impl Plain for Control {}
// SAFETY: as above.
unsafe impl Plain for Entry {}
// SAFETY: as above.
unsafe impl Plain for Arena {}
// SAFETY: as above.
unsafe impl Plain for Span {}
// SAFETY: as above.
unsafe impl Plain for Object {}
// SAFETY: as above.
unsafe impl Plain for MutexRoot {}
// SAFETY: as above.
unsafe impl Plain for QueueBody {}
// SAFETY: as above.
unsafe impl Plain for Record {}

// The words of a model are larger than those of a heap.
#[cfg(not(loom))]
const _: () = {
    assert!(size_of::<Turn>() == 64 && size_of::<Slot>() == 128);
    assert!(size_of::<ContextEntry>() == 64 && size_of::<Span>() == 32);
    assert!(size_of::<Arena>() == 256 && size_of::<Object>() == 128);
    assert!(size_of::<QueueBody>() == 256 && size_of::<Record>() == 64);
    assert!(size_of::<Control>() == 1024 && size_of::<Entry>() == 16);
    assert!(size_of::<Header>() <= TURNS as usize && size_of::<Word>() == 8);
    assert!(1024 + FIRST_ENTRIES * 16 == JOURNAL_BYTES as usize);
    assert!(SPAN_TABLE.is_multiple_of(AREA_ALIGNMENT) && CHUNKS.is_multiple_of(AREA_ALIGNMENT));
};
