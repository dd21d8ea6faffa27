//! What a map, a queue and a value are said to do, as plainly as possible.
//!
//! These are the specifications that the judge holds the real objects to: one state, one answer
//! for each call, no concurrency.

use std::collections::VecDeque;

use crate::linear::Model;

/// What can be asked of any of the three; numbers stand for keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Get(u8),
    Set(u8, i64),
    Remove(u8),
    Add(u8, i64),
    /// Key, expected value (0: nothing), new value (0: nothing).
    Swap(u8, i64, i64),
    PopLast,
    Clear,
    /// Everything, in order.
    All,
    Len,
    Put(i64),
    Take,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    No,
    Number(i64),
    All(Vec<(u8, i64)>),
}

/// A map in the order of insertion.
#[derive(Debug)]
pub(crate) struct MapModel;

impl Model for MapModel {
    type State = Vec<(u8, i64)>;
    type Call = Call;
    type Answer = Answer;

    fn apply(&self, state: &Self::State, call: &Call) -> (Self::State, Answer) {
        let mut new = state.clone();
        let place = |key: u8| state.iter().position(|entry| entry.0 == key);
        let found = |key: u8| place(key).map_or(0, |index| state[index].1);
        let mut store = |key: u8, value: i64| match place(key) {
            Some(index) => new[index].1 = value,
            None => new.push((key, value)),
        };
        let answer = match *call {
            Call::Get(key) => place(key).map_or(Answer::No, |index| Answer::Number(state[index].1)),
            Call::Set(key, value) => {
                store(key, value);
                if place(key).is_none() { Answer::Done } else { Answer::No }
            }
            Call::Add(key, more) => {
                store(key, found(key) + more);
                Answer::Number(found(key) + more)
            }
            Call::Remove(key) => match place(key) {
                Some(index) => Answer::Number(new.remove(index).1),
                None => Answer::No,
            },
            Call::Swap(key, expected, _) if found(key) != expected => Answer::No,
            Call::Swap(key, _, 0) => {
                new.retain(|entry| entry.0 != key);
                Answer::Done
            }
            Call::Swap(key, _, value) => {
                store(key, value);
                Answer::Done
            }
            Call::PopLast => match new.pop() {
                Some(last) => Answer::All(vec![last]),
                None => Answer::No,
            },
            Call::Clear => {
                new.clear();
                Answer::Done
            }
            Call::All => Answer::All(state.clone()),
            Call::Len => Answer::Number(state.len() as i64),
            Call::Put(_) | Call::Take => unreachable!("no call of a map"),
        };
        (new, answer)
    }
}

/// A queue of at most so many items.
#[derive(Debug)]
pub(crate) struct QueueModel {
    pub(crate) limit: usize,
}

impl Model for QueueModel {
    type State = VecDeque<i64>;
    type Call = Call;
    type Answer = Answer;

    fn apply(&self, state: &Self::State, call: &Call) -> (Self::State, Answer) {
        let mut new = state.clone();
        let answer = match call {
            Call::Put(_) if state.len() >= self.limit => Answer::No,
            Call::Put(item) => {
                new.push_back(*item);
                Answer::Done
            }
            Call::Take => new.pop_front().map_or(Answer::No, Answer::Number),
            Call::Len => Answer::Number(state.len() as i64),
            Call::All => Answer::All(state.iter().map(|item| (0, *item)).collect()),
            other => unreachable!("no call of a queue: {other:?}"),
        };
        (new, answer)
    }
}

/// One value.
#[derive(Debug)]
pub(crate) struct ValueModel;

impl Model for ValueModel {
    type State = i64;
    type Call = Call;
    type Answer = Answer;

    fn apply(&self, state: &i64, call: &Call) -> (i64, Answer) {
        match *call {
            Call::Get(_) => (*state, Answer::Number(*state)),
            Call::Set(_, value) => (value, Answer::Done),
            Call::Add(_, more) => (state + more, Answer::Number(state + more)),
            Call::Swap(_, expected, new) if expected == *state => (new, Answer::Done),
            Call::Swap(..) => (*state, Answer::No),
            Call::All => (*state, Answer::All(vec![(0, *state)])),
            ref other => unreachable!("no call of a value: {other:?}"),
        }
    }
}
