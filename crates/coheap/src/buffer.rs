//! Buffers that a thread uses again and again, so that an operation asks for no memory.
//!
//! What always holds: a buffer is empty when it is handed out, and goes back to the thread that
//! drops it; a very large one is let go.

use std::cell::RefCell;

use crate::element;
use crate::error::Result;
use serde::Serialize;

/// Buffers kept, and the most bytes that one may keep.
const KEPT: usize = 8;
const KEPT_BYTES: usize = 1 << 20;

thread_local! {
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes of an element, in a buffer that goes back to its thread.
#[derive(Debug)]
pub(crate) struct Buffer(pub(crate) Vec<u8>);

impl Buffer {
    pub(crate) fn new() -> Self {
        let free = FREE.try_with(|free| free.try_borrow_mut().ok()?.pop());
        Self(free.ok().flatten().unwrap_or_default())
    }

    /// An element's bytes.
    pub(crate) fn value<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let mut buffer = Self::new();
        element::encode(value, &mut buffer.0)?;
        Ok(buffer)
    }

    /// A key's canonical bytes.
    pub(crate) fn key<T: Serialize + ?Sized>(key: &T) -> Result<Self> {
        let mut buffer = Self::new();
        element::encode_key(key, &mut buffer.0)?;
        Ok(buffer)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
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
