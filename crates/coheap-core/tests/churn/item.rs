//! The bytes of values: they say where they belong, and show whether they are whole.
//!
//! A value of 13 bytes or more has a byte of its home, a serial number, a checksum of both and of the
//! length, and bytes that follow from the checksum. A shorter one has bytes that follow from its home
//! and its length. So each byte is checked, and a value of another object is recognized: a short one
//! nearly always, a longer one always.
//!
//! What always holds: the first byte is 0x80 or more, so no value looks like an integer or a parcel.
//! A value in a parcel begins with the object that it refers to.

use coheap_core::objects::parcel::{Target, value_in};
use coheap_core::objects::{Handle, parcel};

/// Longest value, in bytes.
pub(crate) const LONGEST: u64 = 64 << 10;
const SERIAL_FROM: usize = 13;

/// Where a value belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Home(pub(crate) u64, pub(crate) u64);

impl Home {
    /// The first value of every object: nobody knows its handle before.
    pub(crate) const BORN: Self = Self(1, 1);

    /// An object.
    pub(crate) fn of(handle: Handle) -> Self {
        Self(handle.at, handle.generation)
    }

    /// A key of this map.
    pub(crate) fn key(self, key: &[u8]) -> Self {
        Self(self.0, key.iter().fold(self.1, |all, byte| mixed(all ^ u64::from(*byte))))
    }

    /// One number for both.
    pub(crate) fn number(self) -> u64 {
        mixed(mixed(self.0) ^ self.1)
    }
}

fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn fill(out: &mut Vec<u8>, len: usize, start: u64) {
    let mut state = start;
    while out.len() < len {
        state = mixed(state);
        let more = (len - out.len()).min(8);
        out.extend_from_slice(&state.to_le_bytes()[..more]);
    }
}

/// A value of this length.
pub(crate) fn write(home: Home, serial: u64, len: usize) -> Vec<u8> {
    let number = home.number();
    let mut out = vec![0x80 | number as u8];
    if len >= SERIAL_FROM {
        out.extend_from_slice(&serial.to_le_bytes());
        let sum = mixed(number ^ mixed(serial) ^ len as u64) as u32;
        out.extend_from_slice(&sum.to_le_bytes());
        fill(&mut out, len, u64::from(sum));
    } else {
        fill(&mut out, len, number ^ len as u64);
    }
    out
}

/// The serial number in a value, 0 if it has none; what is wrong with a value that is not whole or
/// not of this home.
pub(crate) fn read(bytes: &[u8], home: Home) -> Result<u64, String> {
    let serial = match bytes.get(1..9).and_then(|serial| serial.try_into().ok()) {
        Some(serial) if bytes.len() >= SERIAL_FROM => u64::from_le_bytes(serial),
        _ => 0,
    };
    if !bytes.is_empty() && bytes == write(home, serial, bytes.len()) {
        return Ok(serial);
    }
    let start = &bytes[..bytes.len().min(24)];
    Err(format!("a value of {} bytes that is not of {home:?}: {start:02x?}", bytes.len()))
}

/// A value that refers to an object, to be packed.
pub(crate) fn with_target(target: Target, value: &[u8]) -> Vec<u8> {
    [&target.0.to_le_bytes(), &target.1.to_le_bytes(), value].concat()
}

/// The value in stored bytes, and the object that it refers to.
pub(crate) fn open(bytes: &[u8]) -> (Option<Target>, &[u8]) {
    if bytes.first() != Some(&parcel::TAG) {
        return (None, bytes);
    }
    let value = value_in(bytes);
    let word = |at: usize| {
        value.get(at..at + 8).and_then(|word| word.try_into().ok()).map(u64::from_le_bytes)
    };
    match (word(0), word(8)) {
        (Some(at), Some(generation)) => (Some((at, generation)), &value[16..]),
        _ => (None, value),
    }
}
