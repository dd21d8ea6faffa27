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

/// All touched objects, sorted by the offset of their headers and their generations.
#[derive(Debug, Default)]
pub(super) struct TouchedObjects {
    sorted: Vec<Touched>,
}

/// The states of the overlays at one moment, by their objects.
#[derive(Debug, Default)]
pub(super) struct Marks(Vec<(Handle, Box<dyn Any>)>);

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
        match number {
            Ok(number) => number,
            Err(number) => {
                let (handle, overlay) = (object.handle, object.overlay(region));
                self.sorted.insert(number, Touched { handle, is_locked: false, overlay });
                number
            }
        }
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

    /// Returns the current states of all overlays.
    pub(super) fn marks(&self) -> Marks {
        let mark = |touched: &Touched| (touched.handle, touched.overlay.get().mark());
        Marks(self.sorted.iter().map(mark).collect())
    }

    /// Restores all overlays. Locks are kept.
    pub(super) fn roll_back_to(&mut self, context: &Context, marks: Marks) -> Result<()> {
        let mut marks = marks.0.into_iter().peekable();
        let mut done = Ok(());
        for touched in &mut self.sorted {
            let mark = marks.next_if(|(handle, _)| *handle == touched.handle).map(|(_, mark)| mark);
            done = done.and(touched.overlay.get_mut().roll_back(context, mark));
        }
        done
    }
}
