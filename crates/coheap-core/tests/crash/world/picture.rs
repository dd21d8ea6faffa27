//! A copy of a heap's bytes, to start an experiment over from exactly the same state.
//!
//! The copy is taken and put back through a mapping of its own, so it passes neither of the
//! engine's doors and needs none of its features.
//!
//! What always holds: after `restore` the heap is byte for byte what it was when the picture was
//! taken, as far as anyone may look: what was first used since is zero or out of bounds again.

use std::ops::Range;
use std::ptr::NonNull;

use coheap_core::heap::Heap;
use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::memory::Region;
use coheap_core::memory::layout::{
    BLOCK_BYTES, BLOCK_OWNERS, BLOCKS, CHUNK_BYTES, CHUNK_COUNT, CHUNKS, CONTEXTS, ContextRow,
    FIXED_END, JOURNAL_BYTES, JOURNALS, LINES, SLOT_TURNS_END, SLOT_TURNS_START, SLOTS, SPAN_BYTES,
    SPAN_TABLE, Slot, Span, TagLine, Turn,
};

/// A mapping of a heap's file for copying in and out.
#[derive(Debug)]
pub(crate) struct Camera {
    base: NonNull<u8>,
    len: usize,
}

/// The bytes of everything in use, in memory that a child does not inherit: it would only make
/// its birth slow.
#[derive(Debug)]
pub(crate) struct Picture {
    album: Album,
    parts: Vec<Range<u64>>,
    /// How many slots, rows, lines of tags and blocks of cells were real.
    real: [u32; 4],
}

/// Memory of the parent alone.
#[derive(Debug)]
struct Album {
    base: NonNull<u8>,
    len: usize,
}

impl Camera {
    pub(crate) fn new(heap: &Heap) -> Self {
        let region = heap.region();
        let len = (region.data_start() + region.span_limit() * SPAN_BYTES) as usize;
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        let file = region.file().number();
        // SAFETY: no address is asked for, so no other mapping is replaced.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, file, 0) };
        assert!(base != libc::MAP_FAILED, "the heap can be mapped once more");
        Self { base: NonNull::new(base.cast()).expect("an address"), len }
    }

    /// Copies what is in use. Nobody may write meanwhile.
    pub(crate) fn take(&self, region: &Region) -> Picture {
        let real = real(region);
        // A change that lowers the frontier may be half done: then it rises again.
        let spans = region.committed_spans();
        let mut parts = vec![0..SLOT_TURNS_START, SLOT_TURNS_END..FIXED_END];
        parts.extend(rows([0; 4], real));
        let used = (0..CHUNK_COUNT).filter(|chunk| region.chunk_owner(*chunk).get() != 0);
        parts.extend(
            used.map(|chunk| CHUNKS + u64::from(chunk) * CHUNK_BYTES)
                .map(|at| at..at + CHUNK_BYTES),
        );
        parts.push(SPAN_TABLE..SPAN_TABLE + spans * size_of::<Span>() as u64);
        parts.push(region.data_start()..region.data_start() + spans * SPAN_BYTES);
        let album = Album::new(parts.iter().map(|part| part.end - part.start).sum::<u64>());
        let picture = Picture { album, parts, real };
        for (inside, part) in picture.places() {
            let len = self.checked(&part);
            // SAFETY: `part` is inside the mapping (checked above) and committed, `inside` is its
            // place in the album; nobody writes meanwhile.
            unsafe {
                let from = self.base.as_ptr().add(part.start as usize);
                std::ptr::copy_nonoverlapping(from, picture.album.base.as_ptr().add(inside), len);
            }
        }
        picture
    }

    /// Puts the bytes back. No child may be attached.
    pub(crate) fn restore(&self, region: &Region, picture: &Picture) {
        for part in rows(picture.real, real(region)) {
            let len = self.checked(&part);
            // SAFETY: inside the mapping (checked above); nobody else writes.
            unsafe { std::ptr::write_bytes(self.base.as_ptr().add(part.start as usize), 0, len) };
        }
        for (inside, part) in picture.places() {
            let len = self.checked(&part);
            // SAFETY: as in `take`.
            unsafe {
                let to = self.base.as_ptr().add(part.start as usize);
                std::ptr::copy_nonoverlapping(picture.album.base.as_ptr().add(inside), to, len);
            }
        }
    }

    fn checked(&self, part: &Range<u64>) -> usize {
        assert!(part.end as usize <= self.len);
        (part.end - part.start) as usize
    }
}

impl Picture {
    /// Each part with its place in the album.
    fn places(&self) -> impl Iterator<Item = (usize, Range<u64>)> + '_ {
        self.parts.iter().scan(0, |at, part| {
            let inside = *at;
            *at += (part.end - part.start) as usize;
            Some((inside, part.clone()))
        })
    }
}

impl Album {
    fn new(len: u64) -> Self {
        let len = len as usize;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: no address is asked for, so no other mapping is replaced.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        assert!(base != libc::MAP_FAILED, "there is memory for a picture");
        // SAFETY: the range is ours.
        unsafe { libc::madvise(base, len, libc::MADV_DONTFORK) };
        Self { base: NonNull::new(base.cast()).expect("an address"), len }
    }
}

impl Drop for Album {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing borrows from it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing borrows from it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// How many slots, rows, lines of tags and blocks of cells are real.
fn real(region: &Region) -> [u32; 4] {
    let head = region.parking();
    let [lines, blocks] = [&head.lines_real, &head.blocks_real].map(|word| word.get() as u32);
    [region.real_slots(), region.real_rows(), lines, blocks]
}

/// The bytes of what is real of each table at `now` and was not at `then`.
fn rows(then: [u32; 4], now: [u32; 4]) -> impl Iterator<Item = Range<u64>> {
    let [slots, contexts, lines, blocks] =
        [0, 1, 2, 3].map(|table| u64::from(then[table])..u64::from(now[table]));
    let part = |at: u64, size: u64, rows: &Range<u64>| at + rows.start * size..at + rows.end * size;
    let parts = [
        part(SLOT_TURNS_START, size_of::<Turn>() as u64, &slots),
        part(SLOTS, size_of::<Slot>() as u64, &slots),
        part(CONTEXTS, size_of::<ContextRow>() as u64, &contexts),
        part(JOURNALS, JOURNAL_BYTES, &contexts),
        part(LINES, size_of::<TagLine>() as u64, &lines),
        part(BLOCK_OWNERS, 8, &blocks),
        part(BLOCKS, BLOCK_BYTES, &blocks),
    ];
    parts.into_iter().filter(|part| !part.is_empty())
}
