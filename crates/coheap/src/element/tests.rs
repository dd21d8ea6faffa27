//! What the codec promises: the bytes (`golden`), the way there and back (`round_trip`), keys that
//! are equal exactly when Python says so (`keys`), the tables of the page with Python at the other
//! end (`languages`), and any bytes from anyone (`hostile`).
//!
//! Random tests are proptest's: a failure prints the smallest case and the seed that gives it back.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CodecError, decode, encode, encode_key};

mod golden;
mod hostile;
mod keys;
mod languages;
mod round_trip;
mod samples;

fn bytes_of<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    encode(value, &mut out).unwrap();
    out
}

fn key_of<T: Serialize + ?Sized>(key: &T) -> Vec<u8> {
    let mut out = Vec::new();
    encode_key(key, &mut out).unwrap();
    out
}

#[track_caller]
fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let bytes = bytes_of(value);
    assert_eq!(decode::<T>(&bytes).as_ref(), Ok(value), "from {bytes:02x?}");
}

/// Turns `"03 2a"` into bytes.
fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}
