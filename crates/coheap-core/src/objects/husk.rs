//! Structures cut loose from their object, taken apart in small steps.
//!
//! A large map is cleared, packed or dropped by moving what hangs from its root into a husk, in
//! one change. The husk hangs on the context's chain; its owner, or whoever has the context's row
//! later, takes it apart by bounded changes. Nobody else can reach it: the arena's turn that they
//! hold is only for `check`, which stops all changes by holding every turn.
//!
//! What it keeps is a [`Husk`]; of a queue the body and nothing else. The stage says what comes
//! next: cells, entries, index; or the queue.

use crate::allocator::{self, Room};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context};
use crate::memory::layout::{
    ARENA_COUNT, ARENA_TURNS, CONTEXT_COUNT, ENTRY_BYTES, Husk, MapEntry, MapRoot, QueueBody,
    QueueHusk, SEGMENT_ENTRIES, WORD_BYTES,
};
use crate::memory::{Region, Word};
use crate::objects::cell::{self, Cell};
use crate::objects::{map, parcel, queue};

/// The room of a husk.
pub(crate) const ROOM: Room = Room::of(size_of::<Husk>());
/// Words that `cut` saves at most.
pub(crate) const CUT_WORDS: usize = allocator::TAKE_WORDS + 1;
/// Things freed in one step.
const STEP: u64 = 32;
/// Words that a step saves at most.
const STEP_WORDS: usize = 2 * STEP as usize * allocator::GIVE_WORDS + 8;
/// Bit of a stage word: the cells are to be freed.
const WITH_CELLS: u64 = 1;
/// Bits of a stage word that are not the stage.
const FLAGS: u64 = 0xff;
const CELLS_STAGE: u64 = 0;
const ENTRIES_STAGE: u64 = 1 << 8;
const INDEX_STAGE: u64 = 2 << 8;
const QUEUE: u64 = 3 << 8;
/// What a husk is marked with that is no more, should a chain come back to it.
const GONE: u64 = 4 << 8;

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

/// Moves what hangs from a map's root words into a husk on the context's chain.
pub(crate) fn cut(change: &mut Change<'_>, root: &MapRoot, with_cells: bool) -> Result<()> {
    let at = take_or_reserve(change, &root.reserve)?;
    let head = &change.context().control().husks;
    let husk: &Husk = change.region().at(at)?;
    change.put(&husk.next, head.get());
    change.put(&husk.stage, CELLS_STAGE | if with_cells { WITH_CELLS } else { 0 });
    change.put(&husk.entries, root.entries.get());
    change.put(&husk.capacity, root.capacity.get());
    change.put(&husk.places, root.places.get());
    change.put(&husk.index, root.index.get());
    change.put(&husk.depth, root.depth.get());
    change.put(&husk.left, root.used.get());
    change.set(head, at);
    Ok(())
}

/// Moves a queue's body into a husk on the context's chain.
pub(crate) fn cut_queue(change: &mut Change<'_>, body: u64) -> Result<()> {
    let reserve = &change.region().at::<QueueBody>(body)?.reserve;
    let at = take_or_reserve(change, reserve)?;
    let head = &change.context().control().husks;
    let husk: &QueueHusk = change.region().at(at)?;
    change.put(&husk.next, head.get());
    change.put(&husk.stage, QUEUE);
    change.put(&husk.body, body);
    for word in &husk.spare {
        change.put(word, 0);
    }
    change.set(head, at);
    Ok(())
}

