//! Ledgers: the references of processes to objects without a name.
//!
//! A reference is a record on the list of its process's slot, and counts as one in the object's
//! `references`. The change that removes the last reference also ends the object. The references of
//! a dead process are released by the process that settles its estate.
//!
//! What always holds:
//!
//! - **Ledger.1** The number of references of a nameless object equals the number of records that
//!   name it (those of a `share` count as one); both change in one change, under all their turns.
//! - **Ledger.2** Before a child runs, it has a record for each reference of its parent, with the
//!   same serial number. A reference that it inherited as a copy of memory finds its own record.
//!
//! Not here: values that refer to objects (`parcel`); the sharing of a reference inside a process,
//! which the faces count; named objects, which live until their name is removed.

pub mod parcel;
mod pin;
pub(crate) mod record;
mod settle;
pub(crate) mod share;
#[cfg(test)]
mod tests;

use crate::allocator;
use crate::defect::{Mistake, defect};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context};
use crate::kind::Kind;
use crate::memory::layout::{Record, SLOT_TURNS};
use crate::memory::{Chain, Region};
use crate::objects::birth::{self, Ended};
use crate::objects::cell::{self, Cell, Long};
use crate::objects::estate;
use crate::objects::header::Handle;
use crate::objects::husk;
use crate::objects::husk::Portion;
use crate::objects::kinds::{AnyObject, Recipe, Typed};
use crate::sync::{Due, Incarnation};
use record::{MOVE_WORDS, RECORD, ReturnReason};
pub(crate) use settle::settle_next;

/// A reference of this process, or of the ancestor it was copied from.
#[derive(Debug, Clone, Copy)]
pub struct Reference {
    handle: Handle,
    record: u64,
    serial: u64,
    /// The process that owns the record.
    owner: u64,
}

impl Reference {
    /// Returns the handle of the object.
    pub fn handle(&self) -> Handle {
        self.handle
    }
}

/// Words that a new reference saves at most.
const LINK_WORDS: usize = allocator::TAKE_WORDS + MOVE_WORDS;
/// Words that releasing one saves at most.
const RELEASE_WORDS: usize = birth::END_WORDS + MOVE_WORDS + allocator::GIVE_WORDS;

/// Creates an object without a name, and the first reference to it.
///
/// # Errors
///
/// [`Error::HeapFull`](crate::Error::HeapFull); [`Error::BadArgument`](crate::Error::BadArgument)
/// inside a transaction; nothing was changed.
pub fn create<R: Recipe>(context: &Context, recipe: &R) -> Result<(R::Object, Reference)> {
    birth::refuse_inside(context)?;
    let made = estate::or_after_sweep(context, || create_once(context, recipe))?;
    allocator::tidy(context).map(|()| made)
}

fn create_once<R: Recipe>(context: &Context, recipe: &R) -> Result<(R::Object, Reference)> {
    let own = context.member().slot();
    let mut long = Long::new(context);
    context.retried(|| long.build(recipe.value()))?;
    birth::ensure(context, recipe, Some(RECORD))?;
    let held = context.hold_all(&[SLOT_TURNS + own, recipe.turn().unwrap_or(SLOT_TURNS + own)])?;
    let mut change = Change::begin(&held, birth::MAKE_WORDS + LINK_WORDS)?;
    let object = birth::make(&mut change, recipe)?;
    let (handle, serial) = (object.handle(), next_serial(context.region()));
    let record = enter(&mut change, own, &handle, serial)?;
    change.commit();
    Ok((object, Reference { handle, record, serial, owner: context.member().generation() }))
}

