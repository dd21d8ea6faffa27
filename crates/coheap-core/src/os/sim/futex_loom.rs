//! Sleeping on a word, as a model that loom can look into.
//!
//! What always holds: the word is looked at under the lock that a wake takes. No sleep ends by
//! itself: whoever would sleep for ever makes loom report a deadlock, so a lost wake is an error
//! and not a delay. `let_time_pass` ends the sleeps of a moment as deadlines do.

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread::{self, Thread};

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

struct Sleeper {
    ticket: u64,
    address: usize,
    thread: Thread,
    ended: Option<Wake>,
}

#[derive(Default)]
struct Beds {
    next: u64,
    sleepers: Vec<Sleeper>,
}

loom::lazy_static! {
    static ref BEDS: Mutex<Beds> = Mutex::new(Beds::default());
}

#[expect(clippy::unwrap_used, reason = "a model that panicked is over")]
fn with<T>(act: impl FnOnce(&mut Beds) -> T) -> T {
    act(&mut BEDS.lock().unwrap())
}

impl Beds {
    fn end(&mut self, reason: Wake, count: u32, chosen: impl Fn(&Sleeper) -> bool) -> u32 {
        let asleep = self.sleepers.iter_mut().filter(|sleeper| sleeper.ended.is_none());
        let mut ended = 0;
        for sleeper in asleep.filter(|sleeper| chosen(sleeper)).take(count as usize) {
            sleeper.ended = Some(reason);
            sleeper.thread.unpark();
            ended += 1;
        }
        ended
    }
}

/// Sleeps until `word` is woken, or no longer holds `seen`.
pub fn wait(word: &AtomicU32, seen: u32, _deadline: u64) -> Wake {
    let address = std::ptr::from_ref(word) as usize;
    let ticket = with(|beds| {
        if word.load(Ordering::Relaxed) != seen {
            return None;
        }
        beds.next += 1;
        let (ticket, thread) = (beds.next, thread::current());
        beds.sleepers.push(Sleeper { ticket, address, thread, ended: None });
        Some(ticket)
    });
    let Some(ticket) = ticket else { return Wake::Woken };
    loop {
        thread::park();
        let ended = with(|beds| {
            let index = beds.sleepers.iter().position(|sleeper| sleeper.ticket == ticket)?;
            beds.sleepers[index].ended.inspect(|_| drop(beds.sleepers.remove(index)))
        });
        if let Some(reason) = ended {
            return reason;
        }
    }
}

/// Wakes at most `count` sleepers on `word`, and returns how many it woke.
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    let address = std::ptr::from_ref(word) as usize;
    with(|beds| beds.end(Wake::Woken, count, |sleeper| sleeper.address == address))
}

/// The deadlines of all who sleep now pass.
pub(super) fn let_time_pass() {
    with(|beds| beds.end(Wake::TimedOut, u32::MAX, |_| true));
}

pub(super) fn interrupt(_pid: u32) {
    with(|beds| beds.end(Wake::Interrupted, u32::MAX, |_| true));
}

pub(super) fn look_again() {}
