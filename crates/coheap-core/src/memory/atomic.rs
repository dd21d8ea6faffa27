//! The atomics that a heap is made of: the standard library's, or loom's.
//!
//! Loom explores every interleaving, but only of its own atomics, which do not fit in mapped bytes.
//! The lock protocol is therefore written on these names: in a heap the words lie in the region;
//! under `--cfg loom` the same code runs on words on the stack.
//!
//! Not here: which code may write to which word, see [`Region`](super::Region).

pub use std::sync::atomic::Ordering;

#[cfg(not(loom))]
pub use std::sync::atomic::{compiler_fence, fence};

/// Four bytes of a heap.
#[cfg(not(loom))]
pub type AtomicU32 = std::sync::atomic::AtomicU32;
/// Eight bytes of a heap.
#[cfg(not(loom))]
pub type AtomicU64 = std::sync::atomic::AtomicU64;

#[cfg(loom)]
pub use loom::sync::atomic::fence;

/// Four bytes of a model.
#[cfg(loom)]
pub type AtomicU32 = loom::sync::atomic::AtomicU32;
/// Eight bytes of a model.
#[cfg(loom)]
pub type AtomicU64 = loom::sync::atomic::AtomicU64;

/// Loom reorders nothing that a compiler might.
#[cfg(loom)]
pub fn compiler_fence(_: Ordering) {}

/// Between two accesses that are sequentially consistent: loom takes them for weaker ones, and knows
/// this order by its fences only.
#[cfg(loom)]
pub fn model_fence() {
    fence(Ordering::SeqCst);
}

/// Between two accesses that are sequentially consistent: nothing is missing there.
#[cfg(not(loom))]
#[inline(always)]
pub fn model_fence() {}
