//! Every block of the heap, and which ones were claimed.
//!
//! What always holds: a block is claimed at most once. At the end, every block that its span counts
//! as used was claimed, and so was every run.

use std::collections::HashMap;

use super::broken;
use super::free::Free;
use crate::allocator::arena::{Counts, link_of};
use crate::allocator::size_class::{HEADER_CLASS, blocks_per_span, size_of_class};
use crate::allocator::span::{self, Use};
use crate::allocator::{CLASS_COUNT, Room};
use crate::allocator::{buffer, links};
use crate::error::Result;
use crate::memory::Region;
use crate::memory::layout::{ARENA_COUNT, SPAN_BYTES};

/// The state of each span and of each block in use.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// The blocks that are in use and not claimed yet, with their room.
    unclaimed: HashMap<u64, Room>,
    claimed: u64,
    /// The spans of unreal runs that no row has named yet.
    unreal: Vec<u64>,
    /// The runs whose count is not one, by their offset.
    counted: HashMap<u64, u64>,
    /// How many pins of each buffer were found, by its offset.
    pins: HashMap<u64, u64>,
}

impl Blocks {
    /// Reads all spans, and checks that they tile the heap and that their lists and counts are
    /// right.
    pub(super) fn survey(region: &Region) -> Result<Self> {
        let mut blocks = Self::default();
        let map = &region.header().spans;
        let frontier = map.frontier.get();
        if frontier > region.committed_spans() {
            return Err(broken("frontier of the span map", frontier));
        }
        let (mut index, mut free) = (0, Free::default());
        let mut partial = Vec::new();
        while index < frontier {
            let usage = Use::of(region.span(index)?, index)?;
            match usage {
                Use::Free(_) | Use::Hole(_) => free.survey(index, usage)?,
                Use::Unreal(_) => blocks.unreal.push(index),
                Use::Run(spans) => {
                    let (at, room) = (span::start_of(region, index), Room::of_spans(spans));
                    blocks.unclaimed.insert(at, room);
                    let count = buffer::count_of(region.span(index)?);
                    if count != 1 {
                        blocks.counted.insert(at, count);
                    }
                }
                Use::Blocks { class, arena } => {
                    if blocks.survey_span(region, index, class)? {
                        partial.push((u32::from(arena), class, index));
                    }
                }
            }
            if !span::has_foot(region, index, usage.spans())? {
                return Err(broken("foot of a run", index));
            }
            index += usage.spans();
        }
        if index != frontier {
            return Err(broken("frontier of the span map", index));
        }
        free.finish(region)?;
        check_lists(region, partial)?;
        Ok(blocks)
    }

    /// Returns whether the span has a free block.
    fn survey_span(&mut self, region: &Region, index: u64, class: u8) -> Result<bool> {
        if usize::from(class) >= CLASS_COUNT {
            return Err(broken("class of a span", index));
        }
        let span = region.span(index)?;
        let (counts, total) = (Counts::of(span), blocks_per_span(class));
        let (start, size) = (span::start_of(region, index), size_of_class(class));
        if counts.cut > total || counts.used > counts.cut {
            return Err(broken("counts of a span", index));
        }
        let mut free = vec![false; counts.cut as usize];
        let mut block = span.free.get();
        for _ in 0..counts.cut - counts.used {
            let number = block.wrapping_sub(start) / size;
            let is_block = block >= start
                && block < start + SPAN_BYTES
                && (block - start).is_multiple_of(size);
            match free.get_mut(number as usize) {
                Some(seen) if is_block && !*seen => *seen = true,
                _ => return Err(broken("free list of a span", block)),
            }
            block = link_of(region, class, block)?.get();
        }
        if block != 0 {
            return Err(broken("free list of a span", block));
        }
        for (number, _) in free.iter().enumerate().filter(|(_, is_free)| !**is_free) {
            self.unclaimed.insert(start + number as u64 * size, Room::Class(class));
        }
        Ok(counts.used < total)
    }

    /// Claims a block: takes it off the list of unclaimed blocks.
    pub(super) fn claim(&mut self, at: u64, room: Room) -> Result<()> {
        if self.unclaimed.get(&at) != Some(&room) {
            return Err(broken("block that is free, owned twice, or of another size", at));
        }
        self.unclaimed.remove(&at);
        self.claimed += 1;
        Ok(())
    }

