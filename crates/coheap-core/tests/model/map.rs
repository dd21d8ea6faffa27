//! A map against a dict in insertion order.
//!
//! What always holds: the dict is written as slowly and plainly as possible.

use std::collections::BTreeMap;

use coheap_core::allocator::LONGEST_BLOCK;
use coheap_core::check::check;
use coheap_core::error::{Error, Result};
use coheap_core::journal::Context;
use coheap_core::objects::{Directory, Map, Reference, Value, ledger};
use coheap_core::wire::{canonical, put_formed};
use proptest::prelude::*;

use crate::hold;
use crate::support::objects::{heap, integer, map, number_in};

#[derive(Debug, Clone)]
enum MapOp {
    Set(u16, usize, u8),
    Remove(u16),
    Add(u16, i64),
    SetMany(Vec<(u16, usize, u8)>),
    AddMany(Vec<(u16, i64)>),
    PopFirst,
    PopLast,
    RemoveLast(u16, bool),
    MoveToEnd(u16),
    GetMany(Vec<u16>),
    Clear,
    Get(u16),
    Pin(u16),
    /// One of the pins, if there are any.
    Unpin(u8),
}

fn map_op() -> impl Strategy<Value = MapOp> {
    let few = (0u16..12, 0u16..3).prop_map(|(number, form)| number + form * FORMS_APART);
    let key = prop_oneof![few, 0u16..3 * FORMS_APART];
    let len = prop_oneof![1usize..16, 16usize..400, 5000usize..20000];
    let entry = (key.clone(), len, any::<u8>());
    let addition = (key.clone(), prop_oneof![9 => -1000i64..1000, 1 => any::<i64>()]);
    prop_oneof![
        8 => entry.clone().prop_map(|(key, len, fill)| MapOp::Set(key, len, fill)),
        1 => prop::collection::vec(entry, 0..40).prop_map(MapOp::SetMany),
        1 => prop::collection::vec(addition, 0..40).prop_map(MapOp::AddMany),
        4 => key.clone().prop_map(MapOp::Remove),
        2 => (key.clone(), any::<i64>()).prop_map(|(key, more)| MapOp::Add(key, more)),
        1 => Just(MapOp::PopFirst),
        1 => Just(MapOp::PopLast),
        1 => (key.clone(), any::<bool>()).prop_map(|(key, exact)| MapOp::RemoveLast(key, exact)),
        2 => key.clone().prop_map(MapOp::MoveToEnd),
        1 => prop::collection::vec(key.clone(), 0..600).prop_map(MapOp::GetMany),
        1 => Just(MapOp::Clear),
        3 => key.clone().prop_map(MapOp::Get),
        2 => key.prop_map(MapOp::Pin),
        1 => any::<u8>().prop_map(MapOp::Unpin),
    ]
}

/// A dict in insertion order, written as slowly and plainly as possible.
#[derive(Debug, Default)]
struct PlainDict {
    next: u64,
    /// The keys in the forms that were given first.
    order: BTreeMap<u64, Vec<u8>>,
    /// By the canonical bytes of the key.
    entries: BTreeMap<Vec<u8>, (u64, Vec<u8>)>,
}

impl PlainDict {
    fn get(&self, key: &[u8]) -> Option<&Vec<u8>> {
        self.entries.get(canonical(key)).map(|entry| &entry.1)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        match self.entries.get_mut(canonical(key)) {
            Some(entry) => entry.1 = value.to_vec(),
            None => {
                self.order.insert(self.next, key.to_vec());
                self.entries.insert(canonical(key).to_vec(), (self.next, value.to_vec()));
                self.next += 1;
            }
        }
    }

    /// What an addition makes of a key.
    fn plus(&self, key: &[u8], more: i64) -> Result<i64> {
        let before = self.get(key).map_or(Some(0), |value| number_in(value));
        before.ok_or(Error::NotAnInteger)?.checked_add(more).ok_or(Error::Overflow)
    }

    fn remove(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        self.remove_entry(key).map(|(_, value)| value)
    }

    fn remove_entry(&mut self, key: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let (number, value) = self.entries.remove(canonical(key))?;
        self.order.remove(&number).map(|first_form| (first_form, value))
    }

    fn first(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        self.pairs().into_iter().next()
    }

    fn pairs(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let pair = |key: &Vec<u8>| (key.clone(), self.entries[canonical(key)].1.clone());
        self.order.values().map(pair).collect()
    }
}

/// Numbers of keys that are so far apart are one key in different forms.
const FORMS_APART: u16 = 1000;

