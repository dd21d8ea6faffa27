//! Large work in steps: what others wait beside it, and what removals cost in order.
//!
//! Beside large work of one process, another one sets a key of the same map, sleeps for a moment, and
//! so on; how late it wakes is the control. A pause beyond the control is time that a turn was held.

use coheap_core::{Context, Directory, Heap, Map, MapRecipe, Pairs};

use super::{Pauses, get, put};
use crate::ours;
use crate::process::{Board, Child, now, until};
use crate::report::median;
use crate::workloads::Bench;

/// Entries that are removed in order.
const REMOVED: u64 = 100_000;

fn map(context: &Context, name: &str) -> Map {
    Directory.get_or_create(context, name, &MapRecipe).expect("a map")
}

fn pairs(numbers: impl Iterator<Item = u64>) -> Pairs {
    numbers.map(|number| (number.to_le_bytes(), [1])).collect()
}

fn fill(context: &Context, map: &Map, numbers: std::ops::Range<u64>) {
    for begin in numbers.clone().step_by(30_000) {
        let part = pairs(begin..numbers.end.min(begin + 30_000));
        map.set_many(context, &part).expect("room");
    }
}

fn remove(context: &Context, map: &Map, number: u64) {
    assert_eq!(map.remove(context, &number.to_le_bytes(), &mut Vec::new()), Ok(true));
}

/// All of them.
pub fn run(bench: &mut Bench<'_>) {
    let millions: u64 = if bench.rounds >= 7 { 1_000_000 } else { 100_000 };
    beside(
        bench,
        "a map that grows to 5 M",
        |_, _| (),
        |context, map| {
            (0..5 * millions).for_each(|number| {
                map.set(context, &number.to_le_bytes(), b"1").expect("room");
            });
        },
    );
    let sparse = |context: &Context, map: &Map| {
        fill(context, map, 0..37 * millions / 10);
        (0..12 * millions / 10).for_each(|number| remove(context, map, number * 3));
    };
    beside(bench, "the packing of 3.7 M", sparse, |context, map| {
        (0..2 * millions).for_each(|number| {
            map.set(context, &(number | 1 << 40).to_le_bytes(), b"1").expect("room");
        });
    });
    let many = pairs(0..millions);
    beside(
        bench,
        "a call that sets 1 M",
        |_, _| (),
        |context, map| {
            map.set_many(context, &many).expect("room");
        },
    );
    let full = |context: &Context, map: &Map| fill(context, map, 0..5 * millions);
    beside(bench, "the clearing of 5 M", full, |context, map| map.clear(context).expect("cleared"));
    beside(bench, "a snapshot of 5 M", full, |context, map| {
        map.snapshot(context).expect("a copy");
    });
    in_order(bench);
    crowded(bench, "where two thirds are full, and a third of these is removed", 65, 3);
    crowded(bench, "where all is full, and a quarter is removed", 100, 4);
}

/// Short sets on the map on which another process works, beside short sleeps.
fn beside(
    bench: &mut Bench<'_>,
    what: &str,
    prepare: impl Fn(&Context, &Map),
    work: impl Fn(&Context, &Map),
) {
    let board: &Board = bench.board;
    let heap = Heap::anonymous(4 << 30).expect("a heap");
    let mut pauses = Pauses::default();
    for round in 0..bench.rounds.div_ceil(3) {
        put(board, 0, 0);
        let name = format!("map {round}");
        let own = heap.with(|context| {
            let map = map(context, &name);
            prepare(context, &map);
            Ok(map)
        });
        let own = own.expect("a map");
        let child = Child::fork(|| {
            let context = heap.context().expect("a member");
            put(board, 0, 1);
            work(&context, &own);
            put(board, 0, 2);
            super::stay();
        });
        until("the other one works", || get(board, 0) > 0);
        pauses.sample(&heap, &own, || get(board, 0) == 1);
        drop(child);
        heap.with(|context| own.clear(context)).expect("cleared");
    }
    pauses.report(bench.report, what, "is late");
}

/// Nanoseconds for each of so many calls.
fn each(count: u64, mut call: impl FnMut(u64)) -> f64 {
    let before = now();
    (0..count).for_each(&mut call);
    (now() - before) as f64 / count as f64
}

/// The newest and the oldest entries one after the other, after every fourth one was removed.
fn in_order(bench: &mut Bench<'_>) {
    let rounds = bench.rounds;
    let heap = ours::heap();
    let done = heap.with(|context| {
        let map = map(context, "map");
        let (key, value) = (&mut Vec::new(), &mut Vec::new());
        let thin = |context: &Context| {
            map.clear(context).expect("cleared");
            fill(context, &map, 0..2 * REMOVED);
            (0..2 * REMOVED).step_by(4).for_each(|number| remove(context, &map, number));
        };
        let living = |number: u64| number + number / 3 + 1;
        let (mut sets, mut newest, mut oldest) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            thin(context);
            newest.push(each(REMOVED, |_| {
                assert!(map.pop_last(context, key, value).expect("an entry"))
            }));
            thin(context);
            oldest.push(each(REMOVED, |number| remove(context, &map, living(number))));
            map.clear(context)?;
            sets.push(each(REMOVED, |number| {
                map.set(context, &number.to_le_bytes(), b"1").expect("room");
            }));
        }
        let set = median(&sets);
        Ok((set, median(&newest) / set, median(&oldest) / set))
    });
    let (set, newest, oldest) = done.expect("a map");
    bench.report.figure("a set of a new key", set, "ns", None);
    bench.report.figure("removing the newest after holes", newest, "sets", Some(3.0));
    bench.report.figure("removing the oldest after holes", oldest, "sets", Some(3.0));
}

/// New keys in a heap of which a map occupies so many hundredths, and of which every `removed`th entry was
/// removed: as many new ones.
fn crowded(bench: &mut Bench<'_>, what: &str, hundredths: u64, removed: u64) {
    let mut rates = Vec::new();
    for _ in 0..bench.rounds {
        let heap = Heap::anonymous(64 << 20).expect("a heap");
        let done = heap.with(|context| {
            let map = map(context, "map");
            let set = |number: u64| map.set(context, &number.to_le_bytes(), b"1");
            let empty = each(200_000, |number| {
                set(number).expect("room");
            });
            let mut count = 200_000;
            let is_filled =
                || heap.stats().expect("a heap").used_bytes >= hundredths * (64 << 20) / 100;
            while (count % 1000 != 0 || !is_filled()) && set(count).is_ok() {
                count += 1;
            }
            (0..count).step_by(removed as usize).for_each(|number| remove(context, &map, number));
            let more = count / removed * 4 / 5;
            let full = each(more, |number| {
                set(count + number).expect("room");
            });
            Ok((empty, full))
        });
        rates.push(done.expect("a map"));
    }
    let (empty, full): (Vec<f64>, Vec<f64>) = rates.into_iter().unzip();
    let (empty, full) = (median(&empty), median(&full));
    bench.report.figure(format!("a set of a new key {what}"), full, "ns", Some(empty / 0.3));
    bench.report.figure("an empty heap, against that", empty / full, "", None);
}
