//! Whether the thread that an owner word names can still release what it holds.
//!
//! What always holds: a thread counts as gone only if its process is dead, or if it ended with
//! nothing held (Row.1).
//!
//! Not here: what is done about it (`journal::recovery`, and whoever waits).

use super::life::{Census, Standing};
use super::row::RowWord;
use super::{Incarnation, Owner};
use crate::error::{Corrupt, Result};

/// What is known about the thread that an owner word names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Its process lives.
    Alive,
    /// Its process lives, but has left the heap.
    Left,
    /// Its process is dead, and was not recovered yet.
    Dead(Incarnation),
    /// Its row has passed on: its process is dead and recovered, or has left the heap.
    Gone,
}

/// Returns what is known about a thread. `what` is the word that names it, for an error.
///
/// # Errors
///
/// [`Error::Corrupt`](crate::Error::Corrupt) if the word names no thread that there can be.
pub fn look(census: &Census, owner: Owner, what: &'static str) -> Result<Holder> {
    let region = census.region();
    let broken = Corrupt { what, at: owner.bits() };
    let index = owner.row().filter(|index| *index < region.real_rows()).ok_or(broken)?;
    let state = &region.context(index).state;
    let word = RowWord(state.acquire());
    if !word.is_named_by(owner) {
        return Ok(Holder::Gone);
    }
    let Some(slot) = word.slot().filter(|slot| *slot < region.real_slots()) else {
        return Err(Corrupt { what: "slot of a row", at: word.0 }.into());
    };
    let process = census.in_slot(slot);
    let standing = census.standing(process)?;
    // The row may have passed on since, and the slot, too.
    let now = RowWord(state.acquire());
    match standing {
        _ if !now.is_named_by(owner) || now.slot() != Some(slot) => Ok(Holder::Gone),
        Standing::Alive => Ok(Holder::Alive),
        Standing::Left => Ok(Holder::Left),
        Standing::Dead => Ok(Holder::Dead(process)),
        Standing::Settled => Err(Corrupt { what: "slot of a row", at: word.0 }.into()),
    }
}
