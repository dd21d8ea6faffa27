//! Arenas: spans cut into blocks, and blocks moved to and from pending chains in batches.
//!
//! Any thread may use any arena, and prefers its own. The offset of a block gives its span, and the
//! span gives its arena.
//!
//! What always holds, under an arena's turn:
//!
//! - **Arena.1** The list of a class has exactly those spans of the arena that have a free block.
//! - **Arena.2** A span's counts are right: blocks in use (pending ones too), blocks ever cut.

use crate::allocator::links;
use crate::allocator::size_class::{
    CLASS_COUNT, HEADER_CLASS, batch, blocks_per_span, link_word, size_of_class,
};
use crate::allocator::span::{self, CLAIM_WORDS, RELEASE_WORDS, Use};
use crate::error::{Corrupt, Error, Result};
use crate::journal::{Change, Context, Held};
use crate::memory::layout::{ARENA_COUNT, ARENA_TURNS, Arena, SPAN_TURN, Span};
use crate::memory::{Region, Word};

/// The numbers of blocks in use, and of blocks ever cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Blocks that are not free.
    pub used: u64,
    /// Blocks that were ever handed out.
    pub cut: u64,
}

impl Counts {
    /// Returns the counts of a span.
    pub fn of(span: &Span) -> Self {
        let word = span.counts.get();
        Self { used: word & 0xffff_ffff, cut: word >> 32 }
    }

    fn word(self) -> u64 {
        self.used | self.cut << 32
    }
}

/// The least spans of a heap for each arena.
const LEAST_SPANS: u64 = 128;

/// Returns the link word of a free block.
pub fn link_of(region: &Region, class: u8, block: u64) -> Result<&Word, Corrupt> {
    region.at(block.wrapping_add(link_word(class)))
}

/// Moves some blocks of a class, at least one, from an arena to the caller's pending chain, and
/// returns how many.
pub fn refill(context: &Context, class: u8, wanted: u32) -> Result<u32> {
    let wanted = wanted.max(batch(class));
    let own = context.index() % arenas(context.region());
    {
        let held = context.hold(ARENA_TURNS + own)?;
        if context.region().arena(own).partial[usize::from(class)].get() != 0 {
            return move_out(&held, own, class, wanted);
        }
    }
    if class == HEADER_CLASS {
        // Its spans serve nothing else for ever, so what there is serves all arenas.
        if let Some(moved) = refill_from_others(context, class, wanted)? {
            return Ok(moved);
        }
    }
    match span::hold_and_find(context, &[ARENA_TURNS + own, SPAN_TURN], 1) {
        Ok((held, index)) => {
            add_span(&held, own, class, index)?;
            move_out(&held, own, class, wanted)
        }
        Err(full @ Error::HeapFull { .. }) => {
            refill_from_others(context, class, wanted)?.ok_or(full)
        }
        Err(other) => Err(other),
    }
}

/// Returns how many arenas are used: in a small heap their spans would be all of it.
fn arenas(region: &Region) -> u32 {
    (region.span_limit() / LEAST_SPANS).clamp(1, u64::from(ARENA_COUNT)) as u32
}

/// Moves some blocks of a class from the first arena that has any.
fn refill_from_others(context: &Context, class: u8, wanted: u32) -> Result<Option<u32>> {
    let has_any = |arena: u32| context.region().arena(arena).partial[usize::from(class)].get() != 0;
    for arena in (0..ARENA_COUNT).filter(|arena| has_any(*arena)) {
        let held = context.hold(ARENA_TURNS + arena)?;
        if has_any(arena) {
            return move_out(&held, arena, class, wanted).map(Some);
        }
    }
    Ok(None)
}

/// Adds the span `index` to the arena, unless it got one meanwhile.
fn add_span(held: &Held<'_>, arena: u32, class: u8, index: u64) -> Result<()> {
    let region = held.context().region();
    let head = &region.arena(arena).partial[usize::from(class)];
    if head.get() != 0 {
        return Ok(());
    }
    let span = region.span(index)?;
    let mut change = Change::begin(held, CLAIM_WORDS + 4)?;
    span::claim(&mut change, index, Use::Blocks { class, arena: arena as u16 })?;
    change.set(&span.free, 0);
    change.set(&span.counts, 0);
    change.set(&span.links, 0);
    change.set(head, index + 1);
    change.commit();
    Ok(())
}

