//! The objects that a transaction has touched, with their overlays.
//!
//! What always holds: an object that was read is locked. A map that only has additions to unread
//! values is locked by the commit. The overlay of an object that is never locked holds only what
//! was taken from it or reserved in it.

use crate::error::Result;
use crate::journal::Context;
use crate::memory::Region;
use crate::objects::Handle;
use crate::objects::overlay::{Lockable, Overlaid, Overlay};

/// An object that was touched.
#[derive(Debug)]
pub(super) struct Touched {
    pub(super) handle: Handle,
    pub(super) is_locked: bool,
    pub(super) overlay: Overlay,
    /// The last savepoint since which it was touched.
    savepoint: u64,
}

impl Touched {
    /// Returns whether it must still be locked for the commit.
    pub(super) fn misses_lock(&self) -> bool {
        !self.is_locked && self.overlay.get().needs_lock()
    }
}

/// All touched objects, sorted by the offset of their headers and their generations.
#[derive(Debug, Default)]
pub(super) struct TouchedObjects {
    sorted: Vec<Touched>,
    /// How many savepoints were taken.
    savepoints: u64,
    /// What overlays were before their objects were first touched after a savepoint, in order.
    states: Vec<State>,
}

/// The state of an overlay when its object was touched after a savepoint.
#[derive(Debug)]
struct State {
    savepoint: u64,
    handle: Handle,
    /// `None`: it was not touched before.
    mark: Option<usize>,
}

impl TouchedObjects {
    /// Returns the index of an object, which is inserted if it is missing.
    #[inline]
    pub(super) fn enter(&mut self, object: &Lockable, region: &Region) -> usize {
        self.enter_at(self.number(&object.handle), object, region)
    }

    /// As [`enter`](Self::enter), of an object whose [`number`](Self::number) is known.
    #[inline]
    pub(super) fn enter_at(
        &mut self,
        number: Result<usize, usize>,
        object: &Lockable,
        region: &Region,
    ) -> usize {
        let number = match number {
            Ok(number) => number,
            Err(number) => {
                let (handle, overlay) = (object.handle, object.overlay(region));
                self.sorted
                    .insert(number, Touched { handle, is_locked: false, overlay, savepoint: 0 });
                if self.savepoints != 0 {
                    self.note_state(number, true);
                }
                return number;
            }
        };
        if self.sorted[number].savepoint != self.savepoints {
            self.note_state(number, false);
        }
        number
    }

    /// Notes what an overlay is before the first thing that is done with it after a savepoint.
    #[cold]
    fn note_state(&mut self, number: usize, is_new: bool) {
        let touched = &mut self.sorted[number];
        touched.savepoint = self.savepoints;
        let mark = if is_new { None } else { Some(touched.overlay.get_mut().mark()) };
        self.states.push(State { savepoint: self.savepoints, handle: touched.handle, mark });
    }

    /// Returns the index of an object, or the index at which it would be inserted. An object that was
    /// removed and the one that has its header now are two.
    #[inline]
    pub(super) fn number(&self, handle: &Handle) -> Result<usize, usize> {
        let key = |handle: &Handle| (handle.at, handle.generation);
        self.sorted.binary_search_by_key(&key(handle), |touched| key(&touched.handle))
    }

    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Returns whether an object is locked.
    #[inline]
    pub(super) fn is_locked(&self, object: &Lockable) -> bool {
        self.number(&object.handle).is_ok_and(|number| self.sorted[number].is_locked)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: usize) -> &mut Touched {
        &mut self.sorted[number]
    }

    #[inline]
    pub(super) fn get(&self, number: usize) -> &Touched {
        &self.sorted[number]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Touched> {
        self.sorted.iter()
    }

    /// Returns all overlays.
    pub(super) fn overlays(&self) -> impl Iterator<Item = &dyn Overlaid> {
        self.sorted.iter().map(|touched| touched.overlay.get())
    }

    /// Returns all overlays, mutable.
    pub(super) fn overlays_mut(&mut self) -> impl Iterator<Item = &mut dyn Overlaid> {
        self.sorted.iter_mut().map(|touched| touched.overlay.get_mut())
    }

    /// Returns a savepoint: a number, larger than those of all earlier ones.
    pub(super) fn savepoint(&mut self) -> u64 {
        self.savepoints += 1;
        self.savepoints
    }

    /// Restores all overlays as they were at a savepoint; 0 is the beginning. Locks are kept.
    pub(super) fn roll_back_to(&mut self, context: &Context, savepoint: u64) -> Result<()> {
        let mut done = Ok(());
        if savepoint == 0 {
            self.states.clear();
            for touched in &mut self.sorted {
                touched.savepoint = 0;
                done = done.and(touched.overlay.get_mut().roll_back(context, None));
            }
            return done;
        }
        while self.states.last().is_some_and(|state| state.savepoint >= savepoint) {
            let Some(state) = self.states.pop() else { break };
            let Ok(number) = self.number(&state.handle) else { continue };
            let touched = &mut self.sorted[number];
            touched.savepoint = 0;
            done = done.and(touched.overlay.get_mut().roll_back(context, state.mark));
        }
        done
    }
}
