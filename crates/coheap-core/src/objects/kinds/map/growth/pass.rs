//! Moving the living entries of a map together, a step at a time.
//!
//! A pass goes through the map once. It begins with the first hole, and each step moves some of the entries
//! behind that hole to its beginning, so that the hole moves to the end of the map. A segment that is
//! emptied so becomes the next one to be filled, or is given back; a segment whose entries are to go
//! where one was given back takes its place as a whole. So a pass needs no room.
//!
//! What always holds: a step is one change, after which the map has the same entries in the same order.
//! A pass that nobody goes on with costs nothing but the room that it would have given back.

use super::super::Key;
use super::super::buckets::Bucket;
use super::super::edit::{Numbers, holes};
use super::super::table::gap::Gaps;
use super::super::table::{Table, leaf_of, map_root, trail};
use crate::allocator;
use crate::error::{Corrupt, Result};
use crate::journal::{Change, Context, Held};
use crate::memory::layout::{Object, SEGMENT_ENTRIES};
use crate::memory::{Word, private_list, reserve_private};
use crate::objects::cell::{self, Cell, Late, REMOVED};

/// Most entries that one step moves.
const MOVES: usize = 512;
/// Most entries that one step passes until it finds a hole.
const LOOKS: u64 = 8192;
/// Words that the move of one entry saves: all of it at the new position, its key at the old one, and its
/// bucket.
const MOVE_WORDS: usize = 6;
/// Words that a segment saves that is emptied or takes the place of another one: its two offsets, and
/// the two ends of a hole.
const SEGMENT_WORDS: usize = 4 + allocator::GIVE_WORDS;
/// Words that a step saves besides: two ends of holes, and numbers of the map.
const STEP_WORDS: usize = holes::END_WORDS + 12;
/// A map of which less than this part is removed entries is left as it is, by who needs new positions
/// and by who needs room.
const SPARSE: u64 = 3;
const FULL: u64 = 16;

/// What a step did.
pub(in super::super) enum Step<'a> {
    /// It moved something, or looked for a hole, and there is more to do.
    Part,
    /// Nothing is left to be moved. `true`: the last entries were moved just now.
    Done(bool),
    /// The hash of this long key has to be known; nothing was changed.
    Long(Cell, Box<Late<'a>>),
}

/// The hashes of long keys, read before the turn was taken.
pub(in super::super) type Known = Vec<(Cell, u32)>;

/// Returns whether a pass is worth its while for a map that needs positions, or is under way.
pub(super) fn is_due(table: &Table<'_>) -> bool {
    let len = table.root.directory_len.get();
    // Positions of which nothing is left but their offsets count when they are most of the directory.
    let is_bloated = len >= 64 && Gaps(table.root.gaps.get()).given() * 4 >= len * 3;
    len != 0 && (is_under_way(table) || is_sparse(table, SPARSE) || is_bloated)
}

/// Returns whether a pass is worth its while in a heap that is full.
pub(in super::super) fn gives_room(table: &Table<'_>) -> bool {
    is_under_way(table) || is_sparse(table, FULL)
}

fn is_under_way(table: &Table<'_>) -> bool {
    Gaps(table.root.gaps.get()).packed() != 0
}

/// Returns whether removed entries occupy at least so small a part of the segments.
fn is_sparse(table: &Table<'_>, part: u64) -> bool {
    let given = Gaps(table.root.gaps.get()).given();
    let real = table.used().saturating_sub(given.saturating_mul(SEGMENT_ENTRIES));
    let removed = real.saturating_sub(table.live());
    removed > 0 && removed.saturating_mul(part) >= real
}

/// An entry that is to be moved.
#[derive(Debug, Clone, Copy)]
struct Source {
    position: u64,
    hash: u32,
}

/// Does one step. The turn is held, no change is open.
pub(in super::super) fn step<'a>(
    held: &Held<'a>,
    object: &Object,
    known: &Known,
) -> Result<Step<'a>> {
    let context = held.context();
    let table = Table::new(context.region(), object);
    table.check_numbers()?;
    let (to, is_hole) = find_hole(&table)?;
    if !is_hole {
        let is_end = to >= table.used();
        note_packed(held, object, if is_end { 0 } else { to })?;
        return Ok(if is_end { Step::Done(false) } else { Step::Part });
    }
    let is_given = table.is_given(to / SEGMENT_ENTRIES)?;
    let Some(from) = table.next_living(to)? else {
        // Nothing lies behind the hole.
        let mut change = Change::begin(held, STEP_WORDS)?;
        finish(&mut change, object, to)?;
        change.commit();
        return Ok(Step::Done(true));
    };
    let segment = from / SEGMENT_ENTRIES;
    let end = if is_given { (segment + 1) * SEGMENT_ENTRIES } else { u64::MAX };
    let (sources, long) = gather(context, &table, known, from, end)?;
    if let Some(long) = long
        && (is_given || sources.is_empty())
    {
        return Ok(long);
    }
    table.warm(sources.iter().map(|source| source.hash))?;
    let mut change = Change::begin(held, words_of(&sources))?;
    let is_done = if is_given {
        relabel(&mut change, object, &sources, to / SEGMENT_ENTRIES, segment)?;
        false
    } else {
        move_all(&mut change, object, &sources, to)?
    };
    let root = table.root;
    change.set(&root.numbering, root.numbering.get().wrapping_add(1));
    if root.first.get() > to {
        change.set(&root.first, to);
    }
    change.commit();
    Ok(if is_done { Step::Done(true) } else { Step::Part })
}

