//! Buffers that a thread reuses, so that an operation allocates nothing.
//!
//! What always holds: a new buffer is empty. The thread that drops a buffer keeps it for reuse,
//! unless it is very large. A buffer is taken out of its thread's store while it is in use, so user
//! code that runs meanwhile and calls back gets another one.
//!
//! Functions that use `FREE` have no `#[inline]`: a copy in another crate needs more instructions to
//! reach the thread-local, and every copy of the drop would need them, too.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Buffers that a thread keeps.
const KEPT: usize = 8;

/// The most bytes that one may keep.
pub const KEPT_BYTES: usize = 1 << 20;

thread_local! {
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer that goes back to its thread.
#[derive(Debug, Default)]
pub struct Buffer(Vec<u8>);

impl Buffer {
    /// Returns a buffer, one that this thread has used before if there is any.
    pub fn new() -> Self {
        let free = FREE.try_with(|free| free.try_borrow_mut().ok()?.pop());
        Self(free.ok().flatten().unwrap_or_default())
    }

    /// Returns a buffer that this thread has used before.
    pub fn used() -> Option<Self> {
        let free = FREE.try_with(|free| free.try_borrow_mut().ok()?.pop());
        free.ok().flatten().map(Self)
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    #[inline]
    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0);
        if bytes.capacity() > KEPT_BYTES {
            return;
        }
        bytes.clear();
        let _ = FREE.try_with(|free| {
            if let Ok(mut free) = free.try_borrow_mut() {
                if free.len() < KEPT {
                    free.push(bytes);
                }
            }
        });
    }
}