/// Adds a reference to the object whose header is at `at`.
///
/// # Errors
///
/// [`Error::ObjectGone`](crate::Error::ObjectGone); [`Error::HeapFull`](crate::Error::HeapFull);
/// nothing was changed.
pub fn claim(context: &Context, at: u64, generation: u64) -> Result<(AnyObject, Reference)> {
    let (region, own) = (context.region(), context.member().slot());
    let (handle, kind) = Handle::any(region, at, generation)?;
    estate::or_after_sweep(context, || allocator::ensure(context, RECORD, 1))?;
    let held = context.hold_all(&[handle.turn, SLOT_TURNS + own])?;
    let object = handle.object(region)?;
    let mut change = Change::begin(&held, LINK_WORDS)?;
    change.set(&object.references, object.references.get().wrapping_add(1));
    let serial = next_serial(region);
    let record = enter(&mut change, own, &handle, serial)?;
    change.commit();
    let reference = Reference { handle, record, serial, owner: context.member().generation() };
    Ok((AnyObject::of(kind, handle), reference))
}

/// Releases a reference, without waiting for a turn: where one is missing, the process is due to
/// release it later. The object ends with its last reference.
///
/// # Errors
///
/// [`Error::Corrupt`](crate::Error::Corrupt) only. A reference that this process does not hold is
/// ignored.
pub fn release(context: &Context, reference: &Reference) -> Result<()> {
    let Some(record) = own_record(context, reference)? else { return Ok(()) };
    let due = Due { record, serial: reference.serial, reason: REFERENCE };
    or_later(context, due, || release_own(context, &due, &mut Portion::whole()))
}

fn release_own(context: &Context, due: &Due, portion: &mut Portion) -> Result<()> {
    let region = context.region();
    let record: &Record = region.at(due.record)?;
    let expected = Expected::own(context, due.serial);
    if record.serial.get() != due.serial {
        return Ok(());
    }
    match Handle::any(region, record.object.get(), record.generation.get()) {
        Ok((handle, _)) => drop_reference(context, due.record, &handle, &expected, portion),
        // The record serves another purpose by now.
        Err(_) => Ok(()),
    }
}

/// What [`Due::reason`] says of a reference, and of an attempt that does not count; else it is a
/// [`ReturnReason`].
const REFERENCE: u8 = u8::MAX;
const UNCOUNTED: u8 = 0;

/// Gives a lease or a promise back without waiting for a turn; where one is missing, the process is
/// due to do it later.
pub(crate) fn give_back(
    context: &Context,
    record: u64,
    serial: u64,
    reason: Option<ReturnReason>,
    give: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let reason = reason.map_or(UNCOUNTED, |reason| reason as u8);
    or_later(context, Due { record, serial, reason }, give)
}

fn or_later(context: &Context, due: Due, give: impl FnOnce() -> Result<()>) -> Result<()> {
    match context.waiting_until(0, |_| give()) {
        Err(Error::Busy { .. }) => {
            context.member().due().push(due);
            Ok(())
        }
        other => other,
    }
}

/// Gives back what this process is due to give back, as far as no other thread keeps a turn that
/// this needs.
#[cold]
pub(crate) fn settle_due(context: &Context) -> Result<()> {
    for due in context.member().due().take() {
        or_later(context, due, || match due.reason {
            // By now the caller asks for something else.
            REFERENCE => release_own(context, &due, &mut Portion::small()),
            UNCOUNTED => settle::settle_own(context, &due, None),
            reason => settle::settle_own(context, &due, Some(ReturnReason::of_number(reason))),
        })?;
    }
    Ok(())
}

/// Enters the references of this process in the slot of a child that is about to be forked. It does
/// not wait for the turn of an object: a reference to one whose turn is missing is shared.
///
/// # Errors
///
/// [`Error::HeapFull`](crate::Error::HeapFull) when there is no room for all of them; the ones
/// before that are entered.
pub fn bequeath(context: &Context, child: Incarnation) -> Result<()> {
    let mut answer = Ok(());
    for (serial, at) in own_references(context)? {
        if context.member().due().has(serial) {
            // Nothing refers to it any more but the list.
            continue;
        }
        match after_signals(|| bequeath_one(context, child, serial, at)) {
            // The other objects may be free.
            Err(busy @ Error::Busy { .. }) => answer = Err(busy),
            other => other?,
        }
    }
    answer
}

/// Begins again after each signal; the deadline of the caller ends that.
fn after_signals<T>(mut operation: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match operation() {
            Err(Error::Interrupted) => {}
            other => return other,
        }
    }
}

