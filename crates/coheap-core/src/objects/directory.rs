//! Names to objects: a map that every heap has, whose values say where an object is.
//!
//! A value is 14 bytes: the header's offset in 6, its generation in 8, both little endian. The
//! directory's own header lies in the heap's header and has a turn of its own.
//!
//! What always holds: an object is in the directory, under one name, from the change that makes
//! it to the change that ends it.

use crate::allocator;
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context, Held, recovery};
use crate::memory::Region;
use crate::memory::layout::{DIRECTORY_TURN, Object};
use crate::objects::cell::{self, Cell};
use crate::objects::header::{self, Handle, Kind};
use crate::objects::map::{self, Key, Table};
use crate::objects::{husk, queue};
use crate::sync::Owner;

/// Longest name in bytes.
pub const LONGEST_NAME: usize = 255;

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
    fn kind(&self) -> Kind {
        match self {
            Self::Value(_) => Kind::Value,
            Self::Map => Kind::Map,
            Self::Queue { .. } => Kind::Queue,
            Self::Mutex(_) => Kind::Mutex,
        }
    }
}

/// The directory of a heap.
#[derive(Debug, Clone, Copy)]
pub struct Directory;

impl Directory {
    /// The object of a name, made from the recipe if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKind`] when the name has another kind of object; [`Error::BadName`];
    /// [`Error::HeapFull`]; [`Error::BadArgument`] when it would be made inside a transaction;
    /// nothing was changed.
    pub fn get_or_create(
        &self,
        context: &Context,
        name: &str,
        recipe: &Recipe<'_>,
    ) -> Result<Handle> {
        check_name(name)?;
        let region = context.region();
        let key = Key::new(region, name.as_bytes())?;
        let held = context.hold(DIRECTORY_TURN)?;
        let directory = &region.header().directory;
        if let Some(found) = Table::new(region, directory).find(&key)? {
            return handle_in(region, Cell::load(&found.entry[2..]), recipe.kind());
        }
        refuse_inside(context)?;
        let handle = create(&held, directory, &key, recipe)?;
        drop(held);
        allocator::tidy(context)?;
        Ok(handle)
    }

    /// The object of a name.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchName`], [`Error::WrongKind`].
    pub fn find(&self, context: &Context, name: &str, kind: Kind) -> Result<Handle> {
        check_name(name)?;
        let region = context.region();
        let key = Key::new(region, name.as_bytes())?;
        let _held = context.hold(DIRECTORY_TURN)?;
        match Table::new(region, &region.header().directory).find(&key)? {
            Some(found) => handle_in(region, Cell::load(&found.entry[2..]), kind),
            None => Err(Error::NoSuchName),
        }
    }

    /// All names with the kinds of their objects, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] only.
    pub fn names(&self, context: &Context) -> Result<Vec<(String, u8)>> {
        let region = context.region();
        let _held = context.hold(DIRECTORY_TURN)?;
        let table = Table::new(region, &region.header().directory);
        let mut names = Vec::new();
        for position in 0..table.used() {
            let entry = table.entry(position)?;
            let key = Cell::load(entry);
            if key.is_removed() {
                continue;
            }
            let mut name = Vec::new();
            key.read(region, &mut name)?;
            let (at, _) = reference_in(region, Cell::load(&entry[2..]))?;
            let kind = region.at::<Object>(at)?.shape.get() as u8;
            names.push((String::from_utf8_lossy(&name).into_owned(), kind));
        }
        Ok(names)
    }

    /// Ends the object of a name. Its handles answer [`Error::ObjectGone`] from now on.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchName`]; [`Error::HeapFull`] when there is no room for the note of what is to
    /// be taken apart; nothing was changed.
    pub fn remove(&self, context: &Context, name: &str) -> Result<()> {
        check_name(name)?;
        refuse_inside(context)?;
        let region = context.region();
        loop {
            let (handle, kind) = self.look_up(context, name)?;
            // A transaction that has the object ends first.
            drop(handle.hold(context)?);
            let turns = [handle.turn, handle.second_turn, DIRECTORY_TURN];
            let held = context.hold_all(&turns)?;
            let key = Key::new(region, name.as_bytes())?;
            let directory = &region.header().directory;
            let Some(found) = Table::new(region, directory).find(&key)? else {
                return Err(Error::NoSuchName);
            };
            let reference = reference_in(region, Cell::load(&found.entry[2..]))?;
            if reference != (handle.at, handle.generation)
                || !Owner::of(handle.object(region)?.lock.get()).is_nobody()
            {
                continue;
            }
            match kind {
                Kind::Map => husk::ensure_or_reserve(context, &handle.object(region)?.root[9])?,
                Kind::Queue => {
                    let body = queue::Queue { handle }.body(region)?;
                    husk::ensure_or_reserve(context, &body.reserve)?;
                }
                Kind::Value | Kind::Mutex => {}
            }
            let mut change = Change::begin(&held, REMOVE_WORDS)?;
            map::delete(&mut change, directory, &found, true)?;
            take_apart(&mut change, &handle, kind)?;
            header::destroy(&mut change, &handle)?;
            change.commit();
            drop(held);
            // Whoever sleeps on the object must learn that it is gone.
            recovery::wake_everybody(region);
            husk::dismantle(context)?;
            return allocator::tidy(context);
        }
    }

