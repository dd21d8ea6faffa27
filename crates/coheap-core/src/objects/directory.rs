//! The directory: a map in every heap from names to objects.
//!
//! A value of the map is a [`DirectoryValue`] of 14 bytes. The directory's own header lies in the
//! heap's header and has a turn of its own.
//!
//! What always holds: a named object is in the directory, under one name, from the change that
//! creates it to the change that ends it. Objects without a name are in ledgers instead.

use crate::allocator;
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context, Held};
use crate::kind::Kind;
use crate::memory::Region;
use crate::memory::layout::{DIRECTORY_TURN, DirectoryValue, Object};
use crate::objects::birth;
use crate::objects::cell::{self, Cell, Long};
use crate::objects::estate;
use crate::objects::header::Handle;
use crate::objects::husk;
use crate::objects::kinds::{Recipe, Typed};
use crate::objects::map::{self, Key, Table};
use crate::sync::parking::word::LockWord;

/// Longest name in bytes.
pub const LONGEST_NAME: usize = 255;

/// The directory of a heap.
#[derive(Debug, Clone, Copy)]
pub struct Directory;

impl Directory {
    /// Returns the object with this name, created from the recipe if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKind`] when the object with that name is of another kind; [`Error::BadName`];
    /// [`Error::HeapFull`]; [`Error::BadArgument`] when it would be created inside a transaction;
    /// nothing was changed.
    pub fn get_or_create<R: Recipe>(
        &self,
        context: &Context,
        name: &str,
        recipe: &R,
    ) -> Result<R::Object> {
        check_name(name)?;
        let region = context.region();
        let key = Key::new(region, name.as_bytes())?;
        if recipe.value().is_some_and(cell::is_long) {
            // A long value is not built in vain.
            match self.get(context, name) {
                Err(Error::NoSuchName) => birth::refuse_inside(context)?,
                other => return other,
            }
        }
        let mut long = Long::new(context);
        let object = estate::or_after_sweep(context, || {
            long.build(recipe.value())?;
            let held = context.hold(DIRECTORY_TURN)?;
            let directory = &region.header().directory;
            if let Some(found) = Table::new(region, directory).find(&key)? {
                return object_in(region, Cell::load(&found.entry.value));
            }
            birth::refuse_inside(context)?;
            create(&held, directory, &key, recipe)
        })?;
        allocator::tidy(context)?;
        Ok(object)
    }

    /// Returns the object with this name.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchName`], [`Error::WrongKind`].
    pub fn get<T: Typed>(&self, context: &Context, name: &str) -> Result<T> {
        check_name(name)?;
        let region = context.region();
        let key = Key::new(region, name.as_bytes())?;
        let _held = context.hold(DIRECTORY_TURN)?;
        match Table::new(region, &region.header().directory).find(&key)? {
            Some(found) => object_in(region, Cell::load(&found.entry.value)),
            None => Err(Error::NoSuchName),
        }
    }

    /// Returns all names with the kinds of their objects, the oldest object first.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] only.
    pub fn names(&self, context: &Context) -> Result<Vec<(String, Kind)>> {
        let region = context.region();
        let _held = context.hold(DIRECTORY_TURN)?;
        let entries = entries(region)?.into_iter();
        let kinds = entries.map(|(name, DirectoryValue { at, generation })| {
            let (_, kind) = living(Handle::any(region, at, generation), at)?;
            Ok((name, kind))
        });
        kinds.collect()
    }

    /// Removes the object with this name. Its handles return [`Error::ObjectGone`] from then on.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchName`]; [`Error::HeapFull`] when there is no room for the husk;
    /// [`Error::BadArgument`] inside a transaction; nothing was changed.
    pub fn remove(&self, context: &Context, name: &str) -> Result<()> {
        self.remove_if(context, name, |_| true)
    }

    /// As [`remove`](Self::remove), but only if it is this object. Returns whether it was.
    ///
    /// # Errors
    ///
    /// As [`remove`](Self::remove); it is no error if the name is another object's, or nobody's.
    pub fn remove_only(&self, context: &Context, name: &str, object: &impl Typed) -> Result<bool> {
        let own = object.handle();
        let is_own = |found: &Handle| (found.at, found.generation) == (own.at, own.generation);
        match self.remove_if(context, name, is_own) {
            Err(Error::NoSuchName) => Ok(false),
            done => done.map(|()| true),
        }
    }

    fn remove_if(
        &self,
        context: &Context,
        name: &str,
        is_meant: impl Fn(&Handle) -> bool,
    ) -> Result<()> {
        check_name(name)?;
        birth::refuse_inside(context)?;
        while !context.retried(|| self.try_remove(context, name, &is_meant))? {}
        husk::dismantle(context)?;
        allocator::tidy(context)
    }

