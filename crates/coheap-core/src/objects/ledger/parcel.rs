//! Values that refer to objects: as long as a container has the value, the objects live.
//!
//! A parcel is a block with the value and the references that it holds. It is packed before the
//! operation that stores it: built on a chain of the thread's row, where each reference is counted
//! by a change of its own. The operation moves it from there into its cell. A cell that frees a
//! parcel moves it to another chain, where its references are given up one by one.
//!
//! What always holds: a reference of a parcel is counted in its object exactly if it is among the
//! first so many that word 2 says; both change in one change. A parcel is on one chain of one row,
//! or in one cell.
//!
//! Not here: what the value means.
//!
//! # The words of a parcel
//!
//! | word | meaning                                                        |
//! |------|----------------------------------------------------------------|
//! | 0    | [`TAG`] in the low byte, number of references from bit 32       |
//! | 1    | next parcel of the chain; 0 in a cell; in private memory: where the block is |
//! | 2    | how many of the references are counted: all of them in a cell   |
//! | 3    | serial number                                                  |
//! | 4    | length in bytes                                                |
//! | 5..  | offset and generation of each object; then the value            |

use crate::allocator::{self, Room};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context};
use crate::memory::layout::{ARENA_COUNT, ARENA_TURNS};
use crate::memory::{Region, Word};
use crate::objects::birth;
use crate::objects::header::Handle;
use crate::objects::{husk, ledger};
use crate::wire;

/// First byte of a parcel.
pub const TAG: u8 = wire::PARCEL;
const HEAD_WORDS: usize = 5;
const HEAD_BYTES: usize = HEAD_WORDS * 8;

/// A parcel that was packed and is to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parcel {
    at: u64,
    serial: u64,
}

/// Offset and generation of an object that a parcel refers to.
pub type Place = (u64, u64);

/// The value in the bytes of a parcel; other bytes are a value themselves.
#[inline]
pub fn value_in(bytes: &[u8]) -> &[u8] {
    if bytes.first() != Some(&TAG) {
        return bytes;
    }
    match bytes.first_chunk::<HEAD_BYTES>() {
        Some(head) => {
            let count = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
            bytes.get(HEAD_BYTES + count * 16..).unwrap_or_default()
        }
        None => &[],
    }
}

/// Makes a parcel of a value, which its bytes replace in `value`. Store these, or [`discard`] it.
///
/// # Errors
///
/// [`Error::ObjectGone`] when one of the objects ended; [`Error::HeapFull`]; nothing is left.
pub fn pack(context: &Context, value: &mut Vec<u8>, places: &[Place]) -> Result<Parcel> {
    let region = context.region();
    clear_built_by_the_dead(context)?;
    let len = HEAD_BYTES + places.len() * 16 + value.len();
    let room = Room::of(len);
    allocator::ensure(context, room, 1)?;
    let serial = ledger::next_serial(region);
    let at = {
        let held = context.hold(own_arena_turn(context))?;
        let mut change = Change::begin(&held, allocator::TAKE_WORDS + 1)?;
        let at = allocator::take(&mut change, room)?;
        let built = &context.control().built;
        let head =
            [u64::from(TAG) | (places.len() as u64) << 32, built.get(), 0, serial, len as u64];
        let pairs = places.iter().flat_map(|(at, generation)| [*at, *generation]);
        let mut bytes: Vec<u8> = head.into_iter().chain(pairs).flat_map(u64::to_le_bytes).collect();
        bytes.append(value);
        region.copy_in(at, &bytes)?;
        change.set(built, at);
        change.commit();
        bytes[8..16].copy_from_slice(&at.to_le_bytes());
        bytes[16..24].copy_from_slice(&(places.len() as u64).to_le_bytes());
        *value = bytes;
        at
    };
    let parcel = Parcel { at, serial };
    match count_all(context, at, places) {
        Ok(()) => Ok(parcel),
        Err(error) => {
            discard(context, &parcel)?;
            Err(error)
        }
    }
}

