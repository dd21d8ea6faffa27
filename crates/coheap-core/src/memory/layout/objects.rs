//! The layout of objects of every kind: the header, a cell, a lock, a parcel.
//!
//! What always holds: the kind of an object determines the struct of its root words, and
//! [`Object::root_as`] returns that view of them.
//!
//! Not here: maps and queues, which have files of their own beside this one.

use crate::memory::plain::{Plain, plain, view};
use crate::memory::word::Word;

/// Bytes of a word, and so of an offset.
pub const WORD_BYTES: u64 = size_of::<Word>() as u64;
/// Words that an object's header has for its kind.
pub const ROOT_WORDS: usize = 11;

/// The two words of a cell: see `objects::cell`.
pub type CellWords = [Word; 2];

plain! {
    /// What every object begins with. Lives in blocks that are only ever used for this, so that the
    /// words that are swapped without a turn never become somebody's data.
    pub struct Object: 192 {
        /// Odd while the object lives. Only ever goes up.
        pub generation: Word,
        /// Kind in the low byte, turn in bits 16..32, second turn in bits 32..48. The link of a free
        /// header.
        pub shape: Word,
        /// References: one from the directory, or those in ledgers.
        pub references: Word,
        /// Transaction lock: see `sync::parking::word`.
        pub lock: Word,
        /// A bit for each reason for which a thread may be parked: see `sync::parking::want`.
        pub wants: Word,
        /// The room for what the kind keeps: see [`Object::root_as`].
        pub root: [Word; ROOT_WORDS],
        /// The lock of users, if the kind has one: see `sync::parking::word`.
        pub mutex: Word,
        /// When the lock may be offered again, and the cell that was rung last. Of a queue: the cell that
        /// was rung last for an item, plus one.
        pub handing: Word,
        /// The last holder: low half its process id, high half its thread id. Of a queue: when the guard
        /// of those who wait for an item looks: see `sync::parking::want`. Of a map: what its creator noted.
        pub holder: Word,
        /// Since when it holds the lock, if it said so. Of a queue: as `holder`, for a place. Of a map: the
        /// block in which it notes what changes, see `objects::map`; 0 = none.
        pub since: Word,
        /// Process id of a holder that died, until somebody is told.
        pub died: Word,
        /// When the watcher of the lock looked last.
        pub watch: Word,
        /// As `handing`, of the transaction lock. Of a queue: as `handing`, for a place.
        pub transaction_handing: Word,
        /// As `watch`, of the transaction lock.
        pub transaction_watch: Word,
    }

    /// The root words of a lock, and of a value, which has one beside it.
    pub struct MutexRoot: 24 {
        /// The cell of the value that the lock guards.
        pub cell: CellWords,
        /// What it was made with: typecode in the low byte, bit 8: who comes after a death is refused.
        pub traits: Word,
    }

    /// What a parcel begins with; its references follow, then the value.
    pub struct ParcelHead: 40 {
        /// Low byte the tag; high half the number of references.
        pub info: Word,
        /// Next parcel of the chain; 0 in a cell.
        pub next: Word,
        /// How many of the references are counted in their objects: the first so many.
        pub counted: Word,
        /// Number that no other parcel has.
        pub serial: Word,
        /// Length in bytes of all of it.
        pub len: Word,
    }

    /// A reference of a parcel.
    pub struct ParcelReference: 16 {
        /// Offset of the object's header.
        pub object: Word,
        /// Its generation.
        pub generation: Word,
    }
}

impl Object {
    /// Returns the root words as the struct of the object's kind.
    #[inline(always)]
    pub fn root_as<R: Plain>(&self) -> &R {
        view(&self.root)
    }
}

/// What the shape word of a living object says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectShape {
    /// Its kind, as a number.
    pub kind: u8,
    /// The turn that guards it.
    pub turn: u32,
    /// Its second turn.
    pub second_turn: u32,
}

impl ObjectShape {
    /// First bit of the turn.
    const TURN: u32 = 16;
    /// First bit of the second turn.
    const SECOND_TURN: u32 = 32;
    /// Bits of each turn.
    const TURN_MASK: u32 = 0xffff;

    /// Returns the word.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.kind as u64
            | (self.turn as u64) << Self::TURN
            | (self.second_turn as u64) << Self::SECOND_TURN
    }

    /// What a word says.
    #[inline(always)]
    pub const fn of(word: u64) -> Self {
        let turn = (word >> Self::TURN) as u32 & Self::TURN_MASK;
        let second_turn = (word >> Self::SECOND_TURN) as u32 & Self::TURN_MASK;
        Self { kind: word as u8, turn, second_turn }
    }
}
