//! What the tests with real processes share: children, a page that survives them, waiting, dice.
//!
//! - A child is a real fork of the test. It is killed and reaped when its handle goes, so a
//!   failing test leaves nothing behind.
//! - Children and parent tell each other things through a `Page`, whose words stay when a child is
//!   killed and which no stray descriptor can hold up.
//! - Nothing sleeps for luck: `until` looks for a condition until a deadline, then says what it
//!   was waiting for. Whether somebody sleeps already, `sleepers` and `Child::state` tell.

#![allow(dead_code, reason = "each test target uses another part of it")]

pub(crate) mod child;
pub(crate) mod objects;
pub(crate) mod page;
pub(crate) mod plain;
pub(crate) mod privilege;
pub(crate) mod random;

use std::time::{Duration, Instant};

use coheap_core::heap::Heap;
use coheap_core::heap::floors::HeapFloors as _;

/// How long a test waits for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until `is_so` answers true. Panics with `what` after [`PATIENCE`].
pub(crate) fn until(what: &str, is_so: impl FnMut() -> bool) {
    assert!(is_so_within(PATIENCE, is_so), "{what}: not within {PATIENCE:?}");
}

/// Looks until `is_so` answers true, at most for `patience`.
pub(crate) fn is_so_within(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patience;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// How many threads sleep on a lock or a queue of the heap, whichever processes they belong to.
pub(crate) fn sleepers(heap: &Heap) -> usize {
    let sleeps = |row: &u32| heap.region().context(*row).sleeps_on.get() != 0;
    (0..heap.region().real_rows()).filter(sleeps).count()
}

/// A moment on the engine's clock, `milliseconds` from now.
pub(crate) fn in_milliseconds(milliseconds: u64) -> u64 {
    coheap_core::os::now() + milliseconds * 1_000_000
}

/// One test at a time: they count processors and processes.
pub(crate) fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Says something that a reader of the test's output must see, captured or not.
pub(crate) fn say(text: &str) {
    use std::io::Write;
    let line = format!("{text}\n");
    // Straight to the descriptor: the harness captures what goes through `println`.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}
