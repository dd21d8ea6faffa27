//! The damages that nobody can see: a turn or a lock in the hands of a process that lives.
//!
//! Whoever wants it waits for that process, as it should wait for a holder; that the holder never
//! took it stands nowhere. Only words that name a thread of the test or of its child are left out,
//! and only in the place of an owner word that is waited for without an end.

use std::mem::{offset_of, size_of};

use coheap_core::memory::layout::{
    CHUNK_OWNERS, CONTEXTS, ContextRow, Header, Object, SLOTS, Slot, TURNS, Turn,
};
use coheap_core::sync::Owner;
use coheap_core::sync::life::{State, StateWord};
use coheap_core::sync::row::{self, RowWord};

use crate::everything::Objects;
use crate::picture::Picture;

/// Whether `word` in the place at `at` hands something to a process that lives.
pub(crate) fn is_theirs(whole: &Picture, objects: &Objects, at: u64, word: u64) -> bool {
    is_waited_for(objects, at) && names_the_living(whole, Owner::of(word))
}

/// Whether at `at` is the owner word of a turn or of an object's transaction lock.
fn is_waited_for(objects: &Objects, at: u64) -> bool {
    let lock = offset_of!(Object, lock) as u64;
    let directory = offset_of!(Header, directory) as u64;
    let is_turn = (TURNS..CHUNK_OWNERS).contains(&at)
        && (at - TURNS).is_multiple_of(size_of::<Turn>() as u64);
    is_turn || at == directory + lock || objects.headers().contains(&at.wrapping_sub(lock))
}

/// Whether an owner is a thread of this process, or of the child that gets the first free row.
fn names_the_living(whole: &Picture, owner: Owner) -> bool {
    let rows = whole.word(offset_of!(Header, rows) as u64) as u32;
    let row = |row: u32| RowWord(whole.word(CONTEXTS + at::<ContextRow>(row)));
    let Some(index) = owner.row() else { return false };
    if index < rows && row(index).is_named_by(owner) {
        let slot = row(index).slot().map(|slot| SLOTS + at::<Slot>(slot));
        return slot.is_some_and(|slot| {
            let pid = whole.word(slot + offset_of!(Slot, pid) as u64);
            let is_live = StateWord(whole.word(slot)).state() == State::Live;
            is_live && pid == u64::from(std::process::id())
        });
    }
    let free = (0..rows).find(|index| row(*index).state() == row::State::Free).unwrap_or(rows);
    let epoch = if free < rows { row(free).epoch() } else { 0 };
    free == index && owner.epoch() == epoch.wrapping_add(1)
}

/// Where a row of a table is, from its start.
fn at<T>(index: u32) -> u64 {
    u64::from(index) * size_of::<T>() as u64
}
