//! Known mistakes that can be switched on, to prove that the tests see them.
//!
//! Each `defect(n)` in the engine marks a place where an earlier draft, or a careless reader of
//! the design, was wrong. Without the feature `defects` it is a constant `false` and vanishes.
//! `docs/testing.md` lists them.

/// Whether mistake number `number` is switched on for this process (`COHEAP_DEFECT=number`).
#[cfg(feature = "defects")]
pub(crate) fn defect(number: u32) -> bool {
    static CHOSEN: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        std::env::var("COHEAP_DEFECT").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    });
    *chosen == number
}

/// Whether mistake number `number` is switched on: never in this build.
#[cfg(not(feature = "defects"))]
#[inline(always)]
pub(crate) const fn defect(_number: u32) -> bool {
    false
}
