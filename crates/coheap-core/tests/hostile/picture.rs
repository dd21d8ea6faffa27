//! A heap's bytes behind the engine's back: taken, damaged, put back.
//!
//! What always holds: nobody else uses the heap while a picture is taken or put back.

use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use coheap_core::heap::Heap;
use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::memory::layout::{
    CHUNKS, CONTEXTS, ContextRow, FIXED_END, Header, JOURNAL_BYTES, JOURNALS, SLOT_TURNS_END,
    SLOT_TURNS_START, SLOTS, SPAN_BYTES, SPAN_TABLE, Slot, Span, Turn,
};

/// The hashes of a heap with nothing in it are the same in each run from now on, so that the same
/// damages meet the same bytes.
pub(crate) fn repeat_hashes(heap: &Heap) {
    let copy = heap.region().file().descriptor().try_clone_to_owned();
    let at = std::mem::offset_of!(Header, seed) as u64;
    File::from(copy.expect("a descriptor")).write_all_at(&[7; 8], at).expect("written");
}

/// All committed bytes of a heap at one moment.
#[derive(Debug)]
pub(crate) struct Picture {
    file: File,
    parts: Vec<(u64, Vec<u8>)>,
}

impl Picture {
    /// Takes a picture. Nobody else may use the heap meanwhile.
    pub(crate) fn take(heap: &Heap) -> Self {
        let copy = heap.region().file().descriptor().try_clone_to_owned();
        let file = File::from(copy.expect("a descriptor"));
        let parts = ranges(heap).into_iter().map(|range| {
            let mut bytes = vec![0; (range.end - range.start) as usize];
            file.read_exact_at(&mut bytes, range.start).expect("read");
            (range.start, bytes)
        });
        let parts = parts.collect();
        Self { file, parts }
    }

    /// Puts every byte back.
    pub(crate) fn restore(&self) {
        for (start, bytes) in &self.parts {
            self.file.write_all_at(bytes, *start).expect("written");
        }
    }

    /// Where the bytes are that the picture has.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.parts.iter().map(|(start, bytes)| *start..*start + bytes.len() as u64)
    }

    /// Puts every byte back, and wipes the slots and rows that were not real then.
    pub(crate) fn restore_all(&self) {
        let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        for (from, end) in [(SLOT_TURNS_START, SLOT_TURNS_END), (SLOTS, CHUNKS)] {
            let (from, len) = (from as i64, (end - from) as i64);
            // SAFETY: takes no pointer; the descriptor is open.
            let answer = unsafe { libc::fallocate(self.file.as_raw_fd(), punch, from, len) };
            assert!(answer == 0, "fallocate: {}", std::io::Error::last_os_error());
        }
        self.restore();
    }

    /// The word at an offset, as it was.
    pub(crate) fn word(&self, at: u64) -> u64 {
        let inside = |(start, bytes): &&(u64, Vec<u8>)| {
            at >= *start && at + 8 <= *start + bytes.len() as u64
        };
        let (start, bytes) = self.parts.iter().find(inside).expect("an offset in the picture");
        let from = (at - start) as usize;
        bytes[from..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
    }

    /// Writes a word to the heap.
    pub(crate) fn put(&self, at: u64, word: u64) {
        self.file.write_all_at(&word.to_le_bytes(), at).expect("written");
    }
}

/// Tables as far as they are real, the span table and the spans that were ever used.
fn ranges(heap: &Heap) -> Vec<Range<u64>> {
    let region = heap.region();
    let spans = region.header().spans.frontier.get();
    let (slots, rows) = (u64::from(region.real_slots()), u64::from(region.real_rows()));
    vec![
        0..SLOT_TURNS_START + slots * size_of::<Turn>() as u64,
        SLOT_TURNS_END..FIXED_END,
        SLOTS..SLOTS + slots * size_of::<Slot>() as u64,
        CONTEXTS..CONTEXTS + rows * size_of::<ContextRow>() as u64,
        JOURNALS..JOURNALS + rows * JOURNAL_BYTES,
        SPAN_TABLE..SPAN_TABLE + spans * size_of::<Span>() as u64,
        region.data_start()..region.data_start() + spans * SPAN_BYTES,
    ]
}
