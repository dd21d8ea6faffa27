//! The word that says who has a turn, a long lock, a context or a chunk.
//!
//! | bits   | name    | meaning                                              |
//! |--------|---------|------------------------------------------------------|
//! | 0..32  | epoch   | how often the slot was taken: tells two owners apart  |
//! | 32..42 | slot    | row of the process, plus one; 0 = nobody              |
//! | 42..53 | context | row of the thread, plus one; 0 = not said             |
//! | 53     | shared  | a lock that was once released by another than its acquirer |
//! | 63     | waiters | someone may sleep here: wake one when letting go      |
//!
//! A word that is zero but for `shared` and `waiters` is free.

/// A thread may sleep on the signal beside the word.
pub const WAITERS: u64 = 1 << 63;
/// The lock is used as a signal: the search for deadlocks ignores it.
pub const SHARED: u64 = 1 << 53;
/// First bit of the slot plus one.
const SLOT: u32 = 32;
/// The bits of a slot plus one, here and in the state word of a slot.
pub(super) const SLOT_MASK: u32 = 0x3ff;
/// First bit of the context plus one.
const CONTEXT: u32 = 42;
/// The bits of a context plus one.
const CONTEXT_MASK: u32 = 0x7ff;

/// One process that has or had a slot, living, dead or unborn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incarnation {
    /// Its slot.
    pub slot: u32,
    /// Its epoch in that slot.
    pub epoch: u32,
}

/// The value of an owner word, without its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner(u64);

impl Owner {
    /// Returns the owner value of a thread of a process.
    #[inline]
    pub fn new(process: Incarnation, context: u32) -> Self {
        let Incarnation { slot, epoch } = process;
        Self(u64::from(epoch) | u64::from(slot + 1) << SLOT | u64::from(context + 1) << CONTEXT)
    }

    /// Returns the owner that a word names.
    #[inline(always)]
    pub fn of(word: u64) -> Self {
        Self(word & !(WAITERS | SHARED))
    }

    /// Returns the bits to store.
    #[inline(always)]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Returns whether the word names no owner.
    #[inline(always)]
    pub fn is_nobody(self) -> bool {
        self.0 == 0
    }

    /// Returns the process. `None` if there is no owner, or no such slot (a damaged word).
    #[inline]
    pub fn process(self) -> Option<Incarnation> {
        let slot = ((self.0 >> SLOT) as u32 & SLOT_MASK).checked_sub(1)?;
        let epoch = self.0 as u32;
        (slot < crate::memory::layout::SLOT_COUNT).then_some(Incarnation { slot, epoch })
    }

    /// Returns the row of the thread. `None` if the word does not name one, or if there is no such
    /// row.
    pub fn context(self) -> Option<u32> {
        let context = (self.0 >> CONTEXT) as u32 & CONTEXT_MASK;
        context.checked_sub(1).filter(|context| *context < crate::memory::layout::CONTEXT_COUNT)
    }

    /// Returns whether it is a thread of `process`.
    pub fn is_of(self, process: Incarnation) -> bool {
        self.process() == Some(process)
    }
}
