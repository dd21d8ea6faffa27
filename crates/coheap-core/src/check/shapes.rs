//! Everything that can be reached from the directory, from slots and from husks.
//!
//! What always holds: each block on the way is claimed exactly once, and every number that a
//! structure keeps of itself is counted again.

use std::collections::BTreeMap;

use super::blocks::{Blocks, HEADER};
use super::broken;
use crate::allocator::Room;
use crate::error::Result;
use crate::memory::layout::{
    DirectoryValue, Object, QueueBody, Record, SEGMENT_ENTRIES, SLOT_COUNT,
};
use crate::memory::{Region, Word};
use crate::objects::cell::{self, Cell};
use crate::objects::map::{self, Key, SlotWord, Table};
use crate::objects::queue::{self, RECORD, REFERENCE, RESERVED, Segment};
use crate::objects::value::cell_words;
use crate::objects::{directory, husk, parcel};

/// Claims all objects. Answers how many there are.
pub(super) fn claim_objects(region: &Region, blocks: &mut Blocks) -> Result<u64> {
    let directory = &region.header().directory;
    claim_map(region, blocks, directory)?;
    let table = Table::new(region, directory);
    let mut found = Found::default();
    for position in 0..table.used() {
        let entry = table.entry(position)?;
        if Cell::load(&entry.key).is_removed() {
            continue;
        }
        let DirectoryValue { at, .. } = directory::value_in(region, Cell::load(&entry.value))?;
        claim_object(region, blocks, at, &mut found)?;
        found.objects.insert(at, region.at::<Object>(at)?.references.get().saturating_sub(1));
    }
    claim_slots(region, blocks, &mut found)?;
    if let Some((at, _)) = found.objects.iter().find(|(_, missing)| **missing != 0) {
        return Err(broken("references of an object", *at));
    }
    if let Some((at, _)) = found.queues.iter().find(|(_, owed)| **owed != (0, 0)) {
        return Err(broken("leases of a queue", *at));
    }
    Ok(found.objects.len() as u64)
}

/// Objects on the way.
#[derive(Default)]
struct Found {
    /// Objects, with the references that were not met yet.
    objects: BTreeMap<u64, u64>,
    /// Queues, with the leases and promises that were not met yet.
    queues: BTreeMap<u64, (u64, u64)>,
}

fn claim_object(region: &Region, blocks: &mut Blocks, at: u64, found: &mut Found) -> Result<()> {
    blocks.claim(at, HEADER)?;
    let object: &Object = region.at(at)?;
    if object.generation.get() & 1 == 0 {
        return Err(broken("dead object in the directory or a ledger", at));
    }
    match object.shape.get() as u8 {
        1 | 4 | 5 => claim_cell(region, blocks, Cell::load(cell_words(object))),
        2 => {
            claim_map(region, blocks, object)?;
            claim_reserve(blocks, map::map_root(object).reserve.get())
        }
        3 => {
            found.queues.insert(at, claim_queue(region, blocks, object)?);
            Ok(())
        }
        _ => Err(broken("kind of an object", at)),
    }
}

/// A block kept for a full heap, if there is one.
fn claim_reserve(blocks: &mut Blocks, at: u64) -> Result<()> {
    if at == 0 { Ok(()) } else { blocks.claim(at, husk::ROOM) }
}

fn claim_cell(region: &Region, blocks: &mut Blocks, cell: Cell) -> Result<()> {
    if cell.is_parcel() {
        return claim_parcel(region, blocks, cell.1);
    }
    if let Some((len, at)) = cell.block() {
        region.words(at, (len as usize).div_ceil(8))?;
        return blocks.claim(at, Room::of(len as usize));
    }
    if cell.is_nothing() || cell.len() > cell::INLINE as u64 {
        return Err(broken("cell", cell.0));
    }
    Ok(())
}

/// Claims a parcel; its references are met later.
fn claim_parcel(region: &Region, blocks: &mut Blocks, at: u64) -> Result<()> {
    let (room, places) = parcel::counted(region, at)?;
    blocks.places.extend(places);
    blocks.claim(at, room)
}

/// Claims the parcels of a row that are on their way into cells or out of them.
pub(super) fn claim_parcels(region: &Region, blocks: &mut Blocks, index: u32) -> Result<()> {
    if region.context(index).committed.get() != 1 {
        return Ok(());
    }
    let control = region.control(index);
    for chain in [&control.built, &control.freed] {
        let mut at = chain.get();
        while at != 0 {
            claim_parcel(region, blocks, at)?;
            at = parcel::next(region, at)?;
        }
    }
    Ok(())
}

