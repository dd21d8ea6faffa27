//! Is there an order of the operations that explains what everybody saw? (Wing and Gong's search.)
//!
//! An operation takes effect at one moment between its begin and its end. One that never ended
//! (its process was killed) takes effect at some moment after its begin, or never. The search
//! goes through the orders that respect this, remembers where it has been, and gives up after a
//! number of steps: *undecided* is an answer of its own, never counted as right.

use std::collections::HashSet;
use std::hash::Hash;

/// What an object is said to do.
pub(crate) trait Model {
    /// What it holds.
    type State: Clone + Eq + Hash;
    /// What can be asked of it.
    type Call;
    /// What it can answer.
    type Answer: PartialEq;

    /// Does a call: the state afterwards and the answer.
    fn apply(&self, state: &Self::State, call: &Self::Call) -> (Self::State, Self::Answer);
}

/// One operation of a history.
#[derive(Debug, Clone)]
pub(crate) struct Operation<Call, Answer> {
    pub(crate) worker: usize,
    pub(crate) begun: u64,
    /// Its end and what it answered; `None` when it never ended.
    pub(crate) ended: Option<(u64, Answer)>,
    pub(crate) call: Call,
}

/// What the judge says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is such an order.
    Right,
    /// There is none.
    Wrong,
    /// The budget is used up.
    Undecided,
}

/// Most operations of one history.
pub(crate) const MOST: usize = 128;

/// Judges a history that began in a state.
pub(crate) fn judge<M: Model>(
    model: &M,
    start: &M::State,
    history: &[Operation<M::Call, M::Answer>],
    budget: u64,
) -> Verdict {
    assert!(history.len() <= MOST);
    let mut search = Search { model, history, seen: HashSet::new(), left: budget };
    match search.explains(0, start) {
        Some(true) => Verdict::Right,
        Some(false) => Verdict::Wrong,
        None => Verdict::Undecided,
    }
}

struct Search<'a, M: Model> {
    model: &'a M,
    history: &'a [Operation<M::Call, M::Answer>],
    /// Sets of operations done, with the state they led to, that lead nowhere.
    seen: HashSet<(u128, M::State)>,
    left: u64,
}

impl<M: Model> Search<'_, M> {
    /// Whether the operations not in `done` can follow. `None`: out of budget.
    fn explains(&mut self, done: u128, state: &M::State) -> Option<bool> {
        let open = || (0..self.history.len()).filter(move |index| done >> index & 1 == 0);
        // Nothing may come after an operation that had ended before it began.
        let ends = open().filter_map(|index| self.history[index].ended.as_ref().map(|end| end.0));
        let Some(first_end) = ends.min() else { return Some(true) };
        self.left = self.left.checked_sub(1)?;
        if !self.seen.insert((done, state.clone())) {
            return Some(false);
        }
        let next: Vec<usize> =
            open().filter(|index| self.history[*index].begun <= first_end).collect();
        for index in next {
            let operation = &self.history[index];
            let (after, answer) = self.model.apply(state, &operation.call);
            let fits = operation.ended.as_ref().is_none_or(|(_, seen)| *seen == answer);
            if fits && self.explains(done | 1 << index, &after)? {
                return Some(true);
            }
        }
        Some(false)
    }
}

/// Pairs of operations that overlapped in time.
pub(crate) fn overlaps<Call, Answer>(history: &[Operation<Call, Answer>]) -> usize {
    let end = |operation: &Operation<Call, Answer>| {
        operation.ended.as_ref().map_or(u64::MAX, |ended| ended.0)
    };
    let mut count = 0;
    for (index, one) in history.iter().enumerate() {
        let others = history[index + 1..].iter();
        count += others.filter(|two| one.begun <= end(two) && two.begun <= end(one)).count();
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Register;

    impl Model for Register {
        type State = u8;
        type Call = Option<u8>;
        type Answer = u8;

        fn apply(&self, state: &u8, call: &Option<u8>) -> (u8, u8) {
            call.map_or((*state, *state), |new| (new, 0))
        }
    }

    fn operation(begun: u64, end: u64, call: Option<u8>, answer: u8) -> Operation<Option<u8>, u8> {
        let ended = (end > 0).then_some((end, answer));
        Operation { worker: 0, begun, ended, call }
    }

    #[test]
    fn a_stale_read_is_wrong_and_an_overlapping_one_is_right() {
        let write = operation(1, 2, Some(7), 0);
        let stale = [write.clone(), operation(3, 4, None, 0)];
        assert_eq!(judge(&Register, &0, &stale, 1000), Verdict::Wrong);
        let overlapping = [write, operation(2, 4, None, 0)];
        assert_eq!(judge(&Register, &0, &overlapping, 1000), Verdict::Right);
    }

    #[test]
    fn an_operation_without_an_end_may_happen_late_or_never_but_not_twice() {
        let killed = operation(1, 0, Some(7), 0);
        let late = [killed.clone(), operation(2, 3, None, 0), operation(4, 5, None, 7)];
        assert_eq!(judge(&Register, &0, &late, 1000), Verdict::Right);
        let undone = [killed, operation(2, 3, None, 7), operation(4, 5, None, 0)];
        assert_eq!(judge(&Register, &0, &undone, 1000), Verdict::Wrong);
    }

    #[test]
    fn a_search_without_budget_is_undecided() {
        let history = [operation(1, 2, Some(7), 0), operation(3, 4, None, 7)];
        assert_eq!(judge(&Register, &0, &history, 1), Verdict::Undecided);
    }
}
