//! The context of a thread: its row in the table, its journal, and the turns it may take.
//!
//! What always holds:
//!
//! - **Context.1** A context belongs to one thread of one process; only that thread writes its
//!   journal.
//! - **Context.2** At most one change is open in it.
//! - **Context.3** Blocks on its pending chains belong to nothing else. They stay there when the
//!   thread ends, and the next thread that takes the row gets them.

use std::cell::Cell;
use std::sync::Arc;

use crate::defect::{Mistake, defect};
use crate::error::{Error, Result};
use crate::journal::kept::Kept;
use crate::memory::Region;
use crate::memory::layout::{CONTEXT_COUNT, ContextRow, Control};
use crate::os;
use crate::sync::parking::Who;
use crate::sync::parking::table::waiter::Waiter;
use crate::sync::wait::{Pause, Place, Possession};
use crate::sync::{Member, Owner, Patience, row};

/// The offsets of a head word and of a link word, and the block that is put on the chain.
pub(crate) type Chained = [u64; 3];

/// The state that a thread needs for every operation on a heap.
pub struct Context {
    region: Arc<Region>,
    member: Arc<Member>,
    /// Fork generation of the process that claimed.
    generation: u64,
    /// Number of the attachment in this process; 0 if it is nobody's.
    attachment: u64,
    index: u32,
    me: Owner,
    /// Process id in the low half, thread id in the high half.
    signature: u64,
    /// The thread's cells in the parking table, and its bell.
    waiter: Waiter,
    /// Highest turn held, plus one: turns are taken in index order.
    pub(super) highest: Cell<u32>,
    /// The blocks that the open change puts on a chain just before its commit.
    pub(super) chained: Cell<Vec<Chained>>,
    /// Whether a change is open.
    pub(crate) is_changing: Cell<bool>,
    /// Whether somebody was woken who slept for a turn of this thread.
    pub(super) has_woken: Cell<bool>,
    /// The state that the floors above keep for the thread.
    pub(crate) kept: Kept,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Context").field("index", &self.index).finish_non_exhaustive()
    }
}

impl Context {
    /// Takes a free row for the calling thread, for an attachment with this number.
    ///
    /// # Errors
    ///
    /// [`Error::TableFull`] when threads have all rows, some of them perhaps of processes that are
    /// dead and not recovered yet; [`Error::Os`] when the system has no room for one more.
    pub(crate) fn claim(member: Arc<Member>, attachment: u64) -> Result<Self> {
        let region = member.region();
        let full = Error::TableFull { table: "threads", rows: u64::from(CONTEXT_COUNT) };
        let me = row::claim(region, member.slot())?;
        let (me, index) = me.and_then(|me| Some((me, me.row()?))).ok_or(full)?;
        let signature = u64::from(member.pid()) | u64::from(os::thread_id()) << 32;
        Region::publish(&region.context(index).signature, signature);
        let kept = Kept::default();
        kept.pending.set_untidy(region.control(index).dropped.get() != 0);
        Ok(Self {
            region: Arc::clone(member.census().region()),
            generation: member.generation(),
            attachment,
            signature,
            waiter: Waiter::new(Who { row: index, epoch: me.epoch() }),
            member,
            index,
            me,
            highest: Cell::new(0),
            chained: Cell::default(),
            is_changing: Cell::new(false),
            has_woken: Cell::new(false),
            kept,
        })
    }

    /// Returns the heap's bytes.
    #[inline(always)]
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    /// Returns whether it belongs to the attachment with this number.
    #[inline(always)]
    pub(crate) fn is_of(&self, attachment: u64) -> bool {
        self.attachment == attachment
    }

    /// Returns the process.
    #[inline(always)]
    pub(crate) fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// Returns the row.
    #[inline(always)]
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Returns the owner value of this thread.
    #[inline(always)]
    pub(crate) fn me(&self) -> Owner {
        self.me
    }

    /// Returns this thread's ids, for people: its process id in the low half, its thread id in the
    /// high half.
    #[inline(always)]
    pub(crate) fn signature(&self) -> u64 {
        self.signature
    }

    /// Returns the row's shared words.
    #[inline(always)]
    pub(crate) fn row(&self) -> &ContextRow {
        self.region().context(self.index)
    }

    /// Returns the control words before the journal.
    #[inline(always)]
    pub(crate) fn control(&self) -> &Control {
        self.region().control(self.index)
    }

    /// Returns whether the calling process is the one that claimed the row, and not a forked copy
    /// of it.
    #[inline(always)]
    pub fn is_own(&self) -> bool {
        self.generation == os::generation() || defect(Mistake::ForkedChildIsParent)
    }

    /// Returns whether a transaction of the thread is open.
    #[inline(always)]
    pub fn has_transaction(&self) -> bool {
        self.kept.transaction.is_open()
    }

    /// Returns the thread's cells and bell.
    #[inline(always)]
    pub(crate) fn waiter(&self) -> &Waiter {
        &self.waiter
    }

    /// Goes on with a wait, if it was interrupted a moment ago.
    pub(crate) fn go_on(&self, patience: &mut Patience, place: &Place<'_>) {
        self.kept.interrupted.take(|before| patience.go_on(place, before).then_some(()));
    }

    /// Sleeps in a wait until there is something to do, and keeps its patience if a signal of the
    /// system interrupts it.
    pub(crate) fn pause(
        &self,
        patience: &mut Patience,
        place: &Place<'_>,
        at_most: u64,
        possession: Possession,
    ) -> Result<Pause> {
        let pause = patience.pause(self.member(), place, at_most, possession)?;
        if pause == Pause::Interrupted {
            self.kept.interrupted.keep(patience.interrupted(place));
        }
        Ok(pause)
    }

    /// Runs an operation that waits until `deadline`, in nanoseconds of [`os::now`], for a turn or
    /// for a transaction, and then returns [`Error::Busy`] or [`Error::WouldBlock`] with nothing
    /// changed. A signal ends the wait before with [`Error::Interrupted`]. With a deadline of 0 the
    /// operation never waits: for callers that hold something that others may need to go on.
    #[inline]
    pub fn waiting_until<T>(&self, deadline: u64, operation: impl FnOnce(&Self) -> T) -> T {
        self.kept.waiting.during(deadline, || operation(self))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // A forked copy must not touch the row of its parent's thread.
        if self.is_own() && !self.is_changing.get() {
            self.waiter.close(&self.region);
            row::end(&self.region, self.me, self.kept.locks.count());
        }
    }
}
