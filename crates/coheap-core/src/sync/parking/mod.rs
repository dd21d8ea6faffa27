//! The parking table: how a thread waits, and how it is found.
//!
//! A thread that waits fills a *cell*, publishes a *tag* that leads to it, raises a *want-bit*, looks
//! once more, and sleeps on the *bell* of its row. Who makes something available changes the word
//! that others look at, reads the want-bits, finds the tags of the object in the order their threads
//! came, and rings.
//!
//! What always holds: words that are slept on or swapped lie in the header of an object or in the
//! table, and that memory never serves another purpose. A ring names a row, so there is no herd.
//! There are no links between those who wait: leaving and letting go need no turn.
//!
//! Not here: the objects, and what a dead process's estate does about them.
//!
//! # The calls
//!
//! - **A lock** is [`offer::Lock`] over two header words: `take`; if another thread holds it,
//!   `Waiter::park`, then in a loop `hush`, `take`, `announce`, and a sleep if that succeeded; at the
//!   end `leave_with_it` or `leave_without`, and `Waiter::end`. `release` lets go.
//! - **A transaction lock** is the same with `handing: None`, taken and let go under the turn.
//! - **A side of a queue** waits: `park`, [`want::raise`], then in a loop `hush`, a load of the turn's
//!   owner word by `Word::after_change`, a look, a sleep; at the end [`want::leave`] and `end`. It
//!   makes: the change, the turn given back, [`want::made`].
//! - **A removal**, under the turn: `LockWord::free` of the new generation into each lock word, by
//!   swap, then the generation; after it [`ring::ring_everybody`]. Who is rung finds another
//!   generation.
//! - **A condition**, in a change under the turn: [`threshold::count`], and the threshold it returns;
//!   after it [`threshold::ring_notified`]. Who waits ends by [`threshold::leave`].
//! - **Recovery**, for each row of the victim: [`table::remains::settle`], then `ring_everybody`;
//!   the estate: `owed_by`, a count of none for each, and `settle` until it returns 0.
//!
//! # Under `sync::wait`
//!
//! A [`Patience`](crate::sync::Patience) keeps the deadline, the roles and the slices of a wait; its
//! sleep is one on the bell. The watcher's stamp of an object lies in its header, beside the lock
//! word, and is handed over as it is today: who leaves puts it back and rings the next. The watcher's
//! slice of 4 ms is also what withdraws a lapsed offer. Tickers are one pair for the heap; each tick
//! also takes [`table::watch::tick`] and rings those whose thing is there. A wait
//! that `park` refused sleeps in `full_slice`s on its own bell, and parks again after each.
//!
//! # Memory order
//!
//! Register: the bell taken down, the cell filled, the tag by an exchange, the want-bit by a
//! read-modify-write *also where it is up*. Look: the exact exchange of a lock word; or a load of the
//! turn word, then the thing. Publish: the exchange that gives back, then a load of the want-bits.
//! All of these are sequentially consistent, so of a thread that registers and one that makes, one
//! sees the other. Ring: tags and links acquired, the bell exchanged, the cell looked at again.

pub mod bell;
pub mod cell;
mod lines;
pub mod offer;
pub mod ring;
pub mod table;
pub mod tag;
pub mod threshold;
pub mod want;
pub mod word;

pub use cell::{Manner, Parked, Seen, State};
pub use tag::{Key, Reason};

use crate::memory::Word;
use crate::memory::layout::{Bell, CONTEXT_COUNT, ParkingCell, TagLine};
use crate::os;

/// A row with its epoch: one thread, or one that had the row before. Its bits are those of an
/// [`Owner`](crate::sync::Owner).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Who {
    /// The row.
    pub row: u32,
    /// How often the row was taken.
    pub epoch: u32,
}

impl Who {
    /// First bit of the row plus one.
    const ROW: u32 = 32;
    const ROW_MASK: u64 = 0x7fff;

    /// Returns the bits to store: the epoch below, the row plus one above.
    pub fn bits(self) -> u64 {
        u64::from(self.epoch) | u64::from(self.row + 1) << Self::ROW
    }

    /// Returns whom bits name. `None` if they name nobody, or no row that there is.
    pub fn of(bits: u64) -> Option<Self> {
        let row = ((bits >> Self::ROW & Self::ROW_MASK) as u32).checked_sub(1)?;
        (row < CONTEXT_COUNT).then_some(Self { row, epoch: bits as u32 })
    }
}

/// The words of a parking table: those of a heap ([`table`]), or those of a model.
pub trait Lot {
    /// Returns the bell of a row. `None` if it is not real.
    fn bell(&self, row: u32) -> Option<&Bell>;
    /// Returns a cell. `None` if it is not real.
    fn cell(&self, number: u32) -> Option<&ParkingCell>;
    /// Returns a line of tags. `None` if it is not real.
    fn line(&self, number: u32) -> Option<&TagLine>;
    /// Returns a line that is real and that nobody has used. `None`: there is none.
    fn new_line(&self) -> Option<u32>;
    /// Returns the counter of tickets.
    fn tickets(&self) -> &Word;
    /// Returns the generation of the header at an offset, for a paranoid build.
    fn generation(&self, at: u64) -> Option<u64>;
    /// Returns the time in nanoseconds.
    fn now(&self) -> u64 {
        os::now()
    }
}
