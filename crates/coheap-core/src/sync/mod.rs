//! Whose turn is it, who waits, who is dead.
//!
//! Two kinds of exclusion, never mixed up:
//!
//! - A **turn** is held for microseconds, never while user code runs. A dead holder's turns are
//!   freed by the recovery of its whole process, and only by that.
//! - A **long lock** (a user's lock, a transaction's lock on an object) is held as long as the
//!   user likes. Recovery leaves it alone; a waiter judges its owner lazily.
//!
//! A waiter that finds the owner of a turn dead answers which [`Incarnation`] it was: recovery
//! lives above, in `journal`, and is called from there.

pub mod deadlock;
pub mod life;
pub mod lock;
pub mod owner;
pub mod turn;
pub mod wait;

pub use life::{Census, Member};
pub use owner::{Incarnation, Owner};
pub use wait::Patience;
