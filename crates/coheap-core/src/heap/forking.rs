//! What a process does for a child before it forks.
//!
//! What always holds: a fork neither fails nor waits for long because of the heap. Without a slot, or
//! beside a process that is stopped in a change, the child has less.
//!
//! Not here: the hooks that call this (`registry`), and how the child attaches (`Heap::context`).

use std::sync::Arc;

use super::{Heap, Shared, temporary};
use crate::objects::{estate, ledger};
use crate::os;

/// How long a fork waits at most for turns, in nanoseconds.
const PREPARATION: u64 = 1_000_000_000;

impl Shared {
    /// Takes a slot for a child, before this process forks, and enters the child's references in
    /// it. Without a slot, the child takes one later, without references.
    pub(super) fn expect_child(self: &Arc<Self>) {
        let heap = Heap { shared: Arc::clone(self) };
        let own = self.member.lock().clone().filter(|member| member.is_own());
        let member = match own {
            Some(member) => member,
            // This process is a child that did nothing here yet. It is born before it forks, for
            // nobody else takes its slot, and what it inherited is listed there.
            None if self.unborn.lock().is_some() => match heap.member() {
                Ok(member) => member,
                Err(_) => return,
            },
            None => return,
        };
        // The estates of earlier children are settled here, because no other process may ever do
        // so.
        let _ = heap.with(estate::sweep_if_due);
        let mut unborn = member.expect_child().ok().flatten();
        if unborn.is_none() && heap.with(estate::sweep_in_passing).is_ok() {
            unborn = member.expect_child().ok().flatten();
        }
        let Some(unborn) = unborn else { return };
        let child = unborn.incarnation();
        temporary::join_child(&member, child);
        *self.unborn.lock() = Some(unborn);
        if self.region.slot(member.slot()).leases.get() != 0 {
            // Neither a full heap nor a process that was stopped in a change may prevent the fork: at
            // worst, the child finds an object gone.
            let until = os::now() + PREPARATION;
            let _ = heap.with(|context| {
                context.waiting_until(until, |context| ledger::bequeath(context, child))
            });
        }
    }
}
