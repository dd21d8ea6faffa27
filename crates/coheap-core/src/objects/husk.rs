//! Structures cut loose from their object, taken apart in small steps.
//!
//! A large map is cleared, packed or dropped by moving what hangs from its root into a husk, in
//! one change. The husk hangs on the context's chain; its owner, or whoever has the context's row
//! later, takes it apart by bounded changes. Nobody else can reach it: the arena's turn that they
//! hold is only for `check`, which stops all changes by holding every turn.
//!
//! | word | meaning                                                                |
//! |------|------------------------------------------------------------------------|
//! | 0    | next husk                                                              |
//! | 1    | bit 0: the cells are to be freed; bits 8..: stage (cells, entries, index; or queue) |
//! | 2..7 | as in the map: entries, capacity, places, index, depth                  |
//! | 7    | positions left, then places of the index left                           |
//!
//! The husk of a queue has its body in word 2 and nothing else.

use crate::allocator::{self, Room};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context};
use crate::memory::layout::{ARENA_COUNT, ARENA_TURNS, CONTEXT_COUNT, QueueBody};
use crate::memory::{Region, Word};
use crate::objects::cell::{self, Cell};
use crate::objects::map::segment_shape;
use crate::objects::{parcel, queue};

/// The room of a husk.
pub(crate) const ROOM: Room = Room::Class(CLASS);
const CLASS: u8 = 3;
/// Words that `cut` saves at most.
pub(crate) const CUT_WORDS: usize = allocator::TAKE_WORDS + 1;
/// Things freed in one step.
const STEP: u64 = 32;
/// Words that a step saves at most.
const STEP_WORDS: usize = 2 * STEP as usize * allocator::GIVE_WORDS + 8;
const SEGMENT: u64 = 512;
const ENTRY_BYTES: u64 = 32;
const ENTRIES_STAGE: u64 = 1 << 8;
const INDEX_STAGE: u64 = 2 << 8;
const QUEUE: u64 = 3 << 8;
/// What a husk is marked with that is no more, should a chain come back to it.
const GONE: u64 = 4 << 8;

/// What hangs from a map.
#[derive(Debug)]
pub(crate) struct MapParts {
    pub(crate) with_cells: bool,
    pub(crate) entries: u64,
    pub(crate) capacity: u64,
    pub(crate) places: u64,
    pub(crate) index: u64,
    pub(crate) depth: u64,
    pub(crate) used: u64,
}

/// Makes sure that `cut` finds its block.
pub(crate) fn ensure(context: &Context) -> Result<()> {
    allocator::ensure(context, ROOM, 1)
}

/// Makes sure that `cut` finds a block: the one in reserve, where the heap has no other.
pub(crate) fn ensure_or_reserve(context: &Context, reserve: &Word) -> Result<()> {
    match ensure(context) {
        Err(Error::HeapFull { .. }) if reserve.get() != 0 => Ok(()),
        other => other,
    }
}

/// Moves a map's parts into a husk on the context's chain.
pub(crate) fn cut(change: &mut Change<'_>, parts: &MapParts, reserve: &Word) -> Result<()> {
    let MapParts { entries, capacity, places, index, depth, used, .. } = *parts;
    let with_cells = u64::from(parts.with_cells);
    hang(change, [with_cells, entries, capacity, places, index, depth, used], reserve)
}

/// Moves a queue's body into a husk on the context's chain.
pub(crate) fn cut_queue(change: &mut Change<'_>, body: u64) -> Result<()> {
    let reserve = &change.region().at::<QueueBody>(body)?.reserve;
    hang(change, [QUEUE, body, 0, 0, 0, 0, 0], reserve)
}

fn hang(change: &mut Change<'_>, values: [u64; 7], reserve: &Word) -> Result<()> {
    let at = take_or_reserve(change, reserve)?;
    let head = &change.context().control().husks;
    let words = change.region().words(at, 8)?;
    change.put(&words[0], head.get());
    for (word, value) in words[1..].iter().zip(values) {
        change.put(word, value);
    }
    change.set(head, at);
    Ok(())
}

/// Takes a block of this room from the pending ones, or else the one in reserve.
pub(crate) fn take_or_reserve(change: &mut Change<'_>, reserve: &Word) -> Result<u64> {
    let kept = reserve.get();
    let has_pending = change.context().control().pending[usize::from(CLASS)].get() != 0;
    if has_pending || kept == 0 {
        return allocator::take(change, ROOM);
    }
    change.set(reserve, 0);
    Ok(kept)
}

