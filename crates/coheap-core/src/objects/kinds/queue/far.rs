//! Reading one end of a queue from the other.
//!
//! The ends have a turn each, and an open change at one end has stored numbers that may be undone.
//! A holder of only the near turn therefore reads the numbers of the far end as readers without a
//! turn do: while the far turn's sequence is even and does not change. If that does not succeed, it
//! takes both turns, which also recovers a dead owner.
//!
//! The numbers that were read are noted on the near side. Both ends only grow: while the note
//! leaves an item to take, or a place to put, the far end need not be read again, and both ends
//! keep their cache lines.

use super::{LOOKS, Queue, check_place};
use crate::error::Result;
use crate::journal::{Context, Held};
use crate::memory::layout::QueueBody;
use crate::memory::{Region, Word};
use crate::objects::Handle;
use crate::sync::turn;

/// The numbers of the far end, at a moment when no change was open there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Far {
    /// The number of items that were ever taken, or ever put.
    pub(crate) moved: u64,
    /// The number of places promised to transactions; the tail only.
    pub(crate) reserved: u64,
}

impl Far {
    /// Returns the numbers at the last read of the near side.
    #[inline(always)]
    pub(super) fn noted(word: &Word) -> Self {
        Self { moved: word.get(), reserved: 0 }
    }

    fn of_tail(body: &QueueBody) -> Self {
        Self { moved: body.tail.acquire(), reserved: body.reserved.acquire() }
    }

    fn of_head(body: &QueueBody) -> Self {
        Self { moved: body.head.acquire(), reserved: 0 }
    }
}

/// One end of a queue, seen from the other.
struct View {
    near: u32,
    far: u32,
    /// Another turn to hold.
    more: Option<u32>,
    read: fn(&QueueBody) -> Far,
    /// Where the near side notes the number that it read.
    note: fn(&QueueBody) -> &Word,
}

fn tail_seen(body: &QueueBody) -> &Word {
    &body.tail_seen
}

fn head_seen(body: &QueueBody) -> &Word {
    &body.head_seen
}

impl Queue {
    #[inline(always)]
    fn tail_view(&self, more: Option<u32>) -> View {
        let Handle { turn, second_turn, .. } = self.handle;
        View { near: turn, far: second_turn, more, read: Far::of_tail, note: tail_seen }
    }

    #[inline(always)]
    fn head_view(&self, more: Option<u32>) -> View {
        let Handle { turn, second_turn, .. } = self.handle;
        View { near: second_turn, far: turn, more, read: Far::of_head, note: head_seen }
    }

    /// Takes the head's turn, and those in `more`, and reads the tail. If an item is known to be
    /// there, the tail is not read, and its number is an earlier one.
    pub(super) fn hold_head_for_item<'a>(
        &self,
        context: &'a Context,
        more: Option<u32>,
    ) -> Result<(Held<'a>, &'a QueueBody, Far)> {
        self.hold_and_look(context, self.tail_view(more), |body, tail| body.head.get() < tail.moved)
    }

    /// Takes the tail's turn, and those in `more`, and reads the head. If a place is known to be
    /// there, the head is not read, and its number is an earlier one.
    pub(super) fn hold_tail_for_place<'a>(
        &self,
        context: &'a Context,
        more: Option<u32>,
    ) -> Result<(Held<'a>, &'a QueueBody, Far)> {
        self.hold_and_look(context, self.head_view(more), |body, head| {
            check_place(body, head, 1).is_ok()
        })
    }

    /// Takes the head's turn and reads the tail.
    pub(super) fn hold_head_and_look<'a>(
        &self,
        context: &'a Context,
    ) -> Result<(Held<'a>, &'a QueueBody, Far)> {
        self.hold_and_look(context, self.tail_view(None), |_, _| false)
    }

    /// Takes the tail's turn and reads the head.
    pub(super) fn hold_tail_and_look<'a>(
        &self,
        context: &'a Context,
    ) -> Result<(Held<'a>, &'a QueueBody, Far)> {
        self.hold_and_look(context, self.head_view(None), |_, _| false)
    }

    /// Takes both turns and reads the tail.
    pub(super) fn hold_both<'a>(
        &self,
        context: &'a Context,
    ) -> Result<(Held<'a>, &'a QueueBody, Far)> {
        let held = context.hold_all(&[self.handle.turn, self.handle.second_turn])?;
        let body = self.body(context.region())?;
        Ok((held, body, Far::of_tail(body)))
    }

    /// `will_do` decides whether the numbers of the last read are enough for the caller.
    #[inline]
    fn hold_and_look<'a>(
        &self,
        context: &'a Context,
        View { near, far, more, read, note }: View,
        will_do: impl Fn(&QueueBody, Far) -> bool,
    ) -> Result<(Held<'a>, &'a QueueBody, Far)> {
        let region = context.region();
        {
            let held = match more {
                None => context.hold(near)?,
                Some(more) => context.hold_all(&[near, more])?,
            };
            let body = self.body(region)?;
            let before = Far::noted(note(body));
            if will_do(body, before) {
                return Ok((held, body, before));
            }
            if let Some(seen) = look_and_note(region, far, || read(body), note(body)) {
                return Ok((held, body, seen));
            }
        }
        let both = [near, far, more.unwrap_or(near)];
        let held = context.hold_all(&both)?;
        let body = self.body(region)?;
        let seen = read(body);
        Ok((held, body, seen))
    }

    /// Returns the tail as it was between two changes, or `None` if changes were open all the time.
    /// The head's turn is held.
    #[inline(always)]
    pub(super) fn look_at_tail(&self, region: &Region, body: &QueueBody) -> Option<Far> {
        let read = || Far::of_tail(body);
        look_and_note(region, self.handle.second_turn, read, &body.tail_seen)
    }

    /// Returns the head as it was between two changes, or `None` if changes were open all the time.
    /// The tail's turn is held.
    #[inline(always)]
    pub(super) fn look_at_head(&self, region: &Region, body: &QueueBody) -> Option<Far> {
        let read = || Far::of_head(body);
        look_and_note(region, self.handle.turn, read, &body.head_seen)
    }
}

#[inline(always)]
fn look_and_note(region: &Region, far: u32, read: impl Fn() -> Far, note: &Word) -> Option<Far> {
    let seen = look(region, far, read)?;
    if seen.moved != note.get() {
        Region::store(note, seen.moved);
    }
    Some(seen)
}

#[inline(always)]
fn look(region: &Region, far: u32, read: impl Fn() -> Far) -> Option<Far> {
    let turn = region.turn(far);
    for _ in 0..LOOKS {
        if let Some(sequence) = turn::begin_read(turn) {
            let seen = read();
            if turn::is_unchanged(turn, sequence) {
                return Some(seen);
            }
        }
        std::hint::spin_loop();
    }
    None
}
