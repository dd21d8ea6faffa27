//! The encoding of values as bytes: elements of maps, queues and values, and keys.
//!
//! Every value is one tag byte and a payload. The bytes are self-describing, and both languages
//! read them with their exact type: a Rust `u64` is a Python `int`, and a Python `dict` is a Rust
//! struct or map. `docs/values.md` lists the bytes and the serde types; this folder implements it
//! with the tags and lengths of `coheap_core::wire`.
//!
//! What always holds:
//!
//! - **Element.1** Any bytes decode to a value or to an error: no panic, no deep recursion, and no
//!   allocation larger than the length of the bytes justifies.
//! - **Element.2** Every encoded value can be decoded: both sides enforce the limits of `depth`.
//! - **Element.3** Two keys that are equal in Python encode to the same bytes, and no others do.

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
