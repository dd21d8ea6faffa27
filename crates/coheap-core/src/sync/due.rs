//! What a process is due to give back, because a turn that this needs was not free, and whether it
//! left large work to be gone on with.
//!
//! What always holds: the list is private memory. A process settles what it owes by its own
//! operations and waits. If it dies or leaves before, the records are on the list of its slot, and
//! whoever settles its estate finds them there. A forked child owes nothing.
//!
//! Not here: how a record is given back (`objects::ledger`).

use crate::memory::Ordering;
use crate::memory::atomic::AtomicU64;
use crate::os::PrivateMutex;

/// A record of the process that is to be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Offset of the record.
    pub record: u64,
    /// Its serial number, which no other record has.
    pub serial: u64,
    /// Why, as a number of the floor that gives it back.
    pub reason: u8,
}

/// The records that a process is due to give back.
#[derive(Debug)]
pub struct DueList {
    /// [`RECORDS`] and [`WORK`].
    what: AtomicU64,
    records: PrivateMutex<Vec<Due>>,
}

/// There are records on the list.
const RECORDS: u64 = 1;
/// The process left a part of large work that others may do, too.
const WORK: u64 = 2;

impl Default for DueList {
    fn default() -> Self {
        Self { what: AtomicU64::new(0), records: PrivateMutex::new(Vec::new()) }
    }
}

impl DueList {
    /// Adds a record.
    pub fn push(&self, due: Due) {
        self.records.lock().push(due);
        self.what.fetch_or(RECORDS, Ordering::Relaxed);
    }

    /// Returns whether there is anything to do, for a caller that looks often.
    #[inline(always)]
    pub fn is_any(&self) -> bool {
        self.what.load(Ordering::Relaxed) != 0
    }

    /// Notes that the process left a part of large work, so that its next operations go on with it.
    pub fn note_work(&self) {
        self.what.fetch_or(WORK, Ordering::Relaxed);
    }

    /// Returns whether the process left such work, and forgets it.
    pub fn take_work(&self) -> bool {
        self.what.fetch_and(!WORK, Ordering::Relaxed) & WORK != 0
    }

    /// Returns whether a record with this serial number is among them.
    pub fn has(&self, serial: u64) -> bool {
        self.is_any() && self.records.lock().iter().any(|due| due.serial == serial)
    }

    /// Takes all records.
    pub fn take(&self) -> Vec<Due> {
        let mut records = self.records.lock();
        self.what.fetch_and(!RECORDS, Ordering::Relaxed);
        std::mem::take(&mut *records)
    }
}
