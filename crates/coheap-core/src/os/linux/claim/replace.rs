//! Ends the process that holds a name, so that another one can take its place.
//!
//! What always holds: a signal reaches only a process that held the name when it was named, never one
//! that has got its process id since.
//! Not here: what becomes of its children, which hold nothing.

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use super::super::refused;
use super::Request;
use super::holder::Holder;
use super::table::{self, Attempt};
use crate::error::{Error, Result};

/// How a process is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By SIGTERM; a process that is stopped goes on, so that it can end.
    Polite,
    /// By SIGKILL.
    Killed,
}

/// Asks the holder of a name to end, and returns it; of several slots, the one that has held longest.
/// `None`: the name, or a slot, is free, or its holder is another one than `only`.
///
/// # Errors
///
/// - [`Error::BadArgument`] if the holder is this process, or cannot be seen from its pid namespace.
/// - [`Error::Os`] if this process may not signal it.
/// - As `Claim::acquire`.
pub fn end_holder(request: &Request, ending: Ending, only: Option<u32>) -> Result<Option<Holder>> {
    const TRIES: u32 = 100;
    for _ in 0..TRIES {
        let Some(holder) = holder_now(request)? else { return Ok(None) };
        let Some(pid) = holder.pid else {
            let why = "the holder is not visible from this pid namespace, so it cannot be ended";
            return Err(Error::BadArgument(why));
        };
        if only.is_some_and(|only| only != pid) {
            return Ok(None);
        }
        if pid == std::process::id() {
            return Err(Error::BadArgument("the holder is this process itself"));
        }
        let Some(number) = Pid::from_raw(pid.cast_signed()) else { continue };
        let handle = match rustix::process::pidfd_open(number, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(Errno::SRCH) => continue,
            Err(errno) => return Err(refused("pidfd_open")(errno)),
        };
        // Whoever holds it now has had the process id since before the handle was opened, or else
        // the handle is that of a dead process.
        match holder_now(request)? {
            None => return Ok(None),
            Some(again) if again.pid == holder.pid => {}
            Some(_) => continue,
        }
        let signals: &[Signal] = match ending {
            Ending::Polite => &[Signal::TERM, Signal::CONT],
            Ending::Killed => &[Signal::KILL],
        };
        let sent = signals
            .iter()
            .try_for_each(|signal| rustix::process::pidfd_send_signal(&handle, *signal));
        match sent {
            Ok(()) => return Ok(Some(holder)),
            Err(Errno::SRCH) => {}
            Err(errno) => return Err(refused("kill")(errno)),
        }
    }
    Err(Error::Os { call: "kill", code: libc::EAGAIN })
}

/// Returns who holds the name. `None`: nobody does.
fn holder_now(request: &Request) -> Result<Option<Holder>> {
    match table::attempt(request, true)? {
        Attempt::Taken(holder) => Ok(Some(holder)),
        Attempt::Held(key, ..) => table::release(key).map(|_| None),
    }
}
