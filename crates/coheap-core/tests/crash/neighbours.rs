//! Those who live on while a recovery dies: a reader, a writer and a collector.
//!
//! Without them a sweep of two levels does not see a recovery that writes old bytes after it has
//! let go of a turn, or that frees a block twice.
//!
//! - The *reader* reads optimistically wherever a turn's sequence is even: what it finds must be
//!   whole.
//! - The *writer* takes every turn that is free by now and commits something of its own, which no
//!   later recovery may lose.
//! - The *collector* takes every block that is free by now, fills it with rubbish and lets it go.
//!
//! What always holds: none of them waits for a turn that the dead have, so none recovers by
//! itself.

use coheap_core::Typed as _;
use coheap_core::allocator::size_class::{batch, size_of_class};
use coheap_core::allocator::{self, CLASS_COUNT, GIVE_WORDS, HEADER_CLASS, Room, TAKE_WORDS};
use coheap_core::error::{Error, Result};
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::journal::{Change, Context};
use coheap_core::memory::Region;
use coheap_core::memory::layout::Object;
use coheap_core::memory::layout::{
    ARENA_COUNT, ARENA_TURNS, DIRECTORY_TURN, SLOT_COUNT, SLOT_TURNS, SPAN_TURN,
};
use coheap_core::objects::value;
use coheap_core::objects::{Directory, Handle, Map, Queue, Value};
use coheap_core::sync::Owner;

use crate::world::snapshot::{Content, Snapshot, Told};
use crate::world::stage::{Stage, int};

const KEY: &[u8] = b"~live";
const TEXT: &[u8] = b"live";

