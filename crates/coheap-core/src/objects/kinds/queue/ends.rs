//! The two ends of the chain.
//!
//! What always holds: a place from `tail` on belongs to no item, so it is written without being
//! saved. The getter that moves on to the next segment frees the previous one.

use crate::allocator::{self, Room};
use crate::defect::{Mistake, defect};
use crate::error::{Corrupt, Result};
use crate::journal::{Change, Held};
use crate::memory::Region;
use crate::memory::layout::{CellWords, QueueBody, QueueSegment, SPAN_BYTES};
use crate::objects::cell::{self, Cell, Later};

/// The smallest and the largest number of places of a segment; the largest segment is one span.
const LEAST: u64 = 30;
const MOST: u64 =
    (SPAN_BYTES as usize - size_of::<QueueSegment>()) as u64 / size_of::<CellWords>() as u64;
/// Words that `append` saves at most.
pub(crate) const PUT_WORDS: usize = 2 * allocator::TAKE_WORDS + 4;

/// A segment of the chain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(crate) head: &'a QueueSegment,
    cells: &'a [CellWords],
}

impl<'a> Segment<'a> {
    /// Returns the segment at an offset.
    #[inline(always)]
    pub(crate) fn at(region: &'a Region, at: u64) -> Result<Self, Corrupt> {
        let head: &QueueSegment = region.at(at)?;
        let places = head.places.get();
        if !(1..=MOST).contains(&places) {
            return Err(Corrupt { what: "segment of a queue", at });
        }
        let cells = region.rows(at + size_of::<QueueSegment>() as u64, places as usize)?;
        Ok(Self { head, cells })
    }

    /// Returns the number of its places, as it was when the segment was read.
    pub(crate) fn places(self) -> u64 {
        self.cells.len() as u64
    }

    /// Returns the room of the segment.
    pub(crate) fn room(self) -> Room {
        room(self.places())
    }

    /// Returns the cell of a position, if it is in this segment.
    #[inline(always)]
    pub(crate) fn cell(self, position: u64) -> Option<&'a CellWords> {
        self.cells.get(position.wrapping_sub(self.head.first.get()) as usize)
    }
}

fn room(places: u64) -> Room {
    Room::of(size_of::<QueueSegment>() + places as usize * size_of::<CellWords>())
}

/// Puts a short item at the tail, whose turn is held. Returns `false` if it needs a new segment.
#[inline(always)]
pub(super) fn put_short(region: &Region, body: &QueueBody, item: Cell) -> Result<bool, Corrupt> {
    let tail = body.tail.get();
    let at = body.tail_segment.get();
    if at == 0 {
        return Ok(false);
    }
    let Some(words) = Segment::at(region, at)?.cell(tail) else { return Ok(false) };
    if defect(Mistake::MoveTailBeforeItem) {
        Region::publish(&body.tail, tail.wrapping_add(1));
    }
    Region::store(&words[0], item.0);
    Region::store(&words[1], item.1);
    Region::publish(&body.tail, tail.wrapping_add(1));
    Ok(true)
}

/// Puts an item at the tail, whose turn is held. Blocks for it are pending.
pub(super) fn put(held: &Held<'_>, body: &QueueBody, item: &[u8]) -> Result<()> {
    let region = held.context().region();
    if let Some(short) = Cell::inline(item) {
        if put_short(region, body, short)? {
            return Ok(());
        }
    }
    let plan = AppendPlan::new(region, body, 1)?;
    let mut rooms = plan.rooms();
    rooms.extend(cell::room_of(item));
    allocator::ensure_all(held.context(), &mut rooms)?;
    let mut change = Change::begin(held, PUT_WORDS)?;
    append(&mut change, body, item, plan)?;
    change.commit();
    Ok(())
}

/// The segments that are needed to append some items. They are planned once, because the head moves
/// meanwhile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AppendPlan {
    /// Places of each new segment.
    places: u64,
    segments: u64,
}

