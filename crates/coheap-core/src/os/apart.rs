//! What takes long, and what a face does around it.
//!
//! A face may hold a lock of its process while it calls the engine, as an interpreter's is. It registers
//! here how it lets go of that lock while many bytes are copied that nobody else changes, or many pages
//! are asked of the system.
//!
//! What always holds: the work is done once, whatever is done around it. While a thread stays here, for it has
//! a lock of the process for which others may wait with the face's, nothing is done around it.

use std::cell::Cell;
use std::sync::OnceLock;

/// Work on so many bytes takes long.
pub const LONG: usize = 1 << 20;

/// Calls the work, once, and lets go of something meanwhile.
pub type Around = fn(&mut (dyn FnMut() + Send));

static AROUND: OnceLock<Around> = OnceLock::new();

/// From now on, what takes long is done inside of `around`. The first call counts.
pub fn around_long_work(around: Around) {
    let _ = AROUND.set(around);
}

thread_local! {
    /// How often the thread has to stay.
    static STAYS: Cell<u32> = const { Cell::new(0) };
}

/// Until it is dropped, nothing is done around what this thread does.
#[derive(Debug)]
pub struct Staying(());

impl Drop for Staying {
    fn drop(&mut self) {
        let _ = STAYS.try_with(|stays| stays.set(stays.get() - 1));
    }
}

/// Has nothing done around what this thread does, until the answer is dropped.
pub fn stay() -> Staying {
    let _ = STAYS.try_with(|stays| stays.set(stays.get() + 1));
    Staying(())
}

/// Does some work on so many bytes.
pub fn apart(bytes: u64, work: &mut (dyn FnMut() + Send)) {
    // At the end of a thread there is nothing to go back to.
    let stays = || STAYS.try_with(Cell::get).unwrap_or(1) > 0;
    match AROUND.get().filter(|_| bytes >= LONG as u64 && !stays()) {
        Some(around) => around(work),
        None => work(),
    }
}

#[cfg(all(test, not(any(loom, miri, sim))))]
mod tests {
    use super::*;

    /// Goal: long work is done inside of what the face does, once, unless the thread stays.
    /// Method: a face that notes that it was there.
    #[test]
    fn long_work_is_done_apart_unless_the_thread_stays() {
        thread_local! { static FACE: Cell<u32> = const { Cell::new(0) } }
        around_long_work(|work| {
            FACE.set(FACE.get() + 1);
            work();
        });
        let done = |bytes: usize| {
            let (before, mut count) = (FACE.get(), 0);
            apart(bytes as u64, &mut || count += 1);
            assert_eq!(count, 1);
            FACE.get() - before
        };
        assert_eq!((done(LONG - 1), done(LONG)), (0, 1));
        let (one, two) = (stay(), stay());
        assert_eq!(done(LONG), 0);
        drop(two);
        assert_eq!(done(LONG), 0);
        drop(one);
        assert_eq!(done(LONG), 1);
    }
}