/// Gives up a parcel that was packed, unless it was stored. Within a transaction, which may store
/// it with its commit, it is given up at the end.
///
/// # Errors
///
/// [`Error::Corrupt`] only.
pub fn discard(context: &Context, parcel: &Parcel) -> Result<()> {
    if context.in_transaction.get() {
        let mut put_off = context.put_off.take();
        put_off.push([parcel.at, parcel.serial]);
        context.put_off.set(put_off);
        return Ok(());
    }
    let is_it = |words: &[Word]| words[3].get() == parcel.serial;
    let held = context.hold(own_arena_turn(context))?;
    let Some(link) = find_built(context, parcel.at, is_it)? else { return Ok(()) };
    let words = head(context.region(), parcel.at)?;
    let freed = &context.control().freed;
    let mut change = Change::begin(&held, 3)?;
    change.set(link, words[1].get());
    change.set(&words[1], freed.get());
    change.set(freed, parcel.at);
    change.commit();
    drop(held);
    let_go(context)
}

/// Gives up what was put off until the end of the transaction that is over.
pub(crate) fn discard_put_off(context: &Context) {
    for [at, serial] in context.put_off.take() {
        // In a damaged heap it stays where it is.
        let _ = discard(context, &Parcel { at, serial });
    }
    let _ = let_go(context);
}

/// Gives up the references of all parcels that this thread has freed. Call it with no turn held.
///
/// # Errors
///
/// [`Error::Corrupt`] only.
#[inline]
pub fn let_go(context: &Context) -> Result<()> {
    if context.control().freed.get() == 0 {
        Ok(())
    } else {
        empty(context, &context.control().freed)
    }
}

/// Whether this thread has freed parcels that are still to be let go.
#[inline]
pub fn has_freed(context: &Context) -> bool {
    context.control().freed.get() != 0
}

/// Lets go what a thread without a row any more left on its chains. The row is the caller's.
pub(in crate::objects) fn let_go_of_row(context: &Context, index: u32) -> Result<()> {
    let control = context.region().control(index);
    empty(context, &control.built)?;
    empty(context, &control.freed)
}

/// The first use of a row finds what the last thread that had it was building when it died.
fn clear_built_by_the_dead(context: &Context) -> Result<()> {
    if context.has_packed.replace(true) || context.control().built.get() == 0 {
        return Ok(());
    }
    empty(context, &context.control().built)
}

fn count_all(context: &Context, at: u64, places: &[Place]) -> Result<()> {
    let region = context.region();
    let words = head(region, at)?;
    for (number, (object, generation)) in places.iter().enumerate() {
        let (handle, _) = Handle::any(region, *object, *generation)?;
        let held = context.hold(handle.turn)?;
        let object = handle.object(region)?;
        let mut change = Change::begin(&held, 2)?;
        change.set(&object.references, object.references.get().wrapping_add(1));
        change.set(&words[2], number as u64 + 1);
        change.commit();
    }
    Ok(())
}

// Taking a parcel, and freeing one, may save as many words as a block.
const _: () = assert!(allocator::TAKE_WORDS >= 2 && allocator::GIVE_WORDS >= 2);

/// Where the block of a parcel is that this thread has packed, taken off the chain. `None`: the
/// bytes are no such parcel.
pub(in crate::objects) fn take_built(change: &mut Change<'_>, bytes: &[u8]) -> Result<Option<u64>> {
    let context = change.context();
    if context.control().built.get() == 0 {
        return Ok(None);
    }
    let Some(head_bytes) = bytes.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
    let word = |number: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&head_bytes[number * 8..][..8]);
        u64::from_le_bytes(word)
    };
    let is_it = |words: &[Word]| words[3].get() == word(3) && words[4].get() == bytes.len() as u64;
    let Some(link) = find_built(context, word(1), is_it)? else { return Ok(None) };
    let words = head(change.region(), word(1))?;
    change.set(link, words[1].get());
    change.set(&words[1], 0);
    Ok(Some(word(1)))
}

/// Frees a parcel when the change commits; `let_go` does the rest.
pub(in crate::objects) fn free(change: &mut Change<'_>, at: u64) -> Result<()> {
    let freed = &change.context().control().freed;
    let words = head(change.region(), at)?;
    change.set(&words[1], freed.get());
    change.set(freed, at);
    Ok(())
}

