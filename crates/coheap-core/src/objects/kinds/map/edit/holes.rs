//! Removed entries: passed in one jump, and given back where a whole segment consists of them.
//!
//! What always holds: the first and the last entry of a hole say how many it has (`gap`). A segment that
//! lies below `used` and has only removed entries is given back.

use super::super::table::gap::{Gaps, back, is_removed, onward, with_back, with_onward};
use super::super::table::{Table, entries_room};
use super::Numbers;
use crate::allocator;
use crate::defect::{Mistake, defect};
use crate::error::{Corrupt, Result};
use crate::journal::{Change, Held};
use crate::memory::Word;
use crate::memory::layout::{Object, SEGMENT_ENTRIES};
use crate::objects::cell::REMOVED;

/// Words that `open` saves at most, without those for [`Numbers`]: two ends of a hole, and the entry; or
/// a segment that is given back.
pub(in super::super) const OPEN_WORDS: usize = 1 + allocator::GIVE_WORDS;
/// Words that `close_end` saves at most.
pub(in super::super) const END_WORDS: usize = Numbers::WORDS + SPARE * (1 + allocator::GIVE_WORDS);

/// Segments behind the last entry that one change gives back at most.
const SPARE: usize = 4;

/// Marks the entries from `begin` to `end` of one segment as one hole. All of them are removed.
pub(in super::super) fn mark(
    change: &mut Change<'_>,
    table: &Table<'_>,
    begin: u64,
    end: u64,
) -> Result<(), Corrupt> {
    let count = end - begin;
    let first = &table.entry(begin)?.key[0];
    if count == 1 {
        change.set(first, with_back(with_onward(REMOVED, 1), 1));
        return Ok(());
    }
    change.set(first, with_onward(first.get(), count));
    let last = &table.entry(end - 1)?.key[0];
    change.set(last, with_back(last.get(), count));
    Ok(())
}

/// Removes the entry at a position, which is not the last one of the map. Its cells are free.
#[inline]
pub(in super::super) fn open(
    change: &mut Change<'_>,
    object: &Object,
    position: u64,
    numbers: Numbers,
) -> Result<()> {
    let table = Table::new(change.region(), object);
    let start = position - position % SEGMENT_ENTRIES;
    let limit = (start + SEGMENT_ENTRIES).min(table.used());
    let (mut begin, mut end) = (position, position + 1);
    if begin > start {
        let before = table.entry(begin - 1)?.key[0].get();
        if is_removed(before) {
            begin -= back(before).min(begin - start);
        }
    }
    if end < limit {
        let after = table.entry(end)?.key[0].get();
        if is_removed(after) {
            end += onward(after).min(limit - end);
        }
    }
    let gaps = Gaps(table.root.gaps.get());
    // A pass goes on where a hole begins.
    if (begin + 1..=end).contains(&gaps.packed()) {
        numbers.set(change, &table.root.gaps, gaps.with_packed(begin).0);
    }
    let count = end - begin;
    if count == SEGMENT_ENTRIES && table.root.directory_len.get() != 0 {
        give_segment(change, &table, position / SEGMENT_ENTRIES, numbers)?;
        return advance_first(change, &table, numbers);
    }
    let mut own = REMOVED;
    if begin == position {
        own = with_onward(own, count);
    } else if !defect(Mistake::KeepHoleNumbers) {
        let word = &table.entry(begin)?.key[0];
        change.set(word, with_onward(word.get(), count));
    }
    if end == position + 1 {
        own = with_back(own, count);
    } else {
        let word = &table.entry(end - 1)?.key[0];
        change.set(word, with_back(word.get(), count));
    }
    change.set(&table.entry(position)?.key[0], own);
    advance_first(change, &table, numbers)
}

/// Notes where the first living entry is, so that nobody passes the same removed ones twice.
#[inline]
fn advance_first(change: &mut Change<'_>, table: &Table<'_>, numbers: Numbers) -> Result<()> {
    let first = table.root.first.get();
    let living = table.next_living(first)?.unwrap_or(table.used());
    if living != first {
        numbers.set(change, &table.root.first, living);
    }
    Ok(())
}

/// Gives a segment back that has only removed entries, and lies below `used`.
pub(in super::super) fn give_segment(
    change: &mut Change<'_>,
    table: &Table<'_>,
    number: u64,
    numbers: Numbers,
) -> Result<()> {
    let word = table.segment_word(number)?;
    allocator::give(change, entries_room(SEGMENT_ENTRIES), word.get())?;
    change.set(word, 0);
    let gaps = &table.root.gaps;
    numbers.set(change, gaps, gaps.get().wrapping_add(1 << 32));
    Ok(())
}

/// Gives the positions from `end` on back, none of which has a living entry any more, and those of the
/// hole before. `end` lies in or before the segment of the last used position.
pub(in super::super) fn close_end(
    change: &mut Change<'_>,
    object: &Object,
    end: u64,
    numbers: Numbers,
) -> Result<()> {
    let table = Table::new(change.region(), object);
    let root = table.root;
    let used = root.used.get();
    let mut end = end;
    while let Some(last) = end.checked_sub(1) {
        let inside = last % SEGMENT_ENTRIES;
        let Some(entry) = table.kept(last)? else {
            end = last - inside;
            continue;
        };
        let key = entry.key[0].get();
        if !is_removed(key) {
            break;
        }
        end -= back(key).min(inside + 1);
    }
    numbers.set(change, &root.used, end);
    if root.first.get() > end {
        numbers.set(change, &root.first, end);
    }
    let (kept, whole) = (end.div_ceil(SEGMENT_ENTRIES), used / SEGMENT_ENTRIES);
    if root.directory_len.get() == 0 || kept >= used.div_ceil(SEGMENT_ENTRIES) {
        return Ok(());
    }
    let given = table.given_among(kept..whole)?;
    if given > 0 {
        let gaps = Gaps(root.gaps.get());
        numbers.set(change, &root.gaps, gaps.less_given(given).0);
    }
    numbers.set(change, &root.capacity, kept * SEGMENT_ENTRIES);
    give_spare(change, &table, kept + 1)
}

/// Gives some of the segments from this one on back, which hold no entry.
fn give_spare(change: &mut Change<'_>, table: &Table<'_>, from: u64) -> Result<()> {
    for word in spare(table, from)?.take(SPARE) {
        allocator::give(change, entries_room(SEGMENT_ENTRIES), word.get())?;
        change.set(word, 0);
    }
    Ok(())
}

/// Returns the words of the directory from this one on that lead to a segment.
fn spare<'a>(table: &Table<'a>, from: u64) -> Result<impl Iterator<Item = &'a Word>, Corrupt> {
    let behind = table.directory()?.iter().skip(from as usize);
    Ok(behind.filter(|word| word.get() != 0))
}

/// Gives some of the segments from this one on back, as a change of its own, and returns whether there
/// were any. They hold no entry.
pub(in super::super) fn give_behind(held: &Held<'_>, object: &Object, from: u64) -> Result<bool> {
    let table = Table::new(held.context().region(), object);
    if spare(&table, from)?.next().is_none() {
        return Ok(false);
    }
    let mut change = Change::begin(held, END_WORDS)?;
    let capacity = table.capacity().min(from * SEGMENT_ENTRIES);
    change.set(&table.root.capacity, capacity);
    give_spare(&mut change, &table, from)?;
    change.commit();
    Ok(true)
}
