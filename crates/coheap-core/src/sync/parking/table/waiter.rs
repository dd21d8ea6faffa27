//! What one thread keeps for its waits: its cells, and the bell that it sleeps on.
//!
//! Two cells lie in the thread's row, so that an ordinary wait needs no memory. More come in blocks
//! of 64, and go back when nothing is left in them.
//!
//! What always holds:
//!
//! - **Waiter.1** It is private to one thread of one process. A forked child has a copy that belongs
//!   to its parent: [`Waiter::is_own`] tells, and then every call does nothing.
//! - **Waiter.2** A cell that owes a notification is not used again until a change has settled it.

use std::cell::{Cell, RefCell};

use super::{FIRST_IN_BLOCKS, blocks_of, free_block, take_block};
use crate::memory::Region;
use crate::memory::layout::{BLOCK_CELLS, ROW_CELLS};
use crate::os::{self, Wake};
use crate::sync::parking::bell::{self, Heard};
use crate::sync::parking::{Key, Manner, Parked, Reason, State, Who};

const MILLISECOND: u64 = 1_000_000;
/// First and longest slice of a wait for which the table has no room.
const FULL: [u64; 2] = [4 * MILLISECOND, 250 * MILLISECOND];

#[derive(Debug)]
struct Block {
    number: u32,
    /// A bit for each cell that is free.
    free: u64,
}

/// The cells of a thread.
#[derive(Debug)]
pub struct Waiter {
    who: Who,
    /// Fork generation of the process.
    generation: u64,
    /// A bit for each cell of the row that is free.
    own: Cell<u32>,
    blocks: RefCell<Vec<Block>>,
    owing: RefCell<Vec<Parked>>,
}

impl Waiter {
    /// Returns the waits of a thread that has just taken a row, whose cells are all free.
    pub fn new(who: Who) -> Self {
        Self {
            who,
            generation: os::generation(),
            own: Cell::new((1 << ROW_CELLS) - 1),
            blocks: RefCell::default(),
            owing: RefCell::default(),
        }
    }

    /// Returns whether the calling process is the one that took the row. A forked child that returns
    /// into its parent's wait leaves it alone and registers anew, with a row of its own.
    #[inline(always)]
    pub fn is_own(&self) -> bool {
        self.generation == os::generation()
    }

    /// Returns the thread.
    pub fn who(&self) -> Who {
        self.who
    }

    /// Registers a wait: fills a cell and publishes its tag. `None`: the table is full, or this is
    /// the copy of a forked child; wait in [`full_slice`]s.
    ///
    /// Then announce it, in the want-bits (`want::raise`) or in the word of a lock
    /// (`Lock::announce`), and look once more before the first sleep.
    pub fn park(
        &self,
        region: &Region,
        key: Key,
        reason: Reason,
        manner: Manner,
    ) -> Option<Parked> {
        if !self.is_own() {
            return None;
        }
        self.collect(region);
        let cell = self.take_cell(region)?;
        let parked = Parked::publish(region, cell, self.who, key, reason, manner);
        if parked.is_none() {
            self.give_cell(region, cell);
        }
        parked
    }

    /// Takes the bell down: to be called before each look.
    pub fn hush(&self, region: &Region) -> Heard {
        if self.is_own() { bell::hush(region.bell(self.who.row)) } else { Heard::All }
    }

    /// Empties the mailbox: the cells that were rung.
    pub fn read_mail(&self, region: &Region, take: impl FnMut(u32)) {
        if self.is_own() {
            bell::read_mail(region.bell(self.who.row), take);
        }
    }

    /// Sleeps until the bell is rung or the clock passes `deadline`.
    pub fn sleep(&self, region: &Region, deadline: u64) -> Wake {
        if !self.is_own() {
            return Wake::Interrupted;
        }
        let wake = bell::sleep(region.bell(self.who.row), deadline);
        paranoid!(
            !self.is_own() || self.has_cells(region),
            "row {} woke up among the cells of another thread",
            self.who.row
        );
        wake
    }

