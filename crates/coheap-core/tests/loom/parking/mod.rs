//! The parking table: what loom finds no lost wake in, and no notification lost or doubled.
//!
//! The protocol is the engine's, on a table of a few cells and lines. Time stands still, so what
//! heals by a slice is no help here.
//!
//! Not here: how cells and lines are found and made real (`tests/parking`), and deaths
//! (`tests/sim`).

mod bell;
mod offers;
mod planted;
mod thresholds;

use coheap_core::memory::layout::{Bell, ParkingCell, TagLine};
use coheap_core::memory::{Region, Signal, Word};
use coheap_core::sync::parking::{Key, Lot, Manner, Parked, Reason, Who};

/// The object that all wait for.
const KEY: Key = Key { at: 4096, generation: 7 };

/// A table with one cell for each row.
struct Stage {
    bells: Vec<Bell>,
    cells: Vec<ParkingCell>,
    lines: Vec<TagLine>,
    tickets: Word,
    lines_used: Word,
}

fn zeros<const COUNT: usize>() -> [Word; COUNT] {
    std::array::from_fn(|_| Word::new(0))
}

impl Stage {
    fn new(rows: usize) -> Self {
        let zero = || Word::new(0);
        let bell = || Bell { signal: Signal::never_woken(), mail: zeros() };
        let cell = || ParkingCell {
            state: zero(),
            owner: zero(),
            object: zero(),
            generation: zero(),
            ticket: zero(),
            info: zero(),
            tag_at: zero(),
            passed: zero(),
        };
        let line = || TagLine { tags: zeros(), link: zero() };
        Self {
            bells: (0..rows).map(|_| bell()).collect(),
            cells: (0..rows).map(|_| cell()).collect(),
            lines: (0..2).map(|_| line()).collect(),
            tickets: zero(),
            lines_used: Word::new(1),
        }
    }

    fn park(&self, row: u32, reason: Reason) -> Parked {
        Parked::publish(self, row, who(row), KEY, reason, Manner::default()).expect("room")
    }
}

impl Lot for Stage {
    fn bell(&self, row: u32) -> Option<&Bell> {
        self.bells.get(row as usize)
    }

    fn cell(&self, number: u32) -> Option<&ParkingCell> {
        self.cells.get(number as usize)
    }

    fn line(&self, number: u32) -> Option<&TagLine> {
        self.lines.get(number as usize)
    }

    fn new_line(&self) -> Option<u32> {
        let number = Region::add(&self.lines_used, 1) as u32;
        ((number as usize) < self.lines.len()).then_some(number)
    }

    fn tickets(&self) -> &Word {
        &self.tickets
    }

    fn now(&self) -> u64 {
        1_000_000_000
    }

    fn generation(&self, at: u64) -> Option<u64> {
        (at == KEY.at).then_some(KEY.generation)
    }
}

fn who(row: u32) -> Who {
    Who { row, epoch: 1 }
}