/// Moves up to `wanted` blocks from the first span in the list, and returns how many.
fn move_out(held: &Held<'_>, arena: u32, class: u8, wanted: u32) -> Result<u32> {
    let context = held.context();
    let region = context.region();
    let head = &region.arena(arena).partial[usize::from(class)];
    let index = head.get() - 1;
    let span = region.span(index)?;
    let counts = Counts::of(span);
    let pending = &context.control().pending[usize::from(class)];
    let from_list = free_list(region, span, class, wanted)?;
    if counts.used.saturating_add(from_list.count) > counts.cut {
        // A list that leads back to itself would give the same blocks for ever.
        return Err(Corrupt { what: "free list of a span", at: index }.into());
    }
    let room = blocks_per_span(class).saturating_sub(counts.cut);
    let fresh = room.min(u64::from(wanted) - from_list.count);
    let moved = from_list.count + fresh;
    if moved == 0 {
        return Err(Corrupt { what: "arena list", at: index }.into());
    }
    let mut change = Change::begin(held, 8)?;
    let mut first = pending.get();
    if fresh > 0 {
        first = cut(&change, index, class, counts.cut, fresh, first)?;
    }
    if let Some(last) = from_list.last {
        let rest = link_of(region, class, last)?.get();
        change.set(link_of(region, class, last)?, first);
        first = span.free.get();
        change.set(&span.free, rest);
    }
    change.set(pending, first);
    let after = Counts { used: counts.used + moved, cut: counts.cut + fresh };
    change.set(&span.counts, after.word());
    if after.used == blocks_per_span(class) {
        unlist(&mut change, head, span)?;
    }
    change.commit();
    let counts = &context.kept.pending;
    counts.set(class, counts.of(class) + moved as u32);
    Ok(moved as u32)
}

struct FreeList {
    count: u64,
    last: Option<u64>,
}

/// Returns the first blocks of a span's free list, at most `wanted`.
fn free_list(region: &Region, span: &Span, class: u8, wanted: u32) -> Result<FreeList> {
    let mut found = FreeList { count: 0, last: None };
    let mut block = span.free.get();
    while block != 0 && found.count < u64::from(wanted) {
        found = FreeList { count: found.count + 1, last: Some(block) };
        block = link_of(region, class, block)?.get();
    }
    Ok(found)
}

/// Cuts fresh blocks and links them before `next`. No other thread can reach them yet.
fn cut(
    change: &Change<'_>,
    index: u64,
    class: u8,
    from: u64,
    count: u64,
    next: u64,
) -> Result<u64> {
    let region = change.region();
    let start = span::start_of(region, index);
    let size = size_of_class(class);
    let mut next = next;
    for number in (from..from + count).rev() {
        let block = start + number * size;
        if class == HEADER_CLASS {
            // The span may have served another purpose before; words of a header never do again.
            for word in region.words(block, size as usize / size_of::<Word>())? {
                change.put(word, 0);
            }
        }
        change.put(link_of(region, class, block)?, next);
        next = block;
    }
    Ok(next)
}

/// Takes a span off an arena's list. One that is on none has no links.
fn unlist(change: &mut Change<'_>, head: &Word, span: &Span) -> Result<()> {
    links::take_off(change, head, span)?;
    change.set(&span.links, 0);
    Ok(())
}

/// Moves blocks of a class from the pending chain of row `owner` back to their arenas, until `keep`
/// are left if `count` is right.
pub fn drain(context: &Context, owner: u32, class: u8, mut count: u32, keep: u32) -> Result<u32> {
    let region = context.region();
    let head = &region.control(owner).pending[usize::from(class)];
    // More than a heap can have: a chain that leads back to itself is not walked for ever.
    let mut most_moves = region.committed_spans() * blocks_per_span(class);
    while count > keep && head.get() != 0 {
        let (index, arena) = home_of(region, class, head.get())?;
        let held = context.hold(ARENA_TURNS + arena)?;
        let most = (count - keep).min(16);
        let (moved, empty) = move_in(&held, head, arena, class, most)?;
        count = count.saturating_sub(moved);
        most_moves = most_moves
            .checked_sub(u64::from(moved))
            .ok_or(Corrupt { what: "pending chain", at: head.get() })?;
        drop(held);
        if empty && class != HEADER_CLASS {
            release_if_spare(context, arena, class, index)?;
        }
    }
    Ok(if head.get() == 0 { 0 } else { count })
}

