//! Pending blocks: on their way between arenas and objects.
//!
//! Before a change begins, `ensure` makes the blocks that it will need pending. The change takes
//! them off the chain, and puts the blocks that it frees on the chain when it commits.
//!
//! What always holds:
//!
//! - **Pending.1** A block is taken off the chain and becomes part of an object in one change.
//! - **Pending.2** A block that a change frees becomes available only with its commit: it is never
//!   handed out again within the same change.

use crate::allocator::arena::{self, link_of};
use crate::allocator::size_class::{CLASS_COUNT, Room, batch, size_of_class};
use crate::allocator::{buffer, span};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context};
use crate::memory::Region;
use crate::memory::layout::SPAN_BYTES;
use crate::os;
use crate::sync::row;

/// Words that one `take` saves at most.
pub const TAKE_WORDS: usize = 2;
/// Words that one `give` saves at most.
pub const GIVE_WORDS: usize = 2;

/// Makes at least `count` blocks of this room pending. Call it before the change begins.
///
/// # Errors
///
/// [`Error::HeapFull`] when there is no room, even after all pending blocks of rows without an
/// owner were returned.
#[inline]
pub fn ensure(context: &Context, room: Room, count: u32) -> Result<()> {
    if count == 1 && is_pending(context, room) {
        return Ok(());
    }
    ensure_slowly(context, room, count)
}

/// Returns whether a block of this room is pending; a run never counts.
#[inline]
pub(crate) fn is_pending(context: &Context, room: Room) -> bool {
    match room {
        Room::Class(class) => context.control().pending[usize::from(class)].get() != 0,
        Room::Run(_) => false,
    }
}

/// Makes blocks of all these rooms pending at once.
///
/// # Errors
///
/// As [`ensure`].
pub fn ensure_all(context: &Context, rooms: &mut [Room]) -> Result<()> {
    rooms.sort_unstable();
    // The caller's own pending blocks are returned, too, so all of them are allocated once more.
    or_after_reclaim(context, || try_ensure_all(context, rooms))
}

fn try_ensure_all(context: &Context, rooms: &[Room]) -> Result<()> {
    rooms
        .chunk_by(|left, right| left == right)
        .try_for_each(|same| try_ensure(context, same[0], same.len() as u32))
}

#[cold]
fn ensure_slowly(context: &Context, room: Room, count: u32) -> Result<()> {
    or_after_reclaim(context, || try_ensure(context, room, count))
}

/// Builds a buffer with these bytes, and returns its offset. No turn is held. If no free run is long
/// enough it has several pieces; the first one holds at least `head` bytes.
///
/// # Errors
///
/// [`Error::HeapFull`], also for more bytes than the heap can ever have; nothing was built.
pub fn build(context: &Context, bytes: &[u8], head: usize) -> Result<u64> {
    match or_after_reclaim(context, || buffer::build(context, bytes)) {
        Err(Error::HeapFull { .. }) => buffer::gather(context, bytes, head),
        other => other,
    }
}

/// Runs a step that needs room, and runs it again after all pending blocks were returned.
fn or_after_reclaim<T>(context: &Context, mut step: impl FnMut() -> Result<T>) -> Result<T> {
    match step() {
        Err(Error::HeapFull { .. }) => {
            reclaim(context)?;
            step()
        }
        other => other,
    }
}

fn try_ensure(context: &Context, room: Room, count: u32) -> Result<()> {
    match room {
        Room::Class(class) => {
            let mut there = chain_length(context, class, count)?;
            if there >= count {
                return Ok(());
            }
            while there < count {
                there += arena::refill(context, class, count - there)?;
            }
            if chain_length(context, class, count)? < count {
                // The moved blocks are not a chain: one of them is lost, or is in it twice.
                return Err(Corrupt { what: "pending chain", at: u64::from(class) }.into());
            }
            Ok(())
        }
        Room::Run(spans) => buffer::ensure_runs(context, spans, count),
    }
}

/// Returns how many blocks of a class are pending, counted up to `most`.
fn chain_length(context: &Context, class: u8, most: u32) -> Result<u32> {
    let region = context.region();
    let mut block = context.control().pending[usize::from(class)].get();
    let mut count = 0;
    while block != 0 && count < most {
        count += 1;
        block = link_of(region, class, block)?.get();
    }
    Ok(count)
}

/// Takes a pending block off its chain; `ensure` has made one pending.
#[inline]
pub fn take(change: &mut Change<'_>, room: Room) -> Result<u64> {
    match room {
        Room::Class(class) => take_block(change, class, false),
        Room::Run(spans) => buffer::take_run(change, spans),
    }
}

/// The blocks that one change has taken, if it takes many. The head of a chain is saved once, so a
/// block costs one saved word instead of [`TAKE_WORDS`].
#[derive(Debug, Default)]
pub struct Taken {
    /// A bit for each class whose head is saved.
    saved: u32,
}

const _: () = assert!(CLASS_COUNT <= 32);

impl Taken {
    /// Words that are saved in addition to one for each block: a head for each class.
    pub const HEADS: usize = CLASS_COUNT;

    /// As [`take`].
    pub fn take(&mut self, change: &mut Change<'_>, room: Room) -> Result<u64> {
        let class = match room {
            Room::Class(class) => class,
            Room::Run(spans) => return buffer::take_run(change, spans),
        };
        let is_saved = self.saved >> class & 1 == 1;
        self.saved |= 1 << class;
        take_block(change, class, is_saved)
    }
}

