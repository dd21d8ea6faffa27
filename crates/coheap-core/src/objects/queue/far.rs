//! What one end of a queue may believe of the other.
//!
//! The ends have a turn each, and a change open at one of them has stored numbers that may be
//! undone. So who holds only the near turn reads the far end's numbers as readers without a turn
//! do: while its sequence is even and stays the same. Where that does not come, it takes both
//! turns, which also recovers a dead owner.

use super::{LOOKS, Queue};
use crate::error::Result;
use crate::journal::{Context, Held};
use crate::memory::Region;
use crate::memory::layout::QueueBody;
use crate::sync::turn;

/// Numbers of the far end at one moment when no change was open there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Far {
    /// Items ever taken, or ever put.
    pub(crate) moved: u64,
    /// Places promised to transactions; of the tail only.
    pub(crate) reserved: u64,
}

impl Far {
    fn of_tail(body: &QueueBody) -> Self {
        Self { moved: body.tail.acquire(), reserved: body.reserved.acquire() }
    }

    fn of_head(body: &QueueBody) -> Self {
        Self { moved: body.head.acquire(), reserved: 0 }
    }
}

impl Queue {
    /// Takes the head's turn, and those in `more`, and looks at the tail.
    #[inline(always)]
    pub(super) fn hold_head_and_look<'a>(
        &self,
        context: &'a Context,
        more: Option<u32>,
    ) -> Result<(Held<'a>, &'a QueueBody, Far)> {
        let ends = (self.handle.turn, self.handle.second_turn);
        self.hold_and_look(context, ends, more, Far::of_tail)
    }

    /// Takes the tail's turn, and those in `more`, and looks at the head.
    #[inline(always)]
    pub(super) fn hold_tail_and_look<'a>(
        &self,
        context: &'a Context,
        more: Option<u32>,
    ) -> Result<(Held<'a>, &'a QueueBody, Far)> {
        let ends = (self.handle.second_turn, self.handle.turn);
        self.hold_and_look(context, ends, more, Far::of_head)
    }

    #[inline(always)]
    fn hold_and_look<'a>(
        &self,
        context: &'a Context,
        (near, far): (u32, u32),
        more: Option<u32>,
        read: fn(&QueueBody) -> Far,
    ) -> Result<(Held<'a>, &'a QueueBody, Far)> {
        let region = context.region();
        {
            let held = match more {
                None => context.hold(near)?,
                Some(more) => context.hold_all(&[near, more])?,
            };
            let body = self.body(region)?;
            if let Some(seen) = look(region, far, || read(body)) {
                return Ok((held, body, seen));
            }
        }
        let both = [near, far, more.unwrap_or(near)];
        let held = context.hold_all(&both)?;
        let body = self.body(region)?;
        let seen = read(body);
        Ok((held, body, seen))
    }

    /// The tail as it was between two changes. `None`: one is open all the time.
    pub(super) fn look_at_tail(&self, region: &Region, body: &QueueBody) -> Option<Far> {
        look(region, self.handle.second_turn, || Far::of_tail(body))
    }
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
