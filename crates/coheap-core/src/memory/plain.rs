//! What a type must promise to live in a heap.
//!
//! What always holds: every `Plain` is made of atomics, so it may change while we look at it, and
//! any bytes are a valid value of it.

/// A type that any bytes are a valid value of, and that others may change under a shared
/// reference.
///
/// # Safety
///
/// - The type is `repr(C)` or `repr(transparent)` and made of atomics (or of `Plain` types) only.
/// - It has no padding, no drop, and an alignment of at most 64.
/// - Its layout is documented in `docs/format.md`; changing it changes the format.
pub unsafe trait Plain: Sync {}

// SAFETY: one atomic; transparent.
unsafe impl Plain for super::Word {}
// SAFETY: two atomics of four bytes; `repr(C)`, no padding.
unsafe impl Plain for super::Signal {}
