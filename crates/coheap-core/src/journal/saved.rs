//! The saved words of a journal: where they lie, and how all of them are undone.
//!
//! The first of them lie in the row of the context. A change that saves more words claims overflow
//! chunks, which its journal lists, and returns them when it closes.
//!
//! What always holds:
//!
//! - A chunk is free, or belongs to the context that its owner word names.
//! - `undo` reads no private memory, so it also undoes the journals of other processes.
//!
//! Not here: when a word is saved and counted (`change`), and when the journals of the dead are
//! undone (`recovery`).

use crate::defect::{Mistake, defect};
use crate::error::{Error, Result};
use crate::journal::context::Context;
use crate::memory::Region;
use crate::memory::layout::{
    CHUNK_COUNT, CHUNK_SAVED, CHUNKS_PER_CHANGE, ContextRow, FIRST_SAVED, SavedWord,
};
use crate::sync::Owner;

/// How often a change looks for chunks when nobody holds a turn that it could wait for.
const TRIES: u32 = 20;

/// The limit of words that one change can save.
pub const MAX_WORDS: usize = FIRST_SAVED + CHUNKS_PER_CHANGE * CHUNK_SAVED;

/// Saved word number `index` of a context.
#[inline(always)]
pub(super) fn saved_at(context: &Context, index: usize) -> &SavedWord {
    saved_of(context.region(), context.index(), index)
}

/// As [`saved_at`], of any row.
#[inline(always)]
fn saved_of(region: &Region, row: u32, index: usize) -> &SavedWord {
    if index < FIRST_SAVED {
        return region.first_saved(row, index);
    }
    overflow_saved(region, row, index)
}

#[cold]
fn overflow_saved(region: &Region, context: u32, index: usize) -> &SavedWord {
    let beyond = index - FIRST_SAVED;
    let chunk = region.control(context).chunks[beyond / CHUNK_SAVED].get() as u32;
    region.chunk_saved(chunk % CHUNK_COUNT, beyond % CHUNK_SAVED)
}

/// Restores every saved word, last first, then empties the journal with one store.
///
/// May be interrupted anywhere and run again: its stores do not depend on its earlier stores.
pub(super) fn undo(region: &Region, index: u32, row: &ContextRow, is_recovery: bool) -> Result<()> {
    let count = row.saved.get() as usize;
    let count =
        count.min(if defect(Mistake::UndoWithoutOverflow) { FIRST_SAVED } else { MAX_WORDS });
    let order: &mut dyn Iterator<Item = usize> =
        if defect(Mistake::UndoFirstWordFirst) { &mut (0..count) } else { &mut (0..count).rev() };
    for number in order {
        let saved = saved_of(region, index, number);
        Region::store(region.journaled_word(saved.at.get())?, saved.old.get());
    }
    if count > 0 && !(defect(Mistake::RecoverWithoutEmptyingJournal) && is_recovery) {
        Region::store(&row.saved, 0);
    }
    Ok(())
}

/// Returns a turn of the thread that has saved the word at an offset in its open change: until that
/// turn is free, what is read of the word may be undone. `None`: no open change has saved it.
pub(crate) fn turn_of_change(region: &Region, at: u64) -> Option<u32> {
    let has_saved = |index: &u32| {
        let count = (region.context(*index).saved.acquire() as usize).min(MAX_WORDS);
        (0..count).any(|number| saved_of(region, *index, number).at.get() == at)
    };
    turn_of_row(region, (0..region.real_rows()).find(has_saved)?)
}

/// Returns a turn that the thread of a row holds.
fn turn_of_row(region: &Region, row: u32) -> Option<u32> {
    let owner = |turn: u32| Owner::of(region.turn(turn).owner.acquire());
    Region::real_turns(region.real_slots()).find(|turn| owner(*turn).row() == Some(row))
}

/// Claims overflow chunks until there is room for `words` saved words.
///
/// # Errors
///
/// [`Error::Busy`] when others have too many of them, with a turn of one who has.
#[cold]
pub(super) fn make_room(context: &Context, words: usize) -> Result<usize> {
    let chunks = (words - FIRST_SAVED).div_ceil(CHUNK_SAVED);
    if chunks > CHUNKS_PER_CHANGE {
        return Err(Error::TransactionTooLarge { words: words as u64, max: MAX_WORDS as u64 });
    }
    let region = context.region();
    for _ in 0..TRIES {
        // Two that each claim what they find would both find too few.
        let free = (0..CHUNK_COUNT).filter(|chunk| region.chunk_owner(*chunk).get() == 0).count();
        if free >= chunks {
            if claim_chunks(context, chunks)? {
                return Ok(FIRST_SAVED + chunks * CHUNK_SAVED);
            }
            give_chunks_back(context);
        }
        // Who has chunks is in a change, and that holds a turn.
        let owners = (0..CHUNK_COUNT).map(|chunk| Owner::of(region.chunk_owner(chunk).acquire()));
        if let Some(turn) = owners.filter_map(Owner::row).find_map(|row| turn_of_row(region, row)) {
            return Err(Error::Busy { turn });
        }
    }
    let free = FIRST_SAVED + (chunks - 1) * CHUNK_SAVED;
    Err(Error::TransactionTooLarge { words: words as u64, max: free as u64 })
}

/// Claims so many free chunks. Returns `false` with those that it got if there were fewer.
fn claim_chunks(context: &Context, chunks: usize) -> Result<bool> {
    let region = context.region();
    let mut claimed = 0;
    for chunk in 0..CHUNK_COUNT {
        if claimed == chunks {
            break;
        }
        let owner = region.chunk_owner(chunk);
        let free = owner.get() == 0;
        if free && Region::compare_exchange(owner, 0, context.me().bits()).is_ok() {
            Region::store(&context.control().chunks[claimed], u64::from(chunk));
            claimed += 1;
            Region::store(&context.row().chunks, claimed as u64);
            if let Err(error) = region.commit_chunk(chunk) {
                give_chunks_back(context);
                return Err(error);
            }
        }
    }
    Ok(claimed == chunks)
}

/// Returns the overflow chunks of a context.
pub(super) fn give_chunks_back(context: &Context) {
    let region = context.region();
    let count = (context.row().chunks.get() as usize).min(CHUNKS_PER_CHANGE);
    for chunk in &context.control().chunks[..count] {
        let owner = region.chunk_owner(chunk.get() as u32 % CHUNK_COUNT);
        let _ = Region::compare_exchange(owner, context.me().bits(), 0);
    }
    Region::store(&context.row().chunks, 0);
}