fn bequeath_one(context: &Context, child: Incarnation, serial: u64, at: u64) -> Result<()> {
    let count = || context.waiting_until(0, |_| count_one_more(context, child, serial, at));
    let counted = match count() {
        Err(Error::Busy { turn }) if share::is_of_a_slot(turn) => {
            context.hold(turn).map(drop)?;
            count()
        }
        other => other,
    };
    match counted {
        Ok(true) => Ok(()),
        Ok(false) | Err(Error::Busy { .. }) => share::lend(context, child, serial, at),
        Err(other) => Err(other),
    }
}

/// Enters the reference that the record at `at` is, unless another thread has released it, and counts
/// it in the object. Returns `false` if it is shared already.
fn count_one_more(context: &Context, child: Incarnation, serial: u64, at: u64) -> Result<bool> {
    let region = context.region();
    let own = context.member().slot();
    let record: &Record = region.at(at)?;
    let found = Handle::any(region, record.object.get(), record.generation.get());
    let Ok((handle, _)) = found else { return Ok(true) };
    allocator::ensure(context, RECORD, 1)?;
    let turns = [handle.turn, SLOT_TURNS + own, SLOT_TURNS + child.slot];
    let held = context.hold_all(&turns)?;
    // The record may serve another purpose by now.
    let is_still = Expected::own(context, serial).is_met_by(record, &handle);
    if !is_still && !defect(Mistake::BequeathUnseen) {
        return Ok(true);
    }
    if share::of(region, record)?.is_some() {
        return Ok(false);
    }
    let object = handle.object(region)?;
    let mut change = Change::begin(&held, LINK_WORDS)?;
    change.set(&object.references, object.references.get().wrapping_add(1));
    enter(&mut change, child.slot, &handle, serial)?;
    change.commit();
    Ok(true)
}

/// Checks that the object of a record lives, as it must (Ledger.1).
fn living<T>(found: Result<T>, at: u64) -> Result<T> {
    match found {
        Err(Error::ObjectGone) => Err(Corrupt { what: "object of a reference", at }.into()),
        other => other,
    }
}

/// Whose a record has to be.
enum Whose {
    /// The calling process's own, with this serial number.
    Own(u64),
    /// That of a process that is dead or leaving, as long as its slot is nobody else's.
    Left(Incarnation),
}

/// The slot on whose list a record has to be, and whose it has to be.
struct Expected {
    slot: u32,
    whose: Whose,
}

impl Expected {
    fn own(context: &Context, serial: u64) -> Self {
        Self { slot: context.member().slot(), whose: Whose::Own(serial) }
    }

    fn is_met_by(&self, record: &Record, handle: &Handle) -> bool {
        record.state.get() & Record::REFERENCE != 0
            && record::is_signed(record, self.slot)
            && record.object.get() == handle.at
            && record.generation.get() == handle.generation
            && match self.whose {
                Whose::Own(serial) => record.serial.get() == serial,
                Whose::Left(_) => true,
            }
    }

    /// Returns whether the list is still to be changed for this owner. The slot's turn is held.
    fn is_current(&self, context: &Context) -> bool {
        match self.whose {
            Whose::Own(_) => record::check_membership(context).is_ok(),
            Whose::Left(owner) => record::is_still_to_settle(context, owner),
        }
    }
}

/// Removes a reference from a ledger, unless another thread has removed it before, and ends the object
/// if it was the last one: a portion of it is taken apart.
fn drop_reference(
    context: &Context,
    at: u64,
    handle: &Handle,
    expected: &Expected,
    portion: &mut Portion,
) -> Result<()> {
    let left = context.retried(|| match share::leave(context, at, handle, expected)? {
        true => Ok(None),
        false => count_one_less(context, at, handle, expected),
    })?;
    if left == Some(0) {
        husk::dismantle_within(context, portion)?;
    }
    allocator::tidy(context)
}

