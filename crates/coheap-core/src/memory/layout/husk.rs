//! What an object leaves behind that is to be taken apart in small steps: a husk.
//!
//! What always holds: a husk lies in a block of the same room as a record, whatever it is left of.
//! `next` and `stage` are the same words in all of them, so a chain may mix them.
//!
//! Not here: how a husk is made and taken apart (`objects::husk`).

use crate::memory::plain::{plain, view};
use crate::memory::word::Word;

plain! {
    /// What is left of a map.
    pub struct Husk: 64 {
        /// Next husk of the chain.
        pub next: Word,
        /// Bit 0: the cells are to be freed; bits 8..: the stage.
        pub stage: Word,
        /// As in the map's root words; 0 = freed.
        pub entries: Word,
        /// As in the map's root words; goes down as segments are freed.
        pub capacity: Word,
        /// As in the map's root words.
        pub places: Word,
        /// As in the map's root words; 0 = freed.
        pub index: Word,
        /// As in the map's root words.
        pub depth: Word,
        /// Positions whose cells are left; in the last stage, places of the index that are left.
        pub left: Word,
    }

    /// What is left of a queue: a view of the same words.
    pub struct QueueHusk: 64 {
        /// Next husk of the chain.
        pub next: Word,
        /// Bits 8..: the stage, which says that this is a queue.
        pub stage: Word,
        /// Offset of the body.
        pub body: Word,
        /// To the end.
        pub spare: [Word; 5],
    }
}

impl Husk {
    /// The same words, where the stage says that they are a queue's.
    pub fn as_queue(&self) -> &QueueHusk {
        view(self)
    }
}