/// Returns where the hole of the pass begins, or how far none was found.
fn find_hole(table: &Table<'_>) -> Result<(u64, bool), Corrupt> {
    let used = table.used();
    let begin = Gaps(table.root.gaps.get()).packed().min(used);
    let end = used.min(begin + LOOKS);
    for position in begin..end {
        let is_removed = table.is_given(position / SEGMENT_ENTRIES)?
            || Cell::load(&table.entry(position)?.key).is_removed();
        if is_removed {
            return Ok((position, true));
        }
    }
    Ok((end, false))
}

/// Notes how far the pass has come.
fn note_packed(held: &Held<'_>, object: &Object, packed: u64) -> Result<()> {
    let word = &map_root(object).gaps;
    let gaps = Gaps(word.get());
    if gaps.packed() != packed {
        let mut change = Change::begin(held, 1)?;
        change.set(word, gaps.with_packed(packed).0);
        change.commit();
    }
    Ok(())
}

/// Lists the living entries from one on, and their hashes: as many as a step moves, those before `end`.
/// The list ends before a long key whose hash is not known.
fn gather<'a>(
    context: &'a Context,
    table: &Table<'_>,
    known: &Known,
    from: u64,
    end: u64,
) -> Result<(Vec<Source>, Option<Step<'a>>)> {
    let seed = table.region.header().seed.get();
    let mut sources = private_list(MOVES as u64)?;
    let mut bytes = Vec::new();
    let mut next = Some(from);
    while let Some(position) = next.filter(|next| *next < end && sources.len() < MOVES) {
        let key = Cell::load(&table.entry(position)?.key);
        let hash = if key.read_short(table.region, &mut bytes)? {
            Key::seeded(&bytes, seed).hash
        } else if let Some((_, hash)) = known.iter().find(|(long, _)| *long == key) {
            *hash
        } else {
            return Ok((sources, key.late(context)?.map(|late| Step::Long(key, late))));
        };
        sources.push(Source { position, hash });
        next = table.next_living(position + 1)?;
    }
    Ok((sources, None))
}

/// Returns how many words a step with these entries saves at most.
fn words_of(sources: &[Source]) -> usize {
    let segment = |source: &Source| source.position / SEGMENT_ENTRIES;
    let segments = sources.chunk_by(|left, right| segment(left) == segment(right)).count();
    sources.len() * MOVE_WORDS + segments * SEGMENT_WORDS + STEP_WORDS
}

/// Reads a long key that a step asked for. No turn is held.
pub(in super::super) fn learn(
    context: &Context,
    known: &mut Known,
    key: Cell,
    late: Box<Late<'_>>,
) -> Result<()> {
    let mut bytes = Vec::new();
    cell::finish(Some(late), &mut bytes)?;
    reserve_private(known, 1)?;
    known.push((key, Key::seeded(&bytes, context.region().header().seed.get()).hash));
    Ok(())
}

/// Moves these entries to the positions from `to` on, as far as there are segments. Returns whether
/// nothing is left behind them.
fn move_all(change: &mut Change<'_>, object: &Object, sources: &[Source], to: u64) -> Result<bool> {
    let table = Table::new(change.region(), object);
    let mut to = to;
    for source in sources {
        let from = source.position;
        for position in [from, to] {
            trail::note(table.region, object, position)?;
        }
        relocate(change, &table, *source, to, to >= sources[0].position)?;
        to += 1;
        let Some(next) = table.next_living(from + 1)? else {
            return finish(change, object, to).map(|()| true);
        };
        let segment = from / SEGMENT_ENTRIES;
        if next / SEGMENT_ENTRIES != segment && segment * SEGMENT_ENTRIES >= to {
            empty(change, &table, segment, to.div_ceil(SEGMENT_ENTRIES))?;
        }
        let is_full = to.is_multiple_of(SEGMENT_ENTRIES) && table.is_given(to / SEGMENT_ENTRIES)?;
        if is_full || source.position == sources[sources.len() - 1].position {
            mark_hole(change, &table, to, next)?;
            set_packed(change, &table, to);
            break;
        }
    }
    Ok(false)
}