/// Takes a block of this room from the pending ones, or else the one in reserve.
pub(crate) fn take_or_reserve(change: &mut Change<'_>, reserve: &Word) -> Result<u64> {
    let kept = reserve.get();
    if kept == 0 || allocator::is_pending(change.context(), ROOM) {
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
    let husk = husk_at(region, at)?;
    let held = context.hold(ARENA_TURNS + context.index() % ARENA_COUNT)?;
    let mut change = Change::begin(&held, STEP_WORDS)?;
    match stage_of(husk) {
        CELLS_STAGE => free_cells(&mut change, husk)?,
        ENTRIES_STAGE => free_entries(&mut change, husk)?,
        INDEX_STAGE if husk.index.get() != 0 => free_index(&mut change, husk)?,
        INDEX_STAGE => end(&mut change, head, husk, at)?,
        QUEUE => {
            let body_at = husk.as_queue().body.get();
            let body: &QueueBody = region.at(body_at)?;
            if !queue::take_apart(&mut change, body)? {
                let reserve = body.reserve.get();
                if reserve != 0 {
                    allocator::give(&mut change, ROOM, reserve)?;
                }
                allocator::give(&mut change, queue::BODY, body_at)?;
                end(&mut change, head, husk, at)?;
            }
        }
        _ => return Err(Corrupt { what: "husk", at }.into()),
    }
    change.commit();
    drop(held);
    allocator::tidy(context)
}

fn stage_of(husk: &Husk) -> u64 {
    husk.stage.get() & !FLAGS
}

/// How many bits of the hash choose a segment of the index: no shift by it goes too far.
fn depth_of(husk: &Husk) -> u64 {
    husk.depth.get() & 31
}

/// Takes an empty husk off the chain.
fn end(change: &mut Change<'_>, head: &Word, husk: &Husk, at: u64) -> Result<()> {
    change.set(head, husk.next.get());
    change.set(&husk.stage, GONE);
    allocator::give(change, ROOM, at)
}

/// The husk at an offset, whose numbers are none that a heap of this size cannot have: so nobody
/// counts down from them for ever.
pub(crate) fn husk_at(region: &Region, at: u64) -> Result<&Husk, Corrupt> {
    let husk: &Husk = region.at(at)?;
    let (capacity, places) = (husk.capacity.get(), husk.places.get());
    let (depth, left) = (husk.depth.get(), husk.left.get());
    let has_room = places <= region.span_limit() * SEGMENT_ENTRIES
        && capacity <= places.max(1) * SEGMENT_ENTRIES;
    let is_possible = match stage_of(husk) {
        CELLS_STAGE => has_room && left <= capacity,
        ENTRIES_STAGE => has_room,
        INDEX_STAGE => depth < 32 && left <= 1 << depth,
        QUEUE => true,
        _ => false,
    };
    if is_possible { Ok(husk) } else { Err(Corrupt { what: "husk", at }) }
}

/// How many entries of a husk have cells that are still to be freed.
pub(crate) fn cells_left(husk: &Husk) -> u64 {
    if husk.stage.get() == CELLS_STAGE | WITH_CELLS { husk.left.get() } else { 0 }
}

/// The body in the husk of a queue.
pub(crate) fn queue_body(husk: &Husk) -> Option<u64> {
    (husk.stage.get() == QUEUE).then(|| husk.as_queue().body.get())
}

/// The blocks that still hang from the husk of a map, cells aside.
pub(crate) fn parts(region: &Region, husk: &Husk) -> Result<Vec<(u64, Room)>> {
    let mut parts = Vec::new();
    let (entries, capacity, places) = (husk.entries.get(), husk.capacity.get(), husk.places.get());
    if entries != 0 && places == 0 {
        parts.push((entries, map::entries_room(capacity)));
    } else if entries != 0 {
        parts.push((entries, map::directory_room(places)));
        let directory = region.words(entries, places as usize)?;
        let segments = directory.iter().take((capacity / SEGMENT_ENTRIES) as usize);
        let room = map::entries_room(SEGMENT_ENTRIES);
        parts.extend(segments.map(|place| (place.get(), room)));
    }
    let (index, depth) = (husk.index.get(), depth_of(husk));
    if index == 0 {
        return Ok(parts);
    }
    if depth == 0 {
        parts.push((index, segment_room(region, index)?));
        return Ok(parts);
    }
    parts.push((index, map::directory_room(1 << depth)));
    let left = if stage_of(husk) == INDEX_STAGE { husk.left.get() } else { 1 << depth };
    let places = region.words(index, 1 << depth)?;
    let mut segments: Vec<u64> = places.iter().take(left as usize).map(Word::get).collect();
    segments.dedup();
    for segment in segments {
        parts.push((segment, segment_room(region, segment)?));
    }
    Ok(parts)
}

/// The room of the index segment at an offset.
fn segment_room(region: &Region, at: u64) -> Result<Room, Corrupt> {
    Ok(map::segment_room(map::segment_shape(region, at)?.bits))
}

/// The entry at a position of the map that a husk is left of.
pub(crate) fn entry_at<'a>(
    region: &'a Region,
    husk: &Husk,
    position: u64,
) -> Result<&'a MapEntry, Error> {
    let segment = match husk.places.get() {
        0 => husk.entries.get(),
        _ => {
            let place = position / SEGMENT_ENTRIES * WORD_BYTES;
            region.at::<Word>(husk.entries.get().wrapping_add(place))?.get()
        }
    };
    Ok(region.at(segment.wrapping_add(position % SEGMENT_ENTRIES * ENTRY_BYTES))?)
}

