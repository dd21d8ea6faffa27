//! The guard: a thread that waits for an item or a place, and was rung in vain, because one that was
//! awake took the thing.
//!
//! It sleeps for a moment and then looks by itself; until then makers ring nobody. Where threads keep
//! each other busy without sleeping, that spares them a wake for every other thing. Where little
//! moves, the first moment is the only one, and it is short: what is made in it waits so long.
//!
//! What always holds: a guard takes its word down before it looks, and if its wait ends without a look,
//! it rings the next one for what is there.

use super::Queue;
use crate::error::Result;
use crate::journal::Context;
use crate::objects::wait::line;
use crate::os;
use crate::sync::parking::Reason;
use crate::sync::parking::want::{LONGEST_NAP, Line};

/// The first sleep, in nanoseconds.
const FIRST_NAP: u64 = 50_000;
/// Items put and taken during a sleep, from which on another one is worth it.
const BUSY: u64 = 32;

/// The calling thread as a guard.
pub(super) struct Guard<'a> {
    queue: Queue,
    context: &'a Context,
    line: Line<'a>,
    word: u64,
    nap: u64,
    /// How many items were put and taken when it began.
    moved: u64,
    /// Whether the thread looks by itself.
    is_over: bool,
}

/// A guard that has just looked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looked {
    moved: u64,
    nap: u64,
}

impl Looked {
    /// Returns whether the thread now competes with those that are awake: it has left them alone for
    /// long.
    pub(super) fn competes(self) -> bool {
        self.nap == LONGEST_NAP
    }
}

impl Guard<'_> {
    /// Returns how long it sleeps, in nanoseconds.
    pub(super) fn nap(&self) -> u64 {
        self.nap
    }

    /// Ends it; the thread looks next.
    pub(super) fn look(mut self) -> Looked {
        self.is_over = true;
        Looked { moved: self.moved, nap: self.nap }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.line.leave_guard(self.word, os::now());
        // An error ends the wait: what the guard would have found, the next one finds.
        if !self.is_over {
            self.queue.ring_for_more(self.context.region(), self.line.reason);
        }
    }
}

impl Queue {
    /// Makes the thread the guard: it was rung, or was the guard until its `last` look, and found
    /// nothing. `None`: there is one, or little moves.
    pub(super) fn stand_guard<'a>(
        &self,
        context: &'a Context,
        reason: Reason,
        last: Option<Looked>,
    ) -> Result<Option<Guard<'a>>> {
        let region = context.region();
        let object = self.handle.object(region)?;
        let body = self.body(region)?;
        let moved = body.head.acquire().wrapping_add(body.tail.acquire());
        let (line, now) = (line(object, self.handle.key(), reason), os::now());
        let nap = match last {
            Some(last) if moved.wrapping_sub(last.moved) < BUSY => return Ok(None),
            Some(_) => LONGEST_NAP,
            None if line.was_long_guarded(now) => LONGEST_NAP,
            None => FIRST_NAP,
        };
        let word = line.stand_guard(now, nap);
        let guard = |word| Guard { queue: *self, context, line, word, nap, moved, is_over: false };
        Ok(word.map(guard))
    }
}
