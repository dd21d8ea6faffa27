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
//!
//! Not here: what reader and writer do to an object of each kind (`world::kinds`).

use coheap_core::allocator::size_class::{batch, size_of_class};
use coheap_core::allocator::{self, CLASS_COUNT, GIVE_WORDS, HEADER_CLASS, Room, TAKE_WORDS};
use coheap_core::error::{Error, Result};
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::journal::{Change, Context};
use coheap_core::memory::layout::{ARENA_COUNT, ARENA_TURNS, DIRECTORY_TURN, SLOT_TURNS};
use coheap_core::objects::{Directory, value};

use crate::world::kinds::{KEY, Mark, Reading, Subject, TEXT, has_room, is_free, row};
use crate::world::operation::is_known;
use crate::world::snapshot::{Content, Snapshot, Told};
use crate::world::stage::{Stage, int};

/// What the writer calls an object of its own.
const NAME: &str = "~live";

/// Something that the writer did, and to which target.
pub(crate) type Marks = Vec<(&'static str, Mark)>;

/// Reads where it may and compares with what must be there.
pub(crate) fn read(stage: &Stage, targets: &[&str], expected: &Snapshot) -> Result<(), String> {
    let context = &*stage.context();
    for target in targets.iter().filter(|target| !target.is_empty()) {
        let object = stage.object(target);
        let subject = Subject { context, name: target, handle: object.handle() };
        let (Reading::Optimistic(read), Some(expected)) =
            (&row(object.kind()).read, expected.get(*target))
        else {
            continue;
        };
        if !subject.is_still() {
            continue;
        }
        let found = read(&subject, expected)
            .map_err(|error| format!("the reader of {target} got {error:?}"))?;
        if found != *expected {
            return Err(format!("the reader of {target} saw {found:?}, not {expected:?}"));
        }
    }
    Ok(())
}

/// How many turns the writer needs to have done all that it can do to these.
pub(crate) fn ways(stage: &Stage, targets: &[&str]) -> u64 {
    let objects = targets.iter().filter(|target| !target.is_empty());
    let ways = objects.map(|target| row(stage.object(target).kind()).write.len());
    ways.max().unwrap_or(1) as u64
}

/// Writes where it may. `turn` chooses between putting and getting.
pub(crate) fn write(stage: &Stage, targets: &[&'static str], turn: u64) -> Result<Marks, String> {
    let context = &*stage.context();
    let mut marks = Vec::new();
    for &target in targets {
        match write_to(stage, context, target, turn) {
            Ok(mark) => marks.extend(mark.map(|mark| (target, mark))),
            Err(error) if is_known(&error) => {}
            Err(error) => {
                return Err(format!(
                    "the writer of {target} got {error:?}, which is not listed as an answer: \
                     `is_known` of tests/crash/world/operation.rs"
                ));
            }
        }
    }
    Ok(marks)
}

fn write_to(stage: &Stage, context: &Context, target: &str, turn: u64) -> Result<Option<Mark>> {
    if target.is_empty() {
        return make_object(context);
    }
    let object = stage.object(target);
    let ways = row(object.kind()).write;
    ways[turn as usize % ways.len()](&Subject { context, name: target, handle: object.handle() })
}

fn make_object(context: &Context) -> Result<Option<Mark>> {
    if !is_free(context.region(), DIRECTORY_TURN) || !has_room(context.region()) {
        return Ok(None);
    }
    Directory.get_or_create(context, NAME, &value::Recipe::of(TEXT))?;
    Ok(Some(Mark::Object))
}

/// What the snapshot must be after the writer's marks.
pub(crate) fn marked(expected: &Snapshot, marks: &Marks, is_full: bool) -> Snapshot {
    let mut expected = expected.clone();
    for (name, mark) in marks {
        match (mark, expected.get_mut(*name)) {
            (Mark::Object, _) => {
                expected.insert(NAME.into(), Content::Value(TEXT.to_vec()));
            }
            (Mark::Sum, Some(Content::Value(bytes))) => {
                let old = bytes[1..].try_into().map_or(0, i64::from_le_bytes);
                *bytes = int(old + 1000);
            }
            (Mark::Text, Some(Content::Value(bytes))) => *bytes = TEXT.to_vec(),
            (Mark::Pair, Some(Content::Map(pairs))) => pairs.push((KEY.to_vec(), TEXT.to_vec())),
            (Mark::Item, Some(Content::Queue { waiting, .. })) => {
                waiting.push((KEY.to_vec(), u32::from(!is_full)));
            }
            (Mark::Lock, Some(content)) => {
                *content = Content::Mutex { value: TEXT.to_vec(), told: Told::Clean, depth: 0 };
            }
            (Mark::Taken(_), _) => {}
            (mark, content) => panic!("{name}: {mark:?} does not fit {content:?}"),
        }
    }
    expected
}

/// Gives what the writer took back to the snapshot, where only the items are compared any more.
pub(crate) fn without_order(snapshot: &Snapshot, marks: &Marks, found: bool) -> Snapshot {
    let mut snapshot = snapshot.clone();
    for (name, mark) in marks {
        let Mark::Taken(item) = mark else { continue };
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
    let slots = SLOT_TURNS..SLOT_TURNS + region.real_slots();
    let slots_free = slots.into_iter().all(|turn| is_free(region, turn));
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