    /// Notes a pin of a buffer.
    pub(super) fn pin(&mut self, at: u64) {
        *self.pins.entry(at).or_default() += 1;
    }

    /// Claims the buffers that only pins keep, and checks what the buffers count. All else was claimed.
    fn claim_pinned(&mut self, region: &Region) -> Result<()> {
        for (at, pins) in std::mem::take(&mut self.pins) {
            let mut count = pins;
            match self.unclaimed.contains_key(&at) {
                true => _ = self.claim_pieces(region, span::index_of(region, at)?)?,
                false => count += 1,
            }
            if self.counted.remove(&at).unwrap_or(1) != count {
                return Err(broken("count of a buffer", at));
            }
        }
        match self.counted.keys().min() {
            Some(at) => Err(broken("count of a buffer", *at)),
            None => Ok(()),
        }
    }

    /// Claims the pending blocks of a row, and returns how many there are.
    pub(super) fn claim_pending(&mut self, region: &Region, index: u32) -> Result<u64> {
        let control = region.control(index);
        let mut count = 0;
        for class in 0..CLASS_COUNT as u8 {
            let mut block = control.pending[usize::from(class)].get();
            while block != 0 {
                self.claim(block, Room::Class(class))?;
                count += 1;
                block = link_of(region, class, block)?.get();
            }
        }
        if let Some(first) = control.unreal.get().checked_sub(1) {
            let named = self.unreal.iter().position(|index| *index == first);
            self.unreal.swap_remove(named.ok_or(broken("unreal run", first))?);
        }
        let mut previous = 0;
        buffer::each_pending(region, index, |first, span, _| {
            if links::neighbours(span).0 != previous {
                return Err(broken("list of pending runs", first));
            }
            previous = first + 1;
            count += self.claim_pieces(region, first)?;
            Ok(true)
        })?;
        let mut dropped = control.dropped.get();
        while let Some(first) = dropped.checked_sub(1) {
            count += self.claim_pieces(region, first)?;
            dropped = region.span(first)?.free.get();
        }
        Ok(count)
    }

    /// Claims a run and its further pieces, and returns how many there are.
    fn claim_pieces(&mut self, region: &Region, first: u64) -> Result<u64> {
        let (mut next, mut count) = (Some(first), 0);
        while let Some(index) = next {
            let span = region.span(index)?;
            let spans = Use::of(span, index)?.spans();
            let room = Room::of_spans(spans);
            self.claim(span::start_of(region, index), room)?;
            next = buffer::next_piece(span);
            count += 1;
        }
        Ok(count)
    }

    /// Checks that everything was claimed, and returns the number of claimed blocks.
    pub(super) fn finish(mut self, region: &Region) -> Result<u64> {
        self.claim_pinned(region)?;
        if let Some(first) = self.unreal.first() {
            return Err(broken("unreal run that nobody owns", *first));
        }
        match self.unclaimed.keys().min() {
            Some(at) => Err(broken("block that nobody owns", *at)),
            None => Ok(self.claimed),
        }
    }
}

/// Checks that every span with a free block is once in its arena's list, and no other span is.
fn check_lists(region: &Region, mut partial: Vec<(u32, u8, u64)>) -> Result<()> {
    let mut listed = Vec::new();
    for arena in 0..ARENA_COUNT {
        for class in 0..CLASS_COUNT as u8 {
            let (mut next, mut before) = (region.arena(arena).partial[usize::from(class)].get(), 0);
            while let Some(index) = next.checked_sub(1) {
                let (previous, after) = links::neighbours(region.span(index)?);
                if previous != before || listed.len() > partial.len() {
                    return Err(broken("list of an arena", index));
                }
                listed.push((arena, class, index));
                before = next;
                next = after;
            }
        }
    }
    listed.sort_unstable();
    partial.sort_unstable();
    if listed != partial {
        return Err(broken("lists of the arenas", listed.len() as u64));
    }
    Ok(())
}

/// Room of a header.
pub(super) const HEADER: Room = Room::Class(HEADER_CLASS);
