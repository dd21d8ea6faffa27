//! The mapped bytes of a heap, and the only code that turns an offset into an address.
//!
//! What always holds (SAFETY notes cite these by name):
//!
//! - **Region.1** From `open` to `drop`, `len` bytes at `base` are mapped and writable.
//! - **Region.2** Tables, journals, chunks and the span table lie one after the other in the first
//!   `data_start` bytes, which are mapped whole, and each begins aligned for its rows (`layout`).
//! - **Region.3** Any bytes are a valid `T: Plain`: a hostile peer can make a value wrong, not
//!   unsound.
//! - **Region.4** Tables are committed before the heap can be found. Slots with their turns, contexts
//!   with their journals, and spans with their rows are handed out only below their numbers in the
//!   header, which only ever grow, and only after the pages are real.
//!
//! Not here: which process may write when (`sync`), and how a half-done write is undone
//! (`journal`).

mod bytes;
#[cfg_attr(
    not(feature = "floors"),
    allow(dead_code, reason = "notifications are for kinds that come next")
)]
mod growth;
mod parking;

use super::atomic::{AtomicU64, Ordering, compiler_fence};
use super::layout::{
    self, Arena, CHUNK_BYTES, CHUNK_OWNERS, CONTEXT_COUNT, ContextRow, Control, Header,
    JOURNAL_BYTES, SPAN_BYTES, SavedWord, Slot, Span, Turn,
};
use super::plain::Plain;
use super::word::{Signal, Word};
use crate::error::{Corrupt, Error, Result};
use crate::os::{self, FileId, HeapFile, Mapping, failpoint};

/// The bytes of one heap as this process sees them.
#[derive(Debug)]
pub struct Region {
    mapping: Mapping,
    file: HeapFile,
    file_id: FileId,
    data_start: u64,
    span_limit: u64,
    /// End of the committed spans as last read from the header.
    known_end: AtomicU64,
}

impl Region {
    /// Maps a heap of at most `span_limit` spans.
    pub fn open(file: HeapFile, span_limit: u64) -> Result<Self> {
        let data_start = layout::data_start(span_limit);
        let len = data_start + span_limit * SPAN_BYTES;
        let mapping = Mapping::new(&file, len as usize).map_err(|error| match error {
            Error::Os { call: "mmap", code: 12 } => {
                Error::NoAddressSpace { len, max: span_limit * SPAN_BYTES }
            }
            other => other,
        })?;
        let file_id = file.id()?;
        let known_end = AtomicU64::new(data_start);
        Ok(Self { mapping, file, file_id, data_start, span_limit, known_end })
    }

    /// Returns the file behind the mapping.
    pub fn file(&self) -> &HeapFile {
        &self.file
    }

    /// Returns the inode number of the file.
    pub fn inode(&self) -> u64 {
        self.file_id.inode()
    }

    /// Gets the file back from one of the processes `members` if other code has closed it.
    #[cold]
    pub fn regain_file(&self, members: impl IntoIterator<Item = u32>) -> bool {
        os::regain(&self.file, self.file_id, members)
    }

    /// Returns the file, or an error if user code closed the descriptor or put another file there.
    fn checked_file(&self) -> Result<&HeapFile> {
        match self.file.id() {
            Ok(id) if id == self.file_id => Ok(&self.file),
            _ => Err(Error::Os { call: "use of the data descriptor, which was closed", code: 9 }),
        }
    }

    /// Offset of the first span.
    #[inline(always)]
    pub fn data_start(&self) -> u64 {
        self.data_start
    }

    /// Most spans the heap can have.
    pub fn span_limit(&self) -> u64 {
        self.span_limit
    }

