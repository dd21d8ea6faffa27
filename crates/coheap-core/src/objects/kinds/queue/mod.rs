//! First-in, first-out queues with leases.
//!
//! Items lie in a chain of segments between head and tail, which have a turn each, so putting and
//! taking do not contend. A short item is put by one store, to the tail, and taken by one store, to
//! the head; neither saves a word. A *leased* item moves to a record on the list of its process,
//! until it is acked or returned; returned items are taken first.
//!
//! The root words are a [`QueueRoot`], which leads to a [`QueueBody`].
//!
//! # What always holds
//!
//! - **Queue.1** Positions below `head` are taken, and positions from `tail` on are not yet used;
//!   both only grow.
//! - **Queue.2** An item is in the chain, or in a record on exactly one list: returned, failed, or
//!   the leases of a slot.

mod commit;
mod ends;
mod far;
mod guard;
mod inside;
mod lease;
mod promise;
mod records;
mod remains;
mod shape;
mod waiting;

pub use crate::objects::ledger::record::ReturnReason;
pub(crate) use inside::Operations;
pub use shape::Recipe;
pub(crate) use shape::Shape;

pub(crate) use ends::{AppendPlan, PUT_WORDS, Segment, append};
pub(crate) use far::Far;
pub(crate) use lease::{ack_within, find_lease, nack_within};
pub(crate) use promise::{FULFIL_WORDS, Promise, fulfil_within};

use crate::allocator::{self, Room};
use crate::defect::{Mistake, defect};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context, Held};
use crate::memory::layout::{Object, QueueBody, QueueRoot};
use crate::memory::{Region, Word};
use crate::objects::cell::{self, Cell, Long};
use crate::objects::estate;
use crate::objects::header::Handle;
use crate::objects::ledger::record::RECORD;
use crate::objects::value::LOOKS;
use crate::objects::wait::{is_wanted, ring, ring_everybody, ring_of};
use crate::sync::parking::Reason;

/// A handle to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    pub(in crate::objects) handle: Handle,
}

/// An item that this process has on lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Offset of its record.
    pub record: u64,
    /// The serial number, which no other lease has.
    pub serial: u64,
    /// The number of this attempt at the item; the first is 1.
    pub attempt: u32,
}

/// An item that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The item.
    pub value: Vec<u8>,
    /// The number of attempts.
    pub attempts: u32,
    /// How the last attempt ended.
    pub reason: ReturnReason,
}

/// Returns the root words of a queue.
#[inline(always)]
pub(crate) fn queue_root(object: &Object) -> &QueueRoot {
    object.root_as()
}

