//! Objects without a name: made, referred to once more, given up, left to children and by the
//! dead.
//!
//! A victim's own references die with it, so what it made is gone afterwards; that no block is
//! lost and every reference is counted is seen by the walk.
//!
//! Not here: how objects of each kind are made without a name (`kinds`).

use std::sync::mpsc;
use std::thread::JoinHandle;

use coheap_core::AnyObject;
use coheap_core::error::Result;
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::journal::Context;
use coheap_core::objects::{Reference, ledger, map, queue};

use super::membership;
use crate::world::kinds::NAMELESS;
use crate::world::kinds::map::entry;
use crate::world::kinds::queue::item;
use crate::world::operation::Operation;
use crate::world::stage::Stage;
use crate::world::states::LEDGERS;

/// The parent's object, which children inherited.
fn inherited(stage: &Stage) -> Option<Reference> {
    stage.references.borrow().first().copied()
}

fn last(stage: &Stage) -> Reference {
    *stage.references.borrow().last().expect("prepared")
}

/// The victim makes a map with some entries that nobody else knows.
fn make_map(stage: &Stage, context: &Context) -> Result<()> {
    let (map, reference) = ledger::create(context, &map::Recipe)?;
    stage.references.borrow_mut().push(reference);
    for number in 0..12 {
        let (key, value) = entry(number);
        map.set(context, &key, &value)?;
    }
    Ok(())
}

/// The same with a queue, from which an item is on lease.
fn make_queue(stage: &Stage, context: &Context) -> Result<()> {
    let (queue, reference) = ledger::create(context, &queue::Recipe { limit: 0, max_attempts: 0 })?;
    stage.references.borrow_mut().push(reference);
    for number in 0..4 {
        queue.put(context, &item(number))?;
    }
    queue.lease(context, &mut Vec::new()).map(|_| ())
}

/// Another thread takes the turn of the parent's object and keeps it until it is told, or for ever.
/// Returns who tells it, and what it answers.
fn hold_elsewhere(
    stage: &Stage,
    reference: &Reference,
) -> (mpsc::Sender<()>, JoinHandle<Result<()>>) {
    let (heap, turn) = (stage.heap.clone(), reference.handle().turn);
    let (is_held, held) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let holder = std::thread::spawn(move || {
        heap.with(|context| {
            let _held = context.hold(turn)?;
            let _ = is_held.send(());
            let _ = may_go_on.recv();
            Ok(())
        })
    });
    let _ = held.recv();
    (go_on, holder)
}

/// From now on a child shares what its parent refers to.
fn keep_the_object(stage: &Stage) -> Result<()> {
    if let Some(reference) = inherited(stage) {
        std::mem::forget(hold_elsewhere(stage, &reference));
    }
    Ok(())
}

/// A child has shared the parent's reference.
fn lend(stage: &Stage) -> Result<()> {
    let Some(reference) = inherited(stage) else { return Ok(()) };
    let (go_on, holder) = hold_elsewhere(stage, &reference);
    let done = membership::fork(stage);
    drop(go_on);
    holder.join().expect("no panic").and(done)
}

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::new(
        &["ledger::claim", "AnyObject::find", "ledger::references"],
        "inherited",
        LEDGERS,
        NAMELESS,
        |stage, context| {
            let Some(known) = inherited(stage) else { return Ok(()) };
            let handle = known.handle();
            AnyObject::find(context, handle.at, handle.generation)?;
            ledger::claim(context, handle.at, handle.generation)?;
            ledger::references(context, &handle).map(|_| ())
        },
    ),
    Operation::new(&["ledger::release"], "inherited", LEDGERS, NAMELESS, |stage, context| {
        inherited(stage).map_or(Ok(()), |known| ledger::release(context, &known))
    }),
    Operation::new(&["ledger::release"], "last, of a map", LEDGERS, NAMELESS, |stage, context| {
        ledger::release(context, &last(stage))
    })
    .prepared(|stage, context| make_map(stage, context)),
    Operation::new(
        &["ledger::release"],
        "last, of a queue",
        LEDGERS,
        NAMELESS,
        |stage, context| ledger::release(context, &last(stage)),
    )
    .prepared(|stage, context| make_queue(stage, context)),
    Operation::new(&["ledger::bequeath"], "by a fork", LEDGERS, NAMELESS, |stage, _| {
        membership::fork(stage)
    }),
    Operation::new(&["ledger::bequeath"], "shared", LEDGERS, NAMELESS, |stage, _| {
        membership::fork(stage)
    })
    .prepared(|stage, _| keep_the_object(stage)),
    Operation::new(&["ledger::bequeath"], "shared again", LEDGERS, NAMELESS, |stage, _| {
        membership::fork(stage)
    })
    .prepared(|stage, _| lend(stage)),
    Operation::new(&["ledger::release"], "shared", LEDGERS, NAMELESS, |stage, context| {
        inherited(stage).map_or(Ok(()), |known| ledger::release(context, &known))
    })
    .prepared(|stage, _| lend(stage)),
    Operation::new(&["Heap::close"], "with references", LEDGERS, NAMELESS, |stage, _| {
        stage.heap.close()
    })
    .prepared(|stage, context| {
        make_map(stage, context)?;
        make_queue(stage, context)
    }),
];
