//! Turns that a thread holds, from taking them to letting them go.
//!
//! What always holds:
//!
//! - Turns are taken in index order, also over several `Held` that live at once.
//! - Dropping lets them go, whatever happened. A change open under them has closed by then.

use smallvec::SmallVec;

use crate::defect::defect;
use crate::error::{Corrupt, Result};
use crate::journal::context::Context;
use crate::journal::recovery::{self, Recovered};
use crate::memory::Region;
use crate::memory::layout::Turn;
use crate::sync::Owner;
use crate::sync::turn::{self, Taken};

/// Some turns, held.
#[derive(Debug)]
pub struct Held<'a> {
    context: &'a Context,
    turns: SmallVec<[u32; 4]>,
    below: u32,
}

impl<'a> Held<'a> {
    #[inline(always)]
    pub(super) fn one(context: &'a Context, index: u32) -> Result<Self> {
        let below = context.highest.get();
        assert!(index >= below, "turns are taken in index order");
        take(context, index)?;
        context.highest.set(index + 1);
        let mut turns = SmallVec::new();
        turns.push(index);
        Ok(Self { context, turns, below })
    }

    pub(super) fn all(context: &'a Context, wanted: &[u32]) -> Result<Self> {
        let mut sorted: SmallVec<[u32; 4]> = wanted.into();
        sorted.sort_unstable();
        sorted.dedup();
        let below = context.highest.get();
        let mut held = Self { context, turns: SmallVec::new(), below };
        for index in sorted {
            assert!(index >= context.highest.get(), "turns are taken in index order");
            take(context, index)?;
            context.highest.set(index + 1);
            held.turns.push(index);
        }
        Ok(held)
    }

    /// The thread that holds them.
    #[inline(always)]
    pub fn context(&self) -> &'a Context {
        self.context
    }

    /// The turns, in index order.
    #[inline(always)]
    pub fn turns(&self) -> impl Iterator<Item = &'a Turn> + '_ {
        let region = self.context.region();
        self.turns.iter().map(|index| region.turn(*index))
    }

    /// Whether `index` is among them.
    pub fn contains(&self, index: u32) -> bool {
        self.turns.contains(&index)
    }
}

impl Drop for Held<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        for turn in self.turns() {
            turn::give(turn);
        }
        self.context.highest.set(self.below);
    }
}

#[inline(always)]
fn take(context: &Context, index: u32) -> Result<()> {
    let turn = context.region().turn(index);
    if turn::try_take(turn, context.me()) {
        return Ok(());
    }
    take_slowly(context, turn)
}

#[cold]
fn take_slowly(context: &Context, turn: &Turn) -> Result<()> {
    let member = context.member();
    loop {
        match turn::wait_for(turn, context.me(), member.census())? {
            Taken::Yes => return Ok(()),
            Taken::OwnerGone(_) if defect(16) => {
                // The lock is stolen, and what it guards stays half done.
                let word = turn.owner.acquire();
                if Region::compare_exchange(&turn.owner, word, context.me().bits()).is_ok() {
                    return Ok(());
                }
            }
            Taken::OwnerGone(gone) => {
                let done = recovery::recover(member.census(), Some(member.who()), gone)?;
                let word = Owner::of(turn.owner.acquire());
                if done == Recovered::Done && word.is_process(gone.slot, gone.epoch) {
                    // Recovery frees every turn of the dead: this word was never theirs.
                    return Err(Corrupt { what: "owner of a turn", at: word.bits() }.into());
                }
            }
        }
    }
}