impl Queue {
    /// Returns the body. It cannot be freed while one of the queue's turns is held.
    #[inline(always)]
    pub(crate) fn body<'a>(&self, region: &'a Region) -> Result<&'a QueueBody> {
        self.body_of(region, self.handle.object(region)?)
    }

    #[inline(always)]
    fn body_of<'a>(&self, region: &'a Region, object: &Object) -> Result<&'a QueueBody> {
        match region.at(queue_root(object).body.get()) {
            Ok(body) => Ok(body),
            Err(broken) => Err(self.gone_or(region, broken)),
        }
    }

    /// Returns the error for root words that were read without a turn and lead nowhere: those of
    /// another object, or damage.
    #[cold]
    fn gone_or(&self, region: &Region, broken: Corrupt) -> Error {
        self.handle.object(region).err().unwrap_or(broken.into())
    }

    #[inline(always)]
    fn hold_tail<'a>(&self, context: &'a Context) -> Result<(Held<'a>, &'a QueueBody)> {
        let held = context.hold(self.handle.second_turn)?;
        Ok((held, self.body(context.region())?))
    }

    #[inline(always)]
    fn hold_head<'a>(&self, context: &'a Context) -> Result<(Held<'a>, &'a QueueBody)> {
        let held = context.hold(self.handle.turn)?;
        Ok((held, self.body(context.region())?))
    }

    /// Puts an item at the back, if there is a free place.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::ShutDown`], [`Error::HeapFull`], [`Error::ObjectGone`]; nothing
    /// was changed.
    #[inline]
    pub fn put(&self, context: &Context, item: &[u8]) -> Result<()> {
        if self.put_quickly(context, item) {
            return Ok(());
        }
        let mut long = Long::new(context);
        estate::or_after_sweep(context, || self.try_put(context, item, &mut long))
    }

    /// As `put`, without a check for dead processes. A long item is built only when there is a place.
    fn try_put(&self, context: &Context, item: &[u8], long: &mut Long<'_>) -> Result<()> {
        if long.lacks(item) {
            self.check_room(context, 1)?;
            long.build([item])?;
        }
        cell::ensure(context, item)?;
        let (held, body, head) = self.hold_tail_for_place(context, None)?;
        check_place(body, head, 1)?;
        ends::put(&held, body, item)?;
        self.after_put(context.region(), held, 1);
        Ok(())
    }

    /// Puts a short item in a free place. Returns `false` if it did nothing:
    /// [`try_put`](Self::try_put) handles the other cases.
    #[inline(always)]
    pub(crate) fn put_quickly(&self, context: &Context, item: &[u8]) -> bool {
        let (region, Some(item)) = (context.region(), Cell::inline(item)) else { return false };
        let Some(held) = context.try_hold(self.handle.second_turn) else { return false };
        let Ok(object) = self.handle.object(region) else { return false };
        let Ok(body) = self.body_of(region, object) else { return false };
        let has_place = |head| check_place(body, head, 1).is_ok();
        let is_put = (has_place(Far::noted(&body.head_seen))
            || self.look_at_head(region, body).is_some_and(has_place))
            && matches!(ends::put_short(region, body, item), Ok(true));
        if is_put {
            self.after_put_to(region, object, held, 1);
        }
        is_put
    }

    /// Takes a short item, if there is one. Returns `false` if it did nothing:
    /// [`try_get`](Self::try_get) handles the other cases.
    #[inline(always)]
    pub(crate) fn get_quickly(&self, context: &Context, out: &mut Vec<u8>) -> bool {
        let region = context.region();
        let Some(held) = context.try_hold(self.handle.turn) else { return false };
        let Ok(object) = self.handle.object(region) else { return false };
        let Ok(body) = self.body_of(region, object) else { return false };
        let has_item = |tail: Far| body.head.get() < tail.moved;
        let is_taken = body.returned.get() == 0
            && (has_item(Far::noted(&body.tail_seen))
                || self.look_at_tail(region, body).is_some_and(has_item))
            && matches!(ends::take_short(region, body, out), Ok(true));
        if is_taken {
            self.after_get_from(region, object, held, body);
        }
        is_taken
    }

    /// Puts as many of the items at the back as there are places for, in order, and returns how
    /// many.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), when not even the first item could be put.
    pub fn put_many(&self, context: &Context, items: &[&[u8]]) -> Result<usize> {
        let mut rooms: Vec<Room> = items.iter().filter_map(|item| cell::room_of(item)).collect();
        if items.iter().any(|item| item.is_empty()) {
            return Err(Error::BadArgument("a value needs at least one byte"));
        }
        estate::or_after_sweep(context, || allocator::ensure_all(context, &mut rooms))?;
        if items.iter().any(|item| cell::is_long(item)) {
            return self.put_each(context, items);
        }
        let mut put = 0;
        loop {
            match estate::or_after_sweep(context, || self.put_some(context, &items[put..])) {
                Ok((count, is_all)) if is_all => return Ok(put + count),
                Ok((count, _)) => put += count,
                Err(error) if put == 0 => return Err(error),
                Err(_) => return Ok(put),
            }
        }
    }

    /// As [`put_many`](Self::put_many), one by one: each long item is built when there is a place for it.
    #[cold]
    fn put_each(&self, context: &Context, items: &[&[u8]]) -> Result<usize> {
        for (put, item) in items.iter().enumerate() {
            match self.put(context, item) {
                Err(error) if put == 0 => return Err(error),
                Err(_) => return Ok(put),
                Ok(()) => {}
            }
        }
        Ok(items.len())
    }

    /// Puts items until there is no place, or until a turn is missing that the next one needs. Returns
    /// how many, and whether a turn was not the reason to end.
    fn put_some(&self, context: &Context, items: &[&[u8]]) -> Result<(usize, bool)> {
        let (held, body, head) = self.hold_tail_and_look(context)?;
        let mut count = 0;
        let mut is_all = true;
        for item in items {
            let done = check_place(body, head, 1).and_then(|()| ends::put(&held, body, item));
            match done {
                Ok(()) => count += 1,
                Err(error) if count == 0 => return Err(error),
                Err(error) => {
                    is_all = !matches!(error, Error::Busy { .. });
                    break;
                }
            }
        }
        self.after_put(context.region(), held, count as u32);
        Ok((count, is_all))
    }

    #[inline(always)]
    pub(crate) fn after_put(&self, region: &Region, held: Held<'_>, count: u32) {
        if let Ok(object) = region.at(self.handle.at) {
            self.after_put_to(region, object, held, count);
        }
    }

    /// As [`after_put`](Self::after_put), for a caller that has the header.
    #[inline(always)]
    fn after_put_to(&self, region: &Region, object: &Object, held: Held<'_>, count: u32) {
        drop(held);
        ring_of(region, object, self.handle.key(), Reason::Item, count);
    }

    /// Takes the item at the front for good, and replaces `out` by it.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]; [`Error::ShutDown`] when the queue is closed and every item in it is done;
    /// [`Error::ObjectGone`].
    #[inline]
    pub fn get(&self, context: &Context, out: &mut Vec<u8>) -> Result<()> {
        if self.get_quickly(context, out) {
            return Ok(());
        }
        estate::or_after_sweep(context, || self.try_get(context, out))
    }

    /// As `get`, without a check for dead processes.
    fn try_get(&self, context: &Context, out: &mut Vec<u8>) -> Result<()> {
        loop {
            let (held, body, tail) = self.hold_head_for_item(context, None)?;
            let Some(next) = next(&held, body, tail)? else {
                return Err(self.nothing(context, held, tail));
            };
            if !cell::has_room(next, out) {
                drop(held);
                cell::make_room(context, next, out)?;
                continue;
            }
            let late = if body.returned.get() != 0 {
                records::take_returned(&held, body, out)?
            } else {
                ends::take(&held, body, next, out)?
            };
            self.after_get(context.region(), held, body);
            cell::finish(late, out)?;
            return if out.len() > cell::INLINE { allocator::tidy(context) } else { Ok(()) };
        }
    }

    #[inline(always)]
    pub(crate) fn after_get(&self, region: &Region, held: Held<'_>, body: &QueueBody) {
        if let Ok(object) = region.at(self.handle.at) {
            self.after_get_from(region, object, held, body);
        }
    }

    /// As [`after_get`](Self::after_get), for a caller that has the header.
    #[inline(always)]
    fn after_get_from(&self, region: &Region, object: &Object, held: Held<'_>, body: &QueueBody) {
        let is_over = self.is_over(region, body);
        drop(held);
        ring_of(region, object, self.handle.key(), Reason::Place, 1);
        if is_over {
            self.ring_for_the_end(region);
        }
    }

    /// Rings those who wait until everything is done, and those who wait for an item that will not
    /// come.
    #[cold]
    pub(super) fn ring_for_the_end(&self, region: &Region) {
        ring(region, self.handle.key(), Reason::Done, u32::MAX);
        ring(region, self.handle.key(), Reason::Item, u32::MAX);
    }

    /// Returns how many items wait to be taken.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after the queue was removed.
    pub fn len(&self, context: &Context) -> Result<u64> {
        self.recall(context)?;
        let (_held, body, tail) = self.hold_head_and_look(context)?;
        Ok(tail.moved.saturating_sub(body.head.get()).saturating_add(body.returned_count.get()))
    }

    /// Returns whether no item waits to be taken.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after the queue was removed.
    pub fn is_empty(&self, context: &Context) -> Result<bool> {
        Ok(self.len(context)? == 0)
    }

    /// Returns how many items are on lease.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after the queue was removed.
    pub fn leased(&self, context: &Context) -> Result<u64> {
        self.recall(context)?;
        let (_held, body) = self.hold_head(context)?;
        Ok(body.leased.get())
    }

    /// Closes the queue: it accepts no more items. The items in it can still be taken.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after the queue was removed.
    pub fn close(&self, context: &Context) -> Result<()> {
        let (held, body) = self.hold_tail(context)?;
        Region::publish(&body.closed, 1);
        drop(held);
        ring_everybody(context.region(), self.handle.at);
        Ok(())
    }

    /// Returns the limits that the queue was made with.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after the queue was removed.
    pub fn limits(&self, context: &Context) -> Result<Recipe> {
        let (_held, body) = self.hold_tail(context)?;
        Ok(Recipe { limit: body.limit.get(), max_attempts: body.max_attempts.get() })
    }

    /// Returns whether the queue is closed.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`] after the queue was removed.
    pub fn is_closed(&self, context: &Context) -> Result<bool> {
        let (_held, body) = self.hold_tail(context)?;
        Ok(body.closed.get() != 0)
    }
}

