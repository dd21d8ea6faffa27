//! The layout of a queue: its root words, its body, the segments of its chain, and records.
//!
//! What always holds: the first cache line of a body is under the head's turn, the second under the
//! tail's.
//!
//! Not here: how the words are used (`objects::queue`).

use super::objects::CellWords;
use crate::memory::plain::plain;
use crate::memory::word::Word;

plain! {
    /// The root words of a queue.
    pub struct QueueRoot: 88 {
        /// Offset of the body.
        pub body: Word,
        /// To the end of the root words.
        pub spare: [Word; 10],
    }

    /// What a queue's first root word leads to.
    pub struct QueueBody: 256 {
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
        /// First record of the items that failed, under the head's turn.
        pub failed: Word,
        /// Last record of the items that failed, under the head's turn.
        pub failed_last: Word,
        /// To the end of the line.
        pub spare: [Word; 11],
    }

    /// What is left of a queue.
    pub struct QueueHusk: 64 {
        /// Next husk of the chain.
        pub next: Word,
        /// Bits 16..24 the kind.
        pub info: Word,
        /// Offset of the body.
        pub body: Word,
        /// To the end.
        pub spare: [Word; 5],
    }

    /// What a segment of a queue's chain begins with; a cell for each of its places follows.
    pub struct QueueSegment: 32 {
        /// Offset of the next segment.
        pub next: Word,
        /// How many places it has.
        pub places: Word,
        /// Position of its first place.
        pub first: Word,
        /// To the first place.
        pub spare: Word,
    }

    /// What a process owns: an item that it took and that may come back, a place promised to its
    /// transaction, or a reference to an object.
    pub struct Record: 64 {
        /// Next record of the list it is in.
        pub next: Word,
        /// Previous record of a slot's list.
        pub previous: Word,
        /// Offset of the header of the queue, or of the object that a reference keeps.
        pub object: Word,
        /// Its generation.
        pub generation: Word,
        /// The item; of a reference, the offset of its share, or 0.
        pub cell: CellWords,
        /// Attempts in the low half; bits 32..40 why it came back; bit 40: a promised place; bit 41: a
        /// reference; bits 48.. the slot that has it, plus one.
        pub state: Word,
        /// Number that no other record has; the references of a forked child have those of its parent.
        pub serial: Word,
    }

    /// References of several processes that their object counts as one.
    pub struct Share: 16 {
        /// How many records name it.
        pub holders: Word,
        /// The turn that guards it.
        pub turn: Word,
    }
}

impl Record {
    /// First bit of the state's reason.
    const REASON: u32 = 32;
    /// Bit of the state: a place promised to a transaction.
    pub const RESERVED: u64 = 1 << 40;
    /// Bit of the state: a reference to an object.
    pub const REFERENCE: u64 = 1 << 41;
    /// First bit of the slot plus one, for the slot whose list has the record.
    pub const SIGNED: u32 = 48;

    /// Returns the state of an item on a list of its queue.
    #[inline(always)]
    pub const fn returned(attempts: u64, reason: u64) -> u64 {
        attempts | reason << Self::REASON
    }

    /// Returns the attempts that a state counts.
    #[inline(always)]
    pub const fn attempts(state: u64) -> u64 {
        state & 0xffff_ffff
    }

    /// Returns why the item of a state came back, as a number.
    #[inline(always)]
    pub const fn reason(state: u64) -> u64 {
        state >> Self::REASON & 0xff
    }
}
