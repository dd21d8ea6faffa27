//! The entries of a journal: where they lie, and how all of them are undone.
//!
//! The first entries lie in the row of the context. A change that saves more words claims overflow
//! chunks, which its journal lists, and gives them back when it closes.
//!
//! What always holds:
//!
//! - A chunk is free, or belongs to the context that its owner word names.
//! - `undo` reads no private memory, so it undoes the journals of others as well.
//!
//! Not here: when an entry is written and counted (`change`), and who undoes what the dead left
//! (`recovery`).

use crate::defect::{Mistake, defect};
use crate::error::{Error, Result};
use crate::journal::context::Context;
use crate::memory::Region;
use crate::memory::layout::{
    CHUNK_COUNT, CHUNK_ENTRIES, CHUNKS_PER_CHANGE, ContextEntry, Entry, FIRST_ENTRIES,
};

/// Most words that one change can save.
pub const MAX_WORDS: usize = FIRST_ENTRIES + CHUNKS_PER_CHANGE * CHUNK_ENTRIES;

/// Journal entry number `index` of a context.
#[inline(always)]
pub(super) fn entry_at(context: &Context, index: usize) -> &Entry {
    if index < FIRST_ENTRIES {
        return context.region().first_entry(context.index(), index);
    }
    overflow_entry(context.region(), context.index(), index)
}

#[cold]
fn overflow_entry(region: &Region, context: u32, index: usize) -> &Entry {
    let beyond = index - FIRST_ENTRIES;
    let chunk = region.control(context).chunks[beyond / CHUNK_ENTRIES].get() as u32;
    region.chunk_entry(chunk % CHUNK_COUNT, beyond % CHUNK_ENTRIES)
}

/// Puts every saved word back, last first, then declares the journal empty with one store.
///
/// May be cut off anywhere and run again: what it writes does not depend on what it wrote.
pub(super) fn undo(
    region: &Region,
    index: u32,
    entry: &ContextEntry,
    is_recovery: bool,
) -> Result<()> {
    let count = entry.entries.get() as usize;
    let count =
        count.min(if defect(Mistake::UndoWithoutOverflow) { FIRST_ENTRIES } else { MAX_WORDS });
    let order: &mut dyn Iterator<Item = usize> =
        if defect(Mistake::UndoFirstWordFirst) { &mut (0..count) } else { &mut (0..count).rev() };
    for number in order {
        let saved = match number {
            _ if number < FIRST_ENTRIES => region.first_entry(index, number),
            _ => overflow_entry(region, index, number),
        };
        Region::store(region.journaled_word(saved.at.get())?, saved.old.get());
    }
    if count > 0 && !(defect(Mistake::RecoverWithoutEmptyingJournal) && is_recovery) {
        Region::store(&entry.entries, 0);
    }
    Ok(())
}

/// Claims overflow chunks until `words` entries fit.
#[cold]
pub(super) fn make_room(context: &Context, words: usize) -> Result<usize> {
    let chunks = (words - FIRST_ENTRIES).div_ceil(CHUNK_ENTRIES);
    if chunks > CHUNKS_PER_CHANGE {
        return Err(Error::TransactionTooLarge { words: words as u64, max: MAX_WORDS as u64 });
    }
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
            Region::store(&context.entry().chunks, claimed as u64);
            if let Err(error) = region.commit_chunk(chunk) {
                give_chunks_back(context);
                return Err(error);
            }
        }
    }
    if claimed < chunks {
        give_chunks_back(context);
        let free = FIRST_ENTRIES + claimed * CHUNK_ENTRIES;
        return Err(Error::TransactionTooLarge { words: words as u64, max: free as u64 });
    }
    Ok(FIRST_ENTRIES + chunks * CHUNK_ENTRIES)
}

/// Gives the overflow chunks of a context back.
pub(super) fn give_chunks_back(context: &Context) {
    let region = context.region();
    let count = (context.entry().chunks.get() as usize).min(CHUNKS_PER_CHANGE);
    for place in &context.control().chunks[..count] {
        let owner = region.chunk_owner(place.get() as u32 % CHUNK_COUNT);
        let _ = Region::compare_exchange(owner, context.me().bits(), 0);
    }
    Region::store(&context.entry().chunks, 0);
}
