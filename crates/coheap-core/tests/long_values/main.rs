//! Values that are too long for a block: what others can do beside those who read and write them, and
//! what becomes of their room.
//!
//! What is promised: nothing whose cost depends on the length of such a value happens under a turn. Who
//! reads one gets its bytes whole, whatever becomes of the value meanwhile.

#[path = "../support/mod.rs"]
mod support;

mod beside;
mod pinned;
mod scattered;
mod stopped;
mod strange;

/// A value of this length, all of whose bytes are `byte`.
fn all(byte: u8, len: usize) -> Vec<u8> {
    vec![byte; len]
}

/// Checks that a value is one that [`all`] has made, and returns its byte.
fn whole(bytes: &[u8]) -> u8 {
    let first = bytes[0];
    assert!(bytes.iter().all(|byte| *byte == first), "parts of two values");
    first
}