fn key_bytes(number: u16) -> Vec<u8> {
    let name = number % FORMS_APART;
    let canonical = if name.is_multiple_of(3) {
        format!("a key too long to lie in a cell, number {name}").into_bytes()
    } else {
        name.to_le_bytes().to_vec()
    };
    let mut formed = Vec::new();
    match number / FORMS_APART {
        0 => return canonical,
        1 => put_formed(&mut formed, &canonical, b"short"),
        _ => put_formed(&mut formed, &canonical, &[7; 300]),
    }
    formed
}

fn set_many(context: &Context, map: &Map, model: &mut PlainDict, entries: &[(u16, usize, u8)]) {
    let before = model.entries.len();
    let pairs: Vec<_> =
        entries.iter().map(|(key, len, fill)| (key_bytes(*key), vec![*fill; *len])).collect();
    pairs.iter().for_each(|(key, value)| model.set(key, value));
    let new = (model.entries.len() - before) as u64;
    assert_eq!(map.set_many(context, &pairs.into_iter().collect()), Ok(new));
}

/// All additions or, where one of them fails, none. The sums of one call fit at any rate.
fn add_many(context: &Context, map: &Map, model: &mut PlainDict, additions: &[(u16, i64)]) {
    let mut sums: Vec<(Vec<u8>, i64)> = Vec::new();
    for (key, more) in additions {
        let key = key_bytes(*key);
        match sums.iter_mut().find(|(other, _)| canonical(other) == canonical(&key)) {
            Some((_, sum)) => match sum.checked_add(*more) {
                Some(more) => *sum = more,
                None => return,
            },
            None => sums.push((key, *more)),
        }
    }
    let expected: Result<Vec<i64>> =
        sums.iter().map(|(key, more)| model.plus(key, *more)).collect();
    let additions: Vec<_> = additions.iter().map(|(key, more)| (key_bytes(*key), *more)).collect();
    let done = map.add_many(context, &additions);
    assert_eq!(done, expected.clone().map(|_| ()));
    for ((key, _), sum) in sums.iter().zip(expected.into_iter().flatten()) {
        model.set(key, &integer(sum));
    }
}

/// Pins, each with the bytes that it has for ever.
#[derive(Default)]
struct Pins(Vec<(Value, Reference, Vec<u8>)>);

impl Pins {
    /// Pins the value of a key, which the model says is this one.
    fn add(
        &mut self,
        context: &Context,
        map: &Map,
        key: &[u8],
        value: Option<&Vec<u8>>,
    ) -> Result<()> {
        let pinned = map.pin(context, key)?;
        assert_eq!(pinned.is_some(), value.is_some_and(|value| value.len() > LONGEST_BLOCK));
        if let (Some((pinned, reference)), Some(value)) = (pinned, value) {
            self.0.push((pinned, reference, value.clone()));
        }
        Ok(())
    }

    fn give_up(&mut self, context: &Context, number: usize) -> Result<()> {
        let (pinned, reference, value) = self.0.swap_remove(number);
        let mut out = Vec::new();
        pinned.get(context, &mut out)?;
        assert_eq!(out, value);
        ledger::release(context, &reference)
    }
}

