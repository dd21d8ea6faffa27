//! The journal: one short change at a time, and what was there before it.
//!
//! A *change* saves the old value of each word that it is about to store, stores the new value, and
//! commits with one store. The number of saved words in a context's journal is its whole state:
//!
//! | saved   | meaning                | what recovery does                          |
//! |---------|------------------------|---------------------------------------------|
//! | 0       | nothing to undo        | releases the turns                          |
//! | n       | a change is half done  | restores n old values, last first, stores 0 |
//!
//! Commit and abort are therefore the same store. After it, no old value is ever written again, by
//! any process, however often recovery runs.
//!
//! Not here: the meaning of the saved words, and the property of the dead (`objects::estate`).

mod busy;
pub mod change;
pub mod context;
mod saved;
pub mod held;
mod kept;
pub mod recovery;

pub use change::Change;
pub use context::Context;
pub use held::Held;
pub use saved::MAX_WORDS;
pub(crate) use saved::turn_of_change;
