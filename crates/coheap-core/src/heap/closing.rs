//! Leaving a heap, for the process or for one of those who use it in this process.
//!
//! What always holds: whoever was counted closes the heap for nobody but himself, until he is the last.

use super::Heap;
use crate::error::Result;

impl Heap {
    /// Leaves the heap. Handles and other `Heap`s of it return [`Closed`](crate::Error::Closed) from then on. The
    /// leases of this process return to their queues, its locks go to those that want them with
    /// [`Acquired::OwnerDied`](crate::Acquired::OwnerDied), and its waits end with
    /// [`Closed`](crate::Error::Closed). It takes 100 ms at most beside a process that is stopped in a change: what
    /// belongs to that object comes back later.
    ///
    /// # Errors
    ///
    /// [`Os`](crate::Error::Os) when the system refused; the process has left all the same.
    pub fn close(&self) -> Result<()> {
        if self.shared.is_closed() {
            return Ok(());
        }
        let context = self.context().ok();
        self.shared.closed.raise();
        self.shared.leave(context)
    }

    /// Counts one more user of the heap in this process: others do not close it under this one.
    pub fn count_user(&self) {
        *self.shared.users.lock() += 1;
    }

    /// How many users are counted.
    pub fn users(&self) -> u32 {
        *self.shared.users.lock()
    }

    /// As [`close`](Self::close), for one of those who were counted: the heap is closed with the last.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    pub fn close_for_one(&self) -> Result<()> {
        let left = {
            let mut users = self.shared.users.lock();
            *users = users.saturating_sub(1);
            *users
        };
        if left == 0 { self.close() } else { Ok(()) }
    }
}