impl AppendPlan {
    /// Plans for `count` items. The tail's turn is held from here to the last `append`.
    pub(crate) fn new(region: &Region, body: &QueueBody, count: u64) -> Result<Self> {
        let at = body.tail_segment.get();
        if at == 0 {
            return Ok(Self { places: LEAST, segments: count.div_ceil(LEAST) });
        }
        let segment = Segment::at(region, at)?;
        let places = segment.places();
        let end = segment.head.first.get().saturating_add(places);
        let left = end.saturating_sub(body.tail.get());
        let places = next_size(body, places);
        Ok(Self { places, segments: count.saturating_sub(left).div_ceil(places) })
    }

    /// Returns the rooms to make pending; blocks for long items are extra.
    pub(crate) fn rooms(self) -> Vec<Room> {
        vec![room(self.places); self.segments as usize]
    }
}

/// Returns how many places the next segment gets: the more items wait, the more places.
fn next_size(body: &QueueBody, places: u64) -> u64 {
    let backlog = body.tail.get().saturating_sub(body.head.acquire());
    if backlog > places && places < MOST { (places * 4).min(MOST) } else { places.min(MOST) }
}

/// Puts an item at the tail within an open change.
pub(crate) fn append(
    change: &mut Change<'_>,
    body: &QueueBody,
    item: &[u8],
    plan: AppendPlan,
) -> Result<()> {
    let cell = cell::make(change, item)?;
    let region = change.region();
    let tail = body.tail.get();
    let at = body.tail_segment.get();
    let mut words = match at {
        0 => None,
        _ => Segment::at(region, at)?.cell(tail),
    };
    if words.is_none() {
        let new = allocator::take(change, room(plan.places))?;
        let segment: &QueueSegment = region.at(new)?;
        change.put(&segment.next, 0);
        change.put(&segment.places, plan.places);
        change.put(&segment.first, tail);
        change.put(&segment.spare, 0);
        match at {
            0 => change.set(&body.head_segment, new),
            _ => change.set(&region.at::<QueueSegment>(at)?.next, new),
        }
        change.set(&body.tail_segment, new);
        words = Segment::at(region, new)?.cell(tail);
    }
    let words = words.ok_or(Corrupt { what: "tail of a queue", at: tail })?;
    cell::put(change, words, cell);
    change.set(&body.tail, tail.wrapping_add(1));
    Ok(())
}

/// Returns the cell at the head, and moves on to the next segment if the current one is used up.
/// There is an item, and the head's turn is held.
#[inline]
pub(super) fn first(held: &Held<'_>, body: &QueueBody) -> Result<Cell> {
    let region = held.context().region();
    let head = body.head.get();
    for _ in 0..2 {
        let at = body.head_segment.get();
        let segment = Segment::at(region, at)?;
        if let Some(words) = segment.cell(head) {
            return Ok(Cell::load(words));
        }
        let next = segment.head.next.get();
        let mut change = Change::begin(held, 1 + allocator::GIVE_WORDS)?;
        change.set(&body.head_segment, next);
        allocator::give(&mut change, segment.room(), at)?;
        change.commit();
    }
    Err(Corrupt { what: "head of a queue", at: head }.into())
}

/// Takes the item at the head, whose turn is held, if it is short. There is an item. Returns
/// `false` if it is long, or in the next segment.
#[inline(always)]
pub(super) fn take_short(region: &Region, body: &QueueBody, out: &mut Vec<u8>) -> Result<bool> {
    let head = body.head.get();
    let Some(words) = Segment::at(region, body.head_segment.get())?.cell(head) else {
        return Ok(false);
    };
    let cell = Cell::load(words);
    if cell.block().is_some() {
        return Ok(false);
    }
    cell.read(region, out)?;
    Region::publish(&body.head, head.wrapping_add(1));
    Ok(true)
}

/// Takes the item at the head, whose turn is held and whose cell `first` has returned.
pub(super) fn take<'a>(
    held: &Held<'a>,
    body: &QueueBody,
    cell: Cell,
    out: &mut Vec<u8>,
) -> Result<Later<'a>> {
    if take_short(held.context().region(), body, out)? {
        return Ok(None);
    }
    let late = cell.begin(held.context(), out)?;
    let mut change = Change::begin(held, 1 + allocator::GIVE_WORDS)?;
    change.set(&body.head, body.head.get().wrapping_add(1));
    cell::free(&mut change, cell)?;
    change.commit();
    Ok(late)
}
