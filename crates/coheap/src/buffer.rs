//! Elements and keys as bytes, in buffers that a thread uses again and again.
//!
//! What always holds: a buffer is empty when it is handed out, and goes back to the thread that
//! drops it. Not here: how they are kept (`coheap_core::wire`).

use coheap_core::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::element;
use crate::error::{Error, Result};

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

/// What an operation reads, as a value.
#[inline(always)]
pub(crate) fn read<T: DeserializeOwned, E>(
    operation: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<T>
where
    Error: From<E>,
{
    let mut out = Buffer::new();
    operation(&mut out.0)?;
    Ok(element::decode(&out.0)?)
}

/// What an operation finds under a key, as a value; it says whether there is something.
#[inline(always)]
pub(crate) fn look_up<Q: Serialize + ?Sized, V: DeserializeOwned, E>(
    key: &Q,
    operation: impl FnOnce(&[u8], &mut Vec<u8>) -> Result<bool, E>,
) -> Result<Option<V>>
where
    Error: From<E>,
{
    let (key, mut out) = (Buffer::key(key)?, Buffer::new());
    if !operation(&key.0, &mut out.0)? {
        return Ok(None);
    }
    Ok(Some(element::decode(&out.0)?))
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
