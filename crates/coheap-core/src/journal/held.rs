//! The turns that a thread holds, from taking them to releasing them.
//!
//! What always holds:
//!
//! - Turns are taken in index order, also across several `Held` that live at once.
//! - Dropping a `Held` releases its turns in every case. A change under them has been closed by
//!   then.

use crate::error::Result;
use crate::journal::busy;
use crate::journal::context::Context;
use crate::memory::Word;
use crate::memory::layout::{TURN_COUNT, Turn};
use crate::sync::turn;

/// Some turns that are held. Small, because every operation moves it.
#[derive(Debug)]
pub struct Held<'a> {
    context: &'a Context,
    /// All of them, if they are more than `few` takes.
    #[allow(clippy::box_collection, reason = "a thin pointer, and rarely there")]
    many: Option<Box<Vec<u16>>>,
    few: [u16; FEW],
    count: u16,
    below: u16,
}

/// The number of turns that need no allocation.
const FEW: usize = 4;

const _: () = assert!(TURN_COUNT <= u16::MAX as u32);

impl Context {
    /// Takes one turn, and recovers a process that died while it held it.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`](crate::Error::Busy) when this thread may not wait for it: it holds another
    /// one, or its deadline has passed. [`Error::Interrupted`](crate::Error::Interrupted).
    #[inline(always)]
    pub(crate) fn hold(&self, turn: u32) -> Result<Held<'_>> {
        Held::one(self, turn)
    }

    /// As [`hold`](Self::hold), without a sleep. Returns `None` if another thread keeps the turn
    /// for more than some microseconds.
    #[inline(always)]
    pub(crate) fn try_hold(&self, turn: u32) -> Option<Held<'_>> {
        let is_taken =
            turn::try_take(self.region().turn(turn), self.me()) || busy::take_soon(self, turn);
        is_taken.then(|| Held::taken(self, turn))
    }

    /// Takes several turns, in index order. A thread that holds none waits for each of them, without
    /// holding the others meanwhile.
    ///
    /// # Errors
    ///
    /// As [`hold`](Self::hold).
    pub(crate) fn hold_all(&self, turns: &[u32]) -> Result<Held<'_>> {
        self.retried(|| Held::all(self, turns))
    }
}

impl<'a> Held<'a> {
    #[inline(always)]
    fn one(context: &'a Context, index: u32) -> Result<Self> {
        take(context, index)?;
        Ok(Self::taken(context, index))
    }

    /// One turn that was just taken.
    #[inline(always)]
    fn taken(context: &'a Context, index: u32) -> Self {
        let below = context.highest.get();
        assert!(index >= below, "turns are taken in index order");
        context.highest.set(index + 1);
        let mut few = [0; FEW];
        few[0] = index as u16;
        Self { context, many: None, few, count: 1, below: below as u16 }
    }

    fn all(context: &'a Context, wanted: &[u32]) -> Result<Self> {
        let below = context.highest.get() as u16;
        let mut held = Self { context, many: None, few: [0; FEW], count: 0, below };
        let wanted = wanted.iter().map(|index| *index as u16);
        if wanted.len() <= FEW {
            held.few.iter_mut().zip(wanted.clone()).for_each(|(number, index)| *number = index);
        } else {
            held.many = Some(Box::new(wanted.clone().collect()));
        }
        held.numbers()[..wanted.len()].sort_unstable();
        for number in 0..wanted.len() {
            let index = u32::from(held.numbers()[number]);
            // A turn that is wanted twice is held once.
            if held.count > 0 && index + 1 == context.highest.get() {
                continue;
            }
            assert!(index >= context.highest.get(), "turns are taken in index order");
            take(context, index)?;
            context.highest.set(index + 1);
            let count = usize::from(held.count);
            held.numbers()[count] = index as u16;
            held.count += 1;
        }
        Ok(held)
    }

    fn numbers(&mut self) -> &mut [u16] {
        match &mut self.many {
            Some(many) => many,
            None => &mut self.few,
        }
    }

    #[inline(always)]
    fn indices(&self) -> &[u16] {
        let all: &[u16] = match &self.many {
            Some(many) => many,
            None => &self.few,
        };
        &all[..usize::from(self.count)]
    }

    /// Returns the thread that holds them.
    #[inline(always)]
    pub fn context(&self) -> &'a Context {
        self.context
    }

    /// Stores a word as a whole change under one turn. The word is not saved, because one store
    /// cannot be half done.
    #[inline(always)]
    pub fn store_one(&self, word: &Word, value: u64) {
        assert!(self.count == 1 && !self.context.is_changing.get(), "one turn, and no change open");
        turn::store_one(self.context.region().turn(u32::from(self.few[0])), word, value);
    }

    /// Returns the turns, in index order.
    #[inline(always)]
    pub fn turns(&self) -> impl Iterator<Item = &'a Turn> + '_ {
        let region = self.context.region();
        self.indices().iter().map(|index| region.turn(u32::from(*index)))
    }

    /// Returns whether `index` is among them.
    pub fn contains(&self, index: u32) -> bool {
        self.indices().iter().any(|held| u32::from(*held) == index)
    }

    fn give_all(&self) {
        let me = self.context.me();
        self.turns().for_each(|turn| _ = turn::give(turn, me));
    }
}

impl Drop for Held<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        match (&self.many, self.count) {
            (None, 1) => {
                let turn = self.context.region().turn(u32::from(self.few[0]));
                if turn::give(turn, self.context.me()) {
                    self.context.has_woken.set(true);
                }
            }
            _ => self.give_all(),
        }
        self.context.highest.set(u32::from(self.below));
    }
}

#[inline(always)]
fn take(context: &Context, index: u32) -> Result<()> {
    if turn::try_take(context.region().turn(index), context.me()) {
        return Ok(());
    }
    busy::take(context, index)
}