/// Removes a reference from a ledger, and returns how many the object has left. Returns `None` if
/// another thread has removed it before.
fn count_one_less(
    context: &Context,
    at: u64,
    handle: &Handle,
    expected: &Expected,
) -> Result<Option<u64>> {
    let region = context.region();
    let record: &Record = region.at(at)?;
    let own = SLOT_TURNS + expected.slot;
    // Without a turn: a record that serves another purpose by now has no share that can be read.
    let known = share::of(region, record).ok().flatten();
    let turns = [handle.turn, handle.second_turn, own, known.map_or(own, |share| share.turn)];
    let held = context.hold_all(&turns)?;
    if !expected.is_current(context) || !expected.is_met_by(record, handle) {
        return Ok(None);
    }
    let share = share::of(region, record)?;
    let is_alone = share.map_or(Ok(true), |share| share::is_last(region, share))?;
    if share != known || !is_alone {
        // It was lent to a child meanwhile: begin again.
        return Err(Error::Busy { turn: own });
    }
    let object = living(handle.object(region), at)?;
    let left = object.references.get().saturating_sub(1);
    let (_, kind) = Handle::any(region, handle.at, handle.generation)?;
    if left == 0 {
        birth::ensure_end(context, handle, kind)?;
    }
    let mut change = Change::begin(&held, RELEASE_WORDS)?;
    if let Some(share) = share {
        share::end(&mut change, share)?;
    }
    record::unlink(&mut change, region.slot(expected.slot), record)?;
    change.set(&record.state, 0);
    allocator::give(&mut change, RECORD, at)?;
    let ended = count_down(&mut change, handle, kind, left)?;
    change.commit();
    ended.tell(region);
    Ok(Some(left))
}

/// Sets the number of references of an object, or ends the object if there are none. Its turns are
/// held, and `ensure_end` was called for the last one.
pub(super) fn count_down(
    change: &mut Change<'_>,
    handle: &Handle,
    kind: Kind,
    left: u64,
) -> Result<Ended> {
    if left == 0 {
        return birth::end(change, handle, kind);
    }
    if !defect(Mistake::NeverCountDown) {
        change.set(&handle.object(change.region())?.references, left);
    }
    Ok(Ended::default())
}

/// Puts a record for a reference on the list of a slot.
fn enter(change: &mut Change<'_>, slot: u32, handle: &Handle, serial: u64) -> Result<u64> {
    let region = change.region();
    let at = allocator::take(change, RECORD)?;
    let record: &Record = region.at(at)?;
    change.put(&record.object, handle.at);
    change.put(&record.generation, handle.generation);
    cell::put(change, &record.cell, Cell::NOTHING);
    change.put(&record.state, Record::REFERENCE);
    change.put(&record.serial, serial);
    record::link(change, slot, record, true)?;
    Ok(at)
}

pub(super) fn next_serial(region: &Region) -> u64 {
    Region::add(&region.header().serial, 1).wrapping_add(1)
}

/// Returns the offset of the calling process's record of a reference, which may be its parent's.
fn own_record(context: &Context, reference: &Reference) -> Result<Option<u64>> {
    if context.member().generation() == reference.owner {
        return Ok(Some(reference.record));
    }
    context.kept.inherited.record(reference.serial, || own_references(context))
}

/// Reads the serial numbers and records of all references of the calling process.
fn own_references(context: &Context) -> Result<Vec<(u64, u64)>> {
    let region = context.region();
    let own = context.member().slot();
    let _held = context.hold(SLOT_TURNS + own)?;
    let slot = region.slot(own);
    let mut found = Vec::new();
    let mut at = slot.leases.get();
    let mut chain = Chain::new(record::LIST);
    while at != 0 {
        chain.step(at)?;
        let record: &Record = region.at(at)?;
        if record.state.get() & Record::REFERENCE != 0 {
            found.push((record.serial.get(), at));
        }
        at = record.next.get();
    }
    Ok(found)
}

/// Returns how many references an object has, for tests.
///
/// # Errors
///
/// [`Error::ObjectGone`](crate::Error::ObjectGone).
#[cfg(feature = "floors")]
pub fn references(context: &Context, handle: &Handle) -> Result<u64> {
    let _held = context.hold(handle.turn)?;
    Ok(handle.object(context.region())?.references.get())
}
