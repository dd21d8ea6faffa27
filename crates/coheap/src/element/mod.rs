//! Values as bytes: how an element of a map, a queue or a list lies in the heap.
//!
//! Every value is one tag byte and a payload, so the bytes describe themselves and both languages
//! read them with their exact type: a `u64` put here is an `int` in Python, and a `dict` put there
//! is a struct here. `docs/values.md` has the bytes and the serde table; this folder is its code, on
//! top of the tags and lengths of `coheap_core::wire`.
//!
//! What always holds:
//!
//! - **Element.1** Any bytes decode to a value or to an error: no panic, no deep recursion, and no
//!   allocation larger than the bytes that are really there justify.
//! - **Element.2** What encodes also decodes: both sides keep the limits of `depth`.
//! - **Element.3** Two keys that Python calls equal encode to the same bytes, and no others do.

mod big_int;
mod decode;
mod depth;
mod encode;
mod error;
mod key;

#[cfg(test)]
mod tests;

pub use decode::decode;
pub use encode::encode;
pub use error::CodecError;
pub use key::encode_key;
