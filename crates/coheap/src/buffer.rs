//! Elements and keys as bytes, in buffers that a thread uses again and again.
//!
//! What always holds: a buffer is empty when it is handed out, and goes back to the thread that
//! drops it. Not here: how they are kept (`coheap_core::wire`).

use coheap_core::wire;
use serde::Serialize;

use crate::element;
use crate::error::Result;

/// Bytes of an element.
#[derive(Debug)]
pub(crate) struct Buffer(pub(crate) wire::Buffer);

impl Buffer {
    pub(crate) fn new() -> Self {
        Self(wire::Buffer::new())
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
