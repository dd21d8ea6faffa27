//! The codec: Python objects to bytes and back, as `docs/values.md` specifies. `coheap_core::wire`
//! has the tags and lengths.
//!
//! What always holds:
//!
//! - Types are exact: an int is read back as `int`. An instance of a subclass, like every type that
//!   the format does not know, is pickled.
//! - Python code may run here (pickling, hashing), so no turn may be held.
//! - After an error, nothing was appended.
//!
//! # Files
//!
//! | file | what it is |
//! |---|---|
//! | `encode` `decode` | values |
//! | `key` | keys: equal keys are equal bytes |
//! | `number` `text` | ints beyond 64 bits, strs beyond Unicode |
//! | `pickle` | the rest |
//! | `probe` | bytes without a heap, for tests |

mod decode;
mod encode;
mod key;
mod number;
mod pickle;
pub(crate) mod probe;
mod text;

pub(crate) use decode::{decode, decode_scalar};
pub(crate) use encode::{encode, encode_for_dict, freeze_arrays, is_plain, may_hold_arrays};
pub(crate) use key::{encode_key, encode_wanted};

/// The rules for the values of a heap.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Whether types that the format does not know may be pickled.
    pub(crate) pickle: bool,
    /// The limit of the heap in bytes: no value is larger.
    pub(crate) max_bytes: u64,
    /// Whether a dict accepts mutable containers and stores copies of them.
    pub(crate) copies: bool,
}

/// Why bytes cannot be decoded.
type Unreadable = &'static str;

/// Returns the type of an object, for messages.
fn type_name(object: &pyo3::Bound<'_, pyo3::PyAny>) -> String {
    use pyo3::types::{PyAnyMethods as _, PyTypeMethods as _};
    let name = object.get_type().qualname().map(|name| name.to_string());
    name.unwrap_or_else(|_| "object".to_owned())
}
