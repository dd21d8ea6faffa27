//! Claims: names that one process holds at a time, or as many as a name has slots.
//!
//! A claim is kept by the kernel, and needs no heap. It ends when it is given back or when the process
//! ends, however that happens; nothing has to be cleaned up after a death.
//!
//! What always holds:
//!
//! - Two processes of one network namespace, or of one that see the same folder, never hold the same
//!   slot of a name at once. A process that is stopped holds what it has.
//! - A claim belongs to the process that made it, and not to its children, unless they shall inherit
//!   it.
//!
//! What ends a claim early: the process closes descriptors that are not its own, as daemons do when
//! they begin. `is_held` tells it.
//!
//! # Files
//!
//! | file | what it knows |
//! |---|---|
//! | `name` | what can be claimed, and by whom |
//! | `folder` | where the files of names are, and which of them can be trusted |
//! | `diag` | which user listens under a name |
//! | `forked` | what a child closes |
//! | `witness` | the socket that no cleaner removes |
//! | `holder` | who holds a name |
//! | `table` | the claims of this process |
//! | `list` | who holds what |
//! | `second` | a process that comes second asks the first one |
//! | `replace` | ends the process that holds a name |

mod name;
mod folder;
mod diag;
mod forked;
mod witness;
mod holder;
mod table;
mod list;
mod second;
mod replace;

use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};

use super::file::HeapFile;
use super::{now, refused};
use crate::error::{Error, Result};
use table::Attempt;

pub use holder::{Holder, shown, span};
pub use list::{Held, list};
pub use name::{MAX_NAME_BYTES, MAX_SLOTS, Name, Scope};
pub use replace::{Ending, end_holder};
pub use second::{MAX_REQUEST_BYTES, Second, Seconds, ask};

/// How often who waits looks again, in nanoseconds. A death wakes it at once.
const LOOK: u64 = 25_000_000;

/// What is to be held, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// The name.
    pub name: Name,
    /// Whether children that are forked later hold it, too, and keep it when the process ends.
    pub is_inherited: bool,
    /// Whether the descriptors lie where programs do not look for theirs, for
    /// [`Claim::keep_over_exec`].
    pub survives_exec: bool,
}

impl Request {
    /// Returns the plainest request for a name.
    pub fn new(name: Name) -> Self {
        Self { name, is_inherited: false, survives_exec: false }
    }
}

/// What a request came to.
#[derive(Debug)]
pub enum Outcome {
    /// This process holds the name, or a slot of it.
    Held(Claim),
    /// All slots are held; this is a process that holds one.
    Taken(Holder),
}

/// A name, or a slot of it, that this process holds. Dropping it gives it back.
#[derive(Debug)]
pub struct Claim {
    key: u64,
    slot: u32,
    /// The file that children inherit with the claim, if they shall.
    inherited: Option<Arc<HeapFile>>,
}

impl Claim {
    /// Claims a name, waiting until `until` (on the clock of `system::now`; 0 does not wait).
    ///
    /// # Errors
    ///
    /// - [`Error::UnusableFolder`] if the place of the locks cannot be trusted or written.
    /// - [`Error::OtherSlots`] if others mean another number of slots.
    /// - [`Error::Interrupted`] if a signal arrives meanwhile.
    /// - [`Error::Os`].
    pub fn acquire(request: &Request, until: u64) -> Result<Outcome> {
        loop {
            let is_last = now() >= until;
            match table::attempt(request, is_last)? {
                Attempt::Held(key, slot, inherited) => {
                    return Ok(Outcome::Held(Self { key, slot, inherited }));
                }
                Attempt::Taken(holder) if is_last => return Ok(Outcome::Taken(holder)),
                Attempt::Taken(holder) => wait_for(&holder, until)?,
            }
        }
    }

    /// Returns the number of the slot, from 0 on.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Whether this process still holds it: it was not forked since, or its children inherit the
    /// claim, and nobody closed its descriptors.
    pub fn is_held(&self) -> bool {
        match &self.inherited {
            Some(file) => table::is_inherited_lock(file, self.slot),
            None => table::is_held(self.key),
        }
    }

    /// Lets the program that replaces this one by `exec` hold it, under the same process id.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the descriptors were closed.
    pub fn keep_over_exec(&self) -> Result<()> {
        table::keep_over_exec(self.key)
    }

    /// Gives it back. Returns whether this process held it until now. In a child, an inherited claim is
    /// not given back: it ends with the last process that has it, or when its owner gives it back.
    ///
    /// # Errors
    ///
    /// [`Error::Os`].
    pub fn release(self) -> Result<bool> {
        table::release(self.key)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // A lock that cannot be given back ends with its descriptor, which is closed in any case.
        let _ = table::release(self.key);
    }
}

/// Sleeps until the holder has ended, it is time to look again, or `until`.
fn wait_for(holder: &Holder, until: u64) -> Result<()> {
    let patience = Duration::from_nanos(until.saturating_sub(now()).min(LOOK));
    let patience =
        rustix::time::Timespec { tv_sec: 0, tv_nsec: i64::from(patience.subsec_nanos()) };
    let other = holder.pid.filter(|pid| *pid != std::process::id());
    let handle = other
        .and_then(|pid| Pid::from_raw(pid.cast_signed()))
        .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
    let mut interest: Vec<_> =
        handle.iter().map(|handle| PollFd::new(handle, PollFlags::IN)).collect();
    match rustix::event::poll(&mut interest, Some(&patience)) {
        Ok(_) => Ok(()),
        Err(Errno::INTR) => Err(Error::Interrupted),
        Err(errno) => Err(refused("poll")(errno)),
    }
}