fn run_map_ops(ops: &[MapOp]) {
    let heap = heap(64);
    let map = map(&heap, "map");
    let (mut model, mut pins) = (PlainDict::default(), Pins::default());
    let mut out = Vec::new();
    heap.with(|context| {
        for op in ops {
            match op {
                MapOp::Set(key, len, fill) => {
                    let (key, value) = (key_bytes(*key), vec![*fill; *len]);
                    let is_new = map.set(context, &key, &value)?;
                    assert_eq!(is_new, model.get(&key).is_none());
                    model.set(&key, &value);
                }
                MapOp::Remove(key) => {
                    let key = key_bytes(*key);
                    let expected = model.remove(&key);
                    assert_eq!(map.remove(context, &key, &mut out)?, expected.is_some());
                    assert!(expected.is_none_or(|value| value == out));
                }
                MapOp::Add(key, more) => {
                    let key = key_bytes(*key);
                    let expected = model.plus(&key, *more);
                    assert_eq!(map.add(context, &key, *more), expected);
                    if let Ok(sum) = expected {
                        model.set(&key, &integer(sum));
                    }
                }
                MapOp::SetMany(entries) => set_many(context, &map, &mut model, entries),
                MapOp::AddMany(additions) => add_many(context, &map, &mut model, additions),
                MapOp::PopFirst => {
                    let mut key = Vec::new();
                    let expected = model.first();
                    let is_there = map.first(context, &mut key, &mut out)?;
                    assert_eq!(is_there.then(|| (key.clone(), out.clone())), expected);
                    let popped = map.pop_first(context, &mut key, &mut out)?;
                    assert_eq!(popped.then(|| (key.clone(), out.clone())), expected);
                    if popped {
                        model.remove(&key);
                    }
                }
                MapOp::PopLast => {
                    let mut key = Vec::new();
                    let expected = model.pairs().pop();
                    let is_there = map.last(context, &mut key, &mut out)?;
                    assert_eq!(is_there.then(|| (key.clone(), out.clone())), expected);
                    let popped = map.pop_last(context, &mut key, &mut out)?;
                    assert_eq!(popped.then(|| (key.clone(), out.clone())), expected);
                    if popped {
                        model.remove(&key);
                    }
                }
                MapOp::MoveToEnd(key) => {
                    let key = key_bytes(*key);
                    let entry = model.remove_entry(&key);
                    assert_eq!(map.move_to_end(context, &key)?, entry.is_some());
                    if let Some((first_form, value)) = entry {
                        model.set(&first_form, &value);
                    }
                }
                MapOp::GetMany(keys) => {
                    let keys: Vec<_> = keys.iter().map(|key| key_bytes(*key)).collect();
                    let found =
                        map.get_many(context, &keys.iter().map(|key| (key, [])).collect())?;
                    let values = found.values.iter().map(|(_, value)| value.to_vec());
                    let expected = keys.iter().enumerate().filter_map(|(number, key)| {
                        model.get(key).map(|value| (number, value.clone()))
                    });
                    assert!(found.numbers.iter().copied().zip(values).eq(expected));
                }
                MapOp::RemoveLast(key, is_exact) => {
                    // Another entry, or another value, is not the last one.
                    let other = key_bytes(*key);
                    let last = model.pairs().pop();
                    if last.as_ref().is_none_or(|last| canonical(&last.0) != canonical(&other)) {
                        let value = model.get(&other).map_or(&[1][..], |value| value);
                        assert!(!map.remove_last(context, &other, value)?);
                    }
                    if let Some((key, mut value)) = last {
                        value[0] ^= u8::from(!is_exact);
                        assert_eq!(map.remove_last(context, &key, &value)?, *is_exact);
                        if *is_exact {
                            model.remove(&key);
                        }
                    }
                }
                MapOp::Clear => {
                    map.clear(context)?;
                    model = PlainDict::default();
                }
                MapOp::Get(key) => {
                    let key = key_bytes(*key);
                    let found = map.get(context, &key, &mut out)?;
                    assert_eq!(found.then_some(&out), model.get(&key));
                }
                MapOp::Pin(key) => {
                    let key = key_bytes(*key);
                    pins.add(context, &map, &key, model.get(&key))?;
                }
                MapOp::Unpin(number) => {
                    if !pins.0.is_empty() {
                        let number = usize::from(*number) % pins.0.len();
                        pins.give_up(context, number)?;
                    }
                }
            }
            assert_eq!(map.len(context)?, model.entries.len() as u64);
        }
        assert_eq!(map.snapshot(context)?, model.pairs());
        check(context)?;
        while let Some(number) = pins.0.len().checked_sub(1) {
            pins.give_up(context, number)?;
        }
        check(context)?;
        Directory.remove(context, "map")?;
        assert_eq!(map.len(context), Err(Error::ObjectGone));
        assert_eq!(check(context)?.objects, 0);
        Ok(())
    })
    .expect("no operation fails");
}

pub(crate) fn holds() {
    hold(&prop::collection::vec(map_op(), 1..600), |ops| run_map_ops(&ops));
}

/// A key of nine bytes, most of them in a form: one that fits the cell, or a longer one.
fn large(number: u64) -> Vec<u8> {
    let (canonical, mut formed) = (integer(number as i64), Vec::new());
    match number % 4 {
        0 => return canonical.to_vec(),
        1 => put_formed(&mut formed, &canonical, b"f"),
        2 => put_formed(&mut formed, &canonical, b"a form that does not fit"),
        _ => put_formed(&mut formed, &canonical.repeat(4), b"f"),
    }
    formed
}

/// Goal: growth, packing and splitting keep every entry, far beyond what random operations reach.
/// Method: insert many keys in all forms, remove two of three, insert again, compare with a plain dict.
#[test]
fn a_large_map_keeps_every_entry() {
    let heap = heap(64);
    let map = map(&heap, "map");
    let mut model = PlainDict::default();
    let mut out = Vec::new();
    heap.with(|context| {
        for round in 0..3u64 {
            for number in 0..40_000u64 {
                let key = large(number * 7919 + round);
                map.set(context, &key, &integer(number as i64))?;
                model.set(&key, &integer(number as i64));
            }
            for number in 0..40_000u64 {
                let key = large(number * 7919 + round);
                if !number.is_multiple_of(3) {
                    assert!(map.remove(context, &key, &mut out)?);
                    model.remove(&key);
                }
            }
        }
        assert_eq!(map.snapshot(context)?, model.pairs());
        check(context)?;
        map.clear(context)?;
        assert!(map.is_empty(context)?);
        check(context)?;
        Ok(())
    })
    .expect("no operation fails");
}