/// The word that leads to a parcel on the chain of those that are built.
fn find_built(
    context: &Context,
    at: u64,
    is_it: impl Fn(&[Word]) -> bool,
) -> Result<Option<&Word>> {
    let region = context.region();
    let mut link = &context.control().built;
    for _ in 0..=context.region().span_limit().saturating_mul(SPAN_PARCELS) {
        let here = link.get();
        if here == 0 {
            return Ok(None);
        }
        let words = head(region, here)?;
        if here == at {
            return Ok(is_it(words).then_some(link));
        }
        link = &words[1];
    }
    Err(broken(at))
}

/// Parcels that fit a span.
const SPAN_PARCELS: u64 = crate::memory::layout::SPAN_BYTES / HEAD_BYTES as u64;

/// Takes all parcels of a chain apart.
fn empty(context: &Context, chain: &Word) -> Result<()> {
    while chain.get() != 0 {
        step(context, chain)?;
    }
    allocator::tidy(context)
}

/// Gives up one reference of the first parcel, or its block.
fn step(context: &Context, chain: &Word) -> Result<()> {
    let region = context.region();
    let at = chain.get();
    let words = head(region, at)?;
    let (count, counted) = (words[0].get() >> 32, words[2].get());
    let Some(number) = counted.checked_sub(1) else {
        let len = words[4].get();
        let held = context.hold(own_arena_turn(context))?;
        let mut change = Change::begin(&held, 1 + allocator::GIVE_WORDS)?;
        change.set(chain, words[1].get());
        allocator::give(&mut change, room(region, len)?, at)?;
        change.commit();
        return Ok(());
    };
    if number >= count {
        return Err(broken(at));
    }
    let place = region.words(at, HEAD_WORDS + 2 * counted as usize)?;
    let place = &place[HEAD_WORDS + 2 * number as usize..];
    let (handle, kind) = Handle::any(region, place[0].get(), place[1].get())?;
    let held = context.hold_all(&[handle.turn, handle.second_turn])?;
    let left = handle.object(region)?.references.get().saturating_sub(1);
    if left == 0 {
        birth::ensure_end(context, &handle, kind)?;
    }
    let mut change = Change::begin(&held, birth::END_WORDS + 1)?;
    change.set(&words[2], number);
    ledger::count_down(&mut change, &handle, kind, left)?;
    change.commit();
    drop(held);
    if left == 0 { husk::dismantle_only(context) } else { Ok(()) }
}

/// Offsets and generations of the objects whose references a parcel has counted, and its room.
pub(crate) fn counted(region: &Region, at: u64) -> Result<(Room, Vec<Place>)> {
    let words = head(region, at)?;
    let (count, counted, len) = (words[0].get() >> 32, words[2].get(), words[4].get());
    let room = room(region, len)?;
    if counted > count || words[0].get() as u8 != TAG || len < HEAD_BYTES as u64 + 16 * count {
        return Err(broken(at));
    }
    let words = region.words(at, HEAD_WORDS + 2 * counted as usize)?;
    let places = words[HEAD_WORDS..].chunks(2).map(|pair| (pair[0].get(), pair[1].get()));
    Ok((room, places.collect()))
}

/// The next parcel of a chain.
pub(crate) fn next(region: &Region, at: u64) -> Result<u64> {
    Ok(head(region, at)?[1].get())
}

fn room(region: &Region, len: u64) -> Result<Room> {
    if len > region.span_limit() * crate::memory::layout::SPAN_BYTES {
        return Err(Corrupt { what: "length of a parcel", at: len }.into());
    }
    Ok(Room::of(len as usize))
}

fn head(region: &Region, at: u64) -> Result<&[Word]> {
    Ok(region.words(at, HEAD_WORDS)?)
}

fn own_arena_turn(context: &Context) -> u32 {
    ARENA_TURNS + context.index() % ARENA_COUNT
}

fn broken(at: u64) -> Error {
    Corrupt { what: "parcel", at }.into()
}
