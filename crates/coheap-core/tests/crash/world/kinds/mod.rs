//! The kinds of objects that the sweep dies in: one file each, and one row of this table.
//!
//! A row has all that the sweep asks of a kind: the operations with their start states, among them
//! those that make an object and end one; what a snapshot sees of it; and what the neighbours of a
//! recovery read and write.
//!
//! What always holds: a kind that is registered in the engine and has no row here does not compile.
//!
//! Not here: what is done to no kind in particular, such as transactions (`drivers`).

pub(crate) mod value;
pub(crate) mod map;
pub(crate) mod queue;
pub(crate) mod mutex;
pub(crate) mod recursive_mutex;

use coheap_core::Kind;
use coheap_core::Typed;
use coheap_core::error::Result;
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::journal::Context;
use coheap_core::memory::Region;
use coheap_core::memory::layout::Object;
use coheap_core::memory::layout::{ARENA_COUNT, ARENA_TURNS, SPAN_TURN};
use coheap_core::objects::{Directory, Handle};
use coheap_core::sync::Owner;

use super::operation::Operation;
use super::snapshot::Content;

/// What the sweep has for a kind. Add `Kind::New => &new::ROW` for a new one.
pub(crate) fn row(kind: Kind) -> &'static Row {
    match kind {
        Kind::Value => &value::ROW,
        Kind::Map => &map::ROW,
        Kind::Queue => &queue::ROW,
        Kind::Mutex => &mutex::ROW,
        Kind::RecursiveMutex => &recursive_mutex::ROW,
    }
}

/// One row of the table.
pub(crate) struct Row {
    /// What is done to objects of this kind, each operation with the states that it starts from.
    pub(crate) operations: &'static [Operation],
    /// Finds an object by its name.
    pub(crate) find: fn(&Context, &str) -> Result<Handle>,
    /// What an object holds. It may be emptied: nothing is done to it afterwards.
    pub(crate) look: fn(&Subject<'_>, &Victims<'_>) -> Result<Content>,
    /// What the reader sees while no change is under way.
    pub(crate) read: Reading,
    /// What the writer may do, in turn. The answer is `Ok(None)` where nothing can be written. An
    /// error fails the sweep, unless `is_known` of `operation` lists it.
    pub(crate) write: &'static [Write],
}

/// Who may be named as having died with something, and whether a look may ask for room.
pub(crate) struct Victims<'a> {
    pub(crate) pids: &'a [u32],
    pub(crate) is_full: bool,
}

/// Whether the reader of a kind has something to read.
pub(crate) enum Reading {
    /// What it finds, in the words of what is expected.
    Optimistic(fn(&Subject<'_>, expected: &Content) -> Result<Content>),
    /// Nothing, and why.
    Nothing(&'static str),
}

/// One thing that the writer does. It waits for nothing: `Ok(None)` where somebody has a turn.
pub(crate) type Write = fn(&Subject<'_>) -> Result<Option<Mark>>;

/// An object that is looked at, or written to.
pub(crate) struct Subject<'a> {
    pub(crate) context: &'a Context,
    pub(crate) name: &'a str,
    pub(crate) handle: Handle,
}

impl Subject<'_> {
    fn region(&self) -> &Region {
        self.context.region()
    }

    /// Whether no change of the object is under way.
    pub(crate) fn is_still(&self) -> bool {
        self.region().turn(self.handle.turn).sequence.get() & 1 == 0
    }

    /// Whether nobody has the turn, and no transaction the object.
    fn is_open(&self) -> bool {
        let object = self.region().at::<Object>(self.handle.at);
        is_free(self.region(), self.handle.turn)
            && object.is_ok_and(|object| Owner::of(object.lock.get()).is_nobody())
    }

    fn has_room(&self) -> bool {
        has_room(self.region())
    }
}

/// What the writer did to an object; `neighbours` puts it into what is expected of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    /// 1000 was added to an integer.
    Sum,
    /// [`TEXT`] is the value now.
    Text,
    /// [`KEY`] has the value [`TEXT`].
    Pair,
    /// [`KEY`] is the last item.
    Item,
    /// This item is taken.
    Taken(Vec<u8>),
    /// The lock was taken and let go, and [`TEXT`] is the value beside it.
    Lock,
    /// The directory has a new name.
    Object,
}

pub(crate) const KEY: &[u8] = b"~live";
pub(crate) const TEXT: &[u8] = b"live";

/// The directory itself, as a target.
pub(crate) const NAMES: &[&str] = &[""];
/// What the neighbours use while an object is made that has no name.
pub(crate) const NAMELESS: &[&str] = &["map"];

fn find<T: Typed>(context: &Context, name: &str) -> Result<Handle> {
    Ok(Directory.get::<T>(context, name)?.handle())
}

pub(crate) fn is_free(region: &Region, turn: u32) -> bool {
    region.turn(turn).owner.acquire() == 0
}

/// Whether blocks can be had without a turn that somebody has.
pub(crate) fn has_room(region: &Region) -> bool {
    (ARENA_TURNS..ARENA_TURNS + ARENA_COUNT).chain([SPAN_TURN]).all(|turn| is_free(region, turn))
}
