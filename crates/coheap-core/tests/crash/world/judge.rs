//! What is asked of a heap after a death: that it recovers, is whole, and holds what it may.
//!
//! What always holds: the judge is the parent, which was attached all along and held nothing.

use coheap_core::check::check;
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::memory::layout::ARENA_COUNT;
use coheap_core::objects::estate;
use coheap_core::sync::life::{State, StateWord};
use coheap_core::sync::row::{self, RowWord};

use super::snapshot::{self, Snapshot};
use super::stage::Stage;

/// The parent recovers, walks the heap, and looks at every object.
pub(crate) fn recover(stage: &Stage, victims: &[u32]) -> Result<Snapshot, String> {
    let context = stage.context();
    estate::sweep(&context).map_err(|error| format!("the sweep answers {error:?}"))?;
    for slot in 0..stage.region().real_slots() {
        let state = StateWord(stage.region().slot(slot).state.acquire()).state();
        if slot != context.member().slot() && state != State::Free {
            return Err(format!("slot {slot} is {state:?} after the sweep"));
        }
    }
    let own = context.member().slot();
    for row in 0..stage.region().real_rows() {
        let word = RowWord(stage.region().context(row).state.acquire());
        let is_taken = matches!(word.state(), row::State::Held | row::State::Orphan);
        if word.state() == row::State::Tended || is_taken && word.slot() != Some(own) {
            return Err(format!("row {row} is {word:?} after the sweep"));
        }
    }
    for arena in (0..ARENA_COUNT).map(|arena| stage.region().arena(arena)) {
        if arena.husks.get() != 0 || arena.freed.get() != 0 {
            return Err("something is left to be taken apart after the sweep".to_owned());
        }
    }
    walk(stage)?;
    snapshot::take(stage, victims).map_err(|error| format!("a look got {error:?}"))
}

/// The integrity walk.
pub(crate) fn walk(stage: &Stage) -> Result<(), String> {
    let walked = check(&stage.context());
    walked.map(|_| ()).map_err(|error| format!("the walk found {error:?}"))
}
