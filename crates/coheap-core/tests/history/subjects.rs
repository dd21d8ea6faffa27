//! The real objects behind the models: what is asked of a model is asked of them here.
//!
//! Keys and items are short and long, so that some lie in their cells and some in blocks.

use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::journal::Context;
use coheap_core::objects::{Map, Queue, Value};

use crate::models::{Answer, Call};
use crate::support::objects::{bounded_queue, integer, map, number_in, value};
use crate::support::random::Random;

/// Keys of the map, long ones among them.
const KEYS: u64 = 3;
/// Places of the queue.
pub(crate) const LIMIT: usize = 4;

/// An object that can be asked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject {
    Map(Map),
    Queue(Queue),
    Value(Value),
}

impl Subject {
    pub(crate) fn all(heap: &Heap) -> [Self; 3] {
        [
            Self::Map(map(heap, "map")),
            Self::Queue(bounded_queue(heap, "queue", LIMIT as u64, 0)),
            Self::Value(value(heap, "value")),
        ]
    }

    /// A call to try; `unique` is a number that no other call has.
    pub(crate) fn choose(&self, dice: &mut Random, unique: i64) -> Call {
        let key = dice.below(KEYS) as u8;
        let guess = unique - dice.below(6) as i64;
        match self {
            Self::Map(_) => match dice.below(16) {
                0..4 => Call::Get(key),
                4..7 => Call::Set(key, unique),
                7..9 => Call::Remove(key),
                9..11 => Call::Add(key, 1000),
                11 => Call::Swap(key, 0, unique),
                12 => Call::Swap(key, guess, if dice.one_in(2) { 0 } else { unique }),
                13 => Call::PopLast,
                14 => Call::Len,
                _ if dice.one_in(4) => Call::Clear,
                _ => Call::All,
            },
            Self::Queue(_) => match dice.below(11) {
                0..5 => Call::Put(unique),
                5..10 => Call::Take,
                _ => Call::Len,
            },
            Self::Value(_) => match dice.below(8) {
                0..3 => Call::Get(0),
                3..5 => Call::Set(0, unique),
                5..7 => Call::Add(0, 1000),
                _ => Call::Swap(0, guess, unique),
            },
        }
    }

    /// Does a call to the real thing.
    pub(crate) fn ask(&self, context: &Context, call: Call) -> Answer {
        let answer = match self {
            Self::Map(map) => ask_map(map, context, call),
            Self::Queue(queue) => ask_queue(queue, context, call),
            Self::Value(value) => ask_value(value, context, call),
        };
        answer.unwrap_or_else(|error| panic!("{call:?}: {error}"))
    }
}

/// A number as a value, in one of three shapes: in the cell, in a block, in a larger block.
fn shaped(number: i64) -> Vec<u8> {
    integer(number).to_vec()
}

fn key_bytes(key: u8) -> Vec<u8> {
    match key {
        0 => vec![b'k'],
        _ => format!("key number {key}, which does not fit a cell").into_bytes(),
    }
}

fn key_of(bytes: &[u8]) -> u8 {
    (0..KEYS as u8).find(|key| key_bytes(*key) == bytes).expect("a key of ours")
}

fn number(bytes: &[u8]) -> Answer {
    Answer::Number(number_in(bytes).expect("a whole number"))
}

fn yes(is_so: bool) -> Answer {
    if is_so { Answer::Done } else { Answer::No }
}

fn ask_map(map: &Map, context: &Context, call: Call) -> Result<Answer> {
    let (mut out, mut name) = (Vec::new(), Vec::new());
    Ok(match call {
        Call::Get(key) => match map.get(context, &key_bytes(key), &mut out)? {
            true => number(&out),
            false => Answer::No,
        },
        Call::Set(key, value) => yes(map.set(context, &key_bytes(key), &shaped(value))?),
        Call::Remove(key) => match map.remove(context, &key_bytes(key), &mut out)? {
            true => number(&out),
            false => Answer::No,
        },
        Call::Add(key, more) => Answer::Number(map.add(context, &key_bytes(key), more)?),
        Call::Swap(key, old, new) => {
            let (old, new) = (shaped_if(old), shaped_if(new));
            yes(map.compare_and_set(context, &key_bytes(key), old.as_deref(), new.as_deref())?)
        }
        Call::PopLast => match map.pop_last(context, &mut name, &mut out)? {
            true => Answer::All(vec![(key_of(&name), number_in(&out).expect("a number"))]),
            false => Answer::No,
        },
        Call::Clear => {
            map.clear(context)?;
            Answer::Done
        }
        Call::All => {
            let pair = |(key, value): (Vec<u8>, Vec<u8>)| {
                (key_of(&key), number_in(&value).expect("a number"))
            };
            Answer::All(map.snapshot(context)?.to_vec().into_iter().map(pair).collect())
        }
        Call::Len => Answer::Number(map.len(context)? as i64),
        Call::Put(_) | Call::Take => unreachable!("no call of a map"),
    })
}

fn shaped_if(number: i64) -> Option<Vec<u8>> {
    (number != 0).then(|| shaped(number))
}

/// An item of the queue: every other one is too long for a cell.
fn item(number: i64) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(if number % 2 == 0 { 8 } else { 40 }, 7);
    bytes
}

fn ask_queue(queue: &Queue, context: &Context, call: Call) -> Result<Answer> {
    let mut out = Vec::new();
    match call {
        Call::Put(number) => match queue.put(context, &item(number)) {
            Ok(()) => Ok(Answer::Done),
            Err(Error::Full) => Ok(Answer::No),
            Err(other) => Err(other),
        },
        Call::Take => match queue.get(context, &mut out) {
            Ok(()) => {
                let number = out.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes));
                assert_eq!(out, item(number), "a torn item");
                Ok(Answer::Number(number))
            }
            Err(Error::Empty) => Ok(Answer::No),
            Err(other) => Err(other),
        },
        Call::Len => Ok(Answer::Number(queue.len(context)? as i64)),
        other => unreachable!("no call of a queue: {other:?}"),
    }
}

fn ask_value(value: &Value, context: &Context, call: Call) -> Result<Answer> {
    let mut out = Vec::new();
    Ok(match call {
        Call::Get(_) => {
            value.get(context, &mut out)?;
            number(&out)
        }
        Call::Set(_, new) => {
            value.set(context, &shaped(new))?;
            Answer::Done
        }
        Call::Add(_, more) => Answer::Number(value.add(context, more)?),
        Call::Swap(_, old, new) => {
            yes(value.compare_and_set(context, &shaped(old), &shaped(new))?)
        }
        other => unreachable!("no call of a value: {other:?}"),
    })
}