/// What the writer did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    Sum(&'static str),
    Text(&'static str),
    Pair(&'static str),
    Item(&'static str),
    Taken(&'static str, Vec<u8>),
    Lock(&'static str),
    Object,
}

fn is_free(region: &Region, turn: u32) -> bool {
    region.turn(turn).owner.acquire() == 0
}

fn has_room(region: &Region) -> bool {
    (ARENA_TURNS..ARENA_TURNS + ARENA_COUNT).chain([SPAN_TURN]).all(|turn| is_free(region, turn))
}

fn is_still(region: &Region, handle: Handle) -> bool {
    region.turn(handle.turn).sequence.get() & 1 == 0
}

/// Free to write: nobody has the turn, and no transaction the object.
fn is_open(region: &Region, handle: Handle) -> bool {
    let object = region.at::<Object>(handle.at);
    is_free(region, handle.turn)
        && object.is_ok_and(|object| Owner::of(object.lock.get()).is_nobody())
}

/// Reads where it may and compares with what must be there.
pub(crate) fn read(stage: &Stage, targets: &[&str], expected: &Snapshot) -> Result<(), String> {
    let context = &*stage.context();
    for target in targets {
        let found = match *target {
            "value" => read_value(context, &stage.value),
            "text" => read_value(context, &stage.text),
            "map" => read_map(context, &stage.map),
            "other" => read_map(context, &stage.other),
            _ => Ok(None),
        };
        let found = found.map_err(|error| format!("the reader of {target} got {error:?}"))?;
        if let (Some(found), Some(expected)) = (found, expected.get(*target)) {
            if found != *expected {
                return Err(format!("the reader of {target} saw {found:?}, not {expected:?}"));
            }
        }
    }
    Ok(())
}

fn read_value(context: &Context, value: &Value) -> Result<Option<Content>> {
    if !is_still(context.region(), value.handle()) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    value.get(context, &mut bytes)?;
    Ok(Some(Content::Value(bytes)))
}

fn read_map(context: &Context, map: &Map) -> Result<Option<Content>> {
    if !is_still(context.region(), map.handle()) {
        return Ok(None);
    }
    Ok(Some(Content::Map(map.snapshot(context)?.to_vec())))
}

/// Writes where it may. `turn` chooses between putting and getting.
pub(crate) fn write(
    stage: &Stage,
    targets: &[&'static str],
    turn: u64,
) -> Result<Vec<Mark>, String> {
    let context = &*stage.context();
    let mut marks = Vec::new();
    for target in targets {
        let mark = match *target {
            "" => make_object(context),
            "value" => add(context, target, &stage.value),
            "text" => set(context, target, &stage.text),
            "map" => insert(context, target, &stage.map),
            "other" => insert(context, target, &stage.other),
            "queue" => pass(context, target, &stage.queue, turn),
            "work" => pass(context, target, &stage.work, turn),
            "mutex" => lock(stage, context, target),
            other => panic!("no writer for {other}"),
        };
        match mark {
            Ok(mark) => marks.extend(mark),
            Err(error) if is_known(&error) => {}
            Err(error) => return Err(format!("the writer of {target} got {error:?}")),
        }
    }
    Ok(marks)
}

fn is_known(error: &Error) -> bool {
    matches!(error, Error::HeapFull { .. } | Error::Empty | Error::Full | Error::ShutDown)
}

fn make_object(context: &Context) -> Result<Option<Mark>> {
    if !is_free(context.region(), DIRECTORY_TURN) || !has_room(context.region()) {
        return Ok(None);
    }
    Directory.get_or_create(context, "~live", &value::Recipe::of(TEXT))?;
    Ok(Some(Mark::Object))
}

fn add(context: &Context, name: &'static str, value: &Value) -> Result<Option<Mark>> {
    if !is_open(context.region(), value.handle()) {
        return Ok(None);
    }
    value.add(context, 1000)?;
    Ok(Some(Mark::Sum(name)))
}

fn set(context: &Context, name: &'static str, value: &Value) -> Result<Option<Mark>> {
    if !is_open(context.region(), value.handle()) || !has_room(context.region()) {
        return Ok(None);
    }
    value.set(context, TEXT)?;
    Ok(Some(Mark::Text(name)))
}

fn insert(context: &Context, name: &'static str, map: &Map) -> Result<Option<Mark>> {
    if !is_open(context.region(), map.handle()) || !has_room(context.region()) {
        return Ok(None);
    }
    map.set(context, KEY, TEXT)?;
    Ok(Some(Mark::Pair(name)))
}

fn pass(context: &Context, name: &'static str, queue: &Queue, turn: u64) -> Result<Option<Mark>> {
    let region = context.region();
    if !has_room(region) {
        return Ok(None);
    }
    if turn.is_multiple_of(2) && is_free(region, queue.handle().second_turn) {
        queue.put(context, KEY)?;
        return Ok(Some(Mark::Item(name)));
    }
    if !turn.is_multiple_of(2) && is_free(region, queue.handle().turn) {
        let mut item = Vec::new();
        queue.get(context, &mut item)?;
        return Ok(Some(Mark::Taken(name, item)));
    }
    Ok(None)
}

fn lock(stage: &Stage, context: &Context, name: &'static str) -> Result<Option<Mark>> {
    if !is_free(context.region(), stage.mutex.handle().turn) || !has_room(context.region()) {
        return Ok(None);
    }
    if stage.mutex.try_lock(context)?.is_none() {
        return Ok(None);
    }
    stage.mutex.value().set(context, TEXT)?;
    stage.mutex.unlock(context)?;
    Ok(Some(Mark::Lock(name)))
}

/// What the snapshot must be after the writer's marks.
pub(crate) fn marked(expected: &Snapshot, marks: &[Mark], is_full: bool) -> Snapshot {
    let mut expected = expected.clone();
    for mark in marks {
        match mark {
            Mark::Object => {
                expected.insert("~live".into(), Content::Value(TEXT.to_vec()));
            }
            Mark::Sum(name) => {
                if let Some(Content::Value(bytes)) = expected.get_mut(*name) {
                    let old = bytes[1..].try_into().map_or(0, i64::from_le_bytes);
                    *bytes = int(old + 1000);
                }
            }
            Mark::Text(name) => {
                expected.insert((*name).into(), Content::Value(TEXT.to_vec()));
            }
            Mark::Pair(name) => {
                if let Some(Content::Map(pairs)) = expected.get_mut(*name) {
                    pairs.push((KEY.to_vec(), TEXT.to_vec()));
                }
            }
            Mark::Item(name) => {
                if let Some(Content::Queue { waiting, .. }) = expected.get_mut(*name) {
                    waiting.push((KEY.to_vec(), u32::from(!is_full)));
                }
            }
            Mark::Lock(name) => {
                let content = Content::Mutex { value: TEXT.to_vec(), told: Told::Clean };
                expected.insert((*name).into(), content);
            }
            Mark::Taken(..) => {}
        }
    }
    expected
}

/// Gives what the writer took back to the snapshot, where only the items are compared any more.
pub(crate) fn without_order(snapshot: &Snapshot, marks: &[Mark], found: bool) -> Snapshot {
    let mut snapshot = snapshot.clone();
    for mark in marks {
        let Mark::Taken(name, item) = mark else { continue };
        if let Some(Content::Queue { waiting, .. }) = snapshot.get_mut(*name) {
            if found {
                waiting.push((item.clone(), 0));
            }
            waiting.iter_mut().for_each(|waiting| waiting.1 = 0);
            waiting.sort();
        }
    }
    snapshot
}

/// Uses every block that is free by now, then frees it again.
pub(crate) fn collect(stage: &Stage) -> Result<(), String> {
    let context = &*stage.context();
    let region = context.region();
    let slots_free = (SLOT_TURNS..SLOT_TURNS + SLOT_COUNT).all(|turn| is_free(region, turn));
    if !slots_free || !has_room(region) {
        return Ok(());
    }
    let wrong = |error: Error| format!("the collector got {error:?}");
    allocator::reclaim(context).map_err(wrong)?;
    for class in 0..CLASS_COUNT as u8 {
        let is_used = |arena: u32| region.arena(arena).partial[usize::from(class)].get() != 0;
        if (0..ARENA_COUNT).any(is_used) {
            match reuse(context, class) {
                Ok(()) | Err(Error::HeapFull { .. }) => {}
                Err(error) => return Err(wrong(error)),
            }
        }
    }
    Ok(())
}

fn reuse(context: &Context, class: u8) -> Result<()> {
    let region = context.region();
    let (room, count) = (Room::Class(class), batch(class).max(4));
    allocator::ensure(context, room, count)?;
    let held = context.hold(ARENA_TURNS + context.index() % ARENA_COUNT)?;
    let mut change = Change::begin(&held, count as usize * TAKE_WORDS)?;
    let mut blocks = Vec::new();
    for _ in 0..count {
        let block = allocator::take(&mut change, room)?;
        blocks.push(block);
        // Headers keep their generation: rubbish in them would be a lie that the engine never tells.
        if class != HEADER_CLASS {
            for word in region.words(block, size_of_class(class) as usize / 8)? {
                change.put(word, 0xc5c5_c5c5_c5c5_c5c5);
            }
        }
    }
    change.commit();
    let mut change = Change::begin(&held, count as usize * GIVE_WORDS)?;
    for block in blocks {
        allocator::give(&mut change, room, block)?;
    }
    change.commit();
    Ok(())
}