/// Takes the caller's husks apart, and the parcels that were in them. Call it with no turn held.
#[inline]
pub(crate) fn dismantle(context: &Context) -> Result<()> {
    dismantle_only(context)?;
    parcel::let_go(context)
}

/// As [`dismantle`], but for the parcels.
pub(super) fn dismantle_only(context: &Context) -> Result<()> {
    let head = &context.control().husks;
    while head.get() != 0 {
        step(context, head)?;
    }
    Ok(())
}

/// Takes apart what threads left behind that have no row any more.
pub(crate) fn dismantle_abandoned(context: &Context) -> Result<()> {
    let region = context.region();
    for index in 0..CONTEXT_COUNT {
        let entry = region.context(index);
        let is_left =
            entry.committed.get() == 1 && entry.owner.get() == 0 && index != context.index();
        let control = region.control(index);
        let has_chains = [&control.husks, &control.built, &control.freed];
        if !is_left || has_chains.iter().all(|chain| chain.get() == 0) {
            continue;
        }
        if Region::compare_exchange(&entry.owner, 0, context.me().bits()).is_ok() {
            let head = &region.control(index).husks;
            let mut done = Ok(());
            while head.get() != 0 && done.is_ok() {
                done = step(context, head);
            }
            let done = done.and_then(|()| parcel::let_go_of_row(context, index));
            Region::swap(&entry.owner, 0);
            done?;
        }
    }
    Ok(())
}

/// One bounded change.
fn step(context: &Context, head: &Word) -> Result<()> {
    let region = context.region();
    let at = head.get();
    let husk = words(region, at)?;
    let held = context.hold(ARENA_TURNS + context.index() % ARENA_COUNT)?;
    let mut change = Change::begin(&held, STEP_WORDS)?;
    let stage = husk[1].get() & !0xff;
    match stage {
        0 => free_cells(&mut change, husk)?,
        ENTRIES_STAGE => free_entries(&mut change, husk)?,
        QUEUE if queue::take_apart(&mut change, region.at(husk[2].get())?)? => {}
        QUEUE => {
            let reserve = region.at::<QueueBody>(husk[2].get())?.reserve.get();
            if reserve != 0 {
                allocator::give(&mut change, ROOM, reserve)?;
            }
            allocator::give(&mut change, queue::BODY, husk[2].get())?;
            end(&mut change, head, husk, at)?;
        }
        INDEX_STAGE if husk[5].get() != 0 => free_index(&mut change, husk)?,
        INDEX_STAGE => end(&mut change, head, husk, at)?,
        _ => return Err(Corrupt { what: "husk", at }.into()),
    }
    change.commit();
    drop(held);
    allocator::tidy(context)
}

/// Takes an empty husk off the chain.
fn end(change: &mut Change<'_>, head: &Word, husk: &[Word], at: u64) -> Result<()> {
    change.set(head, husk[0].get());
    change.set(&husk[1], GONE);
    allocator::give(change, ROOM, at)
}

/// The words of a husk, whose numbers are none that a heap of this size cannot have: so nobody
/// counts down from them for ever.
pub(crate) fn words(region: &Region, at: u64) -> Result<&[Word], Corrupt> {
    let husk = region.words(at, 8)?;
    let (capacity, places, depth, left) =
        (husk[3].get(), husk[4].get(), husk[6].get(), husk[7].get());
    let has_room = places <= region.span_limit() * SEGMENT && capacity <= places.max(1) * SEGMENT;
    let is_possible = match husk[1].get() & !0xff {
        0 => has_room && left <= capacity,
        ENTRIES_STAGE => has_room,
        INDEX_STAGE => depth < 32 && left <= 1 << depth,
        QUEUE => true,
        _ => false,
    };
    if is_possible { Ok(husk) } else { Err(Corrupt { what: "husk", at }) }
}

/// Whether the cells of a husk's entries are still to be freed, and how many entries are left.
pub(crate) fn cells_left(husk: &[Word]) -> u64 {
    if husk[1].get() == 1 { husk[7].get() } else { 0 }
}

/// The body in the husk of a queue.
pub(crate) fn queue_body(husk: &[Word]) -> Option<u64> {
    (husk[1].get() == QUEUE).then(|| husk[2].get())
}

