//! One change: save, store, commit.
//!
//! ```text
//! sequences odd -> (save a word, count it, store it)* -> saved = 0 -> sequences even
//! ```
//!
//! What always holds:
//!
//! - **Change.1** A saved word is complete before it counts, and counts before the word is stored.
//! - **Change.2** The room for all saved words is there before the first store, so a change that
//!   began can always be finished.
//! - **Change.3** Dropping an uncommitted change undoes it.
//!
//! Not here: where saved words lie, and how they are undone (`saved`).

use crate::defect::{Mistake, defect};
use crate::error::Result;
use crate::journal::context::Context;
use crate::journal::held::Held;
use crate::journal::saved::{give_chunks_back, make_room, saved_at, undo};
use crate::memory::layout::{ContextRow, FIRST_SAVED};
use crate::memory::{Region, Word};
use crate::sync::turn;

/// An open change.
#[derive(Debug)]
pub struct Change<'a> {
    held: &'a Held<'a>,
    context: &'a Context,
    row: &'a ContextRow,
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
        let mut room = FIRST_SAVED;
        if words > room {
            room = make_room(context, words)?;
        }
        context.is_changing.set(true);
        if !defect(Mistake::EvenSequenceDuringChange) {
            for each in held.turns() {
                turn::open(each);
            }
        }
        let row = context.row();
        Ok(Self { held, context, row, len: 0, room, has_chained: false, is_done: false })
    }

    /// Returns the thread.
    #[inline(always)]
    pub fn context(&self) -> &'a Context {
        self.context
    }

    /// Returns the heap's bytes.
    #[inline(always)]
    pub fn region(&self) -> &'a Region {
        self.context.region()
    }

    /// Saves a word, whose value a later `put` replaces.
    #[inline(always)]
    pub fn save(&mut self, word: &Word) {
        assert!(self.len < self.room, "a change saves no more words than it asked room for");
        let saved = saved_at(self.context, self.len);
        self.len += 1;
        if defect(Mistake::CountIncompleteWord) {
            Region::store(&self.row.saved, self.len as u64);
        }
        Region::build(&saved.at, self.region().offset_of(word));
        Region::build(&saved.old, word.get());
        Region::store_after_all(&self.row.saved, self.len as u64);
    }

    /// Saves a word, then stores it.
    #[inline(always)]
    pub fn set(&mut self, word: &Word, value: u64) {
        if !defect(Mistake::StoreUnsaved) {
            self.save(word);
        }
        Region::store(word, value);
    }

    /// Stores a word that no other process can reach yet, or that is saved already.
    #[inline(always)]
    pub fn put(&self, word: &Word, value: u64) {
        Region::build(word, value);
    }

    /// Puts a block on a chain when the change commits. Needs room for two saved words.
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

    /// Commits the change with one store.
    #[inline(always)]
    pub fn commit(mut self) {
        if self.has_chained {
            self.chain_all();
        }
        self.is_done = true;
        if defect(Mistake::EvenSequenceBeforeCommit) {
            self.close();
            Region::store_after_all(&self.row.saved, 0);
        } else {
            Region::store_after_all(&self.row.saved, 0);
            self.close();
        }
    }

    #[cold]
    fn chain_all(&mut self) {
        let region = self.region();
        let mut chained = self.context.chained.take();
        for [head, link, block] in chained.drain(..) {
            // The offsets come from words that were passed to `chain`, so they resolve, unless
            // another process has damaged the table of contexts: then the block is lost.
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
        if self.room > FIRST_SAVED {
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
            // The words are this process's own, so they resolve, unless another process has damaged
            // them.
            let _ = undo(self.region(), self.context.index(), self.row, false);
        }
        if self.has_chained {
            self.context.chained.set(Vec::new());
        }
        self.close();
    }
}
