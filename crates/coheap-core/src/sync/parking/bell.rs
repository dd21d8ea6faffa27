//! The bell of a row: the one word that its thread sleeps on, and a mailbox of the cells rung.
//!
//! A ring names a row, so nobody is woken who cannot go on. Bit 0 of the word: it was rung since the
//! thread looked last. Bit 1: the mailbox was full, so the thread looks at all its cells.
//!
//! What always holds: a thread takes its bell down *before* it looks, and sleeps only while it is
//! down. A ring comes after the change that it tells of. So whoever finds a bell up may go on to the
//! next row: the look that follows sees the change.

use crate::memory::Region;
use crate::memory::layout::Bell;
use crate::os::{self, Wake};

/// The bell was rung.
const UP: u32 = 1;
/// A cell found no room in the mailbox.
const SPILT: u32 = 2;
const MILLISECOND: u64 = 1_000_000;
/// How long a bell may be up before its thread counts as stopped, in milliseconds.
const YOUNG: u32 = 4;

/// What a ring came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rung {
    /// A sleeping thread was woken.
    Woken,
    /// The bell was up already: the thread looks anyway.
    WasUp,
    /// Nobody slept: the thread looks soon, or it is stopped.
    Nobody,
    /// The thread has left the wait meanwhile, perhaps without hearing the bell.
    Left,
}

/// What a thread finds when it takes its bell down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    Nothing,
    /// The cells in the mailbox were rung.
    Mail,
    /// More cells were rung than the mailbox holds: look at all.
    All,
}

/// Rings for a cell of the row.
pub fn ring(bell: &Bell, cell: u32, now: u64) -> Rung {
    let bits = if post(bell, cell) { UP } else { UP | SPILT };
    if Region::ring(&bell.signal, bits) != 0 {
        return Rung::WasUp;
    }
    Region::stamp(&bell.signal, milliseconds(now));
    if os::wake(bell.signal.futex(), 1) == 0 { Rung::Nobody } else { Rung::Woken }
}

/// Rings a row for no cell of its own: its thread looks at all that it waits for. It is woken also
/// where its bell was up: who raised that may have died before the wake. Returns whether it was
/// woken.
pub fn ring_row(region: &Region, row: u32, now: u64) -> bool {
    let signal = &region.bell(row).signal;
    if Region::ring(signal, UP | SPILT) == 0 {
        Region::stamp(signal, milliseconds(now));
    }
    os::wake(signal.futex(), 1) != 0
}

/// Puts the cell into the mailbox. Returns `false` if there is no room.
fn post(bell: &Bell, cell: u32) -> bool {
    let letter = u64::from(cell) + 1;
    bell.mail.iter().any(|word| match word.acquire() {
        0 => Region::compare_exchange(word, 0, letter).is_ok(),
        seen => seen == letter,
    })
}

/// Takes the bell down, before the thread looks.
pub fn hush(bell: &Bell) -> Heard {
    match Region::hush(&bell.signal) {
        0 => Heard::Nothing,
        bits if bits & SPILT == 0 => Heard::Mail,
        _ => Heard::All,
    }
}

/// Empties the mailbox into `take`.
pub fn read_mail(bell: &Bell, mut take: impl FnMut(u32)) {
    for word in &bell.mail {
        if word.acquire() != 0 {
            let cell = Region::swap(word, 0).wrapping_sub(1);
            u32::try_from(cell).into_iter().for_each(&mut take);
        }
    }
}

/// Sleeps until the bell is rung or the clock passes `deadline`.
pub fn sleep(bell: &Bell, deadline: u64) -> Wake {
    os::wait(bell.signal.futex(), 0, deadline)
}

/// Returns whether the bell was rung since its thread looked last.
pub fn is_up(bell: &Bell) -> bool {
    bell.signal.after_change() != 0
}

/// Returns whether the bell is up, and so short a time that its thread is not stopped.
pub fn is_freshly_up(bell: &Bell, now: u64) -> bool {
    is_up(bell) && milliseconds(now).wrapping_sub(bell.signal.watched()) < YOUNG
}

fn milliseconds(now: u64) -> u32 {
    (now / MILLISECOND) as u32
}