    /// Removes the object with this name, unless the name went to another one meanwhile, or a
    /// transaction took the object. Returns whether it did.
    fn try_remove(
        &self,
        context: &Context,
        name: &str,
        is_meant: impl Fn(&Handle) -> bool,
    ) -> Result<bool> {
        let region = context.region();
        let (handle, kind) = self.look_up(context, name)?;
        if !is_meant(&handle) {
            return Err(Error::NoSuchName);
        }
        // Waits until a transaction that holds the object has ended.
        match handle.hold(context) {
            Ok(held) => drop(held),
            // Somebody else has just removed it.
            Err(Error::ObjectGone) => return Ok(false),
            Err(other) => return Err(other),
        }
        let turns = [handle.turn, handle.second_turn, DIRECTORY_TURN];
        let held = context.hold_all(&turns)?;
        let key = Key::new(region, name.as_bytes())?;
        let directory = &region.header().directory;
        let Some(found) = Table::new(region, directory).find(&key)? else {
            return Err(Error::NoSuchName);
        };
        let entered = value_in(region, Cell::load(&found.entry.value))?;
        if entered != (DirectoryValue { at: handle.at, generation: handle.generation })
            || !LockWord(handle.object(region)?.lock.get()).is_nobodys()
        {
            return Ok(false);
        }
        birth::ensure_end(context, &handle, kind)?;
        let mut change = Change::begin(&held, REMOVE_WORDS)?;
        map::delete(&mut change, directory, &found, true, map::Numbers::Each)?;
        let ended = birth::end(&mut change, &handle, kind)?;
        change.commit();
        ended.tell(region);
        Ok(true)
    }

    fn look_up(&self, context: &Context, name: &str) -> Result<(Handle, Kind)> {
        let region = context.region();
        let key = Key::new(region, name.as_bytes())?;
        let _held = context.hold(DIRECTORY_TURN)?;
        let directory = &region.header().directory;
        let found = Table::new(region, directory).find(&key)?.ok_or(Error::NoSuchName)?;
        let entered = value_in(region, Cell::load(&found.entry.value))?;
        let DirectoryValue { at, generation } = entered;
        living(Handle::any(region, at, generation), at)
    }
}

const REMOVE_WORDS: usize = map::DELETE_WORDS + map::SHRINK_WORDS + birth::END_WORDS;

/// Checks that a string may name an object.
fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::BadName("is empty"));
    }
    if name.len() > LONGEST_NAME {
        return Err(Error::BadName("is longer than 255 bytes"));
    }
    if name.contains('\0') {
        return Err(Error::BadName("contains a NUL"));
    }
    Ok(())
}

/// Returns all names and the references to their objects, the oldest first. The directory's turn
/// is held.
pub(crate) fn entries(region: &Region) -> Result<Vec<(String, DirectoryValue)>> {
    let table = Table::new(region, &region.header().directory);
    let mut entries = Vec::new();
    for position in 0..table.used() {
        let entry = table.entry(position)?;
        let key = Cell::load(&entry.key);
        if key.is_removed() {
            continue;
        }
        let mut name = Vec::new();
        key.read(region, &mut name)?;
        let value = value_in(region, Cell::load(&entry.value))?;
        entries.push((String::from_utf8_lossy(&name).into_owned(), value));
    }
    Ok(entries)
}

/// Returns the reference to the object with this name.
fn value_in(region: &Region, cell: Cell) -> Result<DirectoryValue> {
    let mut bytes = Vec::new();
    cell.read(region, &mut bytes)?;
    let broken = Corrupt { what: "entry of the directory", at: cell.0 };
    Ok(DirectoryValue::from_bytes(&bytes).ok_or(broken)?)
}

fn object_in<T: Typed>(region: &Region, cell: Cell) -> Result<T> {
    let DirectoryValue { at, generation } = value_in(region, cell)?;
    match living(Handle::any(region, at, generation), at)? {
        (handle, kind) if kind == T::KIND => Ok(T::of(handle)),
        (_, found) => Err(Error::WrongKind { found, wanted: T::KIND }),
    }
}

/// Checks that an object in the directory lives, as all of them must.
fn living<T>(found: Result<T>, at: u64) -> Result<T> {
    match found {
        Err(Error::ObjectGone) => Err(Corrupt { what: "entry of the directory", at }.into()),
        other => other,
    }
}

/// Creates an object and enters it under a name, in one change.
fn create<R: Recipe>(
    held: &Held<'_>,
    directory: &Object,
    key: &Key<'_>,
    recipe: &R,
) -> Result<R::Object> {
    map::reserve(held, directory, &[key.hash])?;
    birth::ensure(held.context(), recipe, cell::room_of(key.bytes))?;
    let mut change = Change::begin(held, birth::MAKE_WORDS + map::INSERT_WORDS)?;
    let object = birth::make(&mut change, recipe)?;
    let Handle { at, generation, .. } = object.handle();
    let value = DirectoryValue { at, generation };
    map::insert(&mut change, directory, key, &value.to_bytes())?;
    change.commit();
    Ok(object)
}