#[inline]
fn take_block(change: &mut Change<'_>, class: u8, is_head_saved: bool) -> Result<u64> {
    let context = change.context();
    let head = &context.control().pending[usize::from(class)];
    let block = head.get();
    if block == 0 {
        return Err(Corrupt { what: "pending chain", at: u64::from(class) }.into());
    }
    let link = link_of(change.region(), class, block)?;
    if is_head_saved {
        change.put(head, link.get());
    } else {
        change.set(head, link.get());
    }
    change.save(link);
    let counts = &context.kept.pending;
    counts.set(class, counts.of(class).saturating_sub(1));
    Ok(block)
}

/// Frees a block when the change commits.
pub fn give(change: &mut Change<'_>, room: Room, block: u64) -> Result<()> {
    let class = match room {
        Room::Class(class) => class,
        Room::Run(_) => return buffer::give_run(change, block),
    };
    let context = change.context();
    let head = &context.control().pending[usize::from(class)];
    change.chain(head, link_of(change.region(), class, block)?, block);
    let counts = &context.kept.pending;
    counts.set(class, counts.of(class) + 1);
    if is_too_many(change.region(), class, counts.of(class)) {
        counts.set_untidy(true);
    }
    Ok(())
}

/// Which part of a heap the pending blocks of one class may be. In a small heap, what idle threads keep
/// would be all.
const KEPT_PART: u64 = 2048;

/// Returns whether so many blocks of a class are more than may be pending.
#[inline]
fn is_too_many(region: &Region, class: u8, count: u32) -> bool {
    count > 4 * batch(class) + 4 || u64::from(count) * size_of_class(class) > room(region)
}

/// Returns how many bytes of one class may be pending.
#[inline]
fn room(region: &Region) -> u64 {
    region.span_limit() * (SPAN_BYTES / KEPT_PART)
}

/// Returns the blocks of which the caller has too many pending, without waiting for a turn: what is
/// left is returned after the next operation. Call it with no turn held.
#[inline]
pub fn tidy(context: &Context) -> Result<()> {
    if context.kept.pending.is_due() { tidy_slowly(context) } else { Ok(()) }
}

#[cold]
fn tidy_slowly(context: &Context) -> Result<()> {
    let counts = &context.kept.pending;
    let is_untidy = counts.is_untidy();
    counts.set_untidy(false);
    counts.set_looking(false);
    let done = context.waiting_until(0, |context| {
        let (freed, has_freed) = if is_untidy { give_up(context)? } else { (0, false) };
        counts.freed.set(counts.freed.get().saturating_add(freed));
        let has_given = span::trim_if_due(context, counts.freed.get())?;
        if has_given {
            counts.freed.set(0);
        }
        look_again(context, has_freed || has_given);
        Ok(())
    });
    match done {
        Err(Error::Busy { .. }) => {
            counts.set_untidy(is_untidy);
            counts.set_looking(true);
            Ok(())
        }
        other => other,
    }
}

/// Returns the blocks and runs of which the caller has too many. Returns how many spans of runs are free
/// now, and whether it returned anything.
fn give_up(context: &Context) -> Result<(u64, bool)> {
    let counts = &context.kept.pending;
    let freed = buffer::tidy(context)?;
    let mut has_freed = freed > 0;
    for class in 0..CLASS_COUNT as u8 {
        let count = counts.of(class);
        if is_too_many(context.region(), class, count) {
            let fit = (room(context.region()) / size_of_class(class)) as u32;
            let few = batch(class).min(fit);
            let left = arena::drain(context, context.index(), class, count, few)?;
            counts.set(class, left);
            has_freed = true;
        }
    }
    Ok((freed, has_freed))
}

/// Has the next operations of a thread that has just freed something, or given some of it back, look for
/// some seconds whether much is free: it may be the last one to do anything.
fn look_again(context: &Context, has_freed: bool) {
    if !span::is_much_free(context.region()) {
        return;
    }
    let (counts, now) = (&context.kept.pending, os::now_roughly());
    if has_freed {
        counts.looks_until.set(now + span::GOES_WITHIN);
    }
    counts.set_looking(now < counts.looks_until.get());
}

/// Returns all pending blocks of the caller, and of rows without an owner, and all empty spans.
#[cold]
pub fn reclaim(context: &Context) -> Result<()> {
    drain_all(context)?;
    arena::release_empty(context).map(|_| ())
}

/// Returns all pending blocks of the caller, and of rows without an owner.
#[cold]
pub fn drain_all(context: &Context) -> Result<()> {
    let region = context.region();
    for index in 0..region.real_rows() {
        if index == context.index() {
            drain_row(context, index)?;
        } else if row::tend(region, index, context.member().slot()) {
            let drained = drain_row(context, index);
            row::leave_tended(region, index);
            drained?;
        }
    }
    context.kept.pending.clear();
    Ok(())
}

fn drain_row(context: &Context, index: u32) -> Result<()> {
    span::settle_unreal(context, index)?;
    buffer::drain_runs(context, index)?;
    for class in 0..CLASS_COUNT as u8 {
        arena::drain(context, index, class, u32::MAX, 0)?;
    }
    Ok(())
}
