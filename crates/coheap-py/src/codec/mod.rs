//! Python objects as bytes and back, by `docs/values.md`; the bytes themselves are those of
//! `coheap_core::wire`.
//!
//! What always holds:
//!
//! - Types are exact: what is written as an int comes back as `int`. A subclass is not its base,
//!   and goes by pickle, as everything else that the format does not know.
//! - Python code may run here (pickling, hashing), so no turn may be held.
//! - After an error nothing was appended.
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

pub(crate) use decode::decode;
pub(crate) use encode::{encode, encode_for_dict, is_plain};
pub(crate) use key::encode_key;

/// What a heap allows its values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Whether what the format does not know may be pickled.
    pub(crate) pickle: bool,
    /// Most bytes of the heap: no value is larger.
    pub(crate) max_bytes: u64,
    /// Whether a dict takes mutable containers and keeps copies of them.
    pub(crate) copies: bool,
}

/// What is wrong with bytes that cannot be read.
type Unreadable = &'static str;

/// How messages call the type of an object.
fn type_name(object: &pyo3::Bound<'_, pyo3::PyAny>) -> String {
    use pyo3::types::{PyAnyMethods as _, PyTypeMethods as _};
    let name = object.get_type().qualname().map(|name| name.to_string());
    name.unwrap_or_else(|_| "object".to_owned())
}
