//! Noticing that this process is a fresh copy of another: here each peer has a number.
//!
//! Not here: forks. A thread that is handed a `Heap` of another peer plays a forked child.

use super::machine;

/// Returns the number of this peer: differs from that of every other.
pub fn generation() -> u64 {
    u64::from(machine::current())
}

/// Would have `prepare` and `parent` run around every fork; here nobody forks.
pub fn on_fork(_prepare: extern "C" fn(), _parent: extern "C" fn()) {}