    /// Returns the thing at an offset.
    ///
    /// # Safety
    ///
    /// `at..at + size_of::<T>()` lies below `len`, and `at` is a multiple of `align_of::<T>()`.
    #[inline(always)]
    unsafe fn resolve<T: Plain>(&self, at: u64) -> &T {
        debug_assert!(at as usize + size_of::<T>() <= self.mapping.len());
        debug_assert!(at.is_multiple_of(align_of::<T>() as u64));
        // SAFETY: inside and aligned (the caller), mapped while `self` is borrowed (Region.1); peers
        // may change a `Plain` under a shared reference (Region.3).
        unsafe { self.mapping.base().add(at as usize).cast::<T>().as_ref() }
    }

    /// Returns the first page.
    #[inline(always)]
    pub fn header(&self) -> &Header {
        // SAFETY: the first page is mapped (Region.2), and an offset of 0 is aligned.
        unsafe { self.resolve(0) }
    }

    /// Returns a turn. `index` must be below `TURN_COUNT`, and real.
    #[inline(always)]
    pub fn turn(&self, index: u32) -> &Turn {
        assert!(index < layout::TURN_COUNT);
        // SAFETY: a row of the turns (`index` was checked above, Region.2).
        unsafe { self.resolve(layout::TURNS + u64::from(index) * size_of::<Turn>() as u64) }
    }

    /// Returns a slot. `index` must be below `SLOT_COUNT`, and real.
    #[inline(always)]
    pub fn slot(&self, index: u32) -> &Slot {
        assert!(index < layout::SLOT_COUNT);
        // SAFETY: a row of the slots (`index` was checked above, Region.2).
        unsafe { self.resolve(layout::SLOTS + u64::from(index) * size_of::<Slot>() as u64) }
    }

    /// Returns a context. `index` must be below `CONTEXT_COUNT`, and real.
    #[inline(always)]
    pub fn context(&self, index: u32) -> &ContextRow {
        assert!(index < CONTEXT_COUNT);
        let at = layout::CONTEXTS + u64::from(index) * size_of::<ContextRow>() as u64;
        // SAFETY: a row of the contexts (`index` was checked above, Region.2).
        unsafe { self.resolve(at) }
    }

    /// Who uses an overflow chunk. `index` must be below `CHUNK_COUNT`.
    pub fn chunk_owner(&self, index: u32) -> &Word {
        assert!(index < layout::CHUNK_COUNT);
        // SAFETY: a word of the owners (`index` was checked above, Region.2).
        unsafe { self.resolve(CHUNK_OWNERS + u64::from(index) * 8) }
    }

    /// Returns an arena. `index` must be below `ARENA_COUNT`.
    pub fn arena(&self, index: u32) -> &Arena {
        assert!(index < layout::ARENA_COUNT);
        // SAFETY: a row of the arenas (`index` was checked above, Region.2).
        unsafe { self.resolve(layout::ARENAS + u64::from(index) * size_of::<Arena>() as u64) }
    }

    /// Returns the control words of a context that is real.
    #[inline(always)]
    pub fn control(&self, context: u32) -> &Control {
        assert!(context < CONTEXT_COUNT);
        // SAFETY: the head of a journal (`context` was checked above, Region.2).
        unsafe { self.resolve(layout::JOURNALS + u64::from(context) * JOURNAL_BYTES) }
    }

    /// Saved word `index` of the first area.
    #[inline(always)]
    pub fn first_saved(&self, context: u32, index: usize) -> &SavedWord {
        assert!(context < CONTEXT_COUNT && index < layout::FIRST_SAVED);
        let area = layout::JOURNALS + u64::from(context) * JOURNAL_BYTES;
        let at = area + size_of::<Control>() as u64 + (index * size_of::<SavedWord>()) as u64;
        // SAFETY: an element of a journal (both numbers were checked above, Region.2).
        unsafe { self.resolve(at) }
    }

    /// Saved word `index` of an overflow chunk.
    pub fn chunk_saved(&self, chunk: u32, index: usize) -> &SavedWord {
        assert!(chunk < layout::CHUNK_COUNT && index < layout::CHUNK_SAVED);
        let area = layout::CHUNKS + u64::from(chunk) * CHUNK_BYTES;
        // SAFETY: an element of a chunk (both numbers were checked above, Region.2).
        unsafe { self.resolve(area + (index * size_of::<SavedWord>()) as u64) }
    }

