//! The limits of nesting, which the encoder and the decoder count in the same way.
//!
//! Containers are counted because each one needs a stack frame. Wrappers (`Some`, newtype structs)
//! are counted, too, although they write no byte: without a limit, a type such as
//! `struct Next(Option<Box<Next>>)` would recurse for ever without reading anything.

use coheap_core::wire::MAX_DEPTH;

use super::error::CodecError;

/// Wrappers that may be open at once, over all levels together.
const MAX_WRAPPERS: u32 = 4 * MAX_DEPTH;

/// The containers and wrappers around the current value.
#[derive(Default)]
pub(super) struct Depth {
    containers: u32,
    wrappers: u32,
}

impl Depth {
    /// Goes into a container. Every call that succeeds is paired with one of [`Depth::leave`].
    #[inline]
    pub(super) fn enter(&mut self) -> Result<(), CodecError> {
        if self.containers == MAX_DEPTH {
            return Err(CodecError::TooDeep);
        }
        self.containers += 1;
        Ok(())
    }

    /// Comes out of a container.
    #[inline]
    pub(super) fn leave(&mut self) {
        self.containers -= 1;
    }

    /// Goes into a wrapper. Every call that succeeds is paired with one of [`Depth::unwrap_one`].
    #[inline]
    pub(super) fn wrap_one(&mut self) -> Result<(), CodecError> {
        if self.wrappers == MAX_WRAPPERS {
            return Err(CodecError::TooDeep);
        }
        self.wrappers += 1;
        Ok(())
    }

    /// Comes out of a wrapper.
    #[inline]
    pub(super) fn unwrap_one(&mut self) {
        self.wrappers -= 1;
    }
}
