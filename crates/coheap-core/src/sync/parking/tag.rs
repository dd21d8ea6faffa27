//! What is waited for, and the eight bytes by which a waiting thread is found.
//!
//! | bits of a tag | meaning |
//! |---|---|
//! | 0..28 | ticket, its low bits: for order only |
//! | 28..40 | hash of the object |
//! | 40..44 | reason |
//! | 44 | looker: it is rung besides takers, never instead of one |
//! | 45..64 | number of the cell, plus one |
//!
//! What always holds: a tag is complete with the one swap that publishes it, and the cell behind it
//! is filled by then. Who finds a tag reads the cell and then the tag again.

use crate::memory::layout::BUCKET_COUNT;

const HASH: u32 = 28;
const REASON: u32 = 40;
const LOOKER: u32 = 44;
const CELL: u32 = 45;
/// The bits of a ticket that a tag has.
const TICKET_MASK: u64 = (1 << HASH) - 1;
const HASH_MASK: u64 = 0xfff;
/// How far the counter of tickets may be behind a tag that was just published.
const AHEAD: u64 = 1 << 20;

/// What a thread waits for. Makers ring for a reason, so that only those look who can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// A lock of users.
    Lock = 1,
    /// An object's transaction lock.
    Transaction = 2,
    /// An item of a queue.
    Item = 3,
    /// A place in a queue.
    Place = 4,
    /// All items of a queue are done.
    Done = 5,
    /// A permit of a semaphore.
    Permit = 6,
    /// An event that is set.
    Event = 7,
    /// A notification of a condition.
    Notification = 8,
    /// The others at a barrier.
    Barrier = 9,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Lock,
        Self::Transaction,
        Self::Item,
        Self::Place,
        Self::Done,
        Self::Permit,
        Self::Event,
        Self::Notification,
        Self::Barrier,
    ];

    /// Returns the reason with a number.
    pub fn of(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u64 == number)
    }

    /// Returns the bit of a header's want-bits that makers for this reason read.
    pub fn want_bit(self) -> u64 {
        1 << self as u32
    }

    /// Returns the bit that is up beside it while anybody may wait who takes nothing.
    pub fn looker_bit(self) -> u64 {
        1 << (self as u32 + u32::BITS)
    }
}

/// An object, by its header and generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Offset of the header.
    pub at: u64,
    /// Generation of the header.
    pub generation: u64,
}

impl Key {
    fn mixed(self) -> u64 {
        (self.at >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// Returns the number of the first line of its bucket.
    pub fn bucket(self) -> u32 {
        (self.mixed() >> 54) as u32 % BUCKET_COUNT
    }

    /// Returns the hash that its tags have. The generation is no part of it: a removal rings all.
    fn hash(self) -> u64 {
        self.mixed() >> 42 & HASH_MASK
    }
}

/// A word of a line that is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag(u64);

impl Tag {
    /// Returns the tag of a cell.
    pub fn new(cell: u32, key: Key, reason: Reason, is_looker: bool, ticket: u64) -> Self {
        let about = key.hash() << HASH | (reason as u64) << REASON | u64::from(is_looker) << LOOKER;
        Self(u64::from(cell + 1) << CELL | about | ticket & TICKET_MASK)
    }

    /// Returns the tag that a word holds. `None` if the place is free.
    pub fn of(word: u64) -> Option<Self> {
        (word >> CELL != 0).then_some(Self(word))
    }

    /// Returns the word to store.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Returns the number of the cell.
    pub fn cell(self) -> u32 {
        (self.0 >> CELL) as u32 - 1
    }

    /// Returns whether it is rung besides takers.
    pub fn is_looker(self) -> bool {
        self.0 >> LOOKER & 1 == 1
    }

    /// Returns whether the object has the hash of `key`.
    pub fn is_about(self, key: Key) -> bool {
        self.0 >> HASH & HASH_MASK == key.hash()
    }

    /// Returns whether it waits for `reason`.
    pub fn is_for(self, reason: Reason) -> bool {
        self.0 >> REASON & 0xf == reason as u64
    }

    /// Returns whether a cell with this ticket is the one that the tag was made for.
    pub fn has_ticket(self, ticket: u64) -> bool {
        self.0 & TICKET_MASK == ticket & TICKET_MASK
    }

    /// Returns how long ago the ticket was drawn, in tickets: who came first has the most. `newest`
    /// is the counter of tickets.
    pub fn age(self, newest: u64) -> u64 {
        newest.wrapping_add(AHEAD).wrapping_sub(self.0) & TICKET_MASK
    }
}
