//! A copy of a heap's bytes, to start an experiment over from the same state.
//!
//! Only for tests (feature `failpoints`). Nobody else may use the heap meanwhile.

use std::ops::Range;

use super::Region;
use crate::memory::layout::{self, JOURNAL_BYTES, SPAN_BYTES, Span};

/// The bytes of all committed parts.
#[derive(Debug, Clone)]
pub struct Image {
    parts: Vec<(u64, Vec<u8>)>,
}

pub(super) fn take(region: &Region) -> Image {
    let parts = ranges(region).into_iter().map(|range| (range.start, read(region, &range)));
    Image { parts: parts.collect() }
}

impl Image {
    /// Puts the bytes back. What was committed since stays committed and is not used.
    pub fn restore(&self, region: &Region) {
        for (start, bytes) in &self.parts {
            let base = region.mapping.base().as_ptr();
            // SAFETY: the part was inside when it was read, and mappings do not shrink (R1).
            unsafe {
                std::ptr::copy_nonoverlapping(
                    bytes.as_ptr(),
                    base.add(*start as usize),
                    bytes.len(),
                );
            }
        }
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.1.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn read(region: &Region, range: &Range<u64>) -> Vec<u8> {
    let len = (range.end - range.start) as usize;
    let mut bytes = vec![0; len];
    // SAFETY: the range is committed and inside (R4); tests keep everybody else away.
    unsafe {
        let from = region.mapping.base().as_ptr().add(range.start as usize);
        std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), len);
    }
    bytes
}

fn ranges(region: &Region) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    ranges.push(0..layout::FIXED_END);
    for context in 0..layout::CONTEXT_COUNT {
        if region.context(context).committed.get() == 1 {
            let start = layout::JOURNALS + u64::from(context) * JOURNAL_BYTES;
            ranges.push(start..start + JOURNAL_BYTES);
        }
    }
    let spans = region.committed_spans();
    ranges.push(layout::SPAN_TABLE..layout::SPAN_TABLE + spans * size_of::<Span>() as u64);
    ranges.push(region.data_start()..region.data_start() + spans * SPAN_BYTES);
    ranges
}
