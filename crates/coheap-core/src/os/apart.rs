//! What takes long, and what a face does around it.
//!
//! A face may hold a lock of its process while it calls the engine, as an interpreter's is. It registers
//! here how it lets go of that lock while many bytes are copied that nobody else changes, or many pages
//! are asked of the system.
//!
//! What always holds: the work is done once, whatever is done around it.

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

/// Does some work on so many bytes.
pub fn apart(bytes: u64, work: &mut (dyn FnMut() + Send)) {
    match AROUND.get().filter(|_| bytes >= LONG as u64) {
        Some(around) => around(work),
        None => work(),
    }
}
