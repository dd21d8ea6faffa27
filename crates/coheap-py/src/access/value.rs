//! The operations of a value, alone and inside a block.
//!
//! What always holds: inside a block the value is locked, so it does not change between a read and
//! a write.

use coheap_core::Result;
use coheap_core::Value;
use coheap_core::wire;

use super::Access;
use super::Access::{Alone, Inside};
use crate::scratch::Scratch;

impl Access<'_> {
    /// Replaces `out` by the bytes of the value.
    #[inline(always)]
    pub(crate) fn value_get(self, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Alone(context) => value.get(context, out),
            Inside(block) => block.on(value).get(out),
        }
    }

    /// The value, if it is an int of 64 bits.
    #[inline(always)]
    pub(crate) fn value_integer(self, value: &Value) -> Result<Option<i64>> {
        match self {
            Alone(context) => value.integer(context),
            Inside(block) => {
                let mut out = Scratch::new();
                block.on(value).get(&mut out)?;
                Ok(wire::int_in(&out))
            }
        }
    }

    #[inline(always)]
    pub(crate) fn value_set(self, value: &Value, bytes: &[u8]) -> Result<()> {
        match self {
            Alone(context) => value.set(context, bytes),
            Inside(block) => block.on(value).set(bytes),
        }
    }

    /// Replaces the value, which was `old` when it was read, if it still is, and returns whether it
    /// was.
    #[inline(always)]
    pub(crate) fn value_replace(self, value: &Value, old: &[u8], new: &[u8]) -> Result<bool> {
        match self {
            Alone(context) => value.compare_and_set(context, old, new),
            Inside(block) => block.on(value).set(new).map(|()| true),
        }
    }

    /// Adds to an int of 64 bits, and returns the sum.
    #[inline(always)]
    pub(crate) fn value_add(self, value: &Value, more: i64) -> Result<i64> {
        match self {
            Alone(context) => value.add(context, more),
            Inside(block) => block.on(value).add(more),
        }
    }
}
