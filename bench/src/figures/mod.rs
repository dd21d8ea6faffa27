//! Figures that have no peer: crowds, hand-over after a death, idle processes, memory, the journal's
//! share, large work in steps, and what an operation costs as a map grows.
//!
//! With fewer than seven rounds these are made short as well, for a quick look.

pub mod crowd;
pub mod handover;
pub mod idle;
#[cfg(feature = "journal-share")]
pub mod journal;
pub mod long;
pub mod memory;
pub mod scale;
pub mod steps;

use std::sync::atomic::Ordering;

use crate::process::Board;

/// A word of the board.
fn get(board: &Board, word: usize) -> u64 {
    board.words[word].0.load(Ordering::Acquire)
}

fn put(board: &Board, word: usize, value: u64) {
    board.words[word].0.store(value, Ordering::Release);
}

/// Leaves this worker where it is until it is killed.
fn stay() -> ! {
    loop {
        std::thread::park();
    }
}