/// Returns the span and the arena of a block.
fn home_of(region: &Region, class: u8, block: u64) -> Result<(u64, u32)> {
    let index = span::index_of(region, block)?;
    match Use::of(region.span(index)?, index)? {
        Use::Blocks { class: found, arena } if found == class && u32::from(arena) < ARENA_COUNT => {
            Ok((index, u32::from(arena)))
        }
        _ => Err(Corrupt { what: "block of another class", at: block }.into()),
    }
}

/// Moves up to `most` blocks from the front of the chain that belong to one span. Returns how many,
/// and whether the span is empty now.
fn move_in(held: &Held<'_>, head: &Word, arena: u32, class: u8, most: u32) -> Result<(u32, bool)> {
    let region = held.context().region();
    let (index, _) = home_of(region, class, head.get())?;
    let span = region.span(index)?;
    let list_head = &region.arena(arena).partial[usize::from(class)];
    let before = Counts::of(span);
    let mut counts = before;
    let mut change = Change::begin(held, 2 * 16 + 8)?;
    let mut block = head.get();
    let mut moved = 0;
    let mut free = span.free.get();
    while moved < most && block != 0 && span::index_of(region, block)? == index {
        let link = link_of(region, class, block)?;
        let next = link.get();
        change.set(link, free);
        free = block;
        block = next;
        moved += 1;
        let used = counts.used.checked_sub(1);
        counts.used = used.ok_or(Corrupt { what: "counts of a span", at: index })?;
    }
    change.set(&span.free, free);
    change.set(head, block);
    change.set(&span.counts, counts.word());
    if before.used == blocks_per_span(class) {
        links::push(&mut change, list_head, index)?;
    }
    change.commit();
    Ok((moved, counts.used == 0))
}

/// Returns an empty span to the span map, unless it is the last one of its list.
fn release_if_spare(context: &Context, arena: u32, class: u8, index: u64) -> Result<()> {
    let held = context.hold_all(&[ARENA_TURNS + arena, SPAN_TURN])?;
    let region = context.region();
    let span = region.span(index)?;
    let blocks = Use::Blocks { class, arena: arena as u16 };
    // Another thread may have used or returned the span before this one got the turns.
    if Use::of(span, index).ok() != Some(blocks)
        || Counts::of(span).used != 0
        || span.links.get() == 0
    {
        return Ok(());
    }
    let Arena { partial, .. } = region.arena(arena);
    release_span(&held, &partial[usize::from(class)], index, span)
}

/// Returns all empty spans of all arenas to the span map, but for those of headers, and returns how many.
#[cold]
pub fn release_empty(context: &Context) -> Result<u64> {
    let mut released = 0;
    for arena in 0..ARENA_COUNT {
        for class in (0..CLASS_COUNT as u8).filter(|class| *class != HEADER_CLASS) {
            while release_one(context, arena, class)? {
                released += 1;
            }
        }
    }
    Ok(released)
}

/// Returns one empty span of a list, looked for among the first few thousand, to the span map.
fn release_one(context: &Context, arena: u32, class: u8) -> Result<bool> {
    const LOOKS: usize = 8192;
    let region = context.region();
    let head = &region.arena(arena).partial[usize::from(class)];
    if head.get() == 0 {
        return Ok(false);
    }
    let held = context.hold_all(&[ARENA_TURNS + arena, SPAN_TURN])?;
    let mut next = head.get();
    for _ in 0..LOOKS {
        let Some(index) = next.checked_sub(1) else { break };
        let span = region.span(index)?;
        if Counts::of(span).used == 0 {
            release_span(&held, head, index, span)?;
            return Ok(true);
        }
        next = links::neighbours(span).1;
    }
    Ok(false)
}

/// Takes an empty span off its list and returns it to the span map.
fn release_span(held: &Held<'_>, head: &Word, index: u64, span: &Span) -> Result<()> {
    let mut change = Change::begin(held, RELEASE_WORDS + 4)?;
    unlist(&mut change, head, span)?;
    span::release(&mut change, index, 1)?;
    change.commit();
    Ok(())
}
