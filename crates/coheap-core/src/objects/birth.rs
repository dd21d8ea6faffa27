//! Creating an object and ending one, within a change of the caller's.
//!
//! The change that creates an object also stores where it can be found: under a name in the
//! directory, or in the ledger of a process. Both happen in one change, so no object is ever lost.
//!
//! What always holds: the blocks are allocated before the change begins, so it cannot fail half
//! way.

use crate::allocator::{self, Room};
use crate::defect::{Mistake, defect};
use crate::error::{Error, Result};
use crate::journal::{Change, Context};
use crate::kind::Kind;
use crate::memory::Region;
use crate::memory::layout::Object;
use crate::objects::header::{self, Handle};
use crate::objects::kinds::{self, DETACH_WORDS, FILL_WORDS, OfHandle, Recipe, Typed};
use crate::objects::wait::ring_everybody;
use crate::sync::parking::Key;

/// Returns an error inside a transaction, which could not undo the creation or removal of an
/// object.
pub(super) fn refuse_inside(context: &Context) -> Result<()> {
    if context.kept.transaction.is_open() {
        return Err(Error::BadArgument(
            "objects are created and removed outside of transactions only",
        ));
    }
    Ok(())
}

/// Words that `make` saves at most.
pub(super) const MAKE_WORDS: usize = header::CREATE_WORDS + FILL_WORDS;

/// Makes the blocks that `make` needs pending, and one more for its caller.
pub(super) fn ensure(context: &Context, recipe: &impl Recipe, more: Option<Room>) -> Result<()> {
    let mut rooms = vec![header::ROOM];
    rooms.extend(more);
    recipe.prepare(context, &mut rooms)?;
    allocator::ensure_all(context, &mut rooms)
}

/// Creates an object, which no other process can reach before the change commits.
pub(super) fn make<R: Recipe>(change: &mut Change<'_>, recipe: &R) -> Result<R::Object> {
    let fill = |change: &mut Change<'_>, object: &Object| recipe.fill(change, object);
    header::create(change, R::Object::KIND, recipe.turn(), fill).map(R::Object::of)
}

/// Words that `end` saves at most.
pub(super) const END_WORDS: usize = header::DESTROY_WORDS + DETACH_WORDS;

/// Prepares `end`. The object's turns are held.
pub(super) fn ensure_end(context: &Context, handle: &Handle, kind: Kind) -> Result<()> {
    kinds::shape(kind).prepare_removal(context, handle.object(context.region())?)
}

/// Ends an object, whose turns are held: moves everything that hangs from it into a husk.
/// `husk::dismantle` does the rest once the turns are free. Returns who has to hear of it: for
/// [`Ended::tell`] after the commit.
pub(super) fn end(change: &mut Change<'_>, handle: &Handle, kind: Kind) -> Result<Ended> {
    let object = handle.object(change.region())?;
    kinds::shape(kind).detach(change, object)?;
    header::destroy(change, handle)?;
    Ok(Ended { key: Some(handle.key()) })
}

/// An object that ends with the change of the caller's.
#[must_use]
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// `None` if no object has ended.
    key: Option<Key>,
}

impl Ended {
    /// Ends the object's locks, after the commit and under its turn, and rings everybody who waits
    /// for it.
    pub(super) fn tell(self, region: &Region) {
        let Some(key) = self.key else { return };
        if let Ok(object) = region.at::<Object>(key.at) {
            let generation = key.generation.wrapping_add(1);
            header::free_locks(region, object, Key { generation, ..key });
        }
        if !defect(Mistake::RingNobodyAtRemoval) {
            ring_everybody(region, key.at);
        }
    }
}