    /// Number of committed spans: what the header says, as far as the file really reaches.
    pub fn committed_spans(&self) -> u64 {
        let said = self.header().spans.committed.acquire().min(self.span_limit);
        if said <= self.known_spans() {
            return said;
        }
        let file = self.checked_file().and_then(HeapFile::ownership);
        let len = file.map_or(0, |file| file.len);
        let real = len.saturating_sub(self.data_start) / SPAN_BYTES;
        let spans = said.min(real);
        self.known_end.fetch_max(self.data_start + spans * SPAN_BYTES, Ordering::Relaxed);
        spans
    }

    fn known_spans(&self) -> u64 {
        (self.known_end.load(Ordering::Relaxed) - self.data_start) / SPAN_BYTES
    }

    /// Returns the table row of a span.
    pub fn span(&self, index: u64) -> Result<&Span, Corrupt> {
        if index >= self.known_spans() && index >= self.committed_spans() {
            return Err(Corrupt { what: "span number", at: index });
        }
        let at = layout::SPAN_TABLE + index * size_of::<Span>() as u64;
        // SAFETY: a row of the span table, for spans are never more than `span_limit` (Region.2).
        Ok(unsafe { self.resolve(at) })
    }

    /// Returns the thing at an offset in a span.
    #[inline(always)]
    pub fn at<T: Plain>(&self, at: u64) -> Result<&T, Corrupt> {
        const { assert!(align_of::<T>() <= 8) };
        self.bounded(at, size_of::<T>() as u64)?;
        // SAFETY: `bounded` has checked both.
        Ok(unsafe { self.resolve(at) })
    }

    /// `count` words at an offset in a span.
    #[inline(always)]
    pub fn words(&self, at: u64, count: usize) -> Result<&[Word], Corrupt> {
        self.rows(at, count)
    }

    /// `count` things in a row, of words each, at an offset in a span.
    #[inline(always)]
    pub fn rows<T: Plain>(&self, at: u64, count: usize) -> Result<&[T], Corrupt> {
        const { assert!(align_of::<T>() <= 8) };
        let len = (count as u64)
            .checked_mul(size_of::<T>() as u64)
            .ok_or(Corrupt { what: "length", at: count as u64 })?;
        self.bounded(at, len)?;
        let at = if count == 0 { 0 } else { at as usize };
        // SAFETY: `at` lies inside (checked above, Region.1). The pointer is the mapping's, for one made
        // from a reference to the first thing could not reach the others.
        let first = unsafe { self.mapping.base().add(at) }.cast::<T>();
        // SAFETY: `count` things from `first` lie inside and are aligned (checked above, Region.1), and
        // each is valid (Region.3).
        Ok(unsafe { std::slice::from_raw_parts(first.as_ptr(), count) })
    }

    /// Checks that `len` bytes at `at` lie in committed spans and that `at` is aligned.
    #[inline(always)]
    fn bounded(&self, at: u64, len: u64) -> Result<(), Corrupt> {
        // Below the first span, the distance wraps to more than there can be.
        let from_start = at.wrapping_sub(self.data_start);
        let known = self.known_end.load(Ordering::Relaxed) - self.data_start;
        if at.is_multiple_of(8) && len <= known && from_start <= known - len {
            return Ok(());
        }
        let end = at.wrapping_add(len);
        let inside = at >= self.data_start && end >= at && at.is_multiple_of(8);
        self.bounded_after_growth(at, end, inside)
    }

    #[cold]
    fn bounded_after_growth(&self, at: u64, end: u64, inside: bool) -> Result<(), Corrupt> {
        let now = self.data_start + self.committed_spans() * SPAN_BYTES;
        if inside && end <= now { Ok(()) } else { Err(Corrupt { what: "offset", at }) }
    }

