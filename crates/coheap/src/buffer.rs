//! Elements and keys as bytes, in buffers that a thread reuses.
//!
//! What always holds: a new buffer is empty. The thread that drops a buffer keeps it for reuse.
//!
//! Not here: how buffers are kept (`coheap_core::wire`).

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

    /// Encodes an element.
    pub(crate) fn value<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let mut buffer = Self::new();
        element::encode(value, &mut buffer.0)?;
        Ok(buffer)
    }

    /// Encodes a key in canonical form.
    pub(crate) fn key<T: Serialize + ?Sized>(key: &T) -> Result<Self> {
        let mut buffer = Self::new();
        element::encode_key(key, &mut buffer.0)?;
        Ok(buffer)
    }
}

/// Decodes the value that an operation reads.
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

/// Decodes the value that an operation finds for a key. The operation returns whether it found one.
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

/// Decodes the entry that an operation reads. The operation returns whether there is one.
pub(crate) fn read_pair<K: DeserializeOwned, V: DeserializeOwned, E>(
    operation: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>) -> Result<bool, E>,
) -> Result<Option<(K, V)>>
where
    Error: From<E>,
{
    let (mut key, mut value) = (Buffer::new(), Buffer::new());
    if !operation(&mut key.0, &mut value.0)? {
        return Ok(None);
    }
    Ok(Some((element::decode(&key.0)?, element::decode(&value.0)?)))
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
