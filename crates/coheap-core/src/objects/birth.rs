//! Making an object and ending one, within a change of the caller's.
//!
//! Who makes an object also writes down where it can be found: under a name in the directory, or
//! in the ledger of a process. Both in one change, so that no object is ever lost.
//!
//! What always holds: the rooms are there before the change begins, so it cannot fail half way.

use crate::allocator::{self, Room};
use crate::error::Result;
use crate::journal::{Change, Context};
use crate::objects::cell::{self, Cell};
use crate::objects::header::{self, Handle, Kind};
use crate::objects::{husk, map, queue};

/// What a new object is made with.
#[derive(Debug, Clone, Copy)]
pub enum Recipe<'a> {
    /// A value, and what it is at first.
    Value(&'a [u8]),
    /// A map with nothing in it.
    Map,
    /// A queue of at most `limit` items (0: any number) and `max_attempts` at each (0: any).
    Queue {
        /// Most items at once.
        limit: u64,
        /// Most attempts at an item.
        max_attempts: u64,
    },
    /// A lock, and the value it guards.
    Mutex(&'a [u8]),
}

impl Recipe<'_> {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Value(_) => Kind::Value,
            Self::Map => Kind::Map,
            Self::Queue { .. } => Kind::Queue,
            Self::Mutex(_) => Kind::Mutex,
        }
    }
}

/// Words that `make` saves at most.
pub(super) const MAKE_WORDS: usize =
    header::CREATE_WORDS + queue::CREATE_WORDS + allocator::TAKE_WORDS;

/// Makes sure that `make` finds its blocks, and its caller one more.
pub(super) fn ensure(context: &Context, recipe: &Recipe<'_>, more: Option<Room>) -> Result<()> {
    let mut rooms = vec![header::ROOM];
    rooms.extend(more);
    match recipe {
        Recipe::Value(bytes) | Recipe::Mutex(bytes) => {
            cell::ensure(context, bytes)?;
            rooms.extend(cell::room_of(bytes));
        }
        Recipe::Queue { .. } => rooms.extend([queue::BODY, husk::ROOM]),
        Recipe::Map => rooms.push(husk::ROOM),
    }
    allocator::ensure_all(context, &mut rooms)
}

/// Makes an object, which nobody can reach before the change commits.
pub(super) fn make(change: &mut Change<'_>, recipe: &Recipe<'_>) -> Result<Handle> {
    let root = match recipe {
        Recipe::Value(bytes) | Recipe::Mutex(bytes) => {
            let cell = cell::make(change, bytes)?;
            vec![cell.0, cell.1]
        }
        Recipe::Queue { limit, max_attempts } => {
            vec![queue::create_body(change, *limit, *max_attempts)?]
        }
        Recipe::Map => {
            let mut root = vec![0; 10];
            root[9] = allocator::take(change, husk::ROOM)?;
            root
        }
    };
    header::create(change, recipe.kind(), &root)
}

/// Words that `end` saves at most.
pub(super) const END_WORDS: usize = header::DESTROY_WORDS + husk::CUT_WORDS + 10;

/// Makes sure that `end` has what it needs. The object's turns are held.
pub(super) fn ensure_end(context: &Context, handle: &Handle, kind: Kind) -> Result<()> {
    let region = context.region();
    match kind {
        Kind::Map => husk::ensure_or_reserve(context, &handle.object(region)?.root[9]),
        Kind::Queue => {
            let body = queue::Queue { handle: *handle }.body(region)?;
            husk::ensure_or_reserve(context, &body.reserve)
        }
        Kind::Value | Kind::Mutex => Ok(()),
    }
}

/// Ends an object, whose turns are held: moves away what hangs from it. `husk::dismantle` does
/// the rest once the turns are free.
pub(super) fn end(change: &mut Change<'_>, handle: &Handle, kind: Kind) -> Result<()> {
    let object = handle.object(change.region())?;
    match kind {
        Kind::Value | Kind::Mutex => cell::free(change, Cell::load(&object.root[..2]))?,
        Kind::Map => {
            map::cut_loose(change, object, true)?;
            match object.root[9].get() {
                0 => {}
                reserve => allocator::give(change, husk::ROOM, reserve)?,
            }
        }
        Kind::Queue => husk::cut_queue(change, object.root[0].get())?,
    }
    header::destroy(change, handle)
}