    /// Any word that a journal may name: in a real part of the tables, a journal, or a span.
    pub fn journaled_word(&self, at: u64) -> Result<&Word, Corrupt> {
        let refused = Corrupt { what: "saved word", at };
        if at >= self.data_start {
            return self.at(at);
        }
        if !at.is_multiple_of(8) {
            return Err(refused);
        }
        let row_of = |start: u64, size: u64| (at - start) / size;
        let committed = match at {
            ..layout::SLOT_TURNS_START | layout::SLOT_TURNS_END..layout::FIXED_END => true,
            layout::SLOT_TURNS_START..layout::SLOT_TURNS_END => {
                row_of(layout::SLOT_TURNS_START, size_of::<Turn>() as u64)
                    < self.real_slots().into()
            }
            layout::SLOTS..layout::CONTEXTS => {
                row_of(layout::SLOTS, size_of::<Slot>() as u64) < self.real_slots().into()
            }
            layout::CONTEXTS..layout::JOURNALS => {
                row_of(layout::CONTEXTS, size_of::<ContextRow>() as u64) < self.real_rows().into()
            }
            layout::JOURNALS..layout::CHUNKS => {
                row_of(layout::JOURNALS, JOURNAL_BYTES) < self.real_rows().into()
            }
            layout::SPAN_TABLE.. => {
                row_of(layout::SPAN_TABLE, size_of::<Span>() as u64) < self.committed_spans()
            }
            layout::FIXED_END..layout::SLOTS | layout::CHUNKS.. => false,
        };
        if !committed {
            return Err(refused);
        }
        // SAFETY: below `data_start` (Region.2), and a multiple of 8 (both checked above).
        Ok(unsafe { self.resolve(at) })
    }

    /// Returns the offset of something in this region.
    #[inline(always)]
    pub fn offset_of<T: Plain>(&self, thing: &T) -> u64 {
        (std::ptr::from_ref(thing) as usize - self.mapping.base().as_ptr() as usize) as u64
    }

    /// Door one: stores a word.
    #[inline(always)]
    pub fn store(word: &Word, value: u64) {
        failpoint::hit();
        word.0.store(value, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
    }

    /// Door one: stores a word that nobody looks at before the next `store_after_all`, `publish` or
    /// change of a lock word.
    #[inline(always)]
    pub fn build(word: &Word, value: u64) {
        failpoint::hit();
        word.0.store(value, Ordering::Relaxed);
    }

    /// Door one: stores a word after everything that was built before.
    #[inline(always)]
    pub fn store_after_all(word: &Word, value: u64) {
        compiler_fence(Ordering::SeqCst);
        Self::store(word, value);
    }

    /// Door one, and whoever acquires the value sees everything stored before.
    #[inline(always)]
    pub fn publish(word: &Word, value: u64) {
        failpoint::hit();
        compiler_fence(Ordering::SeqCst);
        word.0.store(value, Ordering::Release);
    }

    /// Door two: replaces `old` by `new`, or returns what is there.
    #[inline(always)]
    pub fn compare_exchange(word: &Word, old: u64, new: u64) -> Result<u64, u64> {
        failpoint::hit();
        word.0.compare_exchange(old, new, Ordering::SeqCst, Ordering::Acquire)
    }

    /// Door two: puts `new` and returns what was there.
    #[inline(always)]
    pub fn swap(word: &Word, new: u64) -> u64 {
        failpoint::hit();
        compiler_fence(Ordering::SeqCst);
        word.0.swap(new, Ordering::SeqCst)
    }

    /// Door two: adds, and returns what was there.
    #[inline(always)]
    pub fn add(word: &Word, more: u64) -> u64 {
        failpoint::hit();
        word.0.fetch_add(more, Ordering::AcqRel)
    }

    /// Door two: counts a wake, so that no sleeper misses it.
    pub fn bump(signal: &Signal) {
        failpoint::hit();
        signal.word.fetch_add(1, Ordering::AcqRel);
    }

    /// Forbids this process to write to the heap: tests count what faults.
    #[cfg(feature = "failpoints")]
    pub fn protect(&self, writable: bool) {
        self.mapping.protect(writable);
    }
}