/// Checks whether `count` more items may be put. The tail's turn is held.
#[inline(always)]
pub(crate) fn check_place(body: &QueueBody, head: Far, count: u64) -> Result<()> {
    if body.closed.get() != 0 {
        return Err(Error::ShutDown);
    }
    let limit = body.limit.get();
    if limit != 0 {
        let waiting = body.tail.get().saturating_sub(head.moved);
        let taken = waiting.saturating_add(body.reserved.get());
        if taken.saturating_add(count) > limit {
            return Err(Error::Full);
        }
    }
    Ok(())
}

/// Returns whether every item that was put is done. The head's turn is held.
pub(crate) fn is_idle(body: &QueueBody, tail: Far) -> bool {
    body.head.get() == tail.moved
        && body.returned.get() == 0
        && body.leased.get() == 0
        && tail.reserved == 0
}

impl Queue {
    /// Returns why there is nothing to take: the head's turn is held, and the tail was read as
    /// `tail`.
    #[cold]
    fn nothing(&self, context: &Context, held: Held<'_>, tail: Far) -> Error {
        match self.is_shut_down(context, held, tail) {
            Ok(true) => Error::ShutDown,
            Ok(false) => Error::Empty,
            Err(error) => error,
        }
    }

    /// Returns whether the queue is closed and no item will ever come. What was put just before it
    /// was closed may have been put after `tail` was read: who sees that it is closed looks again.
    fn is_shut_down(&self, context: &Context, held: Held<'_>, tail: Far) -> Result<bool> {
        let region = context.region();
        let body = self.body(region)?;
        if body.closed.acquire() == 0 {
            return Ok(false);
        }
        if defect(Mistake::ReadClosedLate) {
            return Ok(is_idle(body, tail));
        }
        if let Some(tail) = self.look_at_tail(region, body) {
            return Ok(is_idle(body, tail));
        }
        // Changes were open all the time.
        drop(held);
        let (_held, body, tail) = self.hold_both(context)?;
        Ok(is_idle(body, tail))
    }

