//! How much of large work one call does: a caller that asked for something small does a small portion
//! of it, and leaves the rest to others.
//!
//! What always holds: whatever costs grows with the size of an object or an estate is done in steps,
//! each a bounded change with no turn held before and after it, and each step spends a part of a
//! portion. A portion that is not spent allows one more step, however much that costs.
//!
//! Not here: the steps (`husk`, `ledger::parcel`, `estate`), and who goes on (`remains`).

/// What a step of a husk costs; one of a list costs 1.
pub(crate) const HUSK: u32 = 8;
/// What a caller does who asked for something small: some microseconds, a tenth of a millisecond
/// where each part is a run of spans.
const SMALL: u32 = 32;
/// The most that is done between two looks at the clock: about a millisecond.
const MOST: u32 = 4096;
/// Cannot be spent.
const WHOLE: u32 = u32::MAX;

/// How much is still to be done.
#[derive(Debug)]
pub(crate) struct Portion {
    size: u32,
    left: u32,
}

impl Portion {
    fn of(size: u32) -> Self {
        Self { size, left: size }
    }

    /// What somebody does who asked for something small.
    pub(crate) fn small() -> Self {
        Self::of(SMALL)
    }

    /// All there is, for somebody who asked for that.
    pub(crate) fn whole() -> Self {
        Self::of(WHOLE)
    }

    /// The next one of somebody who goes on: each is twice as large, up to a limit.
    pub(crate) fn next(&self) -> Self {
        Self::of(if self.size == WHOLE { WHOLE } else { self.size.saturating_mul(2).min(MOST) })
    }

    /// Returns a half of what is left, for one of several that may each have very much.
    pub(crate) fn half(&self) -> Self {
        Self::of(if self.left == WHOLE { WHOLE } else { self.left.div_ceil(2) })
    }

    /// Returns whether another step may be done.
    #[inline]
    pub(crate) fn allows(&self) -> bool {
        self.left > 0
    }

    /// Notes a step that was done.
    pub(crate) fn spend(&mut self, cost: u32) {
        if self.left != WHOLE {
            self.left = self.left.saturating_sub(cost);
        }
    }

    /// Notes what another portion was spent on.
    pub(crate) fn spend_as(&mut self, part: &Self) {
        self.spend(part.size - part.left);
    }

    /// Returns whether anything was done, as far as that is counted.
    pub(crate) fn is_begun(&self) -> bool {
        self.left < self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portion_ends_and_the_whole_does_not() {
        let (mut small, mut whole) = (Portion::small(), Portion::whole());
        for _ in 0..SMALL {
            assert!(small.allows());
            small.spend(1);
            whole.spend(1);
        }
        assert!(!small.allows() && small.is_begun());
        assert!(whole.allows() && whole.next().allows());
    }

    #[test]
    fn halves_leave_something_to_the_next() {
        let mut portion = Portion::small();
        for _ in 0..3 {
            let mut part = portion.half();
            while part.allows() {
                part.spend(1);
            }
            portion.spend_as(&part);
            assert!(portion.allows());
        }
    }

    #[test]
    fn who_goes_on_does_more_each_time_up_to_a_limit() {
        let mut portion = Portion::small();
        for _ in 0..40 {
            let next = portion.next();
            assert!(next.size >= portion.size && next.size <= MOST);
            portion = next;
        }
        assert_eq!(portion.size, MOST);
    }
}
