//! The end of a transaction: get everything ready, then one change.
//!
//! ```text
//! take all turns -> validate -> make room (changes that keep state) -> ONE change -> let go
//! ```
//!
//! What always holds: every error comes before the first store of the one change.

use smallvec::SmallVec;

use super::QueueOperation;
use super::overlay::{Action, Writes};
use super::touched::{Touched, TouchedObjects};
use crate::allocator::{self, Room};
use crate::defect::{Mistake, defect};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context, Held};
use crate::memory::layout::{Object, QueueBody, SLOT_TURNS};
use crate::memory::{Region, Signal, Word};
use crate::objects::cell::{self, Cell};
use crate::objects::map::{self, Key, Map, Table};
use crate::objects::queue::{self, AppendPlan, Promise, ReturnReason};
use crate::objects::{Handle, Lease, Queue, Value};
use crate::sync::{Owner, wait};

/// Applies everything as one change.
pub(super) fn commit(
    context: &Context,
    touched: &TouchedObjects,
    queues: &[QueueOperation],
) -> Result<()> {
    let turns = turns(context, touched, queues);
    if turns.is_empty() {
        return Ok(());
    }
    let held = context.hold_all(&turns)?;
    let mut ready = Ready::default();
    ready.look_up(&held, touched, queues)?;
    let mut change = Change::begin(&held, ready.words)?;
    ready.apply(&mut change)?;
    change.commit();
    ready.wake(held);
    Ok(())
}

fn turns(
    context: &Context,
    touched: &TouchedObjects,
    queues: &[QueueOperation],
) -> SmallVec<[u32; 8]> {
    let mut turns = SmallVec::new();
    for each in touched.iter() {
        match each {
            Touched::Map { map, writes, .. } if !writes.is_empty() => {
                turns.push(map.handle.turn);
            }
            Touched::Value { value, new: Some(_) } => turns.push(value.handle.turn),
            _ => {}
        }
    }
    for operation in queues {
        let (QueueOperation::Taken { queue, .. }
        | QueueOperation::Acked { queue, .. }
        | QueueOperation::Nacked { queue, .. }
        | QueueOperation::Put { queue, .. }) = operation;
        turns.push(match operation {
            QueueOperation::Put { .. } => queue.handle.second_turn,
            _ => queue.handle.turn,
        });
        turns.push(SLOT_TURNS + context.member().slot());
    }
    turns
}