/// The blocks that still hang from the husk of a map, cells aside.
pub(crate) fn parts(region: &Region, husk: &[Word]) -> Result<Vec<(u64, Room)>> {
    let mut parts = Vec::new();
    let (entries, capacity, places) = (husk[2].get(), husk[3].get(), husk[4].get());
    if entries != 0 && places == 0 {
        parts.push((entries, Room::of((capacity * ENTRY_BYTES) as usize)));
    } else if entries != 0 {
        parts.push((entries, Room::of(places as usize * 8)));
        let directory = region.words(entries, places as usize)?;
        let segments = directory.iter().take((capacity / SEGMENT) as usize);
        let room = Room::of((SEGMENT * ENTRY_BYTES) as usize);
        parts.extend(segments.map(|place| (place.get(), room)));
    }
    let (index, depth) = (husk[5].get(), husk[6].get() & 31);
    if index == 0 {
        return Ok(parts);
    }
    if depth == 0 {
        parts.push((index, Room::of(8 << segment_shape(region, index)?.bits)));
        return Ok(parts);
    }
    parts.push((index, Room::of(8 << depth)));
    let is_at_index = husk[1].get() & !0xff == INDEX_STAGE;
    let left = if is_at_index { husk[7].get() } else { 1 << depth };
    let places = region.words(index, 1 << depth)?;
    let mut segments: Vec<u64> = places.iter().take(left as usize).map(Word::get).collect();
    segments.dedup();
    for segment in segments {
        parts.push((segment, Room::of(8 << segment_shape(region, segment)?.bits)));
    }
    Ok(parts)
}

pub(crate) fn entry_words<'a>(
    region: &'a Region,
    husk: &[Word],
    position: u64,
) -> Result<&'a [Word], Error> {
    let segment = match husk[4].get() {
        0 => husk[2].get(),
        _ => region.at::<Word>(husk[2].get().wrapping_add(position / SEGMENT * 8))?.get(),
    };
    Ok(region.words(segment.wrapping_add(position % SEGMENT * ENTRY_BYTES), 4)?)
}

fn free_cells(change: &mut Change<'_>, husk: &[Word]) -> Result<()> {
    let left = husk[7].get();
    if husk[1].get() & 1 == 0 || left == 0 {
        change.set(&husk[1], ENTRIES_STAGE);
        return Ok(());
    }
    let first = left.saturating_sub(STEP);
    for position in first..left {
        let entry = entry_words(change.region(), husk, position)?;
        let key = Cell::load(entry);
        if !key.is_removed() {
            cell::free(change, key)?;
            cell::free(change, Cell::load(&entry[2..]))?;
        }
    }
    change.set(&husk[7], first);
    Ok(())
}

fn free_entries(change: &mut Change<'_>, husk: &[Word]) -> Result<()> {
    let (entries, capacity, places) = (husk[2].get(), husk[3].get(), husk[4].get());
    if entries != 0 && places != 0 && capacity > 0 {
        let directory = change.region().words(entries, places as usize)?;
        let last = (capacity / SEGMENT) as usize;
        let first = last.saturating_sub(STEP as usize);
        let going = directory.get(first..last);
        for place in going.ok_or(Corrupt { what: "husk", at: capacity })? {
            allocator::give(change, Room::of((SEGMENT * ENTRY_BYTES) as usize), place.get())?;
        }
        change.set(&husk[3], first as u64 * SEGMENT);
        return Ok(());
    }
    if entries != 0 {
        let bytes = if places == 0 { capacity * ENTRY_BYTES } else { places * 8 };
        allocator::give(change, Room::of(bytes as usize), entries)?;
        change.set(&husk[2], 0);
    }
    change.set(&husk[1], INDEX_STAGE);
    change.set(&husk[7], 1 << (husk[6].get() & 31));
    Ok(())
}

fn free_index(change: &mut Change<'_>, husk: &[Word]) -> Result<()> {
    let region = change.region();
    let (index, depth, mut left) = (husk[5].get(), husk[6].get() & 31, husk[7].get());
    if depth == 0 {
        let bits = segment_shape(region, index)?.bits;
        allocator::give(change, Room::of(8 << bits), index)?;
        change.set(&husk[5], 0);
        return Ok(());
    }
    let places = region.words(index, 1 << depth)?;
    for _ in 0..STEP {
        let Some(place) = left.checked_sub(1) else { break };
        let segment = places[(place as usize) % places.len()].get();
        let shape = segment_shape(region, segment)?;
        allocator::give(change, Room::of(8 << shape.bits), segment)?;
        left = left.saturating_sub(1 << (depth.saturating_sub(shape.depth)));
    }
    if left == 0 {
        allocator::give(change, Room::of(8 << depth), index)?;
        change.set(&husk[5], 0);
    }
    change.set(&husk[7], left);
    Ok(())
}
