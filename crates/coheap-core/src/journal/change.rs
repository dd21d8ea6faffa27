//! One change: save, store, commit.
//!
//! ```text
//! sequences odd -> (save a word, count it, store it)* -> entries = 0 -> sequences even
//! ```
//!
//! What always holds:
//!
//! - **Change.1** An entry is complete before it is counted, and counted before its word is stored.
//! - **Change.2** The room for all entries is there before the first store, so a change that began
//!   can always be finished.
//! - **Change.3** Dropping an uncommitted change undoes it.

use crate::defect::{Mistake, defect};
use crate::error::{Error, Result};
use crate::journal::context::Context;
use crate::journal::held::Held;
use crate::memory::layout::{
    CHUNK_COUNT, CHUNK_ENTRIES, CHUNKS_PER_CHANGE, ContextEntry, Entry, FIRST_ENTRIES,
};
use crate::memory::{Region, Word};
use crate::sync::turn;

/// Most words that one change can save.
pub const MAX_WORDS: usize = FIRST_ENTRIES + CHUNKS_PER_CHANGE * CHUNK_ENTRIES;

/// A change that is open.
#[derive(Debug)]
pub struct Change<'a> {
    held: &'a Held<'a>,
    context: &'a Context,
    entry: &'a ContextEntry,
    len: usize,
    room: usize,
    has_chained: bool,
    is_done: bool,
}

impl<'a> Change<'a> {
    /// Opens a change under all of `held`, with room to save `words` words.
    ///
    /// # Errors
    ///
    /// [`Error::TransactionTooLarge`], or [`Error::HeapFull`] when no journal room is left.
    #[inline(always)]
    pub fn begin(held: &'a Held<'a>, words: usize) -> Result<Self> {
        let context = held.context();
        assert!(!context.is_changing.get(), "changes do not nest");
        let mut room = FIRST_ENTRIES;
        if words > room {
            room = make_room(context, words)?;
        }
        context.is_changing.set(true);
        if !defect(Mistake::EvenSequenceDuringChange) {
            for each in held.turns() {
                turn::open(each);
            }
        }
        let entry = context.entry();
        Ok(Self { held, context, entry, len: 0, room, has_chained: false, is_done: false })
    }

    /// The thread.
    #[inline(always)]
    pub fn context(&self) -> &'a Context {
        self.context
    }

    /// The heap's bytes.
    #[inline(always)]
    pub fn region(&self) -> &'a Region {
        self.context.region()
    }

    /// Saves a word, whose value a later `put` replaces.
    #[inline(always)]
    pub fn save(&mut self, word: &Word) {
        assert!(self.len < self.room, "a change saves no more words than it asked room for");
        let entry = entry_at(self.context, self.len);
        self.len += 1;
        if defect(Mistake::CountIncompleteEntry) {
            Region::store(&self.entry.entries, self.len as u64);
        }
        Region::build(&entry.at, self.region().offset_of(word));
        Region::build(&entry.old, word.get());
        Region::store_after_all(&self.entry.entries, self.len as u64);
    }

    /// Saves a word, then stores it.
    #[inline(always)]
    pub fn set(&mut self, word: &Word, value: u64) {
        if !defect(Mistake::StoreUnsaved) {
            self.save(word);
        }
        Region::store(word, value);
    }

    /// Stores a word that nobody else can see yet, or that is saved already.
    #[inline(always)]
    pub fn put(&self, word: &Word, value: u64) {
        Region::build(word, value);
    }

    /// Puts a block on a chain when the change commits. Costs two words of room.
    pub fn chain(&mut self, head: &'a Word, link: &'a Word, block: u64) {
        if defect(Mistake::FreeAtOnce) {
            Region::store(link, head.get());
            self.set(head, block);
            return;
        }
        let region = self.region();
        let mut chained = self.context.chained.take();
        chained.push([region.offset_of(head), region.offset_of(link), block]);
        self.context.chained.set(chained);
        self.has_chained = true;
    }

    /// Makes everything real with one store.
    #[inline(always)]
    pub fn commit(mut self) {
        if self.has_chained {
            self.chain_all();
        }
        self.is_done = true;
        if defect(Mistake::EvenSequenceBeforeCommit) {
            self.close();
            Region::store_after_all(&self.entry.entries, 0);
        } else {
            Region::store_after_all(&self.entry.entries, 0);
            self.close();
        }
    }

    #[cold]
    fn chain_all(&mut self) {
        let region = self.region();
        let mut chained = self.context.chained.take();
        for [head, link, block] in chained.drain(..) {
            // The offsets are those of words that `chain` was given, so they resolve, unless
            // others have damaged the table of contexts: then the block is lost.
            let (Ok(head), Ok(link)) = (region.journaled_word(head), region.journaled_word(link))
            else {
                continue;
            };
            self.set(link, head.get());
            self.set(head, block);
        }
        self.context.chained.set(chained);
    }

    #[inline(always)]
    fn close(&mut self) {
        if self.room > FIRST_ENTRIES {
            give_chunks_back(self.context);
        }
        for each in self.held.turns() {
            turn::close(each);
        }
        self.context.is_changing.set(false);
    }
}

impl Drop for Change<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        if self.len > 0 {
            // The words are this process's own, so they resolve, unless others have damaged them.
            let _ = undo(self.region(), self.context.index(), self.entry, false);
        }
        if self.has_chained {
            self.context.chained.set(Vec::new());
        }
        self.close();
    }
}

/// Journal entry number `index` of a context.
#[inline(always)]
fn entry_at(context: &Context, index: usize) -> &Entry {
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
fn make_room(context: &Context, words: usize) -> Result<usize> {
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

fn give_chunks_back(context: &Context) {
    let region = context.region();
    let count = (context.entry().chunks.get() as usize).min(CHUNKS_PER_CHANGE);
    for place in &context.control().chunks[..count] {
        let owner = region.chunk_owner(place.get() as u32 % CHUNK_COUNT);
        let _ = Region::compare_exchange(owner, context.me().bits(), 0);
    }
    Region::store(&context.entry().chunks, 0);
}
