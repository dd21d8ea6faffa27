//! Steps of a pass over a large map, and what others were in the middle of.
//!
//! A peer adds entries to a map of which a third was removed, and does the steps that it owes for that. It
//! is halted, or dies, before one store after the other, while another peer goes on with what it had begun
//! before: an iterator, a transaction, a copy.

use std::rc::Rc;

use coheap_core::error::Result;
use coheap_core::heap::Heap;
use coheap_core::journal::Context;
use coheap_core::objects::map::Take;
use coheap_core::objects::{Map, estate, map};
use coheap_core::transaction::Transaction;

use super::{assert_whole, halted, make};

/// Positions of the map: all that three segments have.
const POSITIONS: u64 = 3 * 512;
/// Entries that the first one adds: a segment, and one step after each.
const ADDED: u64 = 5;

fn key(number: u64) -> [u8; 8] {
    number.to_le_bytes()
}

/// The numbers of the entries that nobody removes.
fn steady() -> impl Iterator<Item = u64> {
    (0..POSITIONS).filter(|number| number % 3 > 0)
}

fn the_map(heap: &Heap) -> Map {
    make(heap, "map", &map::Recipe)
}

fn stage() -> Heap {
    let heap = Heap::anonymous(1 << 20).expect("a heap");
    let map = the_map(&heap);
    heap.with(|context| {
        let all = (0..POSITIONS).map(|number| (key(number), b"v")).collect();
        map.set_many(context, &all)?;
        (0..POSITIONS)
            .step_by(3)
            .try_for_each(|number| map.remove(context, &key(number), &mut Vec::new()).map(drop))
    })
    .expect("room");
    heap
}

fn add(heap: &Heap) -> Result<()> {
    let map = the_map(heap);
    heap.with(|context| {
        (0..ADDED).try_for_each(|number| map.set(context, &key(POSITIONS + number), b"v").map(drop))
    })
}

/// What the second one had begun.
#[derive(Debug, Clone, Copy)]
enum Begun {
    Iterator,
    Transaction,
    Copy,
}

/// Reads the map from beginning to end in small parts, as an iterator does.
fn iterate(context: &Context, map: &Map, wait: &dyn Fn()) -> Result<()> {
    let mut batch = map.scan(context, 0, 100)?;
    let mut seen: Vec<Vec<u8>> = Vec::new();
    wait();
    loop {
        seen.extend(batch.entries.iter().map(|(key, _)| key.to_vec()));
        let Some(next) = batch.next else { break };
        let mut more = map.scan(context, next, 100)?;
        if more.numbering != batch.numbering {
            let last = seen.last().expect("an entry");
            more = map.scan_after(context, last, 100)?.expect("nobody removes it");
        }
        batch = more;
    }
    let expected: Vec<_> = steady().map(|number| key(number).to_vec()).collect();
    assert!(seen.len() >= expected.len(), "{} entries", seen.len());
    assert_eq!(seen[..expected.len()], expected);
    Ok(())
}

/// Removes the first, the last and one between them, replaces one, adds one. From its first look on, the
/// transaction has locked the map, so that no step moves what it found.
fn change(context: Rc<Context>, map: &Map, wait: &dyn Fn()) -> Result<()> {
    let (mut name, mut value) = (Vec::new(), Vec::new());
    let mut transaction = Transaction::begin(context, None)?;
    wait();
    let mut on = transaction.on(map);
    assert!(on.get(&key(700), &mut value)? && on.get(&key(POSITIONS - 1), &mut value)?);
    on.remove(&key(700), &mut value)?;
    on.set(&key(1000), b"replaced")?;
    on.set(b"new", b"n")?;
    on.remove(&key(POSITIONS - 1), &mut value)?;
    assert!(on.pop_first(&mut name, &mut value)?);
    assert_eq!(name, key(1));
    transaction.commit()
}

fn copy(context: &Context, map: &Map, wait: &dyn Fn()) -> Result<()> {
    wait();
    let all = loop {
        if let Some(all) = map.copy_beside_writers(context, Take::Both)? {
            break all;
        }
    };
    let seen: Vec<_> = all.iter().map(|(key, _)| key.to_vec()).collect();
    let expected = steady().chain(POSITIONS..POSITIONS + ADDED).map(|number| key(number).to_vec());
    assert!(seen.len() >= steady().count());
    assert!(expected.zip(&seen).all(|(expected, seen)| expected == *seen));
    Ok(())
}

fn run(begun: Begun, at: u64, is_death: bool) -> bool {
    let heap = stage();
    let map = the_map(&heap);
    let has_more = halted::run(&heap, (at, is_death), add, move |heap, wait| {
        let context = heap.context()?;
        match begun {
            Begun::Iterator => iterate(&context, &map, wait),
            Begun::Transaction => change(context, &map, wait),
            Begun::Copy => copy(&context, &map, wait),
        }
    });
    heap.with(estate::sweep).expect("a sweep");
    assert_whole(&heap);
    let all = heap.with(|context| map.snapshot(context)).expect("a copy");
    let mut expected: Vec<(u64, &[u8])> = steady().map(|number| (number, &b"v"[..])).collect();
    if matches!(begun, Begun::Transaction) {
        expected.retain(|(number, _)| ![1, 700, POSITIONS - 1].contains(number));
        let replaced = expected.iter_mut().find(|(number, _)| *number == 1000);
        replaced.expect("a steady one").1 = b"replaced";
    }
    let (old, new) = all.to_vec().into_iter().partition::<Vec<_>, _>(|(name, _)| {
        name.len() == 8 && u64::from_le_bytes(name[..8].try_into().expect("eight")) < POSITIONS
    });
    let expected: Vec<_> =
        expected.iter().map(|(number, value)| (key(*number).to_vec(), value.to_vec())).collect();
    assert_eq!(old, expected, "{begun:?}, halted before store {at}, {is_death}");
    let is_changed = new.iter().any(|(name, _)| name == b"new");
    assert_eq!(is_changed, matches!(begun, Begun::Transaction));
    has_more
}

fn sweep(begun: Begun, is_death: bool) {
    let step = if cfg!(miri) { 1009 } else { 53 };
    let mut places = (0..).step_by(step);
    let stores = places.find(|at| !run(begun, *at, is_death)).expect("an end");
    assert!(stores > 2000, "{begun:?} beside {stores} stores");
}

/// Goal: an iterator sees each entry that stays exactly once, in order, wherever a step moves it.
#[test]
fn an_iterator_goes_on_beside_a_pass() {
    [false, true].into_iter().for_each(|is_death| sweep(Begun::Iterator, is_death));
}

/// Goal: a transaction changes the entries that it found, wherever they are when it commits.
#[test]
fn a_transaction_goes_on_beside_a_pass() {
    [false, true].into_iter().for_each(|is_death| sweep(Begun::Transaction, is_death));
}

/// Goal: a copy has each entry exactly once, in order, although they are moved while it is made.
#[test]
fn a_copy_is_whole_beside_a_pass() {
    [false, true].into_iter().for_each(|is_death| sweep(Begun::Copy, is_death));
}
