//! A name with several slots: at most so many processes hold one at once, across programs.
//!
//! What always holds: a slot has one holder, and ends with its process; all who use a name at the
//! same time mean the same number of slots.
//! Not here: how a slot is kept (`coheap_core::claim`).

use std::time::Duration;

use coheap_core::claim::{Claim, Name, Outcome, Request, Scope};
use coheap_core::system;

use crate::error::{AlreadyRunning, Error, Result};
use crate::instance::outcome;

/// A name of which `n` processes, or threads, hold a slot at a time.
///
/// ```
/// use coheap::{Error, Slots};
///
/// let slots = Slots::new(&format!("example-{}", std::process::id()), 2)?;
/// let (first, second) = (slots.acquire()?, slots.acquire()?);
/// assert_eq!((first.number(), second.number()), (0, 1));
/// assert!(matches!(slots.acquire(), Err(Error::AlreadyRunning(_))));
/// drop(first);
/// assert_eq!(slots.acquire()?.number(), 0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Slots {
    name: Name,
}

/// A slot that is held. It ends when it is dropped, or with the process.
#[derive(Debug)]
pub struct Slot {
    claim: Claim,
}

impl Slots {
    /// Returns the `count` slots of a name, for the processes of the user.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`] if the name is empty or longer than 255 bytes, or `count` is not a number
    /// from 1 to 4096.
    pub fn new(name: &str, count: u32) -> Result<Self> {
        Self::in_scope(name, count, Scope::User)
    }

    /// As [`new`](Self::new), for the processes of a scope.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn in_scope(name: &str, count: u32, scope: Scope) -> Result<Self> {
        Ok(Self { name: Name::with_slots(name, scope, count)? })
    }

    /// Takes a free slot, the one with the smallest number.
    ///
    /// # Errors
    ///
    /// - [`Error::AlreadyRunning`] if all are held.
    /// - [`Error::Engine`] if others use the name with another number of slots, or the place of the
    ///   locks cannot be trusted or written.
    pub fn acquire(&self) -> Result<Slot> {
        self.acquire_until(0)
    }

    /// As [`acquire`](Self::acquire), waiting for a slot, at most for so long; `None` waits for ever.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub fn wait(&self, patience: Option<Duration>) -> Result<Slot> {
        let until = patience.and_then(|patience| u64::try_from(patience.as_nanos()).ok());
        self.acquire_until(until.map_or(u64::MAX, |until| system::now().saturating_add(until)))
    }

    fn acquire_until(&self, until: u64) -> Result<Slot> {
        match outcome(&Request::new(self.name.clone()), until)? {
            Outcome::Held(claim) => Ok(Slot { claim }),
            Outcome::Taken(holder) => {
                let name = self.name.text().to_owned();
                let running = AlreadyRunning { name, holder, answer: None };
                Err(Error::AlreadyRunning(Box::new(running)))
            }
        }
    }
}

impl Slot {
    /// Returns its number, from 0 on.
    pub fn number(&self) -> u32 {
        self.claim.slot()
    }

    /// Whether this process still holds it; see
    /// [`SingleInstance::is_held`](crate::SingleInstance::is_held).
    pub fn is_held(&self) -> bool {
        self.claim.is_held()
    }
}
