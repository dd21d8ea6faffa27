//! Temporary heaps: who keeps one, and when it ends.
//!
//! A process keeps a temporary heap from the moment it joins until it parts from it or dies. A heap
//! that nobody keeps has ended: whoever finds its files removes them, and an opener makes a new
//! heap in its place.
//!
//! What always holds: joining, parting and the decision that a heap has ended happen under the
//! turn of the directory. So of members that leave at once the last one sees that it is the last,
//! and nobody joins a heap that has ended. The heap is kept by its creator before it has a name.
//!
//! Not here: files that lie beside no heap (`sweep`).

use std::path::Path;

use super::files::unlink_files;
use super::{Files, NOBODYS, create, enter};
use crate::defect::{Mistake, defect};
use crate::error::{Error, Result};
use crate::journal::{Context, recovery};
use crate::memory::Region;
use crate::memory::layout::DIRECTORY_TURN;
use crate::sync::life::{Member, Standing, State, StateWord};
use crate::sync::{Census, Incarnation};

/// Set in `joined` beside the epoch, which may be 0.
const JOINED: u64 = 1 << 32;

fn mark(who: Incarnation) -> u64 {
    JOINED | u64::from(who.epoch)
}

pub(super) fn is_temporary(region: &Region) -> bool {
    region.header().flags.get() & create::TEMPORARY != 0
}

/// The process keeps the heap from now on, if the heap is temporary. The caller holds the
/// directory's turn, or the heap is kept by another process meanwhile, or has no name.
pub(super) fn join(region: &Region, who: Incarnation) {
    if is_temporary(region) {
        Region::store(&region.slot(who.slot).joined, mark(who));
    }
}

/// The child of a process that keeps the heap keeps it, too.
pub(super) fn join_child(parent: &Member, child: Incarnation) {
    let region = parent.region();
    if region.slot(parent.slot()).joined.get() == mark(parent.incarnation()) {
        Region::store(&region.slot(child.slot).joined, mark(child));
    }
}

/// The process of a context parts from a temporary heap. If nobody else keeps it, its files are
/// removed.
///
/// If another process keeps the turn beyond `until`, nobody decides: that process keeps the heap, or
/// has decided already, and then the next opener finds that the heap has ended.
pub(super) fn part(
    context: &Context,
    files: &Files,
    path: Option<&Path>,
    until: u64,
) -> Result<()> {
    if !is_temporary(&files.region) {
        return Ok(());
    }
    let parted = || Region::store(&files.region.slot(context.member().slot()).joined, 0);
    let is_done = context.done_until(until, || {
        let _held = context.hold(DIRECTORY_TURN)?;
        parted();
        match path {
            Some(path) if !is_kept(context.member()) => unlink_files(path, files),
            _ => Ok(()),
        }
    })?;
    if !is_done {
        parted();
    }
    Ok(())
}

/// Returns whether another process than that of `member` keeps the heap.
fn is_kept(member: &Member) -> bool {
    let census = member.census();
    (0..census.region().real_slots())
        .filter(|slot| *slot != member.slot())
        .any(|slot| keeps(census, slot))
}

fn keeps(census: &Census, index: u32) -> bool {
    let slot = census.region().slot(index);
    let word = StateWord(slot.state.acquire());
    let who = Incarnation { slot: index, epoch: word.epoch() };
    let has_joined = match word.state() {
        State::Live => slot.joined.get() == mark(who),
        State::Unborn => true,
        _ => false,
    };
    // What cannot be found out counts as alive.
    has_joined && !matches!(census.standing(who), Ok(Standing::Dead | Standing::Settled))
}

/// The process of a context joins a heap that it found by its name. Returns `false` if the heap has
/// lost its name or has ended; its files are removed then.
pub(super) fn join_found(context: &Context, files: &Files, path: &Path) -> Result<bool> {
    let _held = context.hold(DIRECTORY_TURN)?;
    let is_there = files.region.file().ownership()?.links > 0 && !end(context, files, path)?;
    if is_there {
        join(&files.region, context.member().incarnation());
    }
    Ok(is_there)
}

/// Removes the files of a temporary heap if it has ended, and returns whether it has. Nothing else
/// of the heap is touched, so it may be large or damaged.
///
/// # Errors
///
/// [`Error::Busy`](crate::Error::Busy) at the deadline; [`Error::Interrupted`](crate::Error::Interrupted).
pub(super) fn end_if_left(files: &Files, path: &Path, deadline: Option<u64>) -> Result<bool> {
    if !is_temporary(&files.region) {
        return Ok(false);
    }
    let context = Context::claim(enter(files.census()?)?, NOBODYS)?;
    context.until(deadline, || {
        let _held = match context.hold(DIRECTORY_TURN) {
            // With no time left nobody has looked whether the one that has it is dead.
            Err(Error::Busy { .. }) => {
                let member = context.member();
                recovery::sweep(member.census(), Some(member.incarnation()), 0, 1)?;
                context.hold(DIRECTORY_TURN)?
            }
            other => other?,
        };
        end(&context, files, path)
    })
}

fn end(context: &Context, files: &Files, path: &Path) -> Result<bool> {
    let is_left = is_temporary(&files.region) && !is_kept(context.member());
    let has_ended = is_left && !defect(Mistake::KeepTemporaryOfDead);
    if has_ended {
        unlink_files(path, files)?;
    }
    Ok(has_ended)
}
