//! Which errors an operation may answer.
//!
//! What always holds: what is not named for an operation is a finding; damage always is.

use coheap_core::error::Error;

/// A set of errors.
pub(crate) type Answers = u64;

pub(crate) const NONE: Answers = 0;
pub(crate) const HEAP_FULL: Answers = 1;
pub(crate) const CLOSED: Answers = 1 << 1;
pub(crate) const GONE: Answers = 1 << 2;
pub(crate) const WRONG_KIND: Answers = 1 << 3;
pub(crate) const NO_NAME: Answers = 1 << 4;
pub(crate) const TIMED_OUT: Answers = 1 << 5;
pub(crate) const INTERRUPTED: Answers = 1 << 6;
pub(crate) const BUSY: Answers = 1 << 7;
pub(crate) const EMPTY: Answers = 1 << 8;
pub(crate) const FULL: Answers = 1 << 9;
pub(crate) const SHUT_DOWN: Answers = 1 << 10;
pub(crate) const DEADLOCK: Answers = 1 << 11;
pub(crate) const WOULD_BLOCK: Answers = 1 << 12;
pub(crate) const LEASE_LOST: Answers = 1 << 13;
pub(crate) const NOT_AN_INTEGER: Answers = 1 << 14;
pub(crate) const TOO_LARGE: Answers = 1 << 15;
pub(crate) const NOT_OWNER: Answers = 1 << 16;
pub(crate) const OWNER_DIED: Answers = 1 << 17;
pub(crate) const FORKED_INSIDE: Answers = 1 << 18;
/// Of a transaction that another error in the set has doomed.
pub(crate) const DOOMED: Answers = 1 << 19;

/// What a thread may hear whose process has left the heap meanwhile.
pub(crate) const AFTER_CLOSE: Answers = CLOSED | GONE | LEASE_LOST | NOT_OWNER | DOOMED;

/// Whether the set has the error. The reason of a doomed transaction must be in it, too.
pub(crate) fn has(set: Answers, error: &Error) -> bool {
    let one = match error {
        Error::HeapFull { .. } => HEAP_FULL,
        Error::Closed => CLOSED,
        Error::ObjectGone => GONE,
        Error::WrongKind { .. } => WRONG_KIND,
        Error::NoSuchName => NO_NAME,
        Error::TimedOut => TIMED_OUT,
        Error::Interrupted => INTERRUPTED,
        Error::Busy { .. } => BUSY,
        Error::Empty => EMPTY,
        Error::Full => FULL,
        Error::ShutDown => SHUT_DOWN,
        Error::Deadlock => DEADLOCK,
        Error::WouldBlock => WOULD_BLOCK,
        Error::LeaseLost => LEASE_LOST,
        Error::NotAnInteger => NOT_AN_INTEGER,
        Error::TransactionTooLarge { .. } => TOO_LARGE,
        Error::NotOwner => NOT_OWNER,
        Error::OwnerDied { .. } => OWNER_DIED,
        Error::ForkedInside => FORKED_INSIDE,
        Error::Doomed(why) if has(set, why) => DOOMED,
        _ => return false,
    };
    set & one != 0
}
