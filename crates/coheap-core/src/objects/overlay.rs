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

use smallvec::SmallVec;

use crate::allocator::{self, Room};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context, Held, MAX_WORDS};
use crate::kind::for_each_kind;
use crate::memory::Region;
use crate::memory::layout::Object;
use crate::objects::cell::{self, Cell, Overwrite};
use crate::objects::header::Handle;
use crate::objects::kinds;
use crate::sync::Owner;
use crate::sync::parking::Reason;

/// The turns that a commit takes.
pub(crate) type Turns = SmallVec<[u32; 8]>;
/// What a commit makes available, and how many of it each: those who wait for it are rung.
pub(crate) type Wakes = SmallVec<[(Handle, Reason, u32); 4]>;

/// The resources that the one change of a commit needs.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// The blocks it takes.
    pub(crate) rooms: SmallVec<[Room; 8]>,
    /// The number of words it saves at most.
    pub(crate) words: usize,
    /// Whether it stores long values, which are built before.
    pub(crate) has_long: bool,
    /// Where it writes values of maps over the old ones.
    pub(crate) overwrite: Overwrite,
}

impl Needs {
    /// Adds what storing a value takes outside its cell.
    #[inline]
    pub(in crate::objects) fn value(&mut self, bytes: &[u8]) {
        self.has_long |= cell::is_long(bytes);
        self.rooms.extend(cell::room_of(bytes));
    }

    /// Adds the resources for replacing the value in a cell.
    pub(in crate::objects) fn replacement(
        &mut self,
        region: &Region,
        old: Cell,
        new: &[u8],
        overwrite: Overwrite,
    ) -> Result<()> {
        if !cell::is_overwritten(region, old, new, overwrite)? {
            self.value(new);
        }
        self.words += replacement_words(region, old, new, overwrite)?;
        Ok(())
    }
}

/// Words that replacing the value in a cell saves at most.
pub(in crate::objects) fn replacement_words(
    region: &Region,
    old: Cell,
    new: &[u8],
    overwrite: Overwrite,
) -> Result<usize> {
    match cell::is_overwritten(region, old, new, overwrite)? {
        true => Ok(2 + new.len().div_ceil(8)),
        false => Ok(2 + allocator::TAKE_WORDS + allocator::GIVE_WORDS),
    }
}

/// Counts the words that the commit of the open transaction would save: so many more for what an
/// operation is about to write, and so many less for what that replaces.
///
/// # Errors
///
/// [`Error::TransactionTooLarge`] if the commit would not take it: nothing was counted.
#[inline]
pub(in crate::objects) fn charge(context: &Context, more: usize, less: usize) -> Result<()> {
    let words = &context.kept.transaction.words;
    let sum = (words.get() + more).saturating_sub(less);
    if sum > MAX_WORDS && more > less {
        return Err(Error::TransactionTooLarge { words: sum as u64, max: MAX_WORDS as u64 });
    }
    words.set(sum);
    Ok(())
}

/// As [`charge`], of what a transaction goes back to: it was accepted before.
pub(in crate::objects) fn recount(context: &Context, more: usize, less: usize) {
    let words = &context.kept.transaction.words;
    words.set((words.get() + more).saturating_sub(less));
}

/// The interface of every overlay.
pub(crate) trait Overlaid {
    /// Returns whether the transaction holds nothing of the object that other threads could wait
    /// for.
    fn holds_nothing(&self) -> bool;

    /// Returns whether the object must be locked for the commit.
    fn needs_lock(&self) -> bool;

    /// Returns a mark of the current state, to which `roll_back` can go back. It takes no time: from now
    /// on, the overlay keeps what it replaces.
    fn mark(&mut self) -> usize;

    /// Goes back to a mark; without a mark, to the moment when the object was first touched.
    /// Everything that was taken from the object since is returned. Later marks are gone.
    fn roll_back(&mut self, context: &Context, mark: Option<usize>) -> Result<()>;

    /// Returns everything that was taken from the object: the transaction ends without a commit.
    fn give_back(&mut self, _: &Context) {}

    /// Adds the turns that the commit must hold. Adds none if there is nothing to apply.
    fn turns(&self, context: &Context, turns: &mut Turns);

    /// Calls `build` with each long value that the commit may store; at each call they are the same
    /// ones.
    fn build_long(&self, _: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        Ok(())
    }

