//! The size classes of blocks.
//!
//! What always holds: sizes are multiples of 16. The class of a size is the smallest class that
//! holds it. Object headers have a class of their own, whose spans are never used for anything
//! else.

use crate::memory::layout::{ARENA_ROWS, CLASS_ROWS, Object, SPAN_BYTES};

/// Block sizes by class number. The last class is for object headers.
const SIZES: [u16; 30] = [
    16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024,
    1280, 1536, 1792, 2048, 2560, 3264, 4096, 5456, 8192, 192,
];
/// The number of classes.
pub const CLASS_COUNT: usize = SIZES.len();
const _: () = assert!(CLASS_COUNT <= CLASS_ROWS && CLASS_COUNT <= ARENA_ROWS);
/// The class of object headers.
pub const HEADER_CLASS: u8 = CLASS_COUNT as u8 - 1;
/// Largest size that is cut from a span.
pub const LONGEST_BLOCK: usize = 8192;
/// Classes of sizes up to 1024, by sixteenths, rounded up.
const SMALL: [u8; 65] = small_table();

const fn small_table() -> [u8; 65] {
    let mut table = [0u8; 65];
    let mut sixteenths = 0;
    while sixteenths < table.len() {
        let mut class = 0;
        while (SIZES[class] as usize) < sixteenths * 16 {
            class += 1;
        }
        table[sixteenths] = class as u8;
        sixteenths += 1;
    }
    table
}

/// The kind of memory for a given size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Room {
    /// A block of this class.
    Class(u8),
    /// A run of this many spans.
    Run(u32),
}

impl Room {
    /// Returns the smallest room for `bytes`.
    #[inline]
    pub const fn of(bytes: usize) -> Self {
        if bytes <= 1024 {
            return Self::Class(SMALL[bytes.div_ceil(16)]);
        }
        if bytes > LONGEST_BLOCK {
            return Self::of_spans((bytes as u64).div_ceil(SPAN_BYTES));
        }
        let mut class = SMALL[64];
        while (SIZES[class as usize] as usize) < bytes {
            class += 1;
        }
        Self::Class(class)
    }

    /// Returns the room of a run of this many spans.
    pub const fn of_spans(spans: u64) -> Self {
        Self::Run(if spans < u32::MAX as u64 { spans as u32 } else { u32::MAX })
    }

    /// Returns the number of bytes that fit.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Class(class) => size_of_class(class),
            Self::Run(spans) => u64::from(spans) * SPAN_BYTES,
        }
    }
}

/// Bytes of a block. Unknown classes (a damaged heap) count as the largest.
#[inline]
pub fn size_of_class(class: u8) -> u64 {
    u64::from(*SIZES.get(usize::from(class)).unwrap_or(&(LONGEST_BLOCK as u16)))
}

/// Blocks that a span is cut into.
pub fn blocks_per_span(class: u8) -> u64 {
    SPAN_BYTES / size_of_class(class)
}

/// Blocks moved between an arena and a context at a time.
pub fn batch(class: u8) -> u32 {
    (2048 / size_of_class(class)).clamp(1, 16) as u32
}

/// Returns the word of a free block that links it to the next one: headers keep their generation.
#[inline]
pub fn link_word(class: u8) -> u64 {
    if class == HEADER_CLASS { 8 } else { 0 }
}

const _: () = assert!(cfg!(loom) || SIZES[HEADER_CLASS as usize] as usize == size_of::<Object>());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_the_smallest_that_holds_the_size() {
        for bytes in 0..=LONGEST_BLOCK {
            let Room::Class(class) = Room::of(bytes) else { panic!("{bytes} has no class") };
            assert!(size_of_class(class) as usize >= bytes);
            assert!(class == 0 || (size_of_class(class - 1) as usize) < bytes);
        }
        assert_eq!(Room::of(LONGEST_BLOCK + 1), Room::Run(1));
        assert_eq!(Room::of(3 * SPAN_BYTES as usize), Room::Run(3));
    }

    #[test]
    fn sizes_are_multiples_of_sixteen() {
        assert!(SIZES.iter().all(|size| size % 16 == 0));
    }
}
