//! Every struct that lives in shared memory, every size, every constant.
//!
//! ```text
//! 0            header       4 KiB    who, what, how large; the directory; shared counters
//! TURNS        turns        64 B     each: owner, sequence, signal (those of slots: sparse)
//! CHUNK_OWNERS              8 B      each: who uses the overflow chunk
//! ARENAS       arenas       256 B    each: a list of spans for each size class
//! PARKING      parking                 its head and buckets: who waits for what
//! FIXED_END
//! SLOTS        slots        128 B    each: one process (sparse)
//! CONTEXTS     contexts     256 B    each: one thread of a process (sparse)
//! JOURNALS     journals     8 KiB    each: what one context changed (sparse)
//! CHUNKS       overflow     64 KiB   each: room for a long journal (sparse)
//! LINES        parking                 its further lines, block owners, blocks (sparse)
//! SPAN_TABLE   span table   32 B     a row for each span (sparse, as long as the heap may grow)
//! data start   spans        16 KiB   everything else
//! ```
//!
//! What always holds: no struct has padding; all offsets fit 48 bits. Slots with their turns are
//! real below the header's `slots`, contexts with their journals below its `rows`, and nothing
//! looks beyond. `docs/format.md` is the same in words.

mod husk;
mod journal;
mod map;
mod objects;
mod parking;
mod queue;
mod tables;

pub use husk::*;
pub use journal::*;
pub use map::*;
pub use objects::*;
pub use parking::*;
pub use queue::*;
pub use tables::*;

/// First word of every heap: "coheap" and a byte that text tools change.
pub const MAGIC: u64 = u64::from_le_bytes(*b"coheap\x8f\n");
/// Number of the format.
pub const FORMAT: u32 = 4;
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
pub const SLOT_COUNT: u32 = 4096;
/// Threads at once, of all processes together.
pub const CONTEXT_COUNT: u32 = 16_384;
/// Arenas.
pub const ARENA_COUNT: u32 = 16;
/// Overflow chunks for long journals.
pub const CHUNK_COUNT: u32 = 128;

/// Bytes of a span.
pub const SPAN_BYTES: u64 = 16 << 10;
/// Areas begin at multiples of this, so that pages of 64 KiB can be committed apart.
pub const AREA_ALIGNMENT: u64 = 64 << 10;

/// Offset of the turns.
pub const TURNS: u64 = 4096;
/// Where the turns of slots begin, which are made real one by one.
pub const SLOT_TURNS_START: u64 = TURNS + SLOT_TURNS as u64 * size_of::<Turn>() as u64;
/// Where the other turns go on.
pub const SLOT_TURNS_END: u64 = TURNS + ARENA_TURNS as u64 * size_of::<Turn>() as u64;
/// Offset of the chunk owners.
pub const CHUNK_OWNERS: u64 = TURNS + TURN_COUNT as u64 * size_of::<Turn>() as u64;
/// Offset of the arenas.
pub const ARENAS: u64 = CHUNK_OWNERS + CHUNK_COUNT as u64 * 8;
/// Offset of the parking table's head.
pub const PARKING: u64 = ARENAS + ARENA_COUNT as u64 * size_of::<Arena>() as u64;
/// Offset of the buckets.
pub const BUCKETS: u64 = PARKING + size_of::<ParkingHead>() as u64;
/// End of what is committed when a heap is made, but for the turns of slots.
pub const FIXED_END: u64 = BUCKETS + BUCKET_COUNT as u64 * size_of::<TagLine>() as u64;
/// Offset of the slots.
pub const SLOTS: u64 = FIXED_END.next_multiple_of(AREA_ALIGNMENT);
/// Offset of the contexts.
pub const CONTEXTS: u64 = SLOTS + SLOT_COUNT as u64 * size_of::<Slot>() as u64;
/// Offset of the journals.
pub const JOURNALS: u64 = CONTEXTS + CONTEXT_COUNT as u64 * size_of::<ContextRow>() as u64;
/// Offset of the overflow chunks.
pub const CHUNKS: u64 = JOURNALS + CONTEXT_COUNT as u64 * JOURNAL_BYTES;
/// Offset of the lines of tags behind the buckets.
pub const LINES: u64 = CHUNKS + CHUNK_COUNT as u64 * CHUNK_BYTES;
/// Offset of the owners of blocks of cells.
pub const BLOCK_OWNERS: u64 =
    LINES + (LINE_COUNT - BUCKET_COUNT) as u64 * size_of::<TagLine>() as u64;
/// Offset of the blocks of cells.
pub const BLOCKS: u64 = (BLOCK_OWNERS + BLOCK_COUNT as u64 * 8).next_multiple_of(AREA_ALIGNMENT);
/// Bytes of a block of cells.
pub const BLOCK_BYTES: u64 = BLOCK_CELLS as u64 * size_of::<ParkingCell>() as u64;
/// Offset of the span table.
pub const SPAN_TABLE: u64 = BLOCKS + BLOCK_COUNT as u64 * BLOCK_BYTES;

/// Offset of the first span in a heap of at most `spans` spans.
pub const fn data_start(spans: u64) -> u64 {
    (SPAN_TABLE + spans * size_of::<Span>() as u64).next_multiple_of(AREA_ALIGNMENT)
}

#[cfg(not(loom))]
const _: () = {
    assert!(size_of::<Header>() <= TURNS as usize, "the header fits before the turns");
    assert!(SPAN_TABLE.is_multiple_of(AREA_ALIGNMENT) && CHUNKS.is_multiple_of(AREA_ALIGNMENT));
    assert!(JOURNALS.is_multiple_of(AREA_ALIGNMENT) && CONTEXTS.is_multiple_of(AREA_ALIGNMENT));
    assert!(TURNS.is_multiple_of(align_of::<Turn>() as u64));
    assert!(SLOTS.is_multiple_of(align_of::<Slot>() as u64));
    assert!(CONTEXTS.is_multiple_of(align_of::<ContextRow>() as u64));
    assert!(CHUNK_OWNERS.is_multiple_of(align_of::<super::Word>() as u64));
    assert!(ARENAS.is_multiple_of(align_of::<Arena>() as u64));
    // What is slept on and swapped shares no line with anything else.
    assert!(PARKING.is_multiple_of(64) && BUCKETS.is_multiple_of(64));
    assert!(LINES.is_multiple_of(AREA_ALIGNMENT) && CONTEXTS.is_multiple_of(64));
    assert!(BLOCK_OWNERS.is_multiple_of(AREA_ALIGNMENT));
    // A tag has 19 bits for the number of a cell, plus one.
    assert!(CONTEXT_COUNT * ROW_CELLS + BLOCK_COUNT * BLOCK_CELLS < (1 << 19) - 1);
};