    /// Returns whether sleepers must be woken because everything is done: those that wait for that,
    /// and those that wait for an item that will never come. In doubt they are woken and check. The
    /// head's turn is held.
    pub(crate) fn is_over(&self, region: &Region, body: &QueueBody) -> bool {
        let is_asked =
            || is_wanted(region, self.handle.key(), Reason::Done) || body.closed.acquire() != 0;
        body.leased.get() == 0
            && is_asked()
            && self.look_at_tail(region, body).is_none_or(|tail| is_idle(body, tail))
    }
}

/// Returns the cell of the item that is taken next, if there is one. The head's turn is held, and the
/// tail was read as `tail`.
#[inline]
fn next(held: &Held<'_>, body: &QueueBody, tail: Far) -> Result<Option<Cell>> {
    if body.returned.get() != 0 {
        let record = records::first_returned(held.context().region(), body)?;
        return Ok(Some(Cell::load(&record.cell)));
    }
    if body.head.get() == tail.moved {
        return Ok(None);
    }
    ends::first(held, body).map(Some)
}

/// The room of a body.
pub(crate) const BODY: Room = Room::of(size_of::<QueueBody>());

/// Creates a body with an empty chain. The block is pending.
pub(crate) fn create_body(change: &mut Change<'_>, limit: u64, max_attempts: u64) -> Result<u64> {
    let at = allocator::take(change, BODY)?;
    for word in change.region().words(at, size_of::<QueueBody>() / size_of::<Word>())? {
        change.put(word, 0);
    }
    let body: &QueueBody = change.region().at(at)?;
    let reserve = allocator::take(change, RECORD)?;
    change.put(&body.reserve, reserve);
    change.put(&body.limit, limit);
    change.put(&body.max_attempts, max_attempts);
    Ok(at)
}
