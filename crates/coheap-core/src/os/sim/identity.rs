//! Who a peer is, and whether it is dead.
//!
//! What always holds: a number is never used again, and only a peer that was killed, and whose
//! threads have all stopped, is dead.

use std::sync::atomic::{AtomicU64, Ordering};

use super::machine;
use crate::error::Result;

/// What is remembered of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Identity {
    /// Process id.
    pub pid: u32,
    /// Another number that only this process has.
    pub pidfd_inode: u64,
    /// When it began.
    pub start_time: u64,
    /// Its pid namespace.
    pub pid_namespace: u64,
    /// Its time namespace.
    pub time_namespace: u64,
}

impl Identity {
    /// Returns the identity of the calling peer.
    pub fn mine() -> Self {
        let pid = machine::current();
        let number = u64::from(pid);
        let (pidfd_inode, start_time) = (number + 1000, number + 2000);
        Self { pid, pidfd_inode, start_time, pid_namespace: 1, time_namespace: 1 }
    }

    /// Returns whether `self` is seen from another pid namespace than that of `me`.
    pub fn is_foreign_to(&self, me: &Self) -> bool {
        self.pid_namespace != me.pid_namespace
    }

    /// Returns whether the process that had this identity is dead.
    pub fn is_dead(&self, _me: &Self) -> bool {
        machine::is_dead(self.pid)
    }

    /// Returns whether the process runs, or is dead.
    pub fn runs(&self, _me: &Self) -> bool {
        !machine::seems_stopped(self.pid)
    }

    /// Returns whether the process still has a mapping of the file with inode number `inode`.
    /// `None`: we may not look.
    pub fn maps_inode(&self, _inode: u64) -> Option<bool> {
        None
    }
}

/// Returns the machine's present run.
pub fn boot_id() -> [u64; 2] {
    [0x0070_7265_7465_6e64, 0x006d_6163_6869_6e65]
}

/// Returns a number that looks random, and is the same in every run.
pub fn random_u64() -> Result<u64> {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    static STATE: AtomicU64 = AtomicU64::new(STEP);
    let state = STATE.fetch_add(STEP, Ordering::Relaxed);
    let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    Ok(mixed ^ mixed >> 27)
}
