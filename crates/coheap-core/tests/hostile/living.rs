//! The damages that nobody can see: a turn or a lock in the hands of a process that lives.
//!
//! Whoever wants it waits for that process, as it should wait for a holder; that the holder never
//! took it stands nowhere. Only words that name a thread of the test or of its child are left out,
//! and only in the place of an owner word that is waited for without an end.

use std::mem::{offset_of, size_of};

use coheap_core::memory::layout::{Header, Object, SLOT_COUNT, SLOTS, Slot, TURNS, Turn};
use coheap_core::sync::Owner;
use coheap_core::sync::life::{State, StateWord};

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
    let is_turn =
        (TURNS..SLOTS).contains(&at) && (at - TURNS).is_multiple_of(size_of::<Turn>() as u64);
    is_turn || at == directory + lock || objects.headers().contains(&at.wrapping_sub(lock))
}

/// Whether an owner is a thread of this process, or of the child that gets the first free slot.
fn names_the_living(whole: &Picture, owner: Owner) -> bool {
    let row = |slot: u32| SLOTS + u64::from(slot) * size_of::<Slot>() as u64;
    let state = |slot: u32| StateWord(whole.word(row(slot)));
    let (Some(process), Some(_)) = (owner.process(), owner.context()) else { return false };
    let slot = process.slot;
    if state(slot).state() == State::Live {
        let pid = whole.word(row(slot) + offset_of!(Slot, pid) as u64);
        return pid == u64::from(std::process::id()) && process.epoch == state(slot).epoch();
    }
    let free = (0..SLOT_COUNT).find(|slot| state(*slot).state() == State::Free);
    free == Some(slot) && process.epoch == state(slot).epoch().wrapping_add(1)
}
