//! The queue's implementation of the methods that every kind has: creation, removal, the integrity
//! walk.
//!
//! Not here: how the remains of a queue are freed (`remains`).

use super::records;
use super::{BODY, Segment, create_body, queue_root, remains};
use crate::allocator::Room;
use crate::defect::{Mistake, defect};
use crate::error::Result;
use crate::journal::{Change, Context};
use crate::kind::Kind;
use crate::memory::Region;
use crate::memory::layout::{Husk, Object, QueueBody, QueueHusk, Record};
use crate::objects::cell::Cell;
use crate::objects::husk;
use crate::objects::kinds;
use crate::objects::ledger::record::{self, RECORD, ReturnReason};
use crate::objects::walk::{self, Owed, Walk, broken};
use crate::sync::parking::Reason;

/// An empty queue.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recipe {
    /// The limit of items; 0 for no limit.
    pub limit: u64,
    /// The limit of attempts at an item; 0 for no limit.
    pub max_attempts: u64,
}

impl kinds::Recipe for Recipe {
    type Object = super::Queue;

    fn prepare(&self, _: &Context, rooms: &mut Vec<Room>) -> Result<()> {
        rooms.extend([BODY, husk::ROOM]);
        Ok(())
    }

    fn fill(&self, change: &mut Change<'_>, object: &Object) -> Result<()> {
        let body = create_body(change, self.limit, self.max_attempts)?;
        change.put(&queue_root(object).body, body);
        Ok(())
    }
}

/// The shape of a queue.
pub(crate) struct Shape;

impl kinds::Shape for Shape {
    fn prepare_removal(&self, context: &Context, object: &Object) -> Result<()> {
        husk::ensure_or_reserve(context, &body_of(context.region(), object)?.reserve)
    }

    fn detach(&self, change: &mut Change<'_>, object: &Object) -> Result<()> {
        let at = queue_root(object).body.get();
        let reserve = &body_of(change.region(), object)?.reserve;
        husk::hang(change, husk::info(Kind::Queue, 0, 0), reserve, |change, husk: &QueueHusk| {
            change.put(&husk.body, at);
            husk.spare.iter().for_each(|word| change.put(word, 0));
        })
    }

    fn seems_there(&self, region: &Region, object: &Object, reason: Reason) -> bool {
        seems_there(region, object, reason)
    }

    fn walk(&self, region: &Region, object: &Object, walk: &mut dyn Walk) -> Result<()> {
        let at = queue_root(object).body.get();
        walk.claim(at, BODY)?;
        let body: &QueueBody = region.at(at)?;
        husk::walk_reserve(walk, &body.reserve)?;
        walk_chain(region, body, walk)?;
        if body.head_seen.get() > body.head.get() || body.tail_seen.get() > body.tail.get() {
            return Err(broken("ends of a queue, as noted", at));
        }
        let (returned, last) = walk::records(walk, region, &body.returned)?;
        if returned != body.returned_count.get() || last != body.returned_last.get() {
            return Err(broken("returned items of a queue", returned));
        }
        let (_, last) = walk::records(walk, region, &body.failed)?;
        if last != body.failed_last.get() {
            return Err(broken("failed items of a queue", last));
        }
        let owed = Owed { leases: body.leased.get(), promises: body.reserved.get() };
        walk.owe(object, owed);
        Ok(())
    }

    fn is_possible(&self, _: &Region, _: &Husk) -> bool {
        true
    }

    fn dismantle(&self, change: &mut Change<'_>, husk: &Husk) -> Result<bool> {
        let husk: &QueueHusk = husk.view_as();
        remains::take_apart(change, husk.body.get())
    }

    fn walk_husk(&self, region: &Region, husk: &Husk, walk: &mut dyn Walk) -> Result<()> {
        let at = husk.view_as::<QueueHusk>().body.get();
        walk.claim(at, BODY)?;
        let body: &QueueBody = region.at(at)?;
        husk::walk_reserve(walk, &body.reserve)?;
        walk::records(walk, region, &body.returned)?;
        walk::records(walk, region, &body.failed)?;
        if body.head_segment.get() == 0 { Ok(()) } else { walk_chain(region, body, walk) }
    }

    fn take_back(
        &self,
        change: &mut Change<'_>,
        object: &Object,
        record: &Record,
        reason: Option<ReturnReason>,
    ) -> Result<()> {
        let body = body_of(change.region(), object)?;
        if record.state.get() & Record::RESERVED == 0 {
            return records::give_back(change, body, record, reason);
        }
        if defect(Mistake::KeepPromiseOfDead) {
            let at = change.region().offset_of(record);
            return crate::allocator::give(change, RECORD, at);
        }
        change.set(&body.reserved, body.reserved.get().saturating_sub(1));
        record::free(change, record)
    }
}

/// Returns whether a queue seems to have what threads wait for, or to be closed, read without a turn.
pub(super) fn seems_there(region: &Region, object: &Object, reason: Reason) -> bool {
    let is_closed = || body_of(region, object).is_ok_and(|body| body.closed.get() != 0);
    seems_left(region, object, reason)
        || matches!(reason, Reason::Item | Reason::Place) && is_closed()
}

/// Returns whether a queue seems to have what threads wait for, read without a turn.
#[inline]
pub(super) fn seems_left(region: &Region, object: &Object, reason: Reason) -> bool {
    let Ok(body) = body_of(region, object) else { return false };
    let (head, tail) = (body.head.acquire(), body.tail.acquire());
    let waiting = tail.saturating_sub(head);
    match reason {
        Reason::Item => waiting > 0 || body.returned.get() != 0,
        Reason::Place => waiting.saturating_add(body.reserved.get()) < body.limit.get(),
        Reason::Done => waiting == 0 && body.leased.get() == 0 && body.returned.get() == 0,
        _ => false,
    }
}

fn body_of<'a>(region: &'a Region, object: &Object) -> Result<&'a QueueBody> {
    Ok(region.at(queue_root(object).body.get())?)
}

fn walk_chain(region: &Region, body: &QueueBody, walk: &mut dyn Walk) -> Result<()> {
    let mut position = body.head.get();
    let mut at = body.head_segment.get();
    let mut last = 0;
    while at != 0 {
        let segment = Segment::at(region, at)?;
        walk.claim(at, segment.room())?;
        let (base, places) = (segment.head.first.get(), segment.head.places.get());
        if position < base {
            return Err(broken("base of a queue's segment", at));
        }
        while position < body.tail.get() && position < base.saturating_add(places) {
            let words = segment.cell(position).ok_or_else(|| broken("chain of a queue", at))?;
            walk::cell(walk, region, Cell::load(words))?;
            position += 1;
        }
        last = at;
        at = segment.head.next.get();
    }
    if position != body.tail.get() || last != body.tail_segment.get() {
        return Err(broken("chain of a queue", position));
    }
    Ok(())
}
