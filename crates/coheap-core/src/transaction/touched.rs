//! The objects that a transaction has touched, with their overlays.
//!
//! What always holds: an object that was read is locked. A map that only has additions to unread
//! values is locked by the commit. The overlay of an object that is never locked holds only what
//! was taken from it or reserved in it.

use std::any::Any;

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
}

impl Touched {
    /// Returns whether it must still be locked for the commit.
    pub(super) fn misses_lock(&self) -> bool {
        !self.is_locked && self.overlay.get().needs_lock()
    }
}

/// All touched objects, sorted by the offset of their headers.
#[derive(Debug, Default)]
pub(super) struct TouchedObjects {
    sorted: Vec<Touched>,
}

/// The states of the overlays at one moment, by the offsets of their objects.
#[derive(Debug, Default)]
pub(super) struct Marks(Vec<(u64, Box<dyn Any>)>);

impl TouchedObjects {
    /// Returns the index of an object, which is inserted if it is missing.
    #[inline]
    pub(super) fn enter(&mut self, object: &Lockable, region: &Region) -> usize {
        self.enter_at(self.number(object.handle.at), object, region)
    }

    /// As [`enter`](Self::enter), of an object whose [`number`](Self::number) is known.
    #[inline]
    pub(super) fn enter_at(
        &mut self,
        number: Result<usize, usize>,
        object: &Lockable,
        region: &Region,
    ) -> usize {
        match number {
            Ok(number) => number,
            Err(number) => {
                let (handle, overlay) = (object.handle, object.overlay(region));
                self.sorted.insert(number, Touched { handle, is_locked: false, overlay });
                number
            }
        }
    }

    /// Returns the index of the object at an offset, or the index at which it would be inserted.
    #[inline]
    pub(super) fn number(&self, at: u64) -> Result<usize, usize> {
        self.sorted.binary_search_by_key(&at, |touched| touched.handle.at)
    }

    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Returns whether an object is locked.
    #[inline]
    pub(super) fn is_locked(&self, object: &Lockable) -> bool {
        self.number(object.handle.at).is_ok_and(|number| self.sorted[number].is_locked)
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

    /// Returns the current states of all overlays.
    pub(super) fn marks(&self) -> Marks {
        let mark = |touched: &Touched| (touched.handle.at, touched.overlay.get().mark());
        Marks(self.sorted.iter().map(mark).collect())
    }

    /// Restores all overlays. Locks are kept.
    pub(super) fn roll_back_to(&mut self, context: &Context, marks: Marks) -> Result<()> {
        let mut marks = marks.0.into_iter().peekable();
        let mut done = Ok(());
        for touched in &mut self.sorted {
            let mark = marks.next_if(|(at, _)| *at == touched.handle.at).map(|(_, mark)| mark);
            done = done.and(touched.overlay.get_mut().roll_back(context, mark));
        }
        done
    }
}
