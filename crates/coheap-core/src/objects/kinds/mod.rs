//! The kinds of objects, a folder each.
//!
//! What always holds: code that concerns only one kind is in its folder; the floor around it calls
//! the same methods of all kinds. The table of kinds, which dispatches these calls, is in
//! `kind.rs`, on the ground.
//!
//! Not here: the parts that every object has, such as its header, its cells and the records that
//! name it; and the methods that a transaction calls (`objects::overlay`).

pub mod value;
pub mod map;
pub mod queue;
pub mod mutex;
pub mod recursive_mutex;
pub(crate) mod room;

use crate::allocator::{self, Room};
use crate::error::{Corrupt, Result};
use crate::journal::{Change, Context};
use crate::kind::{Kind, for_each_kind};
use crate::memory::Region;
use crate::memory::layout::{Husk, Object, Record};
use crate::objects::header::Handle;
use crate::objects::ledger::record::{self, ReturnReason};
use crate::objects::walk::Walk;
use crate::sync::parking::{Key, Reason};

/// A handle that says by its type what the object is.
pub trait Typed: OfHandle + Into<AnyObject> {
    /// What the object is.
    const KIND: Kind;

    /// Returns the handle of the object.
    fn handle(&self) -> Handle;
}

/// Gives a handle its type. Faces do not see this trait, so they cannot take an object for what it
/// is not.
pub trait OfHandle: Copy {
    /// Returns the object, which the caller knows to be of this kind.
    fn of(handle: Handle) -> Self;
}

/// How a new object is created.
pub trait Recipe {
    /// Returns the kind of the object.
    type Object: Typed;

    /// Returns the value that `fill` stores, if it may be long: it is built in advance.
    #[doc(hidden)]
    fn value(&self) -> Option<&[u8]> {
        None
    }

    /// Returns the turn that the object needs, if it is not any one. It is held when it is created.
    #[doc(hidden)]
    fn turn(&self) -> Option<u32> {
        None
    }

    /// Adds the blocks that `fill` takes, and finds every error in the arguments.
    #[doc(hidden)]
    fn prepare(&self, context: &Context, rooms: &mut Vec<Room>) -> Result<()>;

    /// Stores the root words of an object, which are zero and which no other process can reach yet.
    #[doc(hidden)]
    fn fill(&self, change: &mut Change<'_>, object: &Object) -> Result<()>;
}

/// The methods that every kind has for its objects.
pub(crate) trait Shape: Sync {
    /// Prepares the blocks that `detach` takes. The object's turns are held.
    fn prepare_removal(&self, _: &Context, _: &Object) -> Result<()> {
        Ok(())
    }

    /// Frees everything that hangs from an object that ends, or moves it into a husk, within a
    /// change under the object's turns that has room for [`DETACH_WORDS`].
    fn detach(&self, change: &mut Change<'_>, object: &Object) -> Result<()>;

    /// Claims every part of an object except its header, and recounts its numbers.
    fn walk(&self, region: &Region, object: &Object, walk: &mut dyn Walk) -> Result<()>;

    /// Returns whether an object seems to have what threads wait for, read without a turn.
    fn seems_there(&self, _: &Region, _: &Object, _: Reason) -> bool {
        false
    }

    /// Returns whether the numbers in a husk are possible in a heap of this size.
    fn is_possible(&self, _: &Region, _: &Husk) -> bool {
        false
    }

    /// Frees a part of a husk, in one bounded step. Returns `false` if nothing was left.
    fn dismantle(&self, _: &mut Change<'_>, husk: &Husk) -> Result<bool> {
        Err(no_husk(husk))
    }

    /// Claims every part that is left in a husk.
    fn walk_husk(&self, _: &Region, husk: &Husk, _: &mut dyn Walk) -> Result<()> {
        Err(no_husk(husk))
    }

    /// Takes back a lease of an item, or a promise of a place. The record is off the list of its
    /// slot, and the change is under the turns of the object and the slot. Without a reason, the
    /// attempt at the item does not count.
    fn take_back(
        &self,
        change: &mut Change<'_>,
        _: &Object,
        record: &Record,
        _: Option<ReturnReason>,
    ) -> Result<()> {
        // No object of this kind has such records: the object that it named is gone.
        record::free(change, record)
    }
}

/// Returns the object that a thread waits for, and the methods of its kind. `None`: it is gone.
pub(crate) fn living(region: &Region, key: Key) -> Option<(&Object, &'static dyn Shape)> {
    let (handle, kind) = Handle::any(region, key.at, key.generation).ok()?;
    Some((handle.object(region).ok()?, shape(kind)))
}

/// Words that [`Recipe::fill`] saves at most.
pub(crate) const FILL_WORDS: usize = 3 * allocator::TAKE_WORDS;
/// Words that [`Shape::detach`] saves at most.
pub(crate) const DETACH_WORDS: usize = allocator::TAKE_WORDS + 11;

macro_rules! define_objects {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $noun:literal, $turns:literal,
        $folder:ident $(, $overlay:ident)?;)*) => {
        /// Returns the methods for the objects of a kind.
        pub(crate) fn shape(kind: Kind) -> &'static dyn Shape {
            match kind {
                $(Kind::$variant => &$folder::Shape,)*
            }
        }

        $(impl Typed for $folder::$variant {
            const KIND: Kind = Kind::$variant;

            #[inline]
            fn handle(&self) -> Handle {
                self.handle
            }
        })*

        $(impl OfHandle for $folder::$variant {
            #[inline]
            fn of(handle: Handle) -> Self {
                Self { handle }
            }
        })*

        $(impl From<$folder::$variant> for AnyObject {
            #[inline]
            fn from(object: $folder::$variant) -> Self {
                Self::$variant(object)
            }
        })*

        /// An object of any kind.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum AnyObject {
            $($(#[$doc])* $variant($folder::$variant),)*
        }

        impl AnyObject {
            pub(in crate::objects) fn of(kind: Kind, handle: Handle) -> Self {
                match kind {
                    $(Kind::$variant => Self::$variant($folder::$variant { handle }),)*
                }
            }

            /// Returns the handle of the object.
            #[inline]
            pub fn handle(&self) -> Handle {
                match self {
                    $(Self::$variant(object) => object.handle,)*
                }
            }

            /// What it is.
            #[inline]
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$variant(_) => Kind::$variant,)*
                }
            }
        }
    };
}
for_each_kind!(define_objects);

impl AnyObject {
    /// Returns the living object whose header is at an offset, which may come from anywhere.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectGone`](crate::Error::ObjectGone).
    pub fn find(context: &Context, at: u64, generation: u64) -> Result<Self> {
        let (handle, kind) = Handle::any(context.region(), at, generation)?;
        Ok(Self::of(kind, handle))
    }
}

#[cold]
fn no_husk(husk: &Husk) -> crate::error::Error {
    Corrupt { what: "kind of a husk", at: husk.info.get() }.into()
}

#[cfg(all(test, not(any(loom, miri, sim))))]
mod tests;
