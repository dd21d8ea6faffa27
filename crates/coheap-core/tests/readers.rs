//! What readers see who take no turn, while one writer changes a single word at a time.
//!
//! Such a change opens nothing: only the sequence of the turn tells a reader that what it has read
//! is of two moments. Here it reads what two changes in a row make true by turns.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coheap_core::heap::Heap;
use coheap_core::journal::Context;
use coheap_core::objects::{Directory, map, value};

/// How long readers and the writer run at once.
const LONG: Duration = Duration::from_millis(500);
/// Fewest looks at what is being written: fewer would prove nothing.
const LEAST: u64 = 1_000;

/// Runs `write` over and over with 1, 2, 3 and so on, and `look` beside it. Answers what looks
/// found wrong.
fn meet(
    heap: &Heap,
    write: impl Fn(&Context, u64) -> coheap_core::Result<()> + Sync,
    mut look: impl FnMut(&Context) -> coheap_core::Result<Option<String>>,
) -> Option<String> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                number += 1;
                heap.with(|context| write(context, number)).expect("room for it");
            }
            number
        });
        let began = Instant::now();
        let (mut looks, mut wrong) = (0, None);
        while wrong.is_none() && began.elapsed() < LONG {
            for _ in 0..100 {
                wrong = wrong.or(heap.with(&mut look).expect("it is there"));
                looks += 1;
            }
        }
        is_over.store(true, Ordering::Relaxed);
        let written = writer.join().expect("the writer does not panic");
        assert!(wrong.is_some() || (looks >= LEAST && written >= LEAST), "{looks} of {written}");
        wrong
    })
}

/// Goal: a reader never puts the halves of two values together.
/// Method: a value of 15 bytes holds a number in its first seven and one in its last eight, each in
/// a word of its own. A writer raises the first, then the other, so the first is never behind, nor
/// ahead by two.
#[test]
fn the_halves_of_a_value_are_of_one_moment() {
    let heap = Heap::anonymous(1 << 20).expect("a heap");
    let make =
        |context: &Context| Directory.get_or_create(context, "v", &value::Recipe::of(&[0; 15]));
    let value = heap.with(make).expect("a value");
    let both = |first: u64, second: u64| {
        let mut bytes = [0; 15];
        bytes[..7].copy_from_slice(&first.to_le_bytes()[..7]);
        bytes[7..].copy_from_slice(&second.to_le_bytes());
        bytes
    };
    let mut bytes = Vec::new();
    let wrong = meet(
        &heap,
        |context, number| {
            value.set(context, &both(number, number - 1))?;
            value.set(context, &both(number, number))
        },
        |context| {
            value.get(context, &mut bytes)?;
            let (first, second) = bytes.split_at(7);
            let mut whole = [0; 8];
            whole[..7].copy_from_slice(first);
            let first = u64::from_le_bytes(whole);
            whole.copy_from_slice(second);
            let second = u64::from_le_bytes(whole);
            let is_right = first == second || first == second + 1;
            Ok((!is_right).then(|| format!("{first} and {second}")))
        },
    );
    assert_eq!(wrong, None);
}

/// Goal: what a scan of a map shows was there at one moment.
/// Method: a map of some hundred numbers; a writer raises the first, then the last, so the first is
/// never behind, nor ahead by two.
#[test]
fn the_ends_of_a_map_are_of_one_moment() {
    const COUNT: u64 = 300;
    let heap = Heap::anonymous(1 << 20).expect("a heap");
    let make = |context: &Context| Directory.get_or_create(context, "m", &map::Recipe);
    let map = heap.with(make).expect("a map");
    let key = |number: u64| number.to_le_bytes();
    let fill = |context: &Context| {
        (0..COUNT).try_for_each(|number| map.add(context, &key(number), 0).map(|_| ()))
    };
    heap.with(fill).expect("room for all");
    let wrong = meet(
        &heap,
        |context, _| {
            map.add(context, &key(0), 1)?;
            map.add(context, &key(COUNT - 1), 1).map(|_| ())
        },
        |context| {
            let batch = map.scan(context, 0, COUNT)?;
            let number = |place: u64| {
                let (_, value) = batch.entries.get(place as usize).expect("an entry");
                i64::from_le_bytes(*value.last_chunk().expect("an integer"))
            };
            let (first, last) = (number(0), number(COUNT - 1));
            let is_right = first == last || first == last + 1;
            Ok((!is_right).then(|| format!("{first} and {last}")))
        },
    );
    assert_eq!(wrong, None);
}
