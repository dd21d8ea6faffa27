//! Room: blocks and runs on their way between arenas and pending chains.
//!
//! None of this changes what any object holds. What a victim had pending must be found by the
//! integrity walk all the same.

use std::rc::Rc;

use coheap_core::allocator::{self, HEADER_CLASS, Room, arena, buffer};
use coheap_core::error::Result;
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::journal::Context;
use coheap_core::objects::{cell, header};

use crate::world::operation::Operation;
use crate::world::stage::Stage;
use crate::world::states::ALL;

const NOTHING: &[&str] = &[];

/// Many blocks of a few classes and some runs, all pending.
fn hoard(_: &Stage, context: &Rc<Context>) -> Result<()> {
    allocator::ensure(context, Room::Class(3), 90)?;
    allocator::ensure(context, Room::Class(20), 20)?;
    allocator::ensure(context, Room::Run(2), 2)?;
    allocator::ensure(context, Room::Class(HEADER_CLASS), 5)
}

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::new(&["pending::ensure", "arena::refill"], "a class", ALL, NOTHING, {
        |_, context| {
            allocator::ensure(context, Room::Class(3), 40)?;
            allocator::ensure(context, Room::Class(17), 3)?;
            arena::refill(context, 5, 1).map(|_| ())
        }
    }),
    Operation::new(&["pending::ensure_all", "buffer::ensure_run"], "runs too", ALL, NOTHING, {
        |_, context| {
            let mut rooms = [Room::Run(2), Room::Class(28), Room::Class(3), Room::Class(3)];
            allocator::ensure_all(context, &mut rooms)?;
            buffer::ensure_run(context, 3)
        }
    }),
    Operation::new(&["pending::tidy"], "far too much", ALL, NOTHING, |_, context| {
        allocator::tidy(context)
    })
    .prepared(hoard),
    Operation::new(
        &["pending::reclaim", "pending::drain_all"],
        "all",
        ALL,
        NOTHING,
        |_, context| allocator::reclaim(context),
    )
    .prepared(hoard),
    Operation::new(&["arena::drain", "tidy::drain_runs"], "own", ALL, NOTHING, |_, context| {
        arena::drain(context, context.index(), 3, 90, 10)?;
        buffer::drain_runs(context, context.index())
    })
    .prepared(hoard),
    Operation::new(&["cell::ensure"], "new spans", ALL, NOTHING, {
        |_, context| {
            allocator::ensure(context, Room::Class(HEADER_CLASS), 130)?;
            coheap_core::allocator::ensure(context, header::ROOM, 1)?;
            cell::ensure(context, &[b'c'; 5000])
        }
    }),
];
