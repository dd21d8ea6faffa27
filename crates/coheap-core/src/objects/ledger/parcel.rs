//! Parcels: values that refer to objects. The objects live while a container holds the value.
//!
//! A parcel is a block with the value and its references. It is packed before the operation that
//! stores it: on a chain of the thread's row, where each reference is counted by a change of its
//! own. The operation moves the parcel from that chain into its cell. A cell that frees a parcel
//! moves it to another chain, where its references are released one by one.
//!
//! What always holds: a reference of a parcel is counted in its object exactly if its index is
//! below `counted`; both change in one change. A parcel is on one chain of one row, or in one cell.
//!
//! Not here: the meaning of the value.
//!
//! A block begins with a [`ParcelHead`], then has a [`ParcelReference`] for each object, then the
//! value. In private memory it has the same bytes, but `next` holds the offset of the block.

use std::mem::offset_of;

use crate::allocator::{self, LONGEST_BLOCK, Room, buffer};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context};
use crate::memory::layout::{ARENA_COUNT, ARENA_TURNS, ParcelHead, ParcelReference, SPAN_BYTES};
use crate::memory::{Chain, Region, Word};
use crate::objects::header::Handle;
use crate::objects::husk::Portion;
use crate::objects::{birth, estate};
use crate::objects::{husk, ledger};
use crate::wire;

/// What a damaged parcel is called in an error.
const PARCEL: &str = "parcel";
/// First byte of a parcel.
pub const TAG: u8 = wire::PARCEL;
const HEAD_BYTES: usize = size_of::<ParcelHead>();
const REFERENCE_BYTES: usize = size_of::<ParcelReference>();

/// A packed parcel that is to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parcel {
    at: u64,
    serial: u64,
}

/// Offset and generation of an object that a parcel refers to.
pub type Target = (u64, u64);

/// Returns whether these are the bytes of a parcel.
#[inline]
pub fn is_parcel(bytes: &[u8]) -> bool {
    bytes.first() == Some(&TAG)
}

/// Returns the value in the bytes of a parcel; other bytes are a value themselves.
#[inline]
pub fn value_in(bytes: &[u8]) -> &[u8] {
    if !is_parcel(bytes) {
        return bytes;
    }
    match bytes.first_chunk::<HEAD_BYTES>() {
        Some(head) => {
            let count = count_in(number_at(head, offset_of!(ParcelHead, info))) as usize;
            bytes.get(HEAD_BYTES + count * REFERENCE_BYTES..).unwrap_or_default()
        }
        None => &[],
    }
}