    /// Looks everything up, finds every error, and adds the resources that `apply` needs. The turns
    /// are held.
    fn prepare(&mut self, held: &Held<'_>, needs: &mut Needs) -> Result<()>;

    /// Stores all writes, within the one change.
    fn apply(&self, change: &mut Change<'_>) -> Result<()>;

    /// Adds what is there for others once the turns are released. They are still held.
    fn wakes(&self, region: &Region, wakes: &mut Wakes);

    /// Puts in order what the commit has left, without waiting for a turn: the locks are released.
    fn tidy(&self, _: &Context) -> Result<()> {
        Ok(())
    }
}

macro_rules! define_overlay {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $noun:literal, $turns:literal,
        $folder:ident $(, $overlay:ident)?;)*) => {
        /// The overlay of an object of any kind.
        #[derive(Debug)]
        pub(crate) enum Overlay {
            $($($variant(kinds::$folder::$overlay),)?)*
        }

        impl Overlay {
            /// Returns the common interface of the overlay.
            pub(crate) fn get(&self) -> &dyn Overlaid {
                match self {
                    $($(Self::$variant(overlay @ kinds::$folder::$overlay { .. }) => overlay,)?)*
                }
            }

            /// As [`get`](Self::get), mutable.
            pub(crate) fn get_mut(&mut self) -> &mut dyn Overlaid {
                match self {
                    $($(Self::$variant(overlay @ kinds::$folder::$overlay { .. }) => overlay,)?)*
                }
            }
        }
    };
}
for_each_kind!(define_overlay);

/// A kind that supports transactions.
pub trait Transactional: Copy {
    #[doc(hidden)]
    fn lockable(&self) -> Lockable;
}

/// An object that a transaction can touch.
#[derive(Debug, Clone, Copy)]
pub struct Lockable {
    /// The handle of the object.
    pub handle: Handle,
    /// Creates an overlay without writes.
    fresh: fn(Handle, &Region) -> Overlay,
}

impl Lockable {
    /// Returns this object.
    pub fn of(object: &impl Transactional) -> Self {
        object.lockable()
    }

    pub(in crate::objects) fn new(handle: Handle, fresh: fn(Handle, &Region) -> Overlay) -> Self {
        Self { handle, fresh }
    }

    /// Returns a new overlay for the object.
    pub(crate) fn overlay(&self, region: &Region) -> Overlay {
        (self.fresh)(self.handle, region)
    }
}

/// When a transaction locks an object that it touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Locking {
    /// Before the object is read.
    Now,
    /// By the commit: nothing in the object is read before that.
    Later,
    /// Never: the transaction has taken its items out of the object.
    Never,
}

/// The interface of a transaction that its objects use.
pub(crate) trait Intent {
    /// Returns the overlay of an object, and the context.
    fn overlay(&mut self, object: &Lockable, locking: Locking) -> Result<(&mut Overlay, &Context)>;

    /// As `overlay`, without checking the transaction again.
    fn entered(&mut self, object: &Lockable) -> &mut Overlay;

    /// Runs an operation that may wait; it waits only while the transaction holds nothing.
    fn run_beside(&mut self, operation: &mut dyn FnMut(&Context) -> Result<()>) -> Result<()>;
}

/// An object inside a transaction: operations on it take effect when the transaction commits.
pub struct Inside<'t, T> {
    pub(in crate::objects) intent: &'t mut dyn Intent,
    pub(in crate::objects) object: T,
}

impl<'t, T: Transactional> Inside<'t, T> {
    /// Returns this object inside a transaction.
    pub(crate) fn new(intent: &'t mut dyn Intent, object: &T) -> Self {
        Self { intent, object: *object }
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Inside<'_, T> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Inside").field("object", &self.object).finish_non_exhaustive()
    }
}

/// Returns the object, which this thread must have locked.
pub(in crate::objects) fn locked<'a>(held: &Held<'a>, handle: &Handle) -> Result<&'a Object> {
    let object = handle.object(held.context().region())?;
    let owner = Owner::of(object.lock.get());
    if owner == held.context().me() {
        return Ok(object);
    }
    Err(Error::Corrupt(Corrupt { what: "lock of a transaction", at: owner.bits() }))
}
