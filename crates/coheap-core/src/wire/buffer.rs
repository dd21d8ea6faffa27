//! Buffers that a thread uses again and again, so that an operation asks for no memory.
//!
//! What always holds: a buffer is empty when it is handed out, and goes back to the thread that
//! drops it; a very large one is let go. Buffers are taken out of their thread, so code of the user
//! that runs meanwhile and calls back takes others.
//!
//! What touches `FREE` has no `#[inline]`: copied into another crate, it takes more instructions to
//! find a thread's own, and every copy of the drop has them.

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
    /// A buffer, one that this thread has used before if there is any.
    pub fn new() -> Self {
        let free = FREE.try_with(|free| free.try_borrow_mut().ok()?.pop());
        Self(free.ok().flatten().unwrap_or_default())
    }

    /// A buffer that this thread has used before.
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
