//! Hazards: which runs a thread reads without a turn, named in its row.
//!
//! | who reads                              | who gives up a run                     |
//! |----------------------------------------|----------------------------------------|
//! | finds the run in an object             | takes it out of the object             |
//! | names it in its row, fence             | fence                                  |
//! | looks again: is it still there?        | looks at the names of all rows         |
//! | reads, then clears the name            | reuses it, unless a row names it       |
//!
//! Of the two fences one comes first. If it is the reader's, the name is seen; if it is the other one,
//! the reader sees at its second look that the run is gone.
//!
//! # What always holds
//!
//! - **Hazard.1** A run that was named, and found in its place after that, is neither reused nor
//!   released before the name is cleared.
//! - **Hazard.2** Only the thread of a row names something in it; recovery clears the names of the dead.
//!
//! Not here: what a run is (`allocator::buffer`), and which looks a reader takes (`objects`).

use smallvec::SmallVec;

use crate::defect::{Mistake, defect};
use crate::memory::{Ordering, Region, Word, fence};

/// The name that stands for every run.
pub const EVERY: u64 = 1;

/// Names a run. The caller looks afterwards whether it is still where it was found.
#[inline]
pub fn name(word: &Word, run: u64) {
    // Published, though nothing was built: who sees this name sees that the reads under the one before
    // are done.
    Region::publish(word, run);
    fence(Ordering::SeqCst);
}

/// Clears a name: everything that was read before is done.
#[inline]
pub fn clear(word: &Word) {
    Region::publish(word, 0);
}

/// Runs that are being read.
#[derive(Debug)]
pub struct Named(SmallVec<[u64; 16]>);

impl Named {
    /// Collects the names in all rows. The caller has taken out before what it wants to give up.
    #[must_use]
    pub fn of_all(region: &Region) -> Self {
        let rows = || (0..region.real_rows()).map(|index| region.control(index));
        Self::among(|| rows().flat_map(|control| &control.hazards))
    }

    /// As [`of_all`](Self::of_all), in these words, which are asked for behind the fence.
    pub fn among<'a, W: Iterator<Item = &'a Word>>(words: impl FnOnce() -> W) -> Self {
        fence(Ordering::SeqCst);
        Self(words().map(Word::acquire).filter(|name| *name != 0).collect())
    }

    /// Returns whether a thread may be reading any run.
    #[must_use]
    pub fn has_every(&self) -> bool {
        self.0.contains(&EVERY) && !defect(Mistake::ReuseWhatIsRead)
    }

    /// Returns whether a thread may be reading this run.
    #[must_use]
    pub fn contains(&self, run: u64) -> bool {
        let is_named = self.0.iter().any(|name| *name == run || *name == EVERY);
        is_named && !defect(Mistake::ReuseWhatIsRead)
    }
}

/// Clears all names of a row, whose thread is dead.
pub fn clear_all(region: &Region, row: u32) {
    for word in &region.control(row).hazards {
        if word.get() != 0 {
            clear(word);
        }
    }
}
