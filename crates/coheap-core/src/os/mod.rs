//! The contract between the engine and an operating system: a dozen calls, named by their purpose.
//!
//! Each system has one file (or folder), chosen here and nowhere else; the pretend machine for
//! loom, Miri and `--cfg sim` is one of them. The floors above do not know which system it is, and
//! name no system call.
//!
//! What always holds:
//!
//! - A file or mapping that this floor returns stays valid while the value lives.
//! - A wait may end for no reason; callers check again and loop.
//! - `Identity::is_dead` never returns "dead" for a process that still runs.
//!
//! Not here: the meaning of the mapped bytes, and of a death.

#![expect(unsafe_code, clippy::disallowed_types, reason = "system calls; the ground of the rest")]

mod apart;
pub mod failpoint;
mod latch;
mod pace;
#[cfg(not(any(loom, miri, sim)))]
mod private;
#[cfg(not(any(target_os = "linux", loom, miri, sim)))]
compile_error!(
    "coheap runs on Linux only: it needs futexes in memory that processes share, locks of files that \
     end with their process, and files in memory"
);

#[cfg(all(target_os = "linux", not(any(loom, miri, sim))))]
#[path = "linux/mod.rs"]
mod system;
#[cfg(any(loom, miri, sim))]
#[path = "sim/mod.rs"]
mod system;

pub use apart::{Around, LONG, apart, around_long_work, stay};
pub use latch::{Latch, OTHERS_ARE_FROZEN};
pub use pace::{Pace, Tally};
#[cfg(not(any(loom, miri, sim)))]
pub use private::{PrivateGuard, PrivateMutex};
#[cfg(not(any(loom, miri, sim)))]
pub use system::appending;
#[cfg(not(any(loom, miri, sim)))]
pub use system::claim;
#[cfg(not(any(loom, miri, sim)))]
pub use system::ended::{sleep_when_ended, threads_end};
pub use system::file::{FileId, HeapFile, Ownership, overflow_user, user};
pub use system::fork::{generation, on_fork};
pub use system::futex::{Wake, wait, wake};
pub use system::identity::{Identity, boot_id, random_u64};
pub use system::life;
pub use system::mapping::Mapping;
pub use system::regain::regain;
pub use system::{
    adopt_descriptor, become_program, inheritable, memory_bytes, now, now_roughly, thread_id,
};

/// What a test may do to the pretend machine.
#[cfg(any(loom, miri, sim))]
pub use system::machine;
#[cfg(any(loom, miri, sim))]
pub use system::private::{PrivateGuard, PrivateMutex};
