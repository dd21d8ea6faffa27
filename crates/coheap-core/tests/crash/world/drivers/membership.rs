//! Coming, going, and putting the dead in order.
//!
//! Recovery is an operation too: a victim dies in the middle of it, and the next one goes on.

use coheap_core::error::Result;
use coheap_core::heap::Heap;
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::journal::Context;
use coheap_core::objects::estate;
use coheap_core::os::HeapFile;
use coheap_core::sync::life::{State, StateWord};
use coheap_core::sync::{Incarnation, Owner, Patience, row};

use crate::world::operation::{Operation, Run};
use crate::world::stage::Stage;
use crate::world::states::{ALL, DEATHS};

const BOTH: &[&str] = &["queue", "work", "map"];

fn attach(stage: &Stage) -> Result<()> {
    stage.heap.with(|_| Ok(()))
}

/// Attaches as a process does that inherited the files and nothing else.
fn attach_anew(stage: &Stage) -> Result<()> {
    let inherited = |file: &HeapFile| {
        let copy = file.descriptor().try_clone_to_owned().expect("a descriptor");
        HeapFile::from_descriptor(copy)
    };
    let heap = Heap::from_files(stage.heap.files().map(inherited))?;
    std::mem::forget(heap);
    Ok(())
}

/// Has a child that ends at once.
pub(crate) fn fork(_: &Stage) -> Result<()> {
    crate::support::child::fork(|| 0).must_succeed();
    Ok(())
}

fn estates(stage: &Stage) -> impl Iterator<Item = Incarnation> + '_ {
    (0..stage.region().real_slots()).filter_map(|slot| {
        let word = StateWord(stage.region().slot(slot).state.acquire());
        (word.state() == State::Estate).then_some(Incarnation { slot, epoch: word.epoch() })
    })
}

/// Takes a row as another thread of the process would, and gives it back as a thread does that took
/// this many locks, of which others have released some before it ended.
fn come_and_go(context: &Context, locks: u16, released: u16) -> Result<Owner> {
    let region = context.region();
    let thread = row::claim(region, context.member().slot())?.expect("a row");
    (0..released).for_each(|_| row::released_for(region, thread));
    row::end(region, thread, locks);
    Ok(thread)
}

const ATTACH: Operation = Operation {
    run: Run::Alone(attach),
    ..Operation::new(&["Heap::context", "Heap::with"], "attach", DEATHS, BOTH, |_, _| Ok(()))
};

const ATTACH_ANEW: Operation = Operation {
    run: Run::Alone(attach_anew),
    ..Operation::new(&["Heap::from_files"], "attach anew", DEATHS, BOTH, |_, _| Ok(()))
};

pub(crate) const OPERATIONS: &[Operation] = &[
    ATTACH,
    ATTACH_ANEW,
    Operation::new(&["Heap::context"], "fork", DEATHS, BOTH, |stage, _| fork(stage)),
    Operation::new(&["Heap::context"], "a row and its end", DEATHS, BOTH, |_, context| {
        come_and_go(context, 1, 1).map(|_| ())
    }),
    Operation::new(&["Heap::context"], "a row left with locks", DEATHS, BOTH, |_, context| {
        come_and_go(context, 3, 1).map(|_| ())
    }),
    Operation::new(&["Heap::context"], "the last lock of a row", DEATHS, BOTH, |_, context| {
        let thread = come_and_go(context, 2, 0)?;
        (0..2).for_each(|_| row::released_for(context.region(), thread));
        Ok(())
    }),
    // A heap without a name has none to remove: then nothing is done.
    Operation::new(&["Heap::address", "Heap::unlink"], "without a name", ALL, BOTH, |stage, _| {
        stage.heap.address().and_then(|_| stage.heap.unlink())
    }),
    Operation::new(&["Heap::close_for_one"], "the last one", ALL, BOTH, |stage, _| {
        stage.heap.close_for_one()
    }),
    Operation::new(&["Heap::close", "estate::leave"], "with leases", ALL, BOTH, |stage, _| {
        stage.heap.close()
    })
    .prepared(|stage, context| {
        let _ = stage.queue.lease(context, &mut Vec::new());
        let _ = stage.queue.lease(context, &mut Vec::new());
        let _ = stage.work.lease(context, &mut Vec::new());
        Ok(())
    }),
    Operation::new(&["estate::sweep", "Heap::sweep"], "all", DEATHS, BOTH, |stage, _| {
        stage.heap.sweep().map(|_| ())
    }),
    Operation::new(&["estate::sweep_if_due"], "due", DEATHS, BOTH, |_, context| {
        estate::sweep_if_due(context).map(|_| ())
    }),
    Operation::new(&["estate::sweep_in_passing"], "in passing", DEATHS, BOTH, |_, context| {
        estate::sweep_in_passing(context)
    }),
    Operation::new(&["estate::tick"], "a part", DEATHS, BOTH, |_, context| {
        estate::tick(context, 1, &Patience::new(None))
    }),
    Operation::new(
        &["estate::settle_all", "estate::settle"],
        "what is recovered",
        DEATHS,
        BOTH,
        |stage, context| {
            for dead in estates(stage) {
                estate::settle(context, dead)?;
            }
            estate::settle_all(context)
        },
    ),
];
