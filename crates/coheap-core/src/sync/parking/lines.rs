//! The lines of tags of a bucket: where waiting threads are found.
//!
//! A line has room for seven tags and names the next one. Lines are added where a bucket is full,
//! and never taken away: there is nothing to unlink, to splice or to bound when an object ends.
//!
//! What always holds: a place goes from free to a tag and back by exact swaps; a link is set once.
//! A walk is bounded by the number of lines there can be, whatever the links say.

use super::Lot;
use super::tag::{Key, Tag};
use crate::memory::layout::{LINE_COUNT, TagLine};
use crate::memory::{Region, Word};

/// The bits of a place that count within its line.
const IN_LINE: u32 = 3;

/// Publishes a tag of an object, after noting its place in `tag_at`. `None`: there is no room.
pub(super) fn publish<L: Lot>(lot: &L, key: Key, tag: Tag, tag_at: &Word) -> Option<u64> {
    let mut number = key.bucket();
    let mut spare = None;
    for _ in 0..LINE_COUNT {
        let line = lot.line(number)?;
        if let Some(place) = put(line, number, tag, tag_at) {
            if let Some(spare) = spare {
                append(lot, number, spare);
            }
            return Some(place);
        }
        number = match line.link.acquire() {
            0 => {
                let new = match spare.take() {
                    Some(spare) => spare,
                    None => lot.new_line()?,
                };
                match Region::compare_exchange(&line.link, 0, u64::from(new)) {
                    Ok(_) => new,
                    Err(other) => {
                        spare = Some(new);
                        u32::try_from(other).ok()?
                    }
                }
            }
            next => u32::try_from(next).ok()?,
        };
    }
    None
}

fn put(line: &TagLine, number: u32, tag: Tag, tag_at: &Word) -> Option<u64> {
    for (index, word) in (0..).zip(&line.tags) {
        if word.get() == 0 {
            let place = u64::from(number) << IN_LINE | index;
            Region::build(tag_at, place);
            if Region::compare_exchange(word, 0, tag.bits()).is_ok() {
                return Some(place);
            }
        }
    }
    None
}

/// Links a line that another thread's line came before, so that it is not lost.
fn append<L: Lot>(lot: &L, from: u32, spare: u32) {
    let mut number = from;
    for _ in 0..LINE_COUNT {
        let Some(line) = lot.line(number) else { return };
        match Region::compare_exchange(&line.link, 0, u64::from(spare)) {
            Ok(_) => return,
            Err(next) => number = next as u32,
        }
    }
}

/// Takes a tag away, if it is still there.
pub(super) fn withdraw<L: Lot>(lot: &L, place: u64, tag: Tag) {
    let Some(line) = lot.line((place >> IN_LINE) as u32) else { return };
    if let Some(word) = line.tags.get((place & ((1 << IN_LINE) - 1)) as usize) {
        let _ = Region::compare_exchange(word, tag.bits(), 0);
    }
}

/// Calls `see` with each tag that may be about an object, and the word that holds it.
pub(super) fn walk<'a, L: Lot>(lot: &'a L, key: Key, mut see: impl FnMut(Tag, &'a Word)) {
    let mut number = key.bucket();
    for _ in 0..LINE_COUNT {
        let Some(line) = lot.line(number) else { return };
        for word in &line.tags {
            if let Some(tag) = Tag::of(word.acquire()).filter(|tag| tag.is_about(key)) {
                see(tag, word);
            }
        }
        match line.link.acquire() {
            0 => return,
            next => number = next as u32,
        }
    }
}
