//! Values that refer to objects: packed, stored in every kind of cell, replaced and freed.
//!
//! The parent has an object without a name, which the values refer to, and a parcel with it in the
//! map, the queue and the value, unless the start state is "none". What a victim packs or takes
//! out is counted right afterwards: the walk sees to that.

use std::rc::Rc;

use coheap_core::error::Result;
use coheap_core::journal::Context;
use coheap_core::objects::{ledger, parcel};
use coheap_core::transaction::Transaction;

use crate::world::operation::Operation;
use crate::world::stage::Stage;
use crate::world::states::{PARCELS, pack_two};

const ALL: &[&str] = &["map", "queue", "text"];

/// Packs a parcel for the operation to store.
fn prepare(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    let packed = pack_two(stage, context)?;
    stage.parcels.borrow_mut().push(packed);
    Ok(())
}

fn packed(stage: &Stage) -> Vec<u8> {
    stage.parcels.borrow().last().expect("prepared").1.clone()
}

fn begin(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    prepare(stage, context)?;
    let mut transaction = Transaction::begin(Rc::clone(context), None)?;
    transaction.on(&stage.map).set(b"key", &packed(stage))?;
    stage.transaction.replace(Some(transaction));
    Ok(())
}

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::new(&["parcel::pack"], "two references", PARCELS, ALL, |stage, context| {
        pack_two(stage, context).map(|_| ())
    }),
    Operation::new(&["parcel::discard"], "packed", PARCELS, ALL, |stage, context| {
        let parcel = stage.parcels.borrow().last().expect("prepared").0;
        parcel::discard(context, &parcel)
    })
    .prepared(prepare),
    Operation::new(&["Map::set"], "a parcel", PARCELS, ALL, |stage, context| {
        stage.map.set(context, b"key", &packed(stage)).map(|_| ())
    })
    .prepared(prepare),
    Operation::new(&["Map::set_many"], "with parcels", PARCELS, ALL, |stage, context| {
        let parcels = stage.parcels.borrow();
        let entries = [(&b"key"[..], &parcels[0].1[..]), (&b"new"[..], &parcels[1].1[..])];
        stage.map.set_many(context, &entries.into_iter().collect()).map(|_| ())
    })
    .prepared(|stage, context| {
        prepare(stage, context)?;
        prepare(stage, context)
    }),
    Operation::new(
        &["Map::remove", "parcel::let_go", "parcel::has_freed"],
        "a parcel",
        PARCELS,
        ALL,
        |stage, context| {
            stage.map.remove(context, b"key", &mut Vec::new())?;
            if parcel::has_freed(context) { parcel::let_go(context) } else { Ok(()) }
        },
    ),
    Operation::new(&["Map::clear"], "with parcels", PARCELS, ALL, |stage, context| {
        stage.map.clear(context)
    }),
    Operation::new(&["Value::set"], "a parcel", PARCELS, ALL, |stage, context| {
        stage.text.set(context, &packed(stage))
    })
    .prepared(prepare),
    Operation::new(&["Queue::put"], "a parcel", PARCELS, ALL, |stage, context| {
        stage.queue.put(context, &packed(stage))
    })
    .prepared(prepare),
    Operation::new(&["Queue::get"], "a parcel", PARCELS, ALL, |stage, context| {
        stage.queue.get(context, &mut Vec::new())?;
        parcel::let_go(context)
    }),
    Operation::new(&["Queue::ack"], "a parcel", PARCELS, ALL, |stage, context| {
        let lease = stage.leases.borrow().last().copied();
        lease.map_or(Ok(()), |lease| stage.queue.ack(context, &lease))?;
        parcel::let_go(context)
    })
    .prepared(|stage, context| {
        let lease = stage.queue.lease(context, &mut Vec::new())?;
        stage.leases.borrow_mut().push(lease);
        Ok(())
    }),
    Operation::new(&["Transaction::commit"], "a parcel", PARCELS, ALL, |stage, _| {
        stage.transaction.take().expect("prepared").commit()
    })
    .prepared(begin),
    Operation::new(&["ledger::release"], "of what parcels refer to", PARCELS, ALL, {
        |stage, context| {
            let first = stage.references.borrow().first().copied();
            first.map_or(Ok(()), |reference| ledger::release(context, &reference))
        }
    }),
];
