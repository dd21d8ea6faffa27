//! The properties of a type that may lie in a heap, and the macro that proves them.
//!
//! What always holds: every `Plain` is made of atomics, so it may change while it is read, and any
//! bytes are a valid value of it.

/// A type that any bytes are a valid value of, and that others may change under a shared
/// reference. Structs become `Plain` by `plain!`, which checks what it can.
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
// SAFETY: a row of what is plain, with nothing between.
unsafe impl<T: Plain, const COUNT: usize> Plain for [T; COUNT] {}

/// Defines structs of shared memory, each with its size in bytes: `pub struct Name: 64 { .. }`.
///
/// The compiler refuses a struct that has another size, a field that is not [`Plain`], or padding:
/// then the sizes of the fields do not add up to that of the struct.
macro_rules! plain {
    ($(
        $(#[$about:meta])*
        pub struct $name:ident: $size:literal {
            $($(#[$meaning:meta])* pub $field:ident: $type:ty,)*
        }
    )*) => {$(
        $(#[$about])*
        #[derive(Debug)]
        #[repr(C)]
        pub struct $name {
            $($(#[$meaning])* pub $field: $type,)*
        }

        // SAFETY: `repr(C)`, all fields plain and no padding, as is checked below.
        unsafe impl $crate::memory::plain::Plain for $name {}

        const _: () = {
            const fn is_plain<T: $crate::memory::plain::Plain>() {}
            $(is_plain::<$type>();)*
            // The words of a model are larger than those of a heap.
            #[cfg(not(loom))]
            {
                assert!(size_of::<$name>() == $size && 0 $(+ size_of::<$type>())* == $size);
                assert!(align_of::<$name>() <= 8 && !std::mem::needs_drop::<$name>());
            }
        };
    )*};
}

pub(super) use plain;

/// Some words by the names they have as a `T`.
#[inline(always)]
pub(super) fn view<F: Plain, T: Plain>(words: &F) -> &T {
    const { assert!(size_of::<T>() <= size_of::<F>() && align_of::<T>() <= align_of::<F>()) };
    // SAFETY: inside of the words and as aligned as they are (checked above); any bytes will do.
    unsafe { &*std::ptr::from_ref(words).cast::<T>() }
}
