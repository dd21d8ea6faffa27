//! A pretend machine: files, life bytes, sleeping and clocks within one real process.
//!
//! Threads of the test play several processes, called *peers* (`machine`): they can be killed,
//! their clocks stopped, their wakes lost. It serves `--cfg sim`, Miri, which knows no system
//! calls, and loom, which wants to see every sleep.
//!
//! What always holds: the contract of `os`, so that the floors above cannot tell. All peers see a
//! file at one address, and share what is `static` above this floor: so each peer has a `Heap` of
//! its own, and named heaps are for one peer at a time.

mod bytes;
pub(super) mod file;
pub(super) mod fork;
#[cfg(not(loom))]
pub(super) mod futex;
#[cfg(loom)]
#[path = "futex_loom.rs"]
pub(super) mod futex;
pub(super) mod identity;
pub mod life;
pub mod machine;
pub(super) mod mapping;
pub(super) mod private;
pub(super) mod regain;

use crate::error::{Error, Result};
use file::Descriptor;

/// What the pretend machine says when something is not there.
const NO_ENTRY: i32 = 2;
/// What it says of a descriptor that is not open.
const BAD_DESCRIPTOR: i32 = 9;

fn refused(call: &'static str, code: i32) -> Error {
    Error::Os { call, code }
}

/// Nanoseconds on the clock of the calling peer.
pub fn now() -> u64 {
    machine::now()
}

/// As [`now`].
pub fn now_roughly() -> u64 {
    now()
}

/// Returns a number for the calling thread: that of its peer, for threads play processes here.
pub fn thread_id() -> u32 {
    machine::current()
}

/// Bytes of memory that this process may hope for.
pub fn memory_bytes() -> u64 {
    64 << 20
}

/// Would let a program inherit a file; here peers find it by its number anyway.
pub fn inheritable(_command: &mut std::process::Command, _file: Descriptor) {}

/// There are no programs here.
pub fn become_program(_command: &mut std::process::Command) -> std::io::Error {
    std::io::ErrorKind::Unsupported.into()
}

/// Takes over the open descriptor `number`.
///
/// # Errors
///
/// [`Error::Os`] when no such descriptor is open.
pub fn adopt_descriptor(number: i32) -> Result<Descriptor> {
    file::adopt(number)
}

/// Ends the calling peer: this thread never runs again.
#[cfg(feature = "failpoints")]
pub(super) fn die_now() -> ! {
    machine::die_now()
}
