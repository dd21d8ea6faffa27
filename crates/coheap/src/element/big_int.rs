//! Integers beyond 64 bits: two's complement, little endian, in as few bytes as hold the sign.
//!
//! An integer that fits in an `i64` is never stored as a big integer, so equal integers have equal
//! bytes. Rust supports 128 bits, Python any number of bits. A float too large for an `i64` is a
//! whole number of up to 129 bytes; as a key it is encoded as an integer.

use coheap_core::wire::{TWO_TO_63, Tag, is_minimal, put_head, put_int};

use super::error::CodecError;

/// Longest big integer that can still be a finite float: 1024 bits and a sign, and then some.
const MAX_FLOAT_BYTES: usize = 130;

/// Bits of a float's fraction, the hidden one not counted.
const FRACTION_BITS: u32 = 52;

/// Bias of a float's exponent.
const EXPONENT_BIAS: u64 = 1023;

/// Appends an integer as `Int`, or as `BigInt` when it needs more.
pub(super) fn put_i128(out: &mut Vec<u8>, value: i128) {
    match i64::try_from(value) {
        Ok(small) => put_int(out, small),
        Err(_) => put_scaled(out, value, 0),
    }
}

/// As [`put_i128`].
pub(super) fn put_u128(out: &mut Vec<u8>, value: u128) {
    if let Ok(signed) = i128::try_from(value) {
        return put_i128(out, signed);
    }
    put_head(out, Tag::BigInt, 17);
    out.extend_from_slice(&value.to_le_bytes());
    out.push(0);
}

/// Appends `value` as an integer if it is one, and says whether it was.
pub(super) fn put_integral_float(out: &mut Vec<u8>, value: f64) -> bool {
    if !value.is_finite() || value.fract() != 0.0 {
        return false;
    }
    if (-TWO_TO_63..TWO_TO_63).contains(&value) {
        #[allow(clippy::cast_possible_truncation, reason = "the line above checked that it fits")]
        put_int(out, value as i64);
        return true;
    }
    // |value| is at least 2^63, so the hidden bit is set and the exponent is past the fraction.
    let bits = value.to_bits();
    let fraction = bits & ((1 << FRACTION_BITS) - 1) | 1 << FRACTION_BITS;
    let exponent = bits << 1 >> (FRACTION_BITS + 1);
    let shift = exponent - EXPONENT_BIAS - u64::from(FRACTION_BITS);
    let magnitude = i128::from(fraction) << (shift % 8);
    put_scaled(out, if value < 0.0 { -magnitude } else { magnitude }, shift / 8);
    true
}

/// Appends `value * 256^zeros`, which must not fit an `i64`.
fn put_scaled(out: &mut Vec<u8>, value: i128, zeros: u64) {
    let bytes = value.to_le_bytes();
    // One bit more than the value needs is the sign.
    let spare_bits = if value < 0 { value.leading_ones() } else { value.leading_zeros() };
    let len = (i128::BITS - spare_bits) as usize / 8 + 1;
    put_head(out, Tag::BigInt, zeros + len as u64);
    out.extend((0..zeros).map(|_| 0));
    out.extend_from_slice(&bytes[..len]);
}

/// The payload of a `BigInt` that is known to be minimal.
#[derive(Clone, Copy)]
pub(super) struct BigInt<'de> {
    bytes: &'de [u8],
}

impl<'de> BigInt<'de> {
    /// Checks that `bytes` hold what needs more than 64 bits, and no byte too many.
    pub(super) fn new(bytes: &'de [u8]) -> Result<Self, CodecError> {
        if is_minimal(bytes) { Ok(Self { bytes }) } else { Err(CodecError::NotMinimal) }
    }

    /// The value, if 128 bits hold it and its sign.
    pub(super) fn to_i128(self) -> Option<i128> {
        (self.bytes.len() <= 16).then(|| self.top(self.bytes.len()))
    }

    /// The value, if it is not negative and 128 bits hold it.
    pub(super) fn to_u128(self) -> Option<u128> {
        match self.bytes {
            [low @ .., 0] => {
                low.try_into().map(u128::from_le_bytes).ok().or_else(|| self.to_positive())
            }
            _ => self.to_positive(),
        }
    }

    fn to_positive(self) -> Option<u128> {
        self.to_i128().and_then(|value| value.try_into().ok())
    }

    /// The nearest float, ties to even as in Python, if it is finite.
    pub(super) fn to_f64(self) -> Option<f64> {
        if self.bytes.len() > MAX_FLOAT_BYTES {
            return None;
        }
        let below = self.bytes.len().saturating_sub(16);
        let mut top = self.top(self.bytes.len() - below);
        if self.bytes.iter().take(below).any(|byte| *byte != 0) {
            // Far below the last bit that a float keeps, this only says "a little more".
            top |= 1;
        }
        let scale = f64::from_bits((EXPONENT_BIAS + 8 * below as u64) << FRACTION_BITS);
        #[allow(
            clippy::cast_precision_loss,
            reason = "rounding to the nearest is what is asked for"
        )]
        let value = top as f64 * scale;
        value.is_finite().then_some(value)
    }

    /// The `len` highest bytes, at most 16, with the sign.
    fn top(self, len: usize) -> i128 {
        let skipped = self.bytes.len() - len;
        let negative = self.bytes.last().is_some_and(|last| last & 0x80 != 0);
        let mut wide = if negative { [0xff; 16] } else { [0; 16] };
        for (to, from) in wide.iter_mut().zip(self.bytes.iter().skip(skipped)) {
            *to = *from;
        }
        i128::from_le_bytes(wide)
    }
}