/// Everything that the change needs, looked up and made sure of.
#[derive(Default)]
struct Ready<'a> {
    maps: SmallVec<[(&'a Object, &'a Writes, Places); 4]>,
    values: SmallVec<[(&'a Object, &'a [u8]); 4]>,
    acks: Vec<(Queue, &'a QueueBody, Lease)>,
    nacks: Vec<(Queue, &'a QueueBody, Lease)>,
    puts: Vec<Puts<'a>>,
    words: usize,
}

/// Where the entries of a map are.
enum Places {
    /// Where the writes say they are; the integers that are added to unseen here, in the order of
    /// the additions, `None` for a key that is new.
    Known(Vec<Option<u64>>),
    /// Positions were given out anew: each has to be looked up again.
    Forgotten,
}

/// What goes to the back of one queue.
struct Puts<'a> {
    queue: Queue,
    body: &'a QueueBody,
    items: Vec<(Promise, &'a [u8])>,
    plan: AppendPlan,
}

impl<'a> Ready<'a> {
    fn look_up(
        &mut self,
        held: &Held<'a>,
        touched: &'a TouchedObjects,
        queues: &'a [QueueOperation],
    ) -> Result<()> {
        let mut rooms: SmallVec<[Room; 8]> = SmallVec::new();
        for each in touched.iter() {
            match each {
                Touched::Map { map, writes, .. } if !writes.is_empty() => {
                    self.add_map(held, map, writes, &mut rooms)?;
                }
                Touched::Map { .. } => {}
                Touched::Value { value, new: Some(new) } => {
                    self.add_value(held, value, new, &mut rooms)?;
                }
                Touched::Value { new: None, .. } => {}
            }
        }
        for operation in queues {
            self.add_queue(held, operation, &mut rooms)?;
        }
        if !self.nacks.is_empty() {
            let nacks = &self.nacks;
            self.acks.retain(|(_, _, lease)| nacks.iter().all(|(_, _, nacked)| nacked != lease));
        }
        for puts in &mut self.puts {
            let count = puts.items.len() as u64;
            puts.plan = AppendPlan::new(held.context().region(), puts.body, count)?;
            rooms.extend(puts.plan.rooms());
        }
        if !rooms.is_empty() {
            allocator::ensure_all(held.context(), &mut rooms)?;
        }
        Ok(())
    }

    fn add_map(
        &mut self,
        held: &Held<'a>,
        map: &Map,
        writes: &'a Writes,
        rooms: &mut SmallVec<[Room; 8]>,
    ) -> Result<()> {
        let region = held.context().region();
        let object = locked(held, &map.handle)?;
        let mut new: SmallVec<[u32; 4]> = SmallVec::new();
        let table = Table::new(region, object);
        let mut positions = Vec::new();
        if writes.has_unseen() {
            table.warm(writes.iter().map(|write| write.key().hash))?;
        }
        for write in writes.iter() {
            match &write.action {
                Action::Insert(value) => {
                    let key = write.key();
                    new.push(key.hash);
                    rooms.extend(cell::room_of(key.bytes));
                    rooms.extend(cell::room_of(value));
                    self.words += map::INSERT_WORDS;
                }
                Action::Replace(position, value) => {
                    let old = Cell::load(&table.entry(*position)?[2..]);
                    self.replace_words(region, old, value, rooms)?;
                }
                Action::Add(more) => {
                    let key = write.key();
                    let found = table.find(&key)?;
                    positions.push(found.map(|found| found.position));
                    if let Some(found) = found {
                        sum(found.entry, *more)?;
                        self.words += 2;
                    } else {
                        new.push(key.hash);
                        rooms.extend(cell::room_of(key.bytes));
                        self.words += map::INSERT_WORDS;
                    }
                }
                Action::Remove => self.words += map::DELETE_WORDS,
                Action::Known(_) | Action::Nothing => {}
            }
        }
        let mut places = Places::Known(positions);
        if !new.is_empty() {
            let numbering = object.root[8].get();
            map::reserve(held, object, &new)?;
            if object.root[8].get() != numbering {
                places = Places::Forgotten;
            }
        }
        self.maps.push((object, writes, places));
        Ok(())
    }

    fn add_value(
        &mut self,
        held: &Held<'a>,
        value: &Value,
        new: &'a [u8],
        rooms: &mut SmallVec<[Room; 8]>,
    ) -> Result<()> {
        let object = locked(held, &value.handle)?;
        let old = Cell::load(&object.root[..2]);
        self.replace_words(held.context().region(), old, new, rooms)?;
        self.values.push((object, new));
        Ok(())
    }

    fn replace_words(
        &mut self,
        region: &Region,
        old: Cell,
        new: &[u8],
        rooms: &mut SmallVec<[Room; 8]>,
    ) -> Result<()> {
        let in_place = if cell::fits(region, old, new)? && new.len() > cell::INLINE {
            new.len().div_ceil(8)
        } else {
            rooms.extend(cell::room_of(new));
            allocator::TAKE_WORDS + allocator::GIVE_WORDS
        };
        self.words += 2 + in_place;
        Ok(())
    }

    fn add_queue(
        &mut self,
        held: &Held<'a>,
        operation: &'a QueueOperation,
        rooms: &mut SmallVec<[Room; 8]>,
    ) -> Result<()> {
        let context = held.context();
        match operation {
            QueueOperation::Taken { queue, lease } | QueueOperation::Acked { queue, lease } => {
                let body = queue.body(context.region())?;
                queue::find_lease(context, queue, lease)?;
                self.acks.push((*queue, body, *lease));
                self.words += queue::MOVE_WORDS;
            }
            QueueOperation::Nacked { queue, lease } => {
                let body = queue.body(context.region())?;
                queue::find_lease(context, queue, lease)?;
                self.nacks.push((*queue, body, *lease));
                self.words += 2 * queue::MOVE_WORDS;
            }
            QueueOperation::Put { queue, promise, item } => {
                rooms.extend(cell::room_of(item));
                self.words += queue::PUT_WORDS + queue::FULFIL_WORDS;
                let body = queue.body(context.region())?;
                match self.puts.iter_mut().find(|puts| puts.queue == *queue) {
                    Some(puts) => puts.items.push((*promise, item)),
                    None => self.puts.push(Puts {
                        queue: *queue,
                        body,
                        items: vec![(*promise, item)],
                        plan: AppendPlan::new(context.region(), body, 1)?,
                    }),
                }
            }
        }
        Ok(())
    }

    /// The change itself.
    fn apply(&self, change: &mut Change<'_>) -> Result<()> {
        for (object, writes, places) in &self.maps {
            apply_writes(change, object, writes, places)?;
        }
        for (object, new) in &self.values {
            cell::replace(change, &object.root[..2], new)?;
        }
        for (queue, body, lease) in &self.acks {
            let record = queue::find_lease(change.context(), queue, lease)?;
            queue::ack_within(change, body, record)?;
        }
        for (queue, body, lease) in &self.nacks {
            let record = queue::find_lease(change.context(), queue, lease)?;
            queue::nack_within(change, body, record, Some(ReturnReason::Nacked))?;
        }
        for puts in &self.puts {
            for (promise, item) in &puts.items {
                queue::fulfil_within(change, puts.body, *promise)?;
                queue::append(change, puts.body, item, puts.plan)?;
            }
        }
        Ok(())
    }

    /// Lets the turns go and wakes those who wait for what changed.
    fn wake(self, held: Held<'_>) {
        let mut signals: SmallVec<[(&Signal, u32); 4]> = SmallVec::new();
        for puts in &self.puts {
            if puts.body.wants_items.get() != 0 {
                Region::store(&puts.body.wants_items, 0);
                signals.push((&puts.body.not_empty, puts.items.len() as u32));
            }
        }
        let region = held.context().region();
        for (_, body, _) in &self.nacks {
            signals.push((&body.not_empty, u32::MAX));
        }
        for (queue, body, _) in self.acks.iter().chain(&self.nacks) {
            if queue.is_over(region, body) {
                Region::store(&body.wants_done, 0);
                signals.push((&body.all_done, u32::MAX));
                signals.push((&body.not_empty, u32::MAX));
            }
        }
        drop(held);
        for (signal, count) in signals {
            wait::wake(signal, count);
        }
    }
}

/// Applies all writes to one map.
fn apply_writes(
    change: &mut Change<'_>,
    object: &Object,
    writes: &Writes,
    places: &Places,
) -> Result<()> {
    let region = change.region();
    let table = Table::new(region, object);
    let mut unseen = match places {
        Places::Known(positions) => positions.iter(),
        Places::Forgotten => [].iter(),
    };
    for write in writes.iter() {
        let key = write.key();
        match &write.action {
            Action::Insert(value) => map::insert(change, object, &key, value)?,
            Action::Replace(position, value) => {
                let entry = match places {
                    Places::Known(_) => table.entry(*position)?,
                    Places::Forgotten => find(region, object, &key)?.entry,
                };
                if Cell::load(entry).is_removed() {
                    return Err(Corrupt { what: "entry under a lock", at: *position }.into());
                }
                match Cell::inline(value) {
                    Some(new) if Cell::load(&entry[2..]).block().is_none() => {
                        cell::update(change, &entry[2..], new);
                    }
                    _ => cell::replace(change, &entry[2..], value)?,
                }
            }
            Action::Add(more) => {
                let position = match unseen.next() {
                    Some(position) => *position,
                    None => table.find(&key)?.map(|found| found.position),
                };
                if let Some(position) = position {
                    let entry = table.entry(position)?;
                    cell::update(change, &entry[2..], Cell::integer(sum(entry, *more)?));
                } else {
                    map::insert(change, object, &key, &super::encode_integer(*more))?;
                }
            }
            Action::Remove => {
                let found = find(region, object, &key)?;
                map::delete(change, object, &found, defect(Mistake::ReusePositionsWithinChange))?;
            }
            Action::Known(_) | Action::Nothing => {}
        }
    }
    Ok(())
}

/// The object, which this thread must have locked.
fn locked<'a>(held: &Held<'a>, handle: &Handle) -> Result<&'a Object> {
    let object = handle.object(held.context().region())?;
    let owner = Owner::of(object.lock.get());
    if owner == held.context().me() {
        return Ok(object);
    }
    Err(Error::Corrupt(Corrupt { what: "lock of a transaction", at: owner.bits() }))
}

/// What the integer of an entry is with `more`.
fn sum(entry: &[Word], more: i64) -> Result<i64> {
    let before = Cell::load(&entry[2..]).as_integer().ok_or(Error::NotAnInteger)?;
    before.checked_add(more).ok_or(Error::Overflow)
}

/// The entry of a key that the transaction knows to be there, and nobody else may remove.
fn find<'a>(region: &'a Region, object: &'a Object, key: &Key<'_>) -> Result<map::Found<'a>> {
    let found = Table::new(region, object).find(key)?;
    found.ok_or(Error::Corrupt(Corrupt { what: "entry under a lock", at: u64::from(key.hash) }))
}
