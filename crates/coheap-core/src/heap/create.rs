//! Filling a new heap, and checking an existing one.
//!
//! What always holds: a heap is complete before any other process can find it. Every value that is
//! read from a file is checked before the file is mapped.

use super::files::{check_owner, check_private};
use crate::defect::{Mistake, defect};
use crate::error::{Corrupt, Error, Result};
use crate::memory::Region;
use crate::memory::layout::{
    self, BYTE_ORDER, CONTEXT_COUNT, FIXED_END, FORMAT, Header, MAGIC, SLOT_COUNT, SPAN_BYTES,
};
use crate::os::{self, HeapFile};
use crate::sync::Census;
use crate::sync::life::{State, StateWord};

/// Flag: unlink when the last member leaves.
pub(super) const TEMPORARY: u64 = 1;
/// First bit of what a face notes in the flags.
pub(super) const NOTE: u32 = 8;
/// Smallest and largest `max_bytes`.
const LEAST_BYTES: u64 = 4 * SPAN_BYTES;
const MOST_BYTES: u64 = 1 << 42;
/// The number of spans that are committed from the start.
const FIRST_SPANS: u64 = 16;

/// The properties that distinguish a new heap from others.
#[derive(Debug)]
pub(super) struct Birth {
    pub(super) uuid: [u64; 2],
    pub(super) flags: u64,
}

impl Birth {
    pub(super) fn anonymous() -> Result<Self> {
        Ok(Self { uuid: [os::random_u64()?, os::random_u64()?], flags: 0 })
    }
}

/// Turns an empty file into a heap without members.
pub(super) fn fill(file: HeapFile, max_bytes: u64, birth: &Birth) -> Result<Region> {
    if !(LEAST_BYTES..=MOST_BYTES).contains(&max_bytes) {
        return Err(Error::BadArgument("max_bytes must be from 64 KiB to 4 TiB"));
    }
    let spans = max_bytes.div_ceil(SPAN_BYTES);
    let max = spans * SPAN_BYTES;
    let first = FIRST_SPANS.min(spans);
    // A system without room counts as a heap without room.
    let full = |refused, file: &HeapFile| match file.why_full(&refused).map(Box::new) {
        system @ Some(_) => Error::HeapFull { wanted: FIXED_END, used: 0, max, system },
        None => refused,
    };
    file.set_len(layout::data_start(spans)).map_err(|error| full(error, &file))?;
    let tables = [0..layout::SLOT_TURNS_START, layout::SLOT_TURNS_END..FIXED_END];
    for part in tables {
        file.commit(part.start, part.end - part.start).map_err(|error| full(error, &file))?;
    }
    let region = Region::open(file, spans)?;
    region.commit_spans(0, first).map_err(|error| full(error, region.file()))?;
    let header = region.header();
    let boot = os::boot_id();
    let values = [
        (&header.format, u64::from(FORMAT) | u64::from(BYTE_ORDER) << 32),
        (&header.uuid[0], birth.uuid[0]),
        (&header.uuid[1], birth.uuid[1]),
        (&header.boot[0], boot[0]),
        (&header.boot[1], boot[1]),
        (&header.user, u64::from(os::user())),
        (&header.flags, birth.flags),
        (&header.max_bytes, max),
        (&header.seed, os::random_u64()?),
        (&header.spans.committed, first),
        (&header.directory.generation, 1),
        (&header.magic, MAGIC),
    ];
    for (word, value) in values {
        Region::store(word, value);
    }
    Ok(region)
}

/// How often inconsistent numbers are read again.
const LOOKS: u32 = 10;

/// Maps an existing heap, after checking that the file is a heap of the calling user.
pub(super) fn map_checked(file: HeapFile) -> Result<Region> {
    let owner = file.ownership()?;
    if !owner.is_file {
        return Err(Error::NotAHeap("it is not a regular file"));
    }
    check_owner(&owner)?;
    let mut page = [0u8; size_of::<Header>()];
    if owner.len < FIXED_END || file.read_at(0, &mut page)? < page.len() {
        return Err(Error::NotAHeap("it is too short"));
    }
    let word = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&page[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    if word(std::mem::offset_of!(Header, magic)) != MAGIC {
        return Err(Error::NotAHeap("its first bytes are not those of a heap"));
    }
    let format = word(std::mem::offset_of!(Header, format));
    if format != u64::from(FORMAT) | u64::from(BYTE_ORDER) << 32 {
        return Err(Error::OtherFormat { found: format as u32, supported: FORMAT });
    }
    let features = word(std::mem::offset_of!(Header, read_features))
        | word(std::mem::offset_of!(Header, write_features));
    if features != 0 {
        return Err(Error::NotAHeap("it uses features that this version of coheap does not know"));
    }
    let user = word(std::mem::offset_of!(Header, user));
    if user != u64::from(os::user()) {
        return Err(Error::NotYours { owner: user as u32, user: os::user() });
    }
    check_private(&owner)?;
    let boot = os::boot_id();
    let boot_at = std::mem::offset_of!(Header, boot);
    if [word(boot_at), word(boot_at + 8)] != boot {
        return Err(Error::NotAHeap("it was made before the machine was last started"));
    }
    let max_bytes = word(std::mem::offset_of!(Header, max_bytes));
    let is_sane = (LEAST_BYTES..=MOST_BYTES).contains(&max_bytes);
    if !is_sane || !max_bytes.is_multiple_of(SPAN_BYTES) {
        return Err(Corrupt { what: "limit of the heap", at: max_bytes }.into());
    }
    let spans = max_bytes / SPAN_BYTES;
    if owner.len < layout::data_start(spans) {
        return Err(Error::NotAHeap("it was cut off"));
    }
    let region = Region::open(file, spans)?;
    let mut looks = 1;
    while let Err(error) = check_committed(&region, owner.len) {
        // A recovery may have undone a change between two of the reads: read again.
        if looks == LOOKS {
            return Err(error);
        }
        looks += 1;
    }
    Ok(region)
}

/// Checks how much of the tables is real, and the committed size. The heap may grow meanwhile, so the smaller numbers are read first:
/// each of them stays below the next one, and below the length of the file, even if the heap grows
/// in between.
fn check_committed(region: &Region, len_before: u64) -> Result<()> {
    let Header { slots, rows, spans: map, .. } = region.header();
    for (real, most) in [(slots.get(), SLOT_COUNT), (rows.get(), CONTEXT_COUNT)] {
        if real > u64::from(most) {
            return Err(Corrupt { what: "number of real rows", at: real }.into());
        }
    }
    let frontier = map.frontier.acquire();
    let committed = map.committed.acquire();
    let len =
        if defect(Mistake::CompareOldLength) { len_before } else { region.file().ownership()?.len };
    let is_real =
        committed <= region.span_limit() && region.data_start() + committed * SPAN_BYTES <= len;
    if !is_real {
        return Err(Error::NotAHeap("it was cut off"));
    }
    if frontier > committed {
        return Err(Corrupt { what: "span map", at: frontier }.into());
    }
    Ok(())
}

/// Frees the slots of dead processes with empty estates. A process without a slot cannot do more.
pub(super) fn free_empty_estates(census: &Census) -> Result<()> {
    for index in 0..census.region().real_slots() {
        let slot = census.region().slot(index);
        let word = StateWord(slot.state.acquire());
        if word.state() == State::Estate && slot.leases.get() == 0 {
            let free = StateWord::new(word.epoch(), State::Free, None).0;
            let _ = Region::compare_exchange(&slot.state, word.0, free);
        }
    }
    Ok(())
}