/// Ends a pass: nothing lies behind its hole, which begins at `end`.
fn finish(change: &mut Change<'_>, object: &Object, end: u64) -> Result<()> {
    set_packed(change, &Table::new(change.region(), object), 0);
    holes::close_end(change, object, end, Numbers::Each)
}

/// Marks the hole from `begin` to `end`, of which the segments between are marked.
fn mark_hole(change: &mut Change<'_>, table: &Table<'_>, begin: u64, end: u64) -> Result<()> {
    let first_end = begin.next_multiple_of(SEGMENT_ENTRIES).min(end);
    if begin < first_end {
        holes::mark(change, table, begin, first_end)?;
    }
    let last_begin = (end - end % SEGMENT_ENTRIES).max(first_end);
    if last_begin < end {
        holes::mark(change, table, last_begin, end)?;
    }
    Ok(())
}

/// Moves one entry to a position in a hole. The rest of a removed entry has no meaning, so its key alone
/// is saved there; but what this change has taken from a position would come back to it.
fn relocate(
    change: &mut Change<'_>,
    table: &Table<'_>,
    source: Source,
    to: u64,
    is_taken: bool,
) -> Result<()> {
    let bucket = bucket_of(table, source)?;
    let (entry, target) = (table.entry(source.position)?, table.entry(to)?);
    let (key, value) = (Cell::load(&entry.key), Cell::load(&entry.value));
    if is_taken {
        cell::store(change, &target.key, key);
        cell::store(change, &target.value, value);
    } else {
        change.set(&target.key[0], key.0);
        change.put(&target.key[1], key.1);
        cell::put(change, &target.value, value);
    }
    change.set(&entry.key[0], REMOVED);
    change.set(bucket, Bucket::new(to, source.hash).0);
    Ok(())
}

/// Returns the bucket that leads to an entry.
fn bucket_of<'a>(table: &Table<'a>, source: Source) -> Result<&'a Word> {
    let old = Bucket::new(source.position, source.hash);
    let buckets = leaf_of(table, source.hash)?.unwrap_or_default();
    let first = source.hash as usize & buckets.len().saturating_sub(1);
    let bucket =
        buckets[first..].iter().chain(&buckets[..first]).find(|bucket| bucket.get() == old.0);
    let lost = Corrupt { what: "entry without a bucket", at: source.position };
    Ok(bucket.ok_or(lost)?)
}

/// Deals with a segment whose last entry was moved away: it is the next one to be filled, or given back.
fn empty(change: &mut Change<'_>, table: &Table<'_>, segment: u64, wanted: u64) -> Result<()> {
    if segment != wanted {
        if !table.is_given(wanted)? {
            return holes::give_segment(change, table, segment, Numbers::Each);
        }
        let word = table.segment_word(segment)?;
        change.set(table.segment_word(wanted)?, word.get());
        change.set(word, 0);
    }
    let begin = wanted * SEGMENT_ENTRIES;
    Ok(holes::mark(change, table, begin, begin + SEGMENT_ENTRIES)?)
}

/// Puts a segment with all its entries where one was given back.
fn relabel(
    change: &mut Change<'_>,
    object: &Object,
    sources: &[Source],
    to: u64,
    from: u64,
) -> Result<()> {
    let table = Table::new(change.region(), object);
    let root = table.root;
    let down = (from - to) * SEGMENT_ENTRIES;
    for source in sources {
        for position in [source.position, source.position - down] {
            trail::note(table.region, object, position)?;
        }
        let bucket = bucket_of(&table, *source)?;
        change.set(bucket, Bucket::new(source.position - down, source.hash).0);
    }
    let used = root.used.get();
    let mut gaps = Gaps(root.gaps.get()).with_packed(to * SEGMENT_ENTRIES);
    if used <= (from + 1) * SEGMENT_ENTRIES {
        gaps = gaps.less_given(table.given_among(to..from)?);
        change.set(&root.used, used - down);
        change.set(&root.capacity, (to + 1) * SEGMENT_ENTRIES);
    }
    change.set(&root.gaps, gaps.0);
    let word = table.segment_word(from)?;
    change.set(table.segment_word(to)?, word.get());
    change.set(word, 0);
    Ok(())
}

fn set_packed(change: &mut Change<'_>, table: &Table<'_>, packed: u64) {
    let word = &table.root.gaps;
    change.set(word, Gaps(word.get()).with_packed(packed).0);
}