fn claim_map(region: &Region, blocks: &mut Blocks, object: &Object) -> Result<()> {
    let table = Table::new(region, object);
    table.check_numbers()?;
    claim_entry_segments(region, blocks, &table)?;
    let mut living = 0;
    for position in 0..table.used() {
        let entry = table.entry(position)?;
        let key = Cell::load(&entry.key);
        if key.is_removed() {
            continue;
        }
        if position < table.root.first.get() {
            return Err(broken("first entry of a map", position));
        }
        living += 1;
        claim_cell(region, blocks, key)?;
        claim_cell(region, blocks, Cell::load(&entry.value))?;
        let mut bytes = Vec::new();
        key.read(region, &mut bytes)?;
        match table.find(&Key::new(region, &bytes)?)? {
            Some(found) if found.position == position => {}
            _ => return Err(broken("entry that its index does not find", position)),
        }
    }
    let slots = claim_index(region, blocks, &table)?;
    if living != table.live() || slots != living {
        return Err(broken("number of entries of a map", living));
    }
    Ok(())
}

fn claim_entry_segments(region: &Region, blocks: &mut Blocks, table: &Table<'_>) -> Result<()> {
    let (entries, places) = (table.root.entries.get(), table.root.places.get());
    if places == 0 {
        let room = map::entries_room(table.capacity());
        return if entries == 0 { Ok(()) } else { blocks.claim(entries, room) };
    }
    blocks.claim(entries, map::directory_room(places))?;
    let directory = region.words(entries, places as usize)?;
    for place in &directory[..(table.capacity() / SEGMENT_ENTRIES) as usize] {
        blocks.claim(place.get(), map::entries_room(SEGMENT_ENTRIES))?;
    }
    Ok(())
}

/// Answers the number of living slots.
fn claim_index(region: &Region, blocks: &mut Blocks, table: &Table<'_>) -> Result<u64> {
    let depth = table.root.depth.get();
    if depth > 0 {
        blocks.claim(table.root.index.get(), map::directory_room(1 << depth))?;
    }
    let mut living = 0;
    for segment in map::index_segments(table)? {
        let shape = map::segment_shape(region, segment)?;
        blocks.claim(segment, map::segment_room(shape.bits))?;
        let slots = map::slots(region, segment, shape)?;
        let filled = slots.iter().filter(|slot| slot.get() != 0).count() as u64;
        if filled != shape.filled || shape.depth > depth {
            return Err(broken("index segment", segment));
        }
        living += slots.iter().filter(|slot| SlotWord(slot.get()).is_living()).count() as u64;
    }
    Ok(living)
}

/// Answers how many items should be on leases, and how many places promised.
fn claim_queue(region: &Region, blocks: &mut Blocks, object: &Object) -> Result<(u64, u64)> {
    let at = queue::queue_root(object).body.get();
    blocks.claim(at, queue::BODY)?;
    let body: &QueueBody = region.at(at)?;
    claim_reserve(blocks, body.reserve.get())?;
    claim_chain(region, blocks, body)?;
    if body.head_seen.get() > body.head.get() || body.tail_seen.get() > body.tail.get() {
        return Err(broken("ends of a queue, as noted", at));
    }
    let returned = claim_records(region, blocks, &body.returned, Some(&body.returned_last))?;
    if returned != body.returned_count.get() {
        return Err(broken("returned items of a queue", returned));
    }
    claim_records(region, blocks, &body.failed, Some(&body.failed_last))?;
    Ok((body.leased.get(), body.reserved.get()))
}

