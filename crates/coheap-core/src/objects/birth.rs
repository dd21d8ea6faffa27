//! Making an object and ending one, within a change of the caller's.
//!
//! Who makes an object also writes down where it can be found: under a name in the directory, or
//! in the ledger of a process. Both in one change, so that no object is ever lost.
//!
//! What always holds: the rooms are there before the change begins, so it cannot fail half way.

use crate::allocator::{self, Room};
use crate::error::Result;
use crate::journal::{Change, Context};
use crate::kind::Kind;
use crate::objects::cell::{self, Cell};
use crate::objects::header::{self, Handle};
use crate::objects::mutex::{self, Traits};
use crate::objects::{husk, map, queue, value};

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
    /// A value that is a number of a typecode, for faces that have such.
    Number {
        /// What it is at first.
        bytes: &'a [u8],
        /// The letter of the typecode.
        typecode: u8,
    },
    /// A lock that guards no value.
    Lock {
        /// Whether its holder may take it again.
        is_recursive: bool,
        /// Whether the death of a holder closes it to everybody until it is recovered.
        is_strict: bool,
    },
}

impl Recipe<'_> {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Value(_) | Self::Number { .. } => Kind::Value,
            Self::Map => Kind::Map,
            Self::Queue { .. } => Kind::Queue,
            Self::Mutex(_) | Self::Lock { is_recursive: false, .. } => Kind::Mutex,
            Self::Lock { is_recursive: true, .. } => Kind::RecursiveMutex,
        }
    }

    /// The value of an object that has one, and the traits of the lock beside it.
    fn value(&self) -> Option<(&[u8], Traits)> {
        match *self {
            Self::Value(bytes) | Self::Mutex(bytes) => Some((bytes, Traits::default())),
            Self::Number { bytes, typecode } => {
                Some((bytes, Traits { typecode, is_strict: false }))
            }
            Self::Lock { is_strict, .. } => Some((&[0], Traits { typecode: 0, is_strict })),
            Self::Map | Self::Queue { .. } => None,
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
    if let Some((bytes, _)) = recipe.value() {
        cell::ensure(context, bytes)?;
        rooms.extend(cell::room_of(bytes));
    }
    match recipe.kind() {
        Kind::Queue => rooms.extend([queue::BODY, husk::ROOM]),
        Kind::Map => rooms.push(husk::ROOM),
        Kind::Value | Kind::Mutex | Kind::RecursiveMutex => {}
    }
    allocator::ensure_all(context, &mut rooms)
}

/// Makes an object, which nobody can reach before the change commits.
pub(super) fn make(change: &mut Change<'_>, recipe: &Recipe<'_>) -> Result<Handle> {
    let kind = recipe.kind();
    if let Some((bytes, traits)) = recipe.value() {
        let cell = cell::make(change, bytes)?;
        return header::create(change, kind, |change, object| {
            mutex::put_root(change, object.root_as(), cell, traits);
        });
    }
    if let Recipe::Queue { limit, max_attempts } = recipe {
        let body = queue::create_body(change, *limit, *max_attempts)?;
        return header::create(change, kind, |change, object| {
            change.put(&queue::queue_root(object).body, body);
        });
    }
    let reserve = allocator::take(change, husk::ROOM)?;
    header::create(change, kind, |change, object| {
        change.put(&map::map_root(object).reserve, reserve);
    })
}

/// Words that `end` saves at most.
pub(super) const END_WORDS: usize = header::DESTROY_WORDS + husk::CUT_WORDS + 10;

/// Makes sure that `end` has what it needs. The object's turns are held.
pub(super) fn ensure_end(context: &Context, handle: &Handle, kind: Kind) -> Result<()> {
    let region = context.region();
    match kind {
        Kind::Map => {
            husk::ensure_or_reserve(context, &map::map_root(handle.object(region)?).reserve)
        }
        Kind::Queue => {
            let body = queue::Queue { handle: *handle }.body(region)?;
            husk::ensure_or_reserve(context, &body.reserve)
        }
        Kind::Value | Kind::Mutex | Kind::RecursiveMutex => Ok(()),
    }
}

/// Ends an object, whose turns are held: moves away what hangs from it. `husk::dismantle` does
/// the rest once the turns are free.
pub(super) fn end(change: &mut Change<'_>, handle: &Handle, kind: Kind) -> Result<()> {
    let object = handle.object(change.region())?;
    match kind {
        Kind::Value | Kind::Mutex | Kind::RecursiveMutex => {
            cell::free(change, Cell::load(value::cell_words(object)))?;
        }
        Kind::Map => {
            map::cut_loose(change, object, true)?;
            match map::map_root(object).reserve.get() {
                0 => {}
                reserve => allocator::give(change, husk::ROOM, reserve)?,
            }
        }
        Kind::Queue => husk::cut_queue(change, queue::queue_root(object).body.get())?,
    }
    header::destroy(change, handle)
}
