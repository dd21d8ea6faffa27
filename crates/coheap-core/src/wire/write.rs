//! Tags, lengths and scalars, appended to bytes.
//!
//! What always holds: nothing here fails, and the earlier bytes stay unchanged.

use super::{INT_BYTES, MAX_VARINT_BYTES, Tag};

/// Appends a value that is its tag alone.
#[inline]
pub fn put_tag(out: &mut Vec<u8>, tag: Tag) {
    out.push(tag as u8);
}

/// Returns the bytes of an `Int`: always nine, so that it can be changed where it lies.
#[inline]
pub fn int_bytes(value: i64) -> [u8; INT_BYTES] {
    with_word(Tag::Int, value.to_le_bytes())
}

/// Appends an `Int`.
#[inline]
pub fn put_int(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&int_bytes(value));
}

/// Appends a `Float`, bit for bit.
#[inline]
pub fn put_float(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&with_word(Tag::Float, value.to_le_bytes()));
}

/// Appends a `Complex`, bit for bit.
pub fn put_complex(out: &mut Vec<u8>, real: f64, imaginary: f64) {
    out.extend_from_slice(&with_word(Tag::Complex, real.to_le_bytes()));
    out.extend_from_slice(&imaginary.to_le_bytes());
}

#[inline]
fn with_word(tag: Tag, word: [u8; 8]) -> [u8; INT_BYTES] {
    let mut bytes = [tag as u8; INT_BYTES];
    bytes[1..].copy_from_slice(&word);
    bytes
}

/// Appends a tag, the length of `bytes`, and `bytes`.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, tag: Tag, bytes: &[u8]) {
    out.reserve(2 + bytes.len());
    put_head(out, tag, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a tag and the length or count that follows it.
#[inline]
pub fn put_head(out: &mut Vec<u8>, tag: Tag, len: u64) {
    if len < 0x80 {
        out.extend_from_slice(&[tag as u8, len.to_le_bytes()[0]]);
    } else {
        put_tag(out, tag);
        put_long_varint(out, len);
    }
}

#[cold]
pub(super) fn put_long_varint(out: &mut Vec<u8>, value: u64) {
    let (bytes, len) = varint(value);
    out.extend_from_slice(&bytes[..len]);
}

/// Replaces the varint `old` that begins at `at` by `new`, and moves what lies behind it.
pub fn patch_varint(out: &mut Vec<u8>, at: usize, old: u64, new: u64) {
    let (bytes, len) = varint(new);
    let (_, old_len) = varint(old);
    drop(out.splice(at..at + old_len, bytes.into_iter().take(len)));
}

fn varint(mut value: u64) -> ([u8; MAX_VARINT_BYTES], usize) {
    let mut bytes = [0; MAX_VARINT_BYTES];
    let mut len = 0;
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        bytes[len] = if value == 0 { low } else { low | 0x80 };
        len += 1;
        if value == 0 {
            return (bytes, len);
        }
    }
}
