//! What was here before: one short change at a time.
//!
//! A *change* saves the old value of each word it is about to store, stores, and commits with one
//! store. The number of valid entries in a context's journal is its whole state:
//!
//! | entries | meaning                | what recovery does                          |
//! |---------|------------------------|---------------------------------------------|
//! | 0       | nothing to undo        | lets go of the turns                        |
//! | n       | a change is half done  | puts n old values back, last first, stores 0 |
//!
//! So commit and abort are the same store, and after it no old value is ever written again,
//! whoever recovers, however often.
//!
//! Not here: what the saved words mean, and what the dead still own (`objects::estate`).

pub mod change;
pub mod context;
mod entries;
pub mod held;
mod kept;
pub mod recovery;

pub use change::Change;
pub use context::Context;
pub use entries::MAX_WORDS;
pub use held::Held;