    /// Takes the cell of a wait back that has ended. `is_owing`: a change has to settle it first.
    pub fn end(&self, region: &Region, parked: Parked, is_owing: bool) {
        if !self.is_own() {
            return;
        }
        if is_owing {
            self.owing.borrow_mut().push(parked);
        } else {
            self.give_cell(region, parked.cell);
        }
    }

    /// Returns the objects that a change has to count for, because this thread left a notification
    /// of theirs: its next operation does.
    pub fn owes(&self, region: &Region) -> Option<Key> {
        if !self.is_own() {
            return None;
        }
        self.collect(region);
        self.owing.borrow().first().map(|parked| parked.key)
    }

    /// Gives all blocks back. Returns `false` if a cell still owes something: then the row stays
    /// taken, and the estate settles it.
    pub fn close(&self, region: &Region) -> bool {
        if !self.is_own() {
            return true;
        }
        self.collect(region);
        let is_used = |block: &Block| block.free != u64::MAX;
        let mut blocks = self.blocks.borrow_mut();
        for block in blocks.iter().filter(|block| !is_used(block)) {
            free_block(region, block.number, self.who);
        }
        blocks.retain(is_used);
        blocks.is_empty() && self.own.get() == (1 << ROW_CELLS) - 1
    }

    /// Takes back cells that owed a notification and were settled by others.
    fn collect(&self, region: &Region) {
        if self.owing.borrow().is_empty() {
            return;
        }
        let owing = self.owing.take();
        let (settled, left): (Vec<_>, Vec<_>) =
            owing.into_iter().partition(|parked| parked.state(region).state() == State::Free);
        self.owing.replace(left);
        for parked in settled {
            parked.withdraw(region);
            self.give_cell(region, parked.cell);
        }
    }

    fn take_cell(&self, region: &Region) -> Option<u32> {
        let own = self.own.get();
        if own != 0 {
            let index = own.trailing_zeros();
            self.own.set(own & !(1 << index));
            return Some(self.who.row * ROW_CELLS + index);
        }
        let mut blocks = self.blocks.borrow_mut();
        let at = match blocks.iter().position(|block| block.free != 0) {
            Some(at) => at,
            None => {
                let number = take_block(region, self.who)?;
                blocks.push(Block { number, free: u64::MAX });
                blocks.len() - 1
            }
        };
        let block = &mut blocks[at];
        let index = block.free.trailing_zeros();
        block.free &= !(1 << index);
        Some(FIRST_IN_BLOCKS + block.number * BLOCK_CELLS + index)
    }

    fn give_cell(&self, region: &Region, cell: u32) {
        let Some(index) = cell.checked_sub(FIRST_IN_BLOCKS) else {
            self.own.set(self.own.get() | 1 << (cell % ROW_CELLS));
            return;
        };
        let mut blocks = self.blocks.borrow_mut();
        let number = index / BLOCK_CELLS;
        let Some(at) = blocks.iter().position(|block| block.number == number) else { return };
        blocks[at].free |= 1 << (index % BLOCK_CELLS);
        // One that is empty stays, so that a wait that comes and goes does not swap for each.
        let is_empty = |block: &Block| block.free == u64::MAX;
        if is_empty(&blocks[at]) && blocks.iter().filter(|block| is_empty(block)).count() > 1 {
            blocks.swap_remove(at);
            free_block(region, number, self.who);
        }
    }

    fn has_cells(&self, region: &Region) -> bool {
        let blocks = self.blocks.borrow();
        let mut numbers: Vec<u32> = blocks.iter().map(|block| block.number).collect();
        numbers.sort_unstable();
        numbers.into_iter().eq(blocks_of(region, self.who))
    }
}

/// Returns how long to sleep for the `number`th time, in nanoseconds, where the table is full: nobody
/// rings, so the thread looks by itself, less and less often.
pub fn full_slice(number: u32) -> u64 {
    FULL[0].checked_shl(number.min(16)).unwrap_or(FULL[1]).min(FULL[1])
}
