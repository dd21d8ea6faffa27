//! Values that are too long for a block: built, stored, read, compared, replaced, taken out.
//!
//! A victim that dies while it builds leaves a pending run; one that dies while it reads leaves a name
//! in its row. Neither may keep anything. Among the start states is one in which no free run is long
//! enough, so values get several pieces.

use std::rc::Rc;

use coheap_core::allocator::{self, buffer};
use coheap_core::error::{Error, Result};
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::journal::Context;
use coheap_core::objects::cell::{self, Cell};
use coheap_core::objects::ledger;
use coheap_core::transaction::Transaction;

use crate::world::drivers::membership;
use crate::world::kinds::map::entry;
use crate::world::operation::{Operation, State};
use crate::world::stage::Stage;
use crate::world::states::{ALL, state, tiny};

const NOTHING: &[&str] = &[];
const TEXT: &[&str] = &["text"];
const MAP: &[&str] = &["map"];
const QUEUE: &[&str] = &["queue"];
const SEVERAL: &[&str] = &["text", "map", "queue"];
const KEY: &[u8] = b"long";
const LEN: usize = 40_000;

fn bytes(byte: u8) -> Vec<u8> {
    vec![byte; LEN]
}

fn set_all(stage: &Stage) {
    let context = stage.context();
    stage.text.set(&context, &bytes(b'l')).expect("room");
    stage.map.set(&context, KEY, &bytes(b'm')).expect("room");
    stage.queue.put(&context, &bytes(b'q')).expect("room");
}

/// Leaves free runs of a single span only.
fn scatter(stage: &Stage) {
    set_all(stage);
    let context = stage.context();
    let mut count = 0;
    loop {
        match stage.map.set(&context, &entry(1000 + count).0, &vec![b's'; 10_000]) {
            Ok(_) => count += 1,
            Err(Error::HeapFull { .. }) => break,
            Err(other) => panic!("{other:?}"),
        }
    }
    for number in (0..count).step_by(2) {
        let removed = stage.map.remove(&context, &entry(1000 + number).0, &mut Vec::new());
        assert_eq!(removed, Ok(true));
    }
}

const LONG: &[State] =
    &[state("short", |_| {}), state("long", set_all), tiny("scattered", scatter)];

fn read_in_part(context: &Context, stage: &Stage) -> Result<()> {
    let mut out = Vec::new();
    stage.text.get(context, &mut out)?;
    stage.map.get(context, KEY, &mut out)?;
    stage.map.snapshot(context).map(drop)
}

/// The victim pins the long value of the map, if there is one.
fn pin(stage: &Stage, context: &Context) -> Result<()> {
    if let Some((_, reference)) = stage.map.pin(context, KEY)? {
        stage.references.borrow_mut().push(reference);
    }
    Ok(())
}

fn unpin(stage: &Stage, context: &Context) -> Result<()> {
    stage.references.borrow().last().map_or(Ok(()), |pin| ledger::release(context, pin))
}

/// The same, and the pin is all that is left of it.
fn pin_alone(stage: &Stage, context: &Context) -> Result<()> {
    pin(stage, context)?;
    stage.map.remove(context, KEY, &mut Vec::new())?;
    buffer::tidy(context).map(drop)
}

