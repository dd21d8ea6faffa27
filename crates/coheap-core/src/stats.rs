//! Counters and sizes of a heap, for people and for tests.
//!
//! Nothing is pushed: the counters lie in the heap and are read on demand. They are read one by
//! one, so they may belong to slightly different moments.

use crate::allocator::span;
use crate::error::{Error, Result};
use crate::heap::Heap;
use crate::sync::life::{State, StateWord};

/// Numbers of a heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Bytes of spans in use: by objects, and by memory that is kept ready for more.
    pub used_bytes: u64,
    /// The limit of the bytes of spans.
    pub max_bytes: u64,
    /// Bytes of spans with pages: those in use, and those that are ready for more. [`Heap::trim`] gives
    /// the second back to the system.
    pub committed_bytes: u64,
    /// Bytes of memory that all files use, as `st_blocks` counts them: what the heap costs the machine.
    pub allocated_bytes: u64,
    /// Attached processes.
    pub members: u64,
    /// Processes that were recovered since the heap was created.
    pub recovered: u64,
    /// Half-done changes of dead processes that were undone.
    pub undone: u64,
    /// Transactions whose process died before the commit.
    pub abandoned: u64,
    /// Processes that died inside a change or a transaction.
    pub interrupted: u64,
    /// Leases and promises that were returned for dead processes.
    pub returned: u64,
}

impl Heap {
    /// Numbers of the heap.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] when a file cannot be asked for its size.
    pub fn stats(&self) -> Result<Stats> {
        let region = self.region();
        let header = region.header();
        let members = (0..region.real_slots())
            .filter(|slot| StateWord(region.slot(*slot).state.get()).state() == State::Live)
            .count();
        Ok(Stats {
            used_bytes: region.used_bytes(),
            max_bytes: header.max_bytes.get(),
            committed_bytes: span::committed_bytes(region),
            allocated_bytes: self
                .files()
                .iter()
                .try_fold(0, |sum, file| Ok::<_, Error>(sum + file.allocated_bytes()?))?,
            members: members as u64,
            recovered: header.tally.recovered.get(),
            undone: header.tally.undone.get(),
            abandoned: header.tally.abandoned.get(),
            interrupted: header.tally.interrupted.get(),
            returned: header.tally.returned.get(),
        })
    }
}
