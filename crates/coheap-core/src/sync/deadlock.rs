//! The search for deadlocks: a chain of owners and awaited locks that leads back to its start.
//!
//! A thread that sleeps without a deadline on a long lock publishes that lock. A lock has one
//! owner, and a thread waits for one lock, so each step of the chain is unique. A cycle that is
//! read twice without a difference is real, because none of its members can continue by itself.
//!
//! What always holds: only the youngest member of the cycle gives up, so that two members that find
//! the same cycle do not both give up.

use super::parking::word::{LockWord, SHARED};
use super::row::RowWord;
use super::{Member, Owner};
use crate::memory::Region;

/// Publishes that `context` waits for the lock word at `lock`.
pub fn publish(region: &Region, context: u32, lock: u64) {
    let row = region.context(context);
    Region::store(&row.wait_number, row.wait_number.get().wrapping_add(1));
    Region::store(&row.waits_for, lock);
}

/// Withdraws the published lock, because the wait is over.
pub fn withdraw(region: &Region, context: u32) {
    Region::store(&region.context(context).waits_for, 0);
}

/// Returns whether `context` waits in a cycle and is the member that gives up.
pub fn is_victim(member: &Member, context: u32) -> bool {
    let region = member.region();
    let first = walk(region, context);
    first.is_some() && first == walk(region, context) && is_youngest(region, context, &first)
}

/// One step of a cycle: a thread, the number of its wait, the lock, and the value of the lock's
/// word.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    context: u32,
    wait_number: u64,
    lock: u64,
    owner: Owner,
}

/// Returns the cycle through `start`, if there is one.
fn walk(region: &Region, start: u32) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut context = start;
    for _ in 0..region.real_rows() {
        let row = region.context(context);
        let wait_number = row.wait_number.acquire();
        let lock = row.waits_for.acquire();
        if lock == 0 {
            return None;
        }
        let word = LockWord(region.journaled_word(lock).ok()?.acquire());
        // A lock that is offered is nobody's.
        let holder = word.thread().filter(|_| !word.has(SHARED))?;
        let owner = Owner::new(holder.row, holder.epoch);
        steps.push(Step { context, wait_number, lock, owner });
        let next = owner.row().filter(|row| *row < region.real_rows())?;
        // The row may have passed to another thread since.
        if !RowWord(region.context(next).state.acquire()).is_named_by(owner) {
            return None;
        }
        if next == start {
            return Some(steps);
        }
        if steps.iter().any(|step| step.context == next) {
            return None;
        }
        context = next;
    }
    None
}

/// Ages are start times: larger is younger. The row decides between equal ages.
fn is_youngest(region: &Region, context: u32, cycle: &Option<Vec<Step>>) -> bool {
    let age = |context: u32| (region.context(context).age.get(), context);
    let mine = age(context);
    cycle.iter().flatten().all(|step| age(step.context) <= mine)
}