fn free_cells(change: &mut Change<'_>, husk: &Husk) -> Result<()> {
    let left = husk.left.get();
    if husk.stage.get() & WITH_CELLS == 0 || left == 0 {
        change.set(&husk.stage, ENTRIES_STAGE);
        return Ok(());
    }
    let first = left.saturating_sub(STEP);
    for position in first..left {
        let entry = entry_at(change.region(), husk, position)?;
        let key = Cell::load(&entry.key);
        if !key.is_removed() {
            cell::free(change, key)?;
            cell::free(change, Cell::load(&entry.value))?;
        }
    }
    change.set(&husk.left, first);
    Ok(())
}

fn free_entries(change: &mut Change<'_>, husk: &Husk) -> Result<()> {
    let (entries, capacity, places) = (husk.entries.get(), husk.capacity.get(), husk.places.get());
    if entries != 0 && places != 0 && capacity > 0 {
        let directory = change.region().words(entries, places as usize)?;
        let last = (capacity / SEGMENT_ENTRIES) as usize;
        let first = last.saturating_sub(STEP as usize);
        let going = directory.get(first..last);
        for place in going.ok_or(Corrupt { what: "husk", at: capacity })? {
            allocator::give(change, map::entries_room(SEGMENT_ENTRIES), place.get())?;
        }
        change.set(&husk.capacity, first as u64 * SEGMENT_ENTRIES);
        return Ok(());
    }
    if entries != 0 {
        let room = match places {
            0 => map::entries_room(capacity),
            _ => map::directory_room(places),
        };
        allocator::give(change, room, entries)?;
        change.set(&husk.entries, 0);
    }
    change.set(&husk.stage, INDEX_STAGE);
    change.set(&husk.left, 1 << depth_of(husk));
    Ok(())
}

fn free_index(change: &mut Change<'_>, husk: &Husk) -> Result<()> {
    let region = change.region();
    let (index, depth, mut left) = (husk.index.get(), depth_of(husk), husk.left.get());
    if depth == 0 {
        allocator::give(change, segment_room(region, index)?, index)?;
        change.set(&husk.index, 0);
        return Ok(());
    }
    let places = region.words(index, 1 << depth)?;
    for _ in 0..STEP {
        let Some(place) = left.checked_sub(1) else { break };
        let segment = places[(place as usize) % places.len()].get();
        let shape = map::segment_shape(region, segment)?;
        allocator::give(change, map::segment_room(shape.bits), segment)?;
        left = left.saturating_sub(1 << (depth.saturating_sub(shape.depth)));
    }
    if left == 0 {
        allocator::give(change, map::directory_room(1 << depth), index)?;
        change.set(&husk.index, 0);
    }
    change.set(&husk.left, left);
    Ok(())
}
