//! The state of a slot, and the word that says it.
//!
//! What always holds: see `Life.2` of the parent module.
//!
//! Not here: who changes it.

use crate::sync::Incarnation;

/// First bit of the state.
const STATE: u32 = 32;
/// First bit of the recoverer's slot plus one.
const RECOVERER: u32 = 35;
/// First bit of what is stored of the recoverer's epoch.
const RECOVERER_EPOCH: u32 = 48;
/// The bits of a recoverer's slot plus one.
const SLOT_MASK: u32 = (1 << (RECOVERER_EPOCH - RECOVERER)) - 1;
/// The bits of an epoch that are stored for a recoverer.
pub const LOW_EPOCH: u32 = (1 << (u64::BITS - RECOVERER_EPOCH)) - 1;

/// The state of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No process owns the slot.
    Free,
    /// A process is attached.
    Live,
    /// Taken for a child that is being forked.
    Unborn,
    /// A dead process is being recovered.
    Recovering,
    /// Recovered, but the estate of the process is not settled yet.
    Estate,
    /// A living process has left, but threads of it may still be in the middle of an operation.
    Leaving,
}

/// A slot's state word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateWord(pub u64);

impl StateWord {
    /// Builds a word from its parts.
    pub fn new(epoch: u32, state: State, by: Option<Incarnation>) -> Self {
        let state = match state {
            State::Free => 0u64,
            State::Live => 1,
            State::Recovering => 2,
            State::Estate => 3,
            State::Unborn => 4,
            State::Leaving => 5,
        };
        let by = by.map_or(0, |by| {
            u64::from(by.slot + 1) << RECOVERER | u64::from(by.epoch) << RECOVERER_EPOCH
        });
        Self(u64::from(epoch) | state << STATE | by)
    }

    /// Returns the epoch.
    pub fn epoch(self) -> u32 {
        self.0 as u32
    }

    /// Returns the state. An unknown number counts as free, because nothing belongs to a free slot.
    pub fn state(self) -> State {
        match self.0 >> STATE & 7 {
            1 => State::Live,
            2 => State::Recovering,
            3 => State::Estate,
            4 => State::Unborn,
            5 => State::Leaving,
            _ => State::Free,
        }
    }

    /// Returns the recoverer: its slot, and the low 16 bits of its epoch.
    pub fn recoverer(self) -> Option<(u32, u32)> {
        let slot = (self.0 >> RECOVERER) as u32 & SLOT_MASK;
        slot.checked_sub(1).map(|slot| (slot, (self.0 >> RECOVERER_EPOCH) as u32))
    }
}
