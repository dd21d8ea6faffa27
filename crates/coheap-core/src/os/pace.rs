//! What the threads of a process check once in a while, whichever of them comes first.
//!
//! What always holds: nobody waits, and a check that is due is made by at least one thread.
//!
//! Not here: what is checked.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count of events.
#[derive(Debug, Default)]
pub struct Tally(AtomicU64);

impl Tally {
    /// Returns a count of none.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Counts one more.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// When a check was made last.
#[derive(Debug, Default)]
pub struct Pace {
    /// In nanoseconds of [`now`](super::now).
    at: AtomicU64,
    /// The count of events then.
    events: AtomicU64,
}

impl Pace {
    /// Returns whether the caller is to check now: nobody has within the last `every` nanoseconds, or
    /// not since the last of these events.
    pub fn is_due(&self, now: u64, every: u64, events: &Tally) -> bool {
        let (last, count) = (self.at.load(Ordering::Relaxed), events.get());
        let has_news = self.events.load(Ordering::Relaxed) != count;
        if has_news {
            self.events.store(count, Ordering::Relaxed);
        }
        let is_due = has_news || last == 0 || now.abs_diff(last) >= every;
        if is_due {
            self.at.store(now, Ordering::Relaxed);
        }
        is_due
    }
}
