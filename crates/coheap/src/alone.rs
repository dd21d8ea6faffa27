//! Operations on objects themselves, outside of transactions.
//!
//! What always holds: while a transaction of a thread is open, its operations on the objects of that
//! heap go through the transaction. One on an object itself would be applied at once, whatever becomes
//! of the transaction, and would not read what the transaction has written; so it is refused. Only
//! what gives back is not: a lease and a guard that are dropped, and [`Lease::nack`](crate::Lease::nack).
//!
//! Not here: opening and creating objects by name, which the engine refuses where it would be half a
//! transaction.

use std::time::Duration;

use coheap_core::{Context, system};

use crate::Heap;
use crate::error::Result;

/// Refuses an operation on an object itself inside of a transaction of the calling thread.
#[inline(always)]
pub(crate) fn check(context: &Context) -> coheap_core::Result<()> {
    if context.has_transaction() { Err(coheap_core::Error::InTransaction) } else { Ok(()) }
}

impl Heap {
    /// Runs an operation on an object.
    #[inline]
    pub(crate) fn with<T>(
        &self,
        operation: impl FnOnce(&Context) -> coheap_core::Result<T>,
    ) -> Result<T> {
        Ok(self.alone(operation)?)
    }

    /// As [`with`](Self::with), with the errors of the engine.
    #[inline]
    pub(crate) fn alone<T>(
        &self,
        operation: impl FnOnce(&Context) -> coheap_core::Result<T>,
    ) -> coheap_core::Result<T> {
        self.engine.with(|context| {
            check(context)?;
            operation(context)
        })
    }

    /// As [`wait_with`], with the context of the calling thread.
    #[inline]
    pub(crate) fn wait<T>(
        &self,
        timeout: Option<Duration>,
        operation: impl FnMut(&Context, Option<u64>) -> coheap_core::Result<T>,
    ) -> Result<T> {
        wait_with(&*self.engine.context()?, timeout, operation)
    }
}

/// Runs an operation on an object that waits, and repeats it after each signal with the same deadline.
#[inline]
pub(crate) fn wait_with<T>(
    context: &Context,
    timeout: Option<Duration>,
    mut operation: impl FnMut(&Context, Option<u64>) -> coheap_core::Result<T>,
) -> Result<T> {
    check(context)?;
    let deadline = timeout.map(|timeout| {
        system::now().saturating_add(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX))
    });
    loop {
        match operation(context, deadline) {
            Err(coheap_core::Error::Interrupted) => {}
            other => return Ok(other?),
        }
    }
}