    fn look_up(&self, context: &Context, name: &str) -> Result<(Handle, Kind)> {
        for kind in [Kind::Value, Kind::Map, Kind::Queue, Kind::Mutex] {
            match self.find(context, name, kind) {
                Ok(handle) => return Ok((handle, kind)),
                Err(Error::WrongKind { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        Err(Corrupt { what: "kind of an object", at: 0 }.into())
    }
}

const REMOVE_WORDS: usize = map::DELETE_WORDS + header::DESTROY_WORDS + husk::CUT_WORDS + 10;

/// What a transaction makes or removes could not be undone with it.
fn refuse_inside(context: &Context) -> Result<()> {
    if context.in_transaction.get() {
        return Err(Error::BadArgument("objects are made and removed outside of transactions"));
    }
    Ok(())
}

/// Whether a string may name an object.
fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::BadName("is empty"));
    }
    if name.len() > LONGEST_NAME {
        return Err(Error::BadName("is longer than 255 bytes"));
    }
    if name.contains('\0') {
        return Err(Error::BadName("holds a NUL"));
    }
    Ok(())
}

fn reference_in(region: &Region, cell: Cell) -> Result<(u64, u64)> {
    let mut bytes = Vec::new();
    cell.read(region, &mut bytes)?;
    let broken = Corrupt { what: "entry of the directory", at: cell.0 };
    let whole: [u8; 14] = bytes.try_into().map_err(|_| broken)?;
    let mut at = [0; 8];
    at[..6].copy_from_slice(&whole[..6]);
    let mut generation = [0; 8];
    generation.copy_from_slice(&whole[6..]);
    Ok((u64::from_le_bytes(at), u64::from_le_bytes(generation)))
}

fn handle_in(region: &Region, cell: Cell, kind: Kind) -> Result<Handle> {
    let (at, generation) = reference_in(region, cell)?;
    match Handle::find(region, at, generation, kind) {
        Err(Error::ObjectGone) => Err(Corrupt { what: "entry of the directory", at }.into()),
        other => other,
    }
}

/// Makes an object and enters it under a name, in one change.
fn create(
    held: &Held<'_>,
    directory: &Object,
    key: &Key<'_>,
    recipe: &Recipe<'_>,
) -> Result<Handle> {
    let context = held.context();
    map::reserve(held, directory, &[key.hash])?;
    let mut rooms = vec![header::ROOM];
    rooms.extend(cell::room_of(key.bytes));
    match recipe {
        Recipe::Value(bytes) | Recipe::Mutex(bytes) => {
            cell::ensure(context, bytes)?;
            rooms.extend(cell::room_of(bytes));
        }
        Recipe::Queue { .. } => rooms.extend([queue::BODY, husk::ROOM]),
        Recipe::Map => rooms.push(husk::ROOM),
    }
    allocator::ensure_all(context, &mut rooms)?;
    let words =
        header::CREATE_WORDS + map::INSERT_WORDS + queue::CREATE_WORDS + allocator::TAKE_WORDS;
    let mut change = Change::begin(held, words)?;
    let root = match recipe {
        Recipe::Value(bytes) | Recipe::Mutex(bytes) => {
            let cell = cell::make(&mut change, bytes)?;
            vec![cell.0, cell.1]
        }
        Recipe::Queue { limit, max_attempts } => {
            vec![queue::create_body(&mut change, *limit, *max_attempts)?]
        }
        Recipe::Map => {
            let mut root = vec![0; 10];
            root[9] = allocator::take(&mut change, husk::ROOM)?;
            root
        }
    };
    let handle = header::create(&mut change, recipe.kind(), &root)?;
    let mut value = [0u8; 14];
    value[..6].copy_from_slice(&handle.at.to_le_bytes()[..6]);
    value[6..].copy_from_slice(&handle.generation.to_le_bytes());
    map::insert(&mut change, directory, key, &value)?;
    change.commit();
    Ok(handle)
}

/// Moves away what hangs from an object's root.
fn take_apart(change: &mut Change<'_>, handle: &Handle, kind: Kind) -> Result<()> {
    let object = handle.object(change.region())?;
    match kind {
        Kind::Value | Kind::Mutex => cell::free(change, Cell::load(&object.root[..2])),
        Kind::Map => {
            map::cut_loose(change, object, true)?;
            match object.root[9].get() {
                0 => Ok(()),
                reserve => allocator::give(change, husk::ROOM, reserve),
            }
        }
        Kind::Queue => husk::cut_queue(change, object.root[0].get()),
    }
}
