//! Pages: spans get them, are refused, and give them back; what is full gives room.
//!
//! None of this changes what any object holds. Unreal runs that a victim leaves must be found by the
//! integrity walk, and by whoever needs room.

use std::rc::Rc;

use coheap_core::allocator::{arena, span};
use coheap_core::error::Result;
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::journal::Context;
use coheap_core::memory::layout::SPAN_BYTES;

use crate::support::child::limit;
use crate::world::operation::Operation;
use crate::world::stage::Stage;
use crate::world::states::ALL;

const NOTHING: &[&str] = &[];

/// Everything that is free becomes a hole.
fn trimmed(stage: &Stage, _: &Rc<Context>) -> Result<()> {
    stage.heap.trim().map(drop)
}

/// Holes, and free runs with pages beside them.
fn half_trimmed(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    trimmed(stage, context)?;
    span::make_real(context, 20)
}

/// The limit of the size of files lets nothing grow, and no hole get pages.
fn grow_in_vain(context: &Context, spans: u64) -> Result<()> {
    limit(libc::RLIMIT_FSIZE, 4096);
    span::make_real(context, spans)
}

/// One more span than have pages.
fn more_than_there_are(context: &Context) -> u64 {
    context.region().committed_spans() + 1
}

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::new(&["grow::make_real"], "beyond", ALL, NOTHING, |_, context| {
        span::make_real(context, more_than_there_are(context) - 1)
    }),
    Operation::new(&["grow::make_real", "grow::settle_unreal"], "a hole", ALL, NOTHING, {
        |_, context| {
            span::settle_unreal(context, context.index())?;
            span::make_real(context, 3)?;
            span::make_real(context, 30)
        }
    })
    .prepared(trimmed),
    Operation::new(&["grow::make_real_together"], "beyond and holes", ALL, NOTHING, {
        |_, context| {
            span::make_real_together(context, 20)?;
            span::make_real_together(context, more_than_there_are(context))
        }
    })
    .prepared(trimmed),
    Operation::new(&["grow::make_real"], "refused", ALL, NOTHING, |_, context| {
        grow_in_vain(context, more_than_there_are(context))
    }),
    Operation::new(&["grow::make_real"], "a hole, refused", ALL, NOTHING, |_, context| {
        grow_in_vain(context, 2)
    })
    .prepared(trimmed),
    Operation::new(&["trim::trim", "Heap::trim"], "all", ALL, NOTHING, |stage, context| {
        span::trim(context)?;
        stage.heap.trim().map(drop)
    }),
    Operation::new(&["trim::trim"], "beside holes", ALL, NOTHING, |_, context| {
        span::trim(context).map(drop)
    })
    .prepared(half_trimmed),
    Operation::new(&["trim::trim_if_due"], "due or not", ALL, NOTHING, |_, context| {
        let map = &context.region().header().spans;
        coheap_core::memory::Region::swap(&map.looked, 0);
        span::trim_if_due(context, 0).map(|_| ())
    }),
    Operation::new(&["arena::release_empty"], "all", ALL, NOTHING, |_, context| {
        arena::release_empty(context).map(drop)
    }),
];

const _: () = assert!(SPAN_BYTES > 4096, "the limit of the size of files lets no span grow");