/// Returns the word of a head in private memory that has this offset in a [`ParcelHead`].
#[inline]
fn number_at(head: &[u8; HEAD_BYTES], offset: usize) -> u64 {
    head[offset..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

/// Returns the number of references in the first word of a head.
#[inline]
fn count_in(info: u64) -> u64 {
    info >> 32
}

/// Returns the bytes of a head.
fn head_bytes(
    count: usize,
    next: u64,
    counted: usize,
    serial: u64,
    len: usize,
) -> [u8; HEAD_BYTES] {
    let mut bytes = [0; HEAD_BYTES];
    let words = [
        (offset_of!(ParcelHead, info), u64::from(TAG) | (count as u64) << 32),
        (offset_of!(ParcelHead, next), next),
        (offset_of!(ParcelHead, counted), counted as u64),
        (offset_of!(ParcelHead, serial), serial),
        (offset_of!(ParcelHead, len), len as u64),
    ];
    for (offset, word) in words {
        bytes[offset..][..size_of::<Word>()].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Packs a value into a parcel, and replaces `value` by the parcel's bytes. Store these, or
/// [`discard`] the parcel.
///
/// # Errors
///
/// [`Error::ObjectGone`] when one of the objects has ended; [`Error::HeapFull`]; no parcel is left
/// then, and `value` is what it was.
pub fn pack(context: &Context, value: &mut Vec<u8>, targets: &[Target]) -> Result<Parcel> {
    let region = context.region();
    clear_built_by_the_dead(context)?;
    if !context.kept.transaction.is_open() {
        discard_put_off(context);
    }
    let count = targets.len();
    let len = HEAD_BYTES + count * REFERENCE_BYTES + value.len();
    let room = Room::of(len);
    if len <= LONGEST_BLOCK {
        estate::or_after_sweep(context, || allocator::ensure(context, room, 1))?;
    }
    let serial = ledger::next_serial(region);
    let mut bytes = head_bytes(count, 0, 0, serial, len).to_vec();
    let pairs = targets.iter().flat_map(|(at, generation)| [*at, *generation]);
    bytes.extend(pairs.flat_map(u64::to_le_bytes));
    bytes.extend_from_slice(value);
    let buffer = match len {
        ..=LONGEST_BLOCK => None,
        _ => Some(allocator::build(context, &bytes, HEAD_BYTES + count * REFERENCE_BYTES)?),
    };
    let at = {
        let held = context.hold(own_arena_turn(context))?;
        let mut change = Change::begin(&held, allocator::TAKE_WORDS + 1)?;
        let at = match buffer {
            Some(at) => buffer::take_built(&mut change, at).map(|()| at)?,
            None => {
                let at = allocator::take(&mut change, room)?;
                region.copy_in(at, &bytes)?;
                at
            }
        };
        let built = &context.control().built;
        change.put(&region.at::<ParcelHead>(at)?.next, built.get());
        change.set(built, at);
        change.commit();
        at
    };
    bytes[..HEAD_BYTES].copy_from_slice(&head_bytes(count, at, count, serial, len));
    *value = bytes;
    let parcel = Parcel { at, serial };
    match count_all(context, at, targets) {
        Ok(()) => Ok(parcel),
        Err(error) => {
            discard(context, &parcel)?;
            value.drain(..HEAD_BYTES + count * REFERENCE_BYTES);
            Err(error)
        }
    }
}

/// Releases a packed parcel, unless it was stored. Within a transaction, which may store it with
/// its commit, it is released at the end. It does not wait for a turn: where one is missing, the
/// parcel is released before the thread packs the next.
///
/// # Errors
///
/// [`Error::Corrupt`] only.
pub fn discard(context: &Context, parcel: &Parcel) -> Result<()> {
    if context.kept.transaction.is_open() {
        context.kept.parcels.put_off(parcel.at, parcel.serial);
        return Ok(());
    }
    let is_it = |head: &ParcelHead| head.serial.get() == parcel.serial;
    let Some(held) = context.try_hold(own_arena_turn(context)) else {
        context.kept.parcels.put_off(parcel.at, parcel.serial);
        return Ok(());
    };
    let Some(link) = find_built(context, parcel.at, is_it)? else { return Ok(()) };
    let head: &ParcelHead = context.region().at(parcel.at)?;
    let freed = &context.control().freed;
    let mut change = Change::begin(&held, 3)?;
    change.set(link, head.next.get());
    change.set(&head.next, freed.get());
    change.set(freed, parcel.at);
    change.commit();
    drop(held);
    let_go(context)
}

/// Releases the parcels that were postponed until the end of the transaction.
pub(crate) fn discard_put_off(context: &Context) {
    for [at, serial] in context.kept.parcels.take_put_off() {
        // In a damaged heap the parcel stays where it is.
        let _ = discard(context, &Parcel { at, serial });
    }
    let _ = let_go(context);
}

/// Releases the references of all parcels that this thread has freed, and takes apart what ends with
/// them, without waiting for a turn: what is left is released after the next operation. Call it with no
/// turn held.
///
/// # Errors
///
/// [`Error::Corrupt`] only.
#[inline]
pub fn let_go(context: &Context) -> Result<()> {
    if context.control().freed.get() == 0 {
        Ok(())
    } else {
        context.in_passing(|| husk::take_apart(context, 0, &mut Portion::whole()).map(|_| ()))
    }
}

/// Returns whether this thread has freed parcels whose references are still to be released, for
/// tests.
#[cfg(feature = "floors")]
pub fn has_freed(context: &Context) -> bool {
    context.control().freed.get() != 0
}

/// The first use of a row finds the parcels that its previous thread was packing when it died.
pub(in crate::objects) fn clear_built_by_the_dead(context: &Context) -> Result<()> {
    if context.kept.parcels.begin_packing() || context.control().built.get() == 0 {
        return Ok(());
    }
    husk::hand_over_row(context, context.index())
}

fn count_all(context: &Context, at: u64, targets: &[Target]) -> Result<()> {
    let region = context.region();
    let head: &ParcelHead = region.at(at)?;
    for (number, (object, generation)) in targets.iter().enumerate() {
        let (handle, _) = Handle::any(region, *object, *generation)?;
        let held = context.hold(handle.turn)?;
        let object = handle.object(region)?;
        let mut change = Change::begin(&held, 2)?;
        change.set(&object.references, object.references.get().wrapping_add(1));
        change.set(&head.counted, number as u64 + 1);
        change.commit();
    }
    Ok(())
}

// Taking a parcel, and freeing one, may save as many words as a block.
const _: () = assert!(allocator::TAKE_WORDS >= 2 && allocator::GIVE_WORDS >= 2);

/// Takes the block of a parcel that this thread has packed off the chain, and returns its offset.
/// Returns `None` if the bytes are not such a parcel.
pub(in crate::objects) fn take_built(change: &mut Change<'_>, bytes: &[u8]) -> Result<Option<u64>> {
    let Some((link, at)) = find_packed(change.context(), bytes)? else { return Ok(None) };
    let head: &ParcelHead = change.region().at(at)?;
    change.set(link, head.next.get());
    change.set(&head.next, 0);
    Ok(Some(at))
}

/// Returns the offset of a parcel that this thread has packed. `None`: the bytes are no such parcel.
pub(in crate::objects) fn built_at(context: &Context, bytes: &[u8]) -> Result<Option<u64>> {
    Ok(find_packed(context, bytes)?.map(|(_, at)| at))
}

/// Returns the word that leads to the parcel with these bytes, and its offset.
fn find_packed<'a>(context: &'a Context, bytes: &[u8]) -> Result<Option<(&'a Word, u64)>> {
    if context.control().built.get() == 0 {
        return Ok(None);
    }
    let Some(head) = bytes.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
    let at = number_at(head, offset_of!(ParcelHead, next));
    let serial = number_at(head, offset_of!(ParcelHead, serial));
    let is_it =
        |head: &ParcelHead| head.serial.get() == serial && head.len.get() == bytes.len() as u64;
    Ok(find_built(context, at, is_it)?.map(|link| (link, at)))
}

/// Frees a parcel when the change commits; `let_go` does the rest.
pub(in crate::objects) fn free(change: &mut Change<'_>, at: u64) -> Result<()> {
    let freed = &change.context().control().freed;
    let head: &ParcelHead = change.region().at(at)?;
    change.set(&head.next, freed.get());
    change.set(freed, at);
    Ok(())
}

/// Returns the word that leads to a parcel on the chain of parcels that are being packed.
fn find_built(
    context: &Context,
    at: u64,
    is_it: impl Fn(&ParcelHead) -> bool,
) -> Result<Option<&Word>> {
    let region = context.region();
    let mut link = &context.control().built;
    let mut chain = Chain::new(PARCEL);
    loop {
        let here = link.get();
        if here == 0 {
            return Ok(None);
        }
        chain.step(here)?;
        let head: &ParcelHead = region.at(here)?;
        if here == at {
            return Ok(is_it(head).then_some(link));
        }
        link = &head.next;
    }
}

/// Releases one reference of the first parcel that this thread has freed, or its block, and returns
/// whether there was a parcel. One whose block is freed loses its tag, in case a damaged chain leads back
/// to it. What ends with the reference is left as a husk.
pub(in crate::objects) fn step(context: &Context) -> Result<bool> {
    let region = context.region();
    let chain = &context.control().freed;
    let at = chain.get();
    if at == 0 {
        return Ok(false);
    }
    let head: &ParcelHead = region.at(at)?;
    let info = head.info.get();
    if info as u8 != TAG {
        return Err(broken(at));
    }
    let (count, counted) = (count_in(info), head.counted.get());
    let Some(number) = counted.checked_sub(1) else {
        let len = head.len.get();
        let held = context.hold(own_arena_turn(context))?;
        let mut change = Change::begin(&held, 2 + allocator::GIVE_WORDS)?;
        change.set(chain, head.next.get());
        change.set(&head.info, 0);
        allocator::give(&mut change, room(region, len)?, at)?;
        change.commit();
        return Ok(true);
    };
    if number >= count {
        return Err(broken(at));
    }
    let reference = &references(region, at, counted)?[number as usize];
    let (object, generation) = (reference.object.get(), reference.generation.get());
    let (handle, kind) = Handle::any(region, object, generation)?;
    context.retried(|| {
        let held = context.hold_all(&[handle.turn, handle.second_turn])?;
        let left = handle.object(region)?.references.get().saturating_sub(1);
        if left == 0 {
            birth::ensure_end(context, &handle, kind)?;
        }
        let mut change = Change::begin(&held, birth::END_WORDS + 1)?;
        change.set(&head.counted, number);
        let ended = ledger::count_down(&mut change, &handle, kind, left)?;
        change.commit();
        ended.tell(region);
        Ok(())
    })?;
    Ok(true)
}

/// Moves the first parcel of an arena to those that this thread has freed, and returns whether there was
/// one. `turn` is the arena's. A reference cannot be released under it: that may need room.
pub(in crate::objects) fn adopt(context: &Context, chain: &Word, turn: u32) -> Result<bool> {
    if chain.acquire() == 0 {
        return Ok(false);
    }
    let held = context.hold(turn)?;
    let at = chain.get();
    if at == 0 {
        return Ok(false);
    }
    let next = next_word(context.region(), at)?;
    let freed = &context.control().freed;
    let mut change = Change::begin(&held, 3)?;
    change.set(chain, next.get());
    change.set(next, freed.get());
    change.set(freed, at);
    change.commit();
    Ok(true)
}

/// Offsets and generations of the objects whose references a parcel has counted, and its length.
pub(crate) fn counted(region: &Region, at: u64) -> Result<(u64, Vec<Target>)> {
    let head: &ParcelHead = region.at(at)?;
    let (info, counted, len) = (head.info.get(), head.counted.get(), head.len.get());
    let count = count_in(info);
    room(region, len)?;
    let least = HEAD_BYTES as u64 + count * REFERENCE_BYTES as u64;
    if counted > count || info as u8 != TAG || len < least {
        return Err(broken(at));
    }
    let references = references(region, at, counted)?;
    let targets = references.iter().map(|each| (each.object.get(), each.generation.get()));
    Ok((len, targets.collect()))
}

/// Returns the next parcel of a chain.
pub(crate) fn next(region: &Region, at: u64) -> Result<u64> {
    Ok(region.at::<ParcelHead>(at)?.next.get())
}

/// Returns the word that leads to the next parcel of a chain.
pub(in crate::objects) fn next_word(region: &Region, at: u64) -> Result<&Word> {
    let head: &ParcelHead = region.at(at)?;
    if head.info.get() as u8 == TAG { Ok(&head.next) } else { Err(broken(at)) }
}

fn room(region: &Region, len: u64) -> Result<Room> {
    if len > region.span_limit() * SPAN_BYTES {
        return Err(Corrupt { what: "length of a parcel", at: len }.into());
    }
    Ok(Room::of(len as usize))
}

/// Returns the first references of the parcel whose head is at `at`.
fn references(region: &Region, at: u64, count: u64) -> Result<&[ParcelReference]> {
    Ok(region.rows(at + HEAD_BYTES as u64, count as usize)?)
}

fn own_arena_turn(context: &Context) -> u32 {
    ARENA_TURNS + context.index() % ARENA_COUNT
}

fn broken(at: u64) -> Error {
    Corrupt { what: PARCEL, at }.into()
}
