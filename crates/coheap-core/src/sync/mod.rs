//! Exclusion: whose turn it is, which threads wait, and which processes are dead.
//!
//! There are two kinds of exclusion:
//!
//! - A **turn** is held for microseconds, and never while user code runs. A dead holder's turns are
//!   released by the recovery of its whole process, and only by that.
//! - A **long lock** (a user's lock, a transaction's lock on an object) is held as long as the user
//!   likes. Recovery does not touch it; a waiter checks whether its owner lives.
//!
//! A waiter that finds the owner of a turn dead returns the [`Incarnation`] of the owner. Recovery
//! is in `journal`, a floor above, and is called from there.

/// Checks what a build with the feature `paranoid` checks; no code in others.
macro_rules! paranoid {
    ($condition:expr, $($message:tt)+) => {
        if cfg!(feature = "paranoid") {
            assert!($condition, $($message)+);
        }
    };
}

pub mod deadlock;
mod due;
pub mod hazard;
pub mod holder;
pub mod life;
pub mod owner;
#[cfg_attr(
    not(feature = "floors"),
    allow(dead_code, reason = "notifications are for kinds that come next")
)]
pub mod parking;
pub mod row;
pub mod tickers;
pub mod turn;
pub mod wait;

pub use due::{Due, DueList};
pub use life::{Census, Member};
pub use owner::{Incarnation, Owner};
pub use wait::Patience;
