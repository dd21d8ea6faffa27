//! What is asked of the parking table, and of the words that lead there, when nobody waits.
//!
//! What always holds: the parent asks it, when everybody else is dead and settled, and waits itself
//! for nothing.

use coheap_core::error::Error;
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::memory::Region;
use coheap_core::memory::layout::{BLOCK_CELLS, BUCKET_COUNT, CONTEXT_COUNT, Object, ROW_CELLS};
use coheap_core::objects::{Handle, Queue};
use coheap_core::sync::parking::table::watch;
use coheap_core::sync::parking::tag::Tag;
use coheap_core::sync::parking::word::{LockWord, WAITERS};
use coheap_core::sync::parking::{Key, Seen, bell, cell, ring};
use coheap_core::{Typed as _, error::Result};

use crate::world::stage::Stage;

/// Nobody waits and everybody else has left: no cell is in use, no block is taken, and no tag is left
/// of an object once somebody has looked for those who wait for it.
pub(crate) fn is_clean(region: &Region, objects: &[Handle]) -> std::result::Result<(), String> {
    let blocks = region.parking().blocks_real.get() as u32;
    let rows = 0..region.real_rows() * ROW_CELLS;
    let first = CONTEXT_COUNT * ROW_CELLS;
    for number in rows.chain(first..first + blocks * BLOCK_CELLS) {
        let seen = region.parking_cell(number).and_then(|cell| cell::look(number, cell));
        if let Some(seen) = seen {
            return Err(format!("a cell is left in use: {seen:?}"));
        }
    }
    for block in 0..blocks {
        let owner = region.block_owner(block).map_or(0, coheap_core::memory::Word::get);
        if owner != 0 {
            return Err(format!("block {block} of cells is left to {owner:#x}"));
        }
    }
    objects.iter().for_each(|handle| ring::ring_everybody(region, handle.at));
    let lines = BUCKET_COUNT + region.parking().lines_real.get() as u32;
    for line in 0..lines {
        let tags = region.tag_line(line).map(|line| line.tags.each_ref().map(|tag| tag.get()));
        if let Some(tag) = tags.iter().flatten().find_map(|bits| Tag::of(*bits)) {
            return Err(format!("a tag is left in line {line}: {tag:?}"));
        }
    }
    Ok(())
}

/// Who waits for what, and whether it was rung, in words.
pub(crate) fn who_waits(region: &Region) -> String {
    let say = |seen: Seen| {
        let row = region.context(seen.who.row);
        let (signal, sleeps_on) = (&row.bell.signal, row.sleeps_on.get());
        let Seen { who, key, reason, state, .. } = seen;
        let bell = bell::is_up(&row.bell);
        let rung = signal.watched();
        format!(
            "{who:?} {reason:?} of {key:?}, {state:?}, sleeps on {sleeps_on:#x}, bell up: {bell}, {rung}"
        )
    };
    let waits: Vec<String> = watch::everybody(region).map(say).collect();
    waits.join("; ")
}

/// The next maker finds that nobody waits, and the word that said so says it no more.
pub(crate) fn is_calm(stage: &Stage) -> std::result::Result<(), String> {
    let context = &*stage.context();
    for queue in [stage.queue, stage.work] {
        match use_queue(context, &queue) {
            Err(Error::ObjectGone | Error::ShutDown) => continue,
            Err(other) => return Err(format!("a queue answers {other:?}")),
            Ok(()) => {}
        }
        let object = context.region().at::<Object>(queue.handle().at);
        let wants = object.map_or(0, |object| object.wants.get());
        if wants != 0 {
            return Err(format!("nobody waits, and a queue is wanted for {wants:#x}"));
        }
    }
    let Handle { at, generation, .. } = stage.mutex.handle();
    match stage.mutex.lock(context, Some(0)).and_then(|_| stage.mutex.unlock(context)) {
        Err(Error::ObjectGone) => return Ok(()),
        Err(other) => return Err(format!("the lock answers {other:?}")),
        Ok(()) => {}
    }
    let word = LockWord(context.region().at::<Object>(at).map_or(0, |object| object.mutex.get()));
    let is_free = word.is_nobodys() && word.is_of(Key { at, generation }) && !word.has(WAITERS);
    if is_free { Ok(()) } else { Err(format!("the lock is left as {word:?}")) }
}

fn use_queue(context: &coheap_core::journal::Context, queue: &Queue) -> Result<()> {
    queue.put(context, b"last")?;
    let lease = queue.lease(context, &mut Vec::new())?;
    queue.ack(context, &lease)
}