fn claim_chain(region: &Region, blocks: &mut Blocks, body: &QueueBody) -> Result<()> {
    let mut position = body.head.get();
    let mut at = body.head_segment.get();
    let mut last = 0;
    while at != 0 {
        let segment = Segment::at(region, at)?;
        blocks.claim(at, segment.room())?;
        let (base, places) = (segment.head.first.get(), segment.head.places.get());
        if position < base {
            return Err(broken("base of a queue's segment", at));
        }
        while position < body.tail.get() && position < base.saturating_add(places) {
            let words = segment.cell(position).ok_or_else(|| broken("chain of a queue", at))?;
            claim_cell(region, blocks, Cell::load(words))?;
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

fn claim_records(
    region: &Region,
    blocks: &mut Blocks,
    first: &Word,
    last: Option<&Word>,
) -> Result<u64> {
    let (mut at, mut before, mut count) = (first.get(), 0, 0);
    while at != 0 {
        blocks.claim(at, RECORD)?;
        let record: &Record = region.at(at)?;
        claim_cell(region, blocks, Cell::load(&record.cell))?;
        count += 1;
        before = at;
        at = record.next.get();
    }
    match last {
        Some(last) if last.get() != before => Err(broken("list of a queue", before)),
        _ => Ok(count),
    }
}

/// Claims what all slots have, and takes it off the numbers of queues and objects: references
/// first, for they lead to queues.
fn claim_slots(region: &Region, blocks: &mut Blocks, found: &mut Found) -> Result<()> {
    let mut others = Vec::new();
    for index in 0..SLOT_COUNT {
        let slot = region.slot(index);
        let (mut at, mut before, mut count) = (slot.leases.get(), 0, 0);
        while at != 0 {
            blocks.claim(at, RECORD)?;
            let record: &Record = region.at(at)?;
            if record.previous.get() != before {
                return Err(broken("list of a slot", at));
            }
            if record.state.get() & REFERENCE != 0 {
                let place = (record.object.get(), record.generation.get());
                meet_reference(region, blocks, place, found)?;
            } else {
                others.push(record);
            }
            count += 1;
            before = at;
            at = record.next.get();
        }
        if count != slot.lease_count.get() {
            return Err(broken("number of records of a slot", u64::from(index)));
        }
    }
    for record in &others {
        let is_promise = record.state.get() & RESERVED != 0;
        if !is_promise {
            claim_cell(region, blocks, Cell::load(&record.cell))?;
        }
    }
    // What is in a parcel may lead to more.
    while let Some(place) = blocks.places.pop() {
        meet_reference(region, blocks, place, found)?;
    }
    for record in others {
        take_off(region, found, record, record.state.get() & RESERVED != 0)?;
    }
    Ok(())
}

/// Claims the object of a reference when it is met for the first time.
fn meet_reference(
    region: &Region,
    blocks: &mut Blocks,
    (at, generation): parcel::Place,
    found: &mut Found,
) -> Result<()> {
    let object: &Object = region.at(at)?;
    if object.generation.get() != generation {
        return Err(broken("reference to an object that ended", at));
    }
    if !found.objects.contains_key(&at) {
        claim_object(region, blocks, at, found)?;
        found.objects.insert(at, object.references.get());
    }
    let missing = found.objects.get_mut(&at).filter(|missing| **missing > 0);
    *missing.ok_or_else(|| broken("references of an object", at))? -= 1;
    Ok(())
}

fn take_off(region: &Region, found: &mut Found, record: &Record, is_promise: bool) -> Result<()> {
    let at = record.object.get();
    let object: &Object = region.at(at)?;
    if object.generation.get() != record.generation.get() {
        return Ok(());
    }
    let queue = found.queues.get_mut(&at);
    let (leased, reserved) = queue.ok_or_else(|| broken("queue of a lease", at))?;
    let number = if is_promise { reserved } else { leased };
    *number = number.checked_sub(1).ok_or_else(|| broken("leases of a queue", at))?;
    Ok(())
}

/// Claims what hangs from the husks of a row.
pub(super) fn claim_husks(region: &Region, blocks: &mut Blocks, index: u32) -> Result<()> {
    if region.context(index).committed.get() != 1 {
        return Ok(());
    }
    let mut at = region.control(index).husks.get();
    while at != 0 {
        blocks.claim(at, husk::ROOM)?;
        let husk = husk::husk_at(region, at)?;
        let next = husk.next.get();
        if let Some(body) = husk::queue_body(husk) {
            claim_remains(region, blocks, body)?;
            at = next;
            continue;
        }
        for position in 0..husk::cells_left(husk) {
            let entry = husk::entry_at(region, husk, position)?;
            if !Cell::load(&entry.key).is_removed() {
                claim_cell(region, blocks, Cell::load(&entry.key))?;
                claim_cell(region, blocks, Cell::load(&entry.value))?;
            }
        }
        let parts = husk::parts(region, husk)?;
        for (block, room) in parts {
            blocks.claim(block, room)?;
        }
        at = next;
    }
    Ok(())
}

/// Claims what is left of a removed queue.
fn claim_remains(region: &Region, blocks: &mut Blocks, at: u64) -> Result<()> {
    blocks.claim(at, queue::BODY)?;
    let body: &QueueBody = region.at(at)?;
    claim_reserve(blocks, body.reserve.get())?;
    claim_records(region, blocks, &body.returned, None)?;
    claim_records(region, blocks, &body.failed, None)?;
    if body.head_segment.get() == 0 { Ok(()) } else { claim_chain(region, blocks, body) }
}
