//! The encoding of keys: equal keys have equal bytes, whichever language and type they come from.
//!
//! In Python, `1 == 1.0 == True` and `0.0 == -0.0`; a map also treats every NaN as one key. A key
//! is therefore written in one canonical form, at every depth: bools and whole floats as integers,
//! every NaN as the same bytes. A type that Python cannot hash is not a key. A key decodes like any
//! value, which is why `bool` and the float types read integers.

use coheap_core::wire::{KEY_NAN, put_float, put_int};
use serde::Serialize;

use super::big_int::put_integral_float;
use super::encode::{Form, append};
use super::error::CodecError;

/// The canonical form, in which keys are encoded.
pub(super) struct Canonical;

impl Form for Canonical {
    #[inline]
    fn put_bool(out: &mut Vec<u8>, value: bool) {
        put_int(out, i64::from(value));
    }

    #[inline]
    fn put_float(out: &mut Vec<u8>, value: f64) {
        if value.is_nan() {
            put_float(out, KEY_NAN);
        } else if !put_integral_float(out, value) {
            put_float(out, value);
        }
    }

    fn allow_unhashable(found: &'static str) -> Result<(), CodecError> {
        Err(CodecError::NotAKey { found })
    }
}

/// Appends `key` to `out` in canonical form.
///
/// # Errors
///
/// - [`CodecError::NotAKey`] if `key` or a part of it is a sequence, a map, a struct or an enum
///   variant with a payload. Tuples and arrays are keys if their items are.
/// - [`CodecError::TooDeep`] if tuples are nested more deeply than 64 levels.
/// - [`CodecError::Message`] if the type's `Serialize` returns an error.
///
/// After an error, `out` is unchanged.
///
/// ```
/// # use coheap::element::encode_key;
/// let (mut one, mut same) = (Vec::new(), Vec::new());
/// encode_key(&(1_u8, "a"), &mut one)?;
/// encode_key(&(1.0_f64, 'a'), &mut same)?;
/// assert_eq!(one, same);
/// # Ok::<(), coheap::element::CodecError>(())
/// ```
pub fn encode_key<T: Serialize + ?Sized>(key: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    append::<Canonical, T>(key, out)
}
