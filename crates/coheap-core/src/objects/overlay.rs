//! Overlays: the private writes of a transaction to one object, until it commits.
//!
//! Each kind that supports transactions has an overlay, in the memory of the process. The
//! transaction, a floor above, owns the overlays, takes the locks and applies all overlays as one
//! change. It calls the same methods of every overlay. Each kind writes the operations of users
//! inside a transaction once, on [`Inside`].
//!
//! What always holds:
//!
//! - `prepare` may make changes, but only changes that keep the content of every object.
//! - After every overlay was prepared, under the turns that it named, `apply` fails only in a
//!   damaged heap.

use std::any::Any;

use smallvec::SmallVec;

use crate::allocator::{self, Room};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context, Held};
use crate::kind::for_each_kind;
use crate::memory::layout::Object;
use crate::memory::{Region, Signal};
use crate::objects::cell::{self, Cell};
use crate::objects::header::Handle;
use crate::objects::kinds;
use crate::sync::Owner;

/// Turns that a commit takes.
pub(crate) type Turns = SmallVec<[u32; 8]>;
/// Who is woken after a commit, and how many of them.
pub(crate) type Wakes<'a> = SmallVec<[(&'a Signal, u32); 4]>;

/// What the one change of a commit needs.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// Blocks it takes.
    pub(crate) rooms: SmallVec<[Room; 8]>,
    /// Words it saves at most.
    pub(crate) words: usize,
}

impl Needs {
    /// Adds what it takes to replace the value in a cell.
    pub(in crate::objects) fn replacement(
        &mut self,
        region: &Region,
        old: Cell,
        new: &[u8],
    ) -> Result<()> {
        let stored = if cell::fits(region, old, new)? && new.len() > cell::INLINE {
            new.len().div_ceil(8)
        } else {
            self.rooms.extend(cell::room_of(new));
            allocator::TAKE_WORDS + allocator::GIVE_WORDS
        };
        self.words += 2 + stored;
        Ok(())
    }
}

/// What every overlay answers.
pub(crate) trait Overlaid {
    /// Whether the transaction has nothing of the object that others could wait for.
    fn holds_nothing(&self) -> bool;

    /// Whether the commit must have the object locked.
    fn needs_lock(&self) -> bool;

    /// The present state, to go back to.
    fn mark(&self) -> Box<dyn Any>;

    /// Goes back to a mark; without one, to the moment when the object was touched first. What was
    /// taken from the object since is given back.
    fn roll_back(&mut self, context: &Context, mark: Option<Box<dyn Any>>) -> Result<()>;

    /// Gives back what was taken from the object: the transaction ends, and did not commit.
    fn give_back(&mut self, _: &Context) {}

    /// Adds the turns that the commit must hold. None: there is nothing to apply.
    fn turns(&self, context: &Context, turns: &mut Turns);

    /// Looks everything up, finds every error, and says what `apply` needs. The turns are held.
    fn prepare(&mut self, held: &Held<'_>, needs: &mut Needs) -> Result<()>;

    /// Stores everything, within the one change.
    fn apply(&self, change: &mut Change<'_>) -> Result<()>;

    /// Adds those to be woken once the turns are let go, which are still held.
    fn wakes<'a>(&self, region: &'a Region, wakes: &mut Wakes<'a>);
}

macro_rules! define_overlay {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $noun:literal, $turns:literal,
        $folder:ident $(, $overlay:ident)?;)*) => {
        /// The overlay of an object, of whichever kind.
        #[derive(Debug)]
        pub(crate) enum Overlay {
            $($($variant(kinds::$folder::$overlay),)?)*
        }

        impl Overlay {
            /// What all overlays have in common.
            pub(crate) fn get(&self) -> &dyn Overlaid {
                match self {
                    $($(Self::$variant(overlay @ kinds::$folder::$overlay { .. }) => overlay,)?)*
                }
            }

            /// As [`get`](Self::get), to be changed.
            pub(crate) fn get_mut(&mut self) -> &mut dyn Overlaid {
                match self {
                    $($(Self::$variant(overlay @ kinds::$folder::$overlay { .. }) => overlay,)?)*
                }
            }
        }
    };
}
for_each_kind!(define_overlay);

/// A kind that can be in transactions.
pub trait Transactional: Copy {
    #[doc(hidden)]
    fn lockable(&self) -> Lockable;
}

/// An object that a transaction can touch.
#[derive(Debug, Clone, Copy)]
pub struct Lockable {
    /// The object.
    pub handle: Handle,
    /// Makes an overlay without any writes.
    fresh: fn(Handle, &Region) -> Overlay,
}

impl Lockable {
    /// This object.
    pub fn of(object: &impl Transactional) -> Self {
        object.lockable()
    }

    pub(in crate::objects) fn new(handle: Handle, fresh: fn(Handle, &Region) -> Overlay) -> Self {
        Self { handle, fresh }
    }

    /// An overlay for it.
    pub(crate) fn overlay(&self, region: &Region) -> Overlay {
        (self.fresh)(self.handle, region)
    }
}

/// When a transaction locks an object that it touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Locking {
    /// Before the object is read.
    Now,
    /// By the commit: nothing in the object is read before.
    Later,
    /// Never: what the transaction has of it, it has taken out.
    Never,
}

/// What an object sees of the transaction that it is in.
pub(crate) trait Intent {
    /// The overlay of an object, and the thread.
    fn overlay(&mut self, object: &Lockable, locking: Locking) -> Result<(&mut Overlay, &Context)>;

    /// As `overlay`, of an object that may be touched whatever happened meanwhile.
    fn entered(&mut self, object: &Lockable) -> &mut Overlay;

    /// Runs what may wait, which it does while the transaction holds nothing.
    fn run_beside(&mut self, operation: &mut dyn FnMut(&Context) -> Result<()>) -> Result<()>;
}

/// An object inside a transaction: what is done here happens when the transaction commits.
pub struct Inside<'t, T> {
    pub(in crate::objects) intent: &'t mut dyn Intent,
    pub(in crate::objects) object: T,
}

impl<'t, T: Transactional> Inside<'t, T> {
    /// This object, for this transaction.
    pub(crate) fn new(intent: &'t mut dyn Intent, object: &T) -> Self {
        Self { intent, object: *object }
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Inside<'_, T> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Inside").field("object", &self.object).finish_non_exhaustive()
    }
}

/// The object, which this thread must have locked.
pub(in crate::objects) fn locked<'a>(held: &Held<'a>, handle: &Handle) -> Result<&'a Object> {
    let object = handle.object(held.context().region())?;
    let owner = Owner::of(object.lock.get());
    if owner == held.context().me() {
        return Ok(object);
    }
    Err(Error::Corrupt(Corrupt { what: "lock of a transaction", at: owner.bits() }))
}
