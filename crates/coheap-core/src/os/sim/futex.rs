//! Sleeping on a word until another peer changes it: a list of sleepers under one lock.
//!
//! What always holds: the word is looked at under the lock that a wake takes, so a wake that
//! follows a change of the word is missed by nobody. Only a peer told to lose wakes loses them. A
//! deadline is judged by the sleeper's own clock: while it stands still, the sleep goes on.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::machine;

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Somebody woke us, or the word had another value, or there was no reason at all.
    Woken,
    /// The deadline passed.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

/// Longest real sleep between two looks at a clock that may have been stopped.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug)]
struct Sleeper {
    ticket: u64,
    address: usize,
    pid: u32,
    ended: Option<Wake>,
}

#[derive(Debug)]
struct Beds {
    next: u64,
    sleepers: Vec<Sleeper>,
}

static BEDS: Mutex<Beds> = Mutex::new(Beds { next: 0, sleepers: Vec::new() });
static CALL: Condvar = Condvar::new();

fn beds() -> MutexGuard<'static, Beds> {
    BEDS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Beds {
    fn leave(&mut self, ticket: u64) -> Option<Wake> {
        let index = self.sleepers.iter().position(|sleeper| sleeper.ticket == ticket)?;
        self.sleepers.remove(index).ended
    }

    fn ended(&self, ticket: u64) -> bool {
        self.sleepers.iter().any(|sleeper| sleeper.ticket == ticket && sleeper.ended.is_some())
    }

    fn end(&mut self, reason: Wake, count: u32, chosen: impl Fn(&Sleeper) -> bool) -> u32 {
        let asleep = self.sleepers.iter_mut().filter(|sleeper| sleeper.ended.is_none());
        let mut ended = 0;
        for sleeper in asleep.filter(|sleeper| chosen(sleeper)).take(count as usize) {
            sleeper.ended = Some(reason);
            ended += 1;
        }
        ended
    }
}

/// Sleeps until `word` is woken, no longer holds `seen`, or the clock passes `deadline`.
pub fn wait(word: &AtomicU32, seen: u32, deadline: u64) -> Wake {
    let pid = machine::current();
    let mut beds = beds();
    if word.load(Ordering::SeqCst) != seen {
        return Wake::Woken;
    }
    let ticket = beds.next;
    beds.next += 1;
    let address = word.as_ptr() as usize;
    beds.sleepers.push(Sleeper { ticket, address, pid, ended: None });
    while !beds.ended(ticket) {
        if machine::is_killed(pid) {
            beds.leave(ticket);
            drop(beds);
            machine::die_now();
        }
        let left = Duration::from_nanos(deadline.saturating_sub(machine::now_of(pid)));
        if left.is_zero() {
            beds.leave(ticket);
            return Wake::TimedOut;
        }
        let slept = CALL.wait_timeout(beds, left.min(LOOK));
        beds = slept.unwrap_or_else(PoisonError::into_inner).0;
    }
    beds.leave(ticket).unwrap_or(Wake::Woken)
}

/// Wakes at most `count` sleepers on `word`, and returns how many it woke.
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    if machine::loses_wake() {
        return 0;
    }
    let address = word.as_ptr() as usize;
    let woken = beds().end(Wake::Woken, count, |sleeper| sleeper.address == address);
    CALL.notify_all();
    woken
}

/// Ends all sleeps of a peer as a signal handler does.
pub(super) fn interrupt(pid: u32) {
    beds().end(Wake::Interrupted, u32::MAX, |sleeper| sleeper.pid == pid);
    CALL.notify_all();
}

/// Makes every sleeper look whether it was killed, and at its clock.
pub(super) fn look_again() {
    drop(beds());
    CALL.notify_all();
}

/// Returns whether a thread of the peer sleeps.
pub(super) fn is_asleep(pid: u32) -> bool {
    beds().sleepers.iter().any(|sleeper| sleeper.pid == pid && sleeper.ended.is_none())
}