fn hoard(_: &Stage, context: &Rc<Context>) -> Result<()> {
    for spans in [1, 2, 3, 40] {
        buffer::ensure_run(context, spans)?;
    }
    Ok(())
}

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::new(&["Value::set"], "long", LONG, TEXT, |stage, context| {
        stage.text.set(context, &bytes(b'n'))
    }),
    Operation::new(&["Value::set"], "from long to short", LONG, TEXT, |stage, context| {
        stage.text.set(context, b"short")
    }),
    Operation::new(&["Value::get"], "long", LONG, SEVERAL, |stage, context| {
        read_in_part(context, stage)
    }),
    Operation::new(&["Value::compare_and_set"], "long", LONG, TEXT, |stage, context| {
        stage.text.compare_and_set(context, &bytes(b'l'), &bytes(b'n')).map(drop)
    }),
    Operation::new(&["Map::set"], "long", LONG, MAP, |stage, context| {
        stage.map.set(context, KEY, &bytes(b'n')).map(drop)
    }),
    Operation::new(&["Map::set"], "long key", LONG, MAP, |stage, context| {
        stage.map.set(context, &bytes(b'k'), &bytes(b'n')).map(drop)
    }),
    Operation::new(&["Map::set_many"], "long", LONG, MAP, |stage, context| {
        let (old, new) = (bytes(b'n'), bytes(b'o'));
        let entries = [(KEY, &old[..]), (b"new", &new[..]), (b"short", b"s")];
        stage.map.set_many(context, &entries.into_iter().collect()).map(drop)
    }),
    Operation::new(&["Map::compare_and_set"], "long", LONG, MAP, |stage, context| {
        let (old, new) = (bytes(b'm'), bytes(b'n'));
        stage.map.compare_and_set(context, KEY, Some(&old), Some(&new)).map(drop)
    }),
    Operation::new(&["Map::remove"], "long", LONG, MAP, |stage, context| {
        stage.map.remove(context, KEY, &mut Vec::new()).map(drop)
    }),
    Operation::new(&["Queue::put"], "long", LONG, QUEUE, |stage, context| {
        stage.queue.put(context, &bytes(b'n'))
    }),
    Operation::new(&["Queue::get"], "long", LONG, QUEUE, |stage, context| {
        stage.queue.get(context, &mut Vec::new())
    }),
    Operation::new(&["Queue::ack"], "long", LONG, QUEUE, |stage, context| {
        let lease = stage.leases.borrow()[0];
        stage.queue.ack(context, &lease)
    })
    .prepared(|stage, context| {
        let lease = stage.queue.lease(context, &mut Vec::new())?;
        stage.leases.replace(vec![lease]);
        Ok(())
    }),
    Operation::new(&["Transaction::commit"], "long", LONG, SEVERAL, |stage, context| {
        let mut block = Transaction::begin(Rc::clone(context), None)?;
        block.on(&stage.text).set(&bytes(b'n'))?;
        block.on(&stage.map).set(KEY, &bytes(b'n'))?;
        block.commit()
    }),
    Operation::new(&["Map::pin", "Value::pin"], "long", LONG, NOTHING, |stage, context| {
        stage.text.pin(context)?;
        stage.map.pin(context, KEY).map(drop)
    }),
    Operation::new(&["ledger::release"], "a pin", LONG, NOTHING, |stage, context| {
        unpin(stage, context)
    })
    .prepared(|stage, context| pin(stage, context)),
    Operation::new(&["ledger::release"], "the last pin", LONG, NOTHING, |stage, context| {
        unpin(stage, context)
    })
    .prepared(|stage, context| pin_alone(stage, context)),
    Operation::new(&["ledger::bequeath"], "a pin", LONG, NOTHING, |stage, _| {
        membership::fork(stage)
    })
    .prepared(|stage, context| pin(stage, context)),
    Operation::new(&["Map::remove"], "a pinned value", LONG, MAP, |stage, context| {
        stage.map.remove(context, KEY, &mut Vec::new()).map(drop)
    })
    .prepared(|stage, context| pin(stage, context)),
    Operation::new(&["pending::build", "build::build"], "long", LONG, NOTHING, |_, context| {
        allocator::build(context, &bytes(b'n'), 0).map(drop)
    }),
    Operation::new(&["build::gather"], "long", LONG, NOTHING, |_, context| {
        buffer::gather(context, &bytes(b'n'), 0).map(drop)
    }),
    Operation::new(&["buffer::ensure_runs", "buffer::ensure_run"], "long", ALL, NOTHING, {
        |_, context| buffer::ensure_runs(context, 3, 2)
    }),
    Operation::new(&["tidy::tidy"], "long", ALL, NOTHING, |_, context| {
        buffer::tidy(context).map(drop)
    })
    .prepared(hoard),
    Operation::new(&["tidy::drain_runs"], "long", ALL, NOTHING, |_, context| {
        buffer::drain_runs(context, context.index())
    })
    .prepared(hoard),
    Operation::new(&["long::make_room"], "long", LONG, NOTHING, |_, context| {
        cell::make_room(context, Cell::NOTHING, &mut Vec::new())
    }),
];
